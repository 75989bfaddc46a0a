"""Trained weights on disk: the parameters of a network and the configuration that says what network it is.

A file is an .npz with `weights` (the flat vector, float32) and `config` (JSON), which the results of experiments hold,
too.  Or it is a .safetensors, which other programs read as well: the tensors of `Net.state_dict`, and a header of texts
of which `config` is one.  The networks that come with the package are such files (`lenet98.published`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import torch as safetensors

from lenet98.catalog import from_json
from lenet98.data.distortions import Magnitudes
from lenet98.data.strings import Strings
from lenet98.files import atomic
from lenet98.modules import Net, network
from lenet98.readings import Reading
from lenet98.training import Config, FormConfig

SUFFIX = ".safetensors"
"""Of a file of named tensors with a header; other names are .npz files."""

RENAMED = {"curvature_seed": "output_curvature"}
"""Fields of a reading in older files, by what they are called now."""


def save(path: Path, parameters: NDArray[np.float32], config: Config) -> None:
    """Write the parameters, shape (spec.parameters,), of a network trained by `config`, whole or not at all."""
    with atomic(path) as file:
        if path.suffix == SUFFIX:
            file.write(as_safetensors(parameters, config))
        else:
            np.savez(file, weights=parameters, config=np.array(json.dumps(_as_json(config))))


def as_safetensors(parameters: NDArray[np.float32], config: Config, header: Mapping[str, str] | None = None) -> bytes:
    """The content of a .safetensors file, the same for the same arguments; `header` has texts besides `config`."""
    net = network(config.spec, parameters, config.reading)
    texts = {**(header or {}), "config": json.dumps(_as_json(config))}
    content = safetensors.save(net.state_dict(), texts)
    # The library writes the header's texts in an order of chance.  It is JSON behind its length, padded to 8 bytes.
    size = int.from_bytes(content[:8], "little")
    described = json.loads(content[8 : 8 + size])
    described["__metadata__"] = dict(sorted(described["__metadata__"].items()))
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def load(path: Path | str) -> tuple[NDArray[np.float32], Config]:
    """Parameters, shape (spec.parameters,), and configuration in `path`.

    Raises ValueError, naming the file, for one that is missing, damaged or something else.
    """
    path = Path(path)
    found, text = _safetensors(path) if path.suffix == SUFFIX else _npz(path)
    try:
        config = config_from(text)
        weights = _flat(found, config) if isinstance(found, dict) else found
        return _checked(weights, config), config
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not the weights of a network of this version ({error})") from error


def header(path: Path) -> dict[str, str]:
    """The texts in the header of a .safetensors file; its tensors are not read.

    Raises ValueError, naming the file, for one that is missing or damaged.
    """
    try:
        with path.open("rb"):  # whose error has its reason apart
            pass
        with safe_open(path, "numpy") as file:
            return file.metadata() or {}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except SafetensorError as error:
        raise ValueError(f"{path}: is damaged or no {SUFFIX} file") from error


def _safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """The named tensors and the configuration in a file."""
    texts = header(path)
    if "config" not in texts:
        raise ValueError(f"{path}: its header has no config, which says what network it is")
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, texts["config"]  # noqa: SIM118, no mapping


def _flat(tensors: Mapping[str, NDArray[Any]], config: Config) -> NDArray[Any]:
    """Named tensors as the flat vector; ValueError unless they are those of the network."""
    net = Net(config.spec, config.reading)
    for name, values in net.state_dict().items():
        if name not in tensors or tensors[name].shape != tuple(values.shape):
            there = f"shape {tensors[name].shape}" if name in tensors else "none"
            raise ValueError(f"{config.spec.name} has {name} of shape {tuple(values.shape)}, found {there}")
    return np.concatenate([tensors[name].ravel() for name, _ in net.named_parameters()])


def _npz(path: Path) -> tuple[NDArray[Any], str]:
    """The flat vector and the configuration in a file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["weights"], str(file["config"])
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error}); give an .npz file of weights") from error
    except KeyError as error:
        raise ValueError(f"{path}: holds no weights ({error.args[0]})") from None
    except (ValueError, EOFError, IndexError, TypeError, AttributeError, BadZipFile) as error:
        raise ValueError(f"{path}: is damaged or no .npz file of weights; make one with `lenet98 train`") from error


def _as_json(config: Config) -> dict[str, Any]:
    return {**asdict(config), "spec": config.spec.as_json()}


def config_from(text: str) -> Config:
    """The configuration that a file holds, of this version or of one that named the spec and `evaluate_on`.

    What it says beyond a `Config`, as those of experiments do, is left out.  One that was not trained as the paper has
    it says what network it is, by `spec` and `reading`, and no more; the other fields are then the defaults.

    Raises ValueError, TypeError or KeyError for a text that holds none.
    """
    given = json.loads(text)
    given["spec"] = from_json(given["spec"])
    if "etas" in given:
        given["etas"] = tuple(given["etas"])
    given["reading"] = Reading(**{RENAMED.get(name, name): value for name, value in given["reading"].items()})
    if given.get("distortions"):
        given["distortions"] = Magnitudes(**given["distortions"])
    if given.get("strings"):
        given["strings"] = Strings(**given["strings"])
    if given.pop("evaluate_on", "test") == "held out":
        given["held_out"] = 60_000 - given["train_size"]
    kind = FormConfig if "form" in given else Config
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})


def _checked(weights: NDArray[np.float32], config: Config) -> NDArray[np.float32]:
    expected = config.spec.parameters
    if weights.dtype != np.float32 or weights.shape != (expected,):
        raise ValueError(f"{config.spec.name} has {expected} float32 parameters, found {weights.dtype} {weights.shape}")
    if not np.isfinite(weights).all():
        raise ValueError("some are not finite: the network has diverged")
    return weights
