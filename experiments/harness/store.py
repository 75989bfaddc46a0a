"""Results on disk: one JSON and one .npz a run, found by what made them, written atomically, never edited.

`results/<experiment>/<key>/seed-0007.json` holds what a run was and what came out, `seed-0007.npz` its arrays.  The key
hashes what changes the outcome: the configuration, the data, and the family and version of the arithmetic.  Published
results lie flat in `reference/<experiment>/`, with the command that made them as their header.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from experiments.harness import records, registry
from experiments.harness.identity import Identity, Json, canonical_json, differences, of_record
from lenet98.files import atomic

log = logging.getLogger("experiments")
Source = Literal["results", "reference"]


class Unreadable(ValueError):
    """A result file that is damaged, malformed, or contradicts itself or its place; one line that names it."""


# --- files ------------------------------------------------------------------------------------------------------------


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically."""
    with atomic(path) as file:
        file.write(text.encode())


@dataclass(frozen=True)
class Result:
    """One run's record (the JSON) and where it lies."""

    path: Path
    record: Json = field(repr=False)

    @property
    def seed(self) -> int:
        return int(self.record["seed"])

    @property
    def diverged(self) -> bool:
        return bool(self.record["status"] == "diverged")

    @property
    def passes(self) -> list[Json]:
        return list(self.record["passes"])

    @property
    def last(self) -> Json:
        """The last pass, which is the headline: never the best one."""
        return self.passes[-1]

    @property
    def extra(self) -> Json:
        """What the experiment recorded besides its passes."""
        return dict(self.record["extra"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """predictions, `scores` and `weights` where the experiment gave them, and its own arrays, by name."""
        with np.load(self.path.with_suffix(".npz"), allow_pickle=False) as file:
            return dict(file)


def result_path(folder: Path, seed: int) -> Path:
    """Where the record of run `seed` lies: seed-0007.json."""
    return folder / f"seed-{seed:04d}.json"


SCORED = 10
"""Scores, most of what a record takes, are published of the seeds below this."""

ARRAYS = frozenset({"predictions", "config", "scores", "weights"})
"""Names of the arrays that the harness knows; an experiment's own have others."""


def write(path: Path, record: Json, arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Write a record and its arrays; the record last, since it is what says that the run is complete."""
    with atomic(path.with_suffix(".npz")) as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    record = records.sealed({**record, "arrays_sha256": _sha256(path.with_suffix(".npz").read_bytes())})
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return Result(path, record)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(path: Path, experiment: str | None = None, key: str | None = None) -> Result:
    """The result at `path`, its errors recounted from its predictions where the digits are here.

    Parameters
    ----------
    path
        The record's file.
    experiment, key
        What it must be of; None for whatever it says.

    Raises
    ------
    FileNotFoundError
        If there is none.
    Unreadable
        If it is damaged, half written, edited or in a wrong place; names the field.
    """
    record, predictions = _record(path), None
    _refuse(path, records.contradictions(record, _seed(path), experiment, key))
    arrays = path.with_suffix(".npz")
    content = arrays.read_bytes() if arrays.is_file() else b""
    if _sha256(content) != record["arrays_sha256"]:
        raise Unreadable(f"{arrays} is missing or not the file that {path.name} was written with")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            predictions = file.get("predictions")
    except (ValueError, EOFError, BadZipFile):
        raise Unreadable(f"{arrays} holds no arrays") from None
    _refuse(path, records.miscounts(record, predictions, registry.judged(record["data"], record["config"])))
    _refuse(path, records.broken(record))
    return Result(path, record)


def _record(path: Path) -> Json:
    """The record in a file, every field as it must be; FileNotFoundError if there is none, else Unreadable."""
    try:
        record = records.decoded(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} is not a result file ({error})") from None
    _refuse(path, records.problems(record))
    return dict(record)


def _refuse(path: Path, problems: Iterator[str]) -> None:
    """Unreadable for the first problem, if there is one."""
    if problem := next(problems, None):
        raise Unreadable(f"{path}: {problem}")


def _seed(path: Path) -> int:
    """The seed that a file's name states; Unreadable if it states none."""
    seed = path.stem.removeprefix("seed-")
    if not seed.isdecimal() or path.name != result_path(path.parent, int(seed)).name:
        raise Unreadable(f"{path}: its name is not that of a seed, {result_path(Path(), 7)} for example")
    return int(seed)


def load(path: Path, experiment: str | None = None, key: str | None = None) -> Result | None:
    """The result at `path`, or None if there is none that `read` accepts; says so, once, if it refuses one."""
    try:
        return read(path, experiment, key)
    except FileNotFoundError:
        return None
    except Unreadable as error:
        _warn(f"{error}; treated as absent")
        return None


@cache  # tables are made again and again while runs go on
def _warn(line: str) -> None:
    log.warning("%s", line)


# --- the runs of an experiment ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Runs:
    """All runs of one experiment that belong together, by seed, and where they came from."""

    experiment: str
    source: Source
    folder: Path
    results: tuple[Result, ...]

    @property
    def finished(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.diverged)

    @property
    def diverged(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.diverged)


def read_folder(folder: Path, experiment: str | None = None, key: str | None = None) -> tuple[Result, ...]:
    """Every result in `folder` that `read` accepts, by seed."""
    loaded = (load(path, experiment, key) for path in sorted(folder.glob("seed-*.json")))
    return tuple(sorted((result for result in loaded if result), key=lambda result: result.seed))


def published(experiment: str, reference: Path) -> Runs:
    """The published runs of an experiment."""
    folder = reference / experiment
    return Runs(experiment, "reference", folder, read_folder(folder, experiment))


def latest(experiment: str, identity: Identity, results: Path) -> Runs:
    """The runs under the present key, or else the newest ones of the present configuration by older numerics."""
    folder = results / experiment / identity.key
    runs = read_folder(folder, experiment, folder.name)
    if not runs:
        wanted = canonical_json(identity.config)
        others = [record for record in every_record(results / experiment) if canonical_json(record["config"]) == wanted]
        if others:
            folder = results / experiment / max(others, key=lambda record: record["finished"])["key"]
            runs = read_folder(folder, experiment, folder.name)
    return Runs(experiment, "results", folder, runs)


def every_record(folder: Path) -> list[Json]:
    """The records of an experiment under whatever key, without their arrays; malformed ones left out."""
    return [record for path in sorted(folder.glob("*/seed-*.json")) for record in _records(path, path.parent.name)]


def published_records(experiment: str, reference: Path) -> list[Json]:
    """The published records of an experiment, without their arrays; malformed ones left out."""
    return [record for path in sorted((reference / experiment).glob("seed-*.json")) for record in _records(path, None)]


def _records(path: Path, key: str | None) -> Iterator[Json]:
    """The record in a file, if there is one that is as its name and its key (None for any) say."""
    with suppress(OSError, Unreadable):
        record = _record(path)
        _refuse(path, records.contradictions(record, _seed(path), None, key))
        yield record


def publish(
    runs: Runs,
    identity: Identity,
    seeds: Sequence[int],
    reference: Path,
    *,
    scores: bool = True,
    weights: Collection[int] = (),
    force: bool = False,
) -> Path:
    """Copy `runs` into `reference/`, beside published runs of the same identity, and return their folder there.

    Parameters
    ----------
    runs, identity
        What is published, and what it must be.
    seeds
        Those that must be there then.
    reference
        Folder of published results.
    scores
        Whether rejection scores are published too, of seeds below `SCORED`.
    weights
        Seeds whose final weights are published too.
    force
        Whether it is published although something stands against it.

    Raises
    ------
    ValueError
        If a seed is missing, or a run has another identity or was not made by committed code; never with `force`.
    """
    folder = reference / runs.experiment
    made = {result.seed for result in runs.results}
    kept = {one["seed"] for one in published_records(runs.experiment, reference) if one["key"] == identity.key} - made
    problem = _against_publishing(runs, identity, set(seeds) - kept)
    if problem and not force:
        raise ValueError(f"{runs.experiment} is not published: {problem}; --force publishes it all the same")
    for result in runs.results:
        left = set() if scores and result.seed < SCORED else {"scores"}
        if result.seed not in weights:
            left |= {"weights", "config"}
        arrays = {name: array for name, array in result.arrays().items() if name not in left}
        record = {"header": f"Made by: {result.record['command']}", **result.record}
        write(result_path(folder, result.seed), record, arrays)
    for path in folder.glob("seed-*"):
        if path.stem not in {result_path(folder, seed).stem for seed in made | kept}:
            path.unlink()
    return folder


def _against_publishing(runs: Runs, identity: Identity, seeds: Collection[int]) -> str:
    """What stands against publishing `runs`, or nothing."""
    missing = sorted(set(seeds) - {result.seed for result in runs.results})
    if missing:
        return f"no result for seed {', '.join(map(str, missing))}"
    for result in runs.results:
        git = result.record["versions"]["git"]
        if result.record["key"] != identity.key:
            changed = "; ".join(differences(of_record(result.record), identity))
            return f"seed {result.seed} is not of the present identity ({changed})"
        if git is None:
            return f"seed {result.seed} was not made in a git checkout, so nobody could say by which code"
        if git["dirty"]:
            return f"seed {result.seed} was made with uncommitted changes"
    return ""
