"""Trained weights on disk: the flat parameter vector and the configuration that says what network it is.

A file is an .npz with `weights` (float32) and `config` (JSON); the results of experiments hold the same two.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenet98.catalog import from_json
from lenet98.data.distortions import Magnitudes
from lenet98.data.strings import Strings
from lenet98.files import atomic
from lenet98.readings import Reading
from lenet98.training import Config

PUBLISHED = (
    Path(__file__).parents[1] / "reference" / "fig9" / "lenet5" / "seed-0000.npz",
    Path(__file__).parent / "published" / "lenet5-seed-0000.npz",
)
"""Where the published weights of LeNet-5 lie: in a checkout, in an installed package."""

RENAMED = {"curvature_seed": "output_curvature"}
"""Fields of a reading in older files, by what they are called now."""


def save(path: Path, parameters: NDArray[np.float32], config: Config) -> None:
    """Write the parameters, shape (spec.parameters,), of a network trained by `config`, whole or not at all."""
    with atomic(path) as file:
        np.savez(file, weights=parameters, config=np.array(json.dumps(_as_json(config))))


def load(path: Path | str) -> tuple[NDArray[np.float32], Config]:
    """Parameters, shape (spec.parameters,), and configuration in `path`.

    Raises ValueError, naming the file, for one that is missing, damaged or something else.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            weights, text = file["weights"], str(file["config"])
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error}); give an .npz file of weights") from error
    except KeyError as error:
        raise ValueError(f"{path}: holds no weights ({error.args[0]})") from None
    except (ValueError, EOFError, IndexError, TypeError, AttributeError, BadZipFile) as error:
        raise ValueError(f"{path}: is damaged or no .npz file of weights; make one with `lenet98 train`") from error
    try:
        config = _config(text)
        return _checked(weights, config), config
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not the weights of a network of this version ({error})") from error


def _as_json(config: Config) -> dict[str, Any]:
    return {**asdict(config), "spec": config.spec.as_json()}


def _config(text: str) -> Config:
    """The configuration in a file of this version, or of one that named the spec and `evaluate_on`."""
    given = json.loads(text)
    given["spec"], given["etas"] = from_json(given["spec"]), tuple(given["etas"])
    given["reading"] = Reading(**{RENAMED.get(name, name): value for name, value in given["reading"].items()})
    if given.get("distortions"):
        given["distortions"] = Magnitudes(**given["distortions"])
    if given.get("strings"):
        given["strings"] = Strings(**given["strings"])
    if given.pop("evaluate_on", "test") == "held out":
        given["held_out"] = 60_000 - given["train_size"]
    return Config(**given)


def _checked(weights: NDArray[np.float32], config: Config) -> NDArray[np.float32]:
    expected = config.spec.parameters
    if weights.dtype != np.float32 or weights.shape != (expected,):
        raise ValueError(f"{config.spec.name} has {expected} float32 parameters, found {weights.dtype} {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("some are not finite: the network has diverged")
    return weights


def default() -> Path:
    """The published weights of LeNet-5, seed 0 of the reference; ValueError where there are none."""
    for path in PUBLISHED:
        if path.is_file():
            return path
    raise ValueError(f"no published weights at {PUBLISHED[0]}; make some with `lenet98 train` and name their file")
