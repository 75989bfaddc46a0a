"""Small runs that tell whether a change of code changes a bit of what experiments compute.

A case is a registered experiment made small: two passes over 2,000 patterns.  The cases are
derived from the registry, so that each value of each field of a configuration occurs in at least one of them.  Beside
them stand a run that was interrupted and resumed, and one that diverges, for every way of training.

    python -m experiments.harness.golden                     the cases and their fingerprints, as JSON
    python -m experiments.harness.golden neutral --against REV   whether the code of REV computes the same bits
    python -m experiments.harness.golden write               write tests/golden/ anew, for this machine
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments.harness import registry
from experiments.harness.registry import Context, Experiment, Outcome
from lenet98.data.mnist import MNIST

PATTERNS = 2000
"""Training patterns of a small run."""
JUDGED = 500
"""Patterns that a small run is judged on, of the test set or held out of the training set."""
SOLVED = 100
"""The same where every pattern has a system of equations of its own to solve, or tangents."""
LARGE = 150_000
"""Parameters above which a network learns `FEWER` patterns, and so do what trains several and what is slow to fit."""
FEWER = 500
FEW = 50
"""Training patterns of a run so short that rounding cannot have grown: other processors compute it alike."""

LIBRARIES = ("numpy", "scipy", "torch", "numba", "scikit-learn")
SEED = 3
ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


# --- the cases --------------------------------------------------------------------------------------------------------


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The fields of nested configurations by their dotted names, each with its value as text; tuples are values."""
    if is_dataclass(value) and not isinstance(value, type):
        yield name, type(value).__name__
        for field in fields(value):
            yield from leaves(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}")
    else:
        yield name, repr(value)


def way(experiment: Experiment) -> str:
    """The function that computes an experiment, by its name."""
    return experiment.run.__name__


def cases(experiments: Iterable[Experiment] | None = None) -> list[str]:
    """Names of the cases; of the experiments given, or else of all that are registered.

    A case is named by its experiment, and "resumed" or "diverging" after it where it is that.
    """
    covered: set[tuple[str, str, str]] = set()
    chosen: list[str] = []
    first: dict[str, Experiment] = {}
    for experiment in registry.load().values() if experiments is None else experiments:
        values = {(way(experiment), *leaf) for leaf in leaves(experiment.config)}
        if values - covered:
            covered |= values
            chosen.append(experiment.name)
        first.setdefault(way(experiment), experiment)
    for experiment in first.values():
        if passes(experiment.config) > 1:
            chosen.append(f"{experiment.name} resumed")
        if diverging(experiment.config) is not None:
            chosen.append(f"{experiment.name} diverging")
    return chosen


def passes(config: Any) -> int:
    """Passes of a training, 1 for what has none."""
    return len(config.etas) if hasattr(config, "etas") else int(getattr(config, "passes", 1))


def ends(values: Sequence[float], few: bool) -> tuple[float, ...]:
    """The first and the last of a rate's values, one a pass."""
    return tuple(values[:1]) if few else (values[0], values[-1])


def small(config: Any, *, few: bool = False) -> Any:
    """The configuration of a small run, or of one of a few updates."""
    present = {field.name for field in fields(config)}
    slow = "filtered" in present or "votes" in present or ("spec" in present and config.spec.parameters > LARGE)
    size = FEW if few else FEWER if slow else PATTERNS
    less: dict[str, Any] = {}
    if "train_size" in present:
        # Neighbours and machines need more patterns than an update does.
        trained = passes(config) > 1 or "etas" in present
        less["train_size"] = size if trained else min(PATTERNS, config.train_size)
    if "curvature_patterns" in present:
        less["curvature_patterns"] = min(config.curvature_patterns, size)
    if "filtered" in present:
        less["filtered"] = size
    if "etas" in present:
        less["etas"] = ends(config.etas, few)
    if "passes" in present:
        less["passes"] = 1 if few or "etas" in present else 2
    if getattr(config, "factors", None):
        less["factors"] = ends(config.factors, few)
    if "steps" in present:
        less["steps"] = 10
    if "reduced" in present:
        less["reduced"] = min(config.reduced, 20)
    if "degree" in present or "sigma" in present:
        less["train_size"] = FEWER
    if getattr(config, "held_out", 0) and not fitted(config):
        less["held_out"] = judged(config)
    if "sigma" in present and config.held_out:
        less["candidates"] = 7  # all of the 10,000 held-out patterns are classified
    if "neighbours" in present:
        less["train_size"] = max(less["train_size"], 200)  # there must be neighbours
    return replace(config, **less)


def diverging(config: Any) -> Any | None:
    """The configuration with rates at which no run keeps a finite loss; None for what has no rates."""
    if hasattr(config, "etas"):
        return replace(config, etas=tuple(1e38 for _ in config.etas))
    if hasattr(config, "optimizer"):
        return replace(config, optimizer=replace(config.optimizer, rate=1e30, method="sgd"))
    return None


def fitted(config: Any) -> bool:
    """Whether it is that of a classifier that is fitted, and not of a network that is trained."""
    return not hasattr(config, "etas") and not hasattr(config, "optimizer")


def judged(config: Any) -> int:
    """Patterns that a small run is judged on, held-out ones of fitted classifiers excepted: those are all 10,000."""
    return SOLVED if any(hasattr(config, name) for name in ("decay", "decays", "sigma")) else JUDGED


def digits(config: Any, data: MNIST) -> MNIST:
    """The digits of a small run."""
    count = min(getattr(config, "train_size", PATTERNS), PATTERNS)
    # Held out are the last 10,000 training patterns from classifiers that are fitted, from networks those after the
    # patterns that they learn.
    rest = slice(len(data.train_images) - 10_000, None) if fitted(config) else slice(count, count + judged(config))
    return replace(
        data,
        train_images=np.concatenate((data.train_images[:count], data.train_images[rest])),
        train_labels=np.concatenate((data.train_labels[:count], data.train_labels[rest])),
        test_images=data.test_images[: judged(config)],
        test_labels=data.test_labels[: judged(config)],
    )


class _Interrupted(Exception):
    pass


def outcome(case: str, folder: Path, data: MNIST, *, few: bool = False) -> Outcome:
    """Run a case, its checkpoint in `folder`."""
    name, _, how = case.partition(" ")
    experiment = registry.named(name)
    config = small(experiment.config, few=few)
    if how == "diverging":
        config = diverging(config)

    def run(progress: Any) -> Outcome:
        context = Context(progress, folder / f"{name.replace('/', '-')}.checkpoint")
        context.__dict__["mnist"] = digits(config, data)
        return experiment.run(config, SEED, context)

    if how == "resumed":
        seen = set()

        def stop(report: Any) -> None:
            seen.add(report.pass_number)
            if len(seen) > 1:
                raise _Interrupted

        with contextlib.suppress(_Interrupted):
            run(stop)
            raise AssertionError(f"{name} has no second pass to be interrupted in")
    return run(lambda _: None)


# --- what they give ---------------------------------------------------------------------------------------------------


def timeless(value: Any) -> Any:
    """Nested results without the times in them, floats as their exact text."""
    if isinstance(value, Mapping):
        return {str(name): timeless(item) for name, item in value.items() if name != "seconds"}
    if isinstance(value, list | tuple):
        return [timeless(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value).hex()
    return value.item() if isinstance(value, np.generic) else value


def fingerprint(found: Outcome) -> str:
    """A digest of all bits of an outcome but its times."""
    hashed = hashlib.sha256()
    for array in (found.predictions, found.scores, found.weights):
        if array is not None:
            hashed.update(f"{array.dtype} {array.shape}".encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
    rest = {"passes": found.passes, "extra": found.extra, "diverged": found.diverged}
    hashed.update(json.dumps(timeless(rest), sort_keys=True).encode())
    return hashed.hexdigest()[:16]


def sketch(found: Outcome) -> list[float]:
    """A few numbers that follow an outcome closely: random projections of its weights or scores, and its errors."""
    numbers = [float(found.passes[-1]["test_errors"])] if found.passes else []
    for array in (found.weights, found.scores):
        if array is not None:
            values = np.asarray(array, np.float64).ravel()
            rows = np.random.default_rng(0).standard_normal((2, values.size))
            numbers += [float(x) for x in rows @ values / np.sqrt(values.size)]
    return numbers


def machine() -> dict[str, str | None]:
    """What the last bits depend on: the processor, the linear algebra chosen for it, and the libraries."""
    from threadpoolctl import threadpool_info

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    known = {name.strip(): value.strip() for name, value in lines.items()}
    processor = "-".join(known.get(name, "") for name in ("vendor_id", "cpu family", "model")).strip("-")
    blas = sorted({info["architecture"] for info in threadpool_info() if info.get("architecture")})
    versions: dict[str, str | None] = {}
    for library in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    return {"processor": processor or platform.machine(), "blas": " ".join(blas), **versions}


def results(names: Sequence[str], *, few: bool = False) -> dict[str, dict[str, Any]]:
    """Fingerprint and sketch of every case by its name; the error of one that fails."""
    import torch

    torch.set_num_threads(1)
    data = registry.load_mnist(None)
    made: dict[str, dict[str, Any]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = outcome(name, Path(folder), data, few=few)
            except Exception as error:
                made[name] = {"error": f"{type(error).__name__}: {error}"}
                continue
        made[name] = {"fingerprint": fingerprint(found), "sketch": sketch(found)}
    return made


# --- two trees --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tree(revision: str) -> Iterator[Path]:
    """The code of a revision in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(path), revision], check=True)
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", str(path)], check=True)


def started(path: Path, names: Sequence[str], cache: Path) -> subprocess.Popen[str]:
    """Run cases by the code in `path`, nothing that was compiled before at hand."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    environment = {**os.environ, **one, "PYTHONPATH": str(path), "NUMBA_CACHE_DIR": str(cache)}
    old = (path / "experiments" / "golden.py").exists()
    module = "experiments.golden" if old else "experiments.harness.golden"
    command = [sys.executable, "-m", module, "run", *names]
    return subprocess.Popen(command, cwd=path, env=environment, stdout=subprocess.PIPE, text=True)


def neutral(revision: str, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Of every case the fingerprint by the code of `revision` and by the code here, or what went wrong."""
    with tree(revision) as path, tempfile.TemporaryDirectory() as caches:
        places = {"there": path, "here": ROOT}
        running = {place: started(at, names, Path(caches) / place) for place, at in places.items()}
        found = {place: json.loads(process.communicate()[0]) for place, process in running.items()}
    return {
        name: (_written(found["there"].get(name, {})), _written(found["here"].get(name, {})))
        for name in names
    }  # fmt: skip


def _written(result: Mapping[str, Any]) -> str:
    return str(result.get("fingerprint") or result.get("error") or "nothing")


# --- command line -----------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.harness.golden", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("run", help="print fingerprints as JSON")
    run.add_argument("names", nargs="*")
    compared = commands.add_parser("neutral", help="compare with the code of another revision")
    compared.add_argument("names", nargs="*", help="cases; all of them unless named")
    compared.add_argument("--against", required=True, metavar="REV")
    commands.add_parser("write", help="write tests/golden/ anew")
    chosen = parser.parse_args()
    if chosen.command == "neutral":
        found = neutral(chosen.against, chosen.names or cases())
        for name, (there, here) in found.items():
            print(f"{name}: {'neutral' if there == here else f'DIFFERS: {there} there, {here} here'}")
        return int(any(there != here for there, here in found.values()))
    if chosen.command == "write":
        write()
        return 0
    names = getattr(chosen, "names", None) or cases()
    print(json.dumps(results(names), indent=1))
    return 0


def write() -> None:
    """Fingerprints for this machine, and the sketches of very short runs for every other one."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    names, where = cases(), machine()
    bits = {name: result.get("fingerprint", result) for name, result in results(names).items()}
    begun = [name for name in names if " " not in name]
    short = {name: result.get("sketch", result) for name, result in results(begun, few=True).items()}
    file = GOLDEN / f"{where['processor']}.json"
    file.write_text(json.dumps({"machine": where, "cases": bits}, indent=1) + "\n")
    (GOLDEN / "anywhere.json").write_text(json.dumps(short, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
