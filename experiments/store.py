"""Results on disk: one JSON and one .npz a run, found by what made them, written atomically, never edited.

`results/<experiment>/<key>/seed-0007.json` holds what a run was and what came out, `seed-0007.npz` its arrays.  The key
hashes everything that changes the outcome: the configuration, the data and the code that computes it.  Results that
are published lie flat in `reference/<experiment>/`, with the command that made them as their header.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import logging
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import lenet98
from lenet98.files import atomic

log = logging.getLogger("experiments")

PACKAGES = {"lenet98": Path(lenet98.__file__).parent, "experiments": Path(__file__).parent}
"""Where the code that computes results lies."""

NOT_COMPUTING = frozenset(
    {"lenet98.cli", "lenet98.files", "lenet98.data.mnist", "experiments"}
    | {f"experiments.{name}" for name in ("__main__", "registry", "store", "runner", "progress", "tables", "paper")}
)
"""Modules that run, write and show results, and the one that finds the data, whose version a key holds anyway."""

LIBRARIES = ("torch", "numpy", "numba", "scipy", "scikit-learn", "lenet98")

Json = dict[str, Any]
Source = Literal["results", "reference"]


class Unreadable(ValueError):
    """A result file that is damaged or only half there."""


# --- what made a result -----------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """`value` as JSON types: dataclasses become objects, tuples lists.

    Raises TypeError for what JSON cannot hold and ValueError for NaN and infinities.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be part of a configuration")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be part of a configuration")


def canonical_json(value: Any) -> str:
    """One text for equal values: fields sorted, 1.0 written as 1."""

    def whole(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: whole(part) for name, part in item.items()}
        if isinstance(item, list):
            return [whole(part) for part in item]
        return int(item) if isinstance(item, float) and item.is_integer() else item

    return json.dumps(whole(plain(value)), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """The first 16 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class CodeVersion:
    """The version of some modules and of all that they import; `modules` maps each name to its digest."""

    modules: dict[str, str]

    @property
    def version(self) -> str:
        return digest(canonical_json(self.modules))


def code_version(roots: Sequence[str], packages: Mapping[str, Path] = PACKAGES) -> CodeVersion:
    """Version of the modules `roots` and, transitively, of every module of `packages` that they import.

    Comments, layout and docstrings do not count, nor do the modules of `NOT_COMPUTING`.  The `__init__` of a package
    counts only where a name is imported from it.  Raises ValueError for a root that is not a module of `packages`.
    """
    modules: dict[str, str] = {}
    waiting = list(roots)
    for root in roots:
        if _source(root, packages) is None:
            raise ValueError(f"{root!r} is not a module of {' or '.join(packages)}: its code cannot be versioned")
    while waiting:
        name = waiting.pop()
        path = _source(name, packages)
        if path is None or name in modules or name in NOT_COMPUTING:
            continue
        tree, modules[name] = _parse(path.read_text(encoding="utf-8"))
        waiting += _imports(tree, name if path.name == "__init__.py" else name.rpartition(".")[0], packages)
    return CodeVersion(dict(sorted(modules.items())))


def _source(module: str, packages: Mapping[str, Path]) -> Path | None:
    """The file of a module of `packages`, None for any other."""
    top, *parts = module.split(".")
    if top not in packages:
        return None
    base = packages[top].joinpath(*parts)
    candidates = [base / "__init__.py", *([base.with_suffix(".py")] if parts else [])]
    return next((path for path in candidates if path.is_file()), None)


class _WithoutDocstrings(ast.NodeTransformer):
    """Drops every string that stands alone as a statement: of modules, classes, functions and fields."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node


@cache
def _parse(text: str) -> tuple[ast.Module, str]:
    """The syntax tree of a module without its docstrings, and the digest of that."""
    tree = _WithoutDocstrings().visit(ast.parse(text))
    return tree, digest(ast.unparse(tree))


def _imports(tree: ast.Module, package: str, packages: Mapping[str, Path]) -> Iterator[str]:
    """Modules that the imports anywhere in `tree`, a module of `package`, may name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if _source(submodule, packages) else base


@dataclass(frozen=True)
class Identity:
    """What changes the outcome of a run besides its seed."""

    config: Json
    data: str
    code: CodeVersion

    @property
    def key(self) -> str:
        return digest(canonical_json({"config": self.config, "data": self.data, "code": self.code.version}))


def differences(before: Json, identity: Identity) -> list[str]:
    """Why a run of `identity` is not the run of the record `before`, in words."""
    old, new = dict(_leaves(before["config"])), dict(_leaves(identity.config))
    words = [
        f"config {name} changed from {json.dumps(old.get(name))} to {json.dumps(new.get(name))}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    if before["data"] != identity.data:
        words.append(f"data changed from {before['data']} to {identity.data}")
    if before["code"]["version"] != identity.code.version:
        was, now = before["code"]["modules"], identity.code.modules
        changed = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        words.append(f"code changed in {', '.join(changed)}")
    return words


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of nested objects with their dotted names; lists are fields."""
    if isinstance(value, dict):
        for part, item in value.items():
            yield from _leaves(item, f"{name}.{part}" if name else part)
    else:
        yield name, value


# --- what it was made with --------------------------------------------------------------------------------------------


def machine(threads: int) -> Json:
    """The machine, as far as it bears on time and on the last bits."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "os": platform.platform(), "threads": threads}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> Json:
    """Versions of Python, of the libraries (null where not installed) and of the checkout (null outside one)."""
    found: Json = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    return {**found, "git": checkout(PACKAGES["lenet98"].parent)}


def checkout(root: Path) -> Json | None:
    """Commit of the checkout at `root` and whether its code differs from it; None if there is no checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", "lenet98/__init__.py"):
            return None  # an installed copy that happens to lie inside somebody's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", *PACKAGES))}
    except (OSError, subprocess.CalledProcessError):
        return None


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
        """predictions, and `scores` and `weights` where the experiment gave them, by name."""
        with np.load(self.path.with_suffix(".npz"), allow_pickle=False) as file:
            return dict(file)


def result_path(folder: Path, seed: int) -> Path:
    """Where the record of run `seed` lies: seed-0007.json."""
    return folder / f"seed-{seed:04d}.json"


def write(path: Path, record: Json, arrays: Mapping[str, NDArray[Any]]) -> Result:
    """Write a record and its arrays; the record last, since it is what says that the run is complete."""
    with atomic(path.with_suffix(".npz")) as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    record = {**record, "arrays_sha256": _sha256(path.with_suffix(".npz"))}
    write_text(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return Result(path, record)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


REQUIRED = ("experiment", "seed", "key", "status", "config", "data", "code", "machine", "versions", "passes", "extra")


def read(path: Path) -> Result:
    """The result at `path`; FileNotFoundError if there is none, Unreadable if it is damaged or half written."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in REQUIRED if name not in record]
        if missing:
            raise Unreadable(f"{path} lacks {', '.join(missing)}")
    except (UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise Unreadable(f"{path} is not a result file ({error})") from None
    arrays = path.with_suffix(".npz")
    if not arrays.is_file() or _sha256(arrays) != record.get("arrays_sha256"):
        raise Unreadable(f"{arrays} is missing or not the file that {path.name} was written with")
    return Result(path, record)


def load(path: Path) -> Result | None:
    """The result at `path`, or None if there is none that can be read; says so if it is unreadable."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except Unreadable as error:
        log.warning("%s; treated as absent", error)
        return None


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


def read_folder(folder: Path) -> tuple[Result, ...]:
    """Every readable result in `folder`, by seed."""
    loaded = (load(path) for path in sorted(folder.glob("seed-*.json")))
    return tuple(sorted((result for result in loaded if result), key=lambda result: result.seed))


def published(experiment: str, reference: Path) -> Runs:
    """The published runs of an experiment."""
    folder = reference / experiment
    return Runs(experiment, "reference", folder, read_folder(folder))


def latest(experiment: str, identity: Identity, results: Path) -> Runs:
    """The runs under the present key, or else the newest ones of the present configuration made by older code."""
    folder = results / experiment / identity.key
    runs = read_folder(folder)
    if not runs:
        wanted = canonical_json(identity.config)
        others = [record for record in records(results / experiment) if canonical_json(record["config"]) == wanted]
        if others:
            folder = results / experiment / max(others, key=lambda record: record["finished"])["key"]
            runs = read_folder(folder)
    return Runs(experiment, "results", folder, runs)


def records(folder: Path) -> list[Json]:
    """The records of an experiment under whatever key, without their arrays; unreadable ones left out."""
    found = []
    for path in sorted(folder.glob("*/seed-*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and all(name in record for name in (*REQUIRED, "finished")):
            found.append(record)
    return found


def publish(
    runs: Runs, identity: Identity, seeds: Sequence[int], reference: Path, *, weights: bool = False, force: bool = False
) -> Path:
    """Copy `runs` into `reference/`, in place of what was published before, and return their folder there.

    Weights are left out unless `weights`: tables and figures need predictions and scores only.  Raises ValueError,
    unless `force`, if a seed of `seeds` is missing, or if a run was made by other than the present, committed code.
    """
    problem = _against_publishing(runs, identity, seeds)
    if problem and not force:
        raise ValueError(f"{runs.experiment} is not published: {problem}; --force publishes all the same")
    folder = reference / runs.experiment
    for result in runs.results:
        arrays = {name: array for name, array in result.arrays().items() if weights or name != "weights"}
        record = {"header": f"Made by: {result.record['command']}", **result.record}
        write(result_path(folder, result.seed), record, arrays)
    for path in folder.glob("seed-*"):
        if path.stem not in {result.path.stem for result in runs.results}:
            path.unlink()
    return folder


def _against_publishing(runs: Runs, identity: Identity, seeds: Sequence[int]) -> str:
    """What stands against publishing `runs`, or nothing."""
    missing = sorted(set(seeds) - {result.seed for result in runs.results})
    if missing:
        return f"no result for seed {', '.join(map(str, missing))}"
    for result in runs.results:
        git = result.record["versions"]["git"]
        if result.record["key"] != identity.key:
            return f"seed {result.seed} is not of the present code ({'; '.join(differences(result.record, identity))})"
        if git is None:
            return f"seed {result.seed} was not made in a git checkout, so nobody could say by which code"
        if git["dirty"]:
            return f"seed {result.seed} was made with uncommitted changes"
    return ""
