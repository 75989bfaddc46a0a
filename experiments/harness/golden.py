"""Small runs that tell whether a change of code changes a bit of what experiments compute.

A case is a registered experiment made small: two passes over 2,000 patterns.  The cases are
derived from the registry, so that each value of each field of a configuration occurs in at least one of them.  Each
family that trains also has a run that is interrupted and resumed, and one that diverges.

`python -m experiments neutral --against REV` computes the cases by the code of REV and by the code here and compares
every bit.  `python -m experiments golden` compares them with the files in tests/golden/, which hold the fingerprints of
one kind of machine each, and for all others a few numbers of runs so short that rounding has had no time to grow.  The
tests run these short ones of every case, bit by bit where a file is of their machine, and few at full length (`long`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments import numerics
from experiments.harness import registry
from experiments.harness.identity import Json
from experiments.harness.registry import Context, Experiment, Outcome
from lenet98.data.mnist import MNIST
from lenet98.files import atomic
from lenet98.threads import one_thread

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

UNSTEADY = frozenset({"modern/alone/adamw-batch-norm", "modern/curvature/fisher-sampled"})
"""Cases in which rounding grows within those few patterns: two processors gave other numbers.  They have no sketch."""

LIBRARIES = ("numpy", "scipy", "torch", "numba", "scikit-learn", "scikit-learn-intelex")
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


def cases(experiments: Iterable[Experiment] | None = None) -> list[str]:
    """Names of the cases; of the experiments given, or else of all that are registered.

    A case is named by its experiment, and "resumed" or "diverging" after it where it is that.
    """
    covered: set[tuple[str, str, str]] = set()
    chosen: list[str] = []
    first: dict[str, Experiment] = {}
    everything = registry.load().values() if experiments is None else experiments
    for experiment in sorted(everything, key=lambda experiment: experiment.name):  # whatever was imported first
        if experiment.like is not None:
            continue
        values = {(experiment.family, *leaf) for leaf in leaves(experiment.config)}
        if values - covered:
            covered |= values
            chosen.append(experiment.name)
        first.setdefault(experiment.family, experiment)
    for experiment in first.values():
        if passes(experiment.config) > 1:
            chosen.append(f"{experiment.name} resumed")
        if diverging(experiment.config) is not None:
            chosen.append(f"{experiment.name} diverging")
    return chosen


def checked(names: Sequence[str]) -> list[str]:
    """The names, if all are of cases; ValueError for one that is not."""
    everything = cases()
    for name in names:
        if name not in everything:
            raise ValueError(f"{name!r} is no golden case; {registry.nearest(name, everything)}leave it out for all")
    return list(names)


def cases_of(family: str) -> list[str]:
    """Names of the cases of a family."""
    return [name for name in cases() if family_of(name) == family]


def family_of(case: str) -> str:
    """The family of the case's experiment."""
    return registry.named(case.partition(" ")[0]).family


def short() -> list[str]:
    """Names of the cases that have a short run: all but those that are resumed or diverge."""
    return [name for name in cases() if " " not in name]


def long() -> list[str]:
    """Names of the cases that the tests run at full length: resumed, diverging, and the quickest of each family."""
    quickest: dict[str, str] = {}
    for name in sorted(short(), key=lambda name: registry.named(name).minutes):
        quickest.setdefault(family_of(name), name)
    return [*quickest.values(), *(name for name in cases() if " " in name)]


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
        # Neighbors and machines need more patterns than an update does.
        trained = passes(config) > 1 or "etas" in present
        less["train_size"] = size if trained else min(PATTERNS, config.train_size)
    if "curvature_patterns" in present:
        less["curvature_patterns"] = min(config.curvature_patterns, size)
    if "probes" in present:
        less |= {"curvature_patterns": 2, "probes": 1}  # the whole Hessian takes long
    if "filtered" in present:
        less["filtered"] = size
    if "five" in present:
        less |= {"five": min(config.five, 20), "each": min(config.each, 5)}  # strings
    if "sizes" in present:
        less["sizes"] = (size, size)
    if "etas" in present:
        less["etas"] = ends(config.etas, few)
    if "passes" in present:
        less["passes"] = 1 if few or "etas" in present else 2
    if getattr(config, "factors", None):
        less["factors"] = ends(config.factors, few)
    if "draws" in present:
        less |= {"draws": 2, "rates_within": 1e9, "curve_within": (50.0,) * len(config.etas)}
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
        less["train_size"] = max(less["train_size"], 200)  # there must be neighbors
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
    for array in (found.predictions, found.scores, found.weights, *found.arrays.values()):
        if array is not None:
            hashed.update(f"{array.dtype} {array.shape}".encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
    rest = {"passes": found.passes, "extra": found.extra, "diverged": found.diverged}
    hashed.update(json.dumps(timeless(rest), sort_keys=True).encode())
    return hashed.hexdigest()[:16]


def sketch(found: Outcome) -> list[float]:
    """A few numbers that follow an outcome closely: random projections of its weights or scores, and its errors."""
    numbers = [float(found.passes[-1]["test_errors"])] if found.passes else []
    for array in (found.weights, found.scores, *found.arrays.values()):
        if array is not None:
            values = np.nan_to_num(np.asarray(array, np.float64).ravel(), posinf=0, neginf=0)
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
    data = registry.load_mnist(None)
    made: dict[str, dict[str, Any]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                with one_thread():
                    found = outcome(name, Path(folder), data, few=few)
            except Exception as error:
                made[name] = {"error": f"{type(error).__name__}: {error}"}
                continue
        made[name] = {"fingerprint": fingerprint(found), "sketch": sketch(found)}
    return made


# --- golden files -----------------------------------------------------------------------------------------------------


def here(*, few: bool = False) -> dict[str, str] | None:
    """Fingerprints of the cases on a machine like this one, or of their short runs; None if no file is of such one."""
    where = machine()
    file = GOLDEN / f"{where['processor']}.json"
    written = json.loads(file.read_text()) if file.is_file() else {}
    return dict(written["short" if few else "cases"]) if written.get("machine") == where else None


def anywhere() -> dict[str, list[float]]:
    """Sketches of very short runs, which other processors and libraries compute alike."""
    return dict(json.loads((GOLDEN / "anywhere.json").read_text()))


def departures(names: Iterable[str] | None = None, *, few: bool = False) -> list[str]:
    """Cases, of all unless named, that are not what the golden files say; `few` for their short runs.

    A case whose bits on a machine like this one are in no file is held against the sketch of its short run.

    Raises ValueError for a name that is no case.
    """
    wanted = checked(list(names)) if names is not None else short() if few else cases()
    bits, known = here(few=few) or {}, anywhere()
    exact = results([name for name in wanted if name in bits], few=few)
    near = results([name for name in wanted if name not in bits and name in known], few=True)
    departed = {name for name, made in exact.items() if made.get("fingerprint") != bits[name]}
    departed |= {name for name, made in near.items() if not alike(made.get("sketch", []), known[name])}
    return [name for name in wanted if name in departed]


def alike(sketch: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two sketches differ by no more than rounding explains, or another solver of support vector machines.

    The reading that does not train, `LITERAL`, multiplies rounding most: by 0.005 between two processors.
    """
    return len(sketch) == len(other) and bool(np.allclose(sketch, other, rtol=2e-3, atol=1e-2))


def write(chosen: Sequence[str] = ()) -> list[Path]:
    """Write the golden files of this machine and of any machine; the files.

    Of the `chosen` cases alone, if there are any; the others stay as they are, as far as there are such cases still.
    What files of other machines say of the chosen cases is taken out: it is what they were before.  A machine without a
    file gets one only if all cases are written.

    Raises ValueError for a name that is no case, and if a case fails.
    """
    names, begun_names, where = cases(), short(), machine()
    mine, everywhere = GOLDEN / f"{where['processor']}.json", GOLDEN / "anywhere.json"
    kept = json.loads(mine.read_text()) if chosen and mine.exists() else {}
    bitwise = not chosen or kept.get("machine") == where
    wanted = checked(chosen) or names
    made = results(wanted) if bitwise else {}
    begun = results([name for name in begun_names if name in wanted], few=True)
    if failed := [f"{name} ({one['error']})" for name, one in (*made.items(), *begun.items()) if "error" in one]:
        raise ValueError(f"nothing is written: {', '.join(failed)}")
    sketches = {name: result["sketch"] for name, result in begun.items() if name not in UNSTEADY}
    if chosen:
        sketches = _in_order(json.loads(everywhere.read_text()) | sketches, begun_names)
    files: dict[Path, Json] = {everywhere: sketches}
    if bitwise:
        bits = {
            "cases": {name: result["fingerprint"] for name, result in made.items()},
            "short": {name: result["fingerprint"] for name, result in begun.items()},
        }
        of = {"cases": names, "short": begun_names}
        files[mine] = {
            "machine": where,
            **{part: _in_order(kept.get(part, {}) | bits[part], of[part]) for part in bits},
        }
    for path in set(GOLDEN.glob("*.json")) - set(files) if chosen else ():
        if "machine" in (content := json.loads(path.read_text())):
            parts = {part: {n: v for n, v in content[part].items() if n not in chosen} for part in ("cases", "short")}
            files[path] = content | parts
    for path, content in files.items():
        with atomic(path) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())
    return list(files)


def _in_order(found: Mapping[str, Any], names: Sequence[str]) -> Json:
    """Those that have these names."""
    return {name: found[name] for name in names if name in found}


# --- two trees --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What a comparison of two trees says of one family."""

    family: str
    same: tuple[str, ...]
    """Cases whose bits are the same."""
    different: tuple[str, ...]
    new: tuple[str, ...]
    """Cases that the other tree does not have."""
    failed: tuple[str, ...]
    """Cases that end with an error here, each with it."""
    raised: tuple[str, ...]
    """Of the family and of what it builds on, whose version is higher here than there."""

    @property
    def ok(self) -> bool:
        """Whether nothing differs without a new version."""
        return not self.failed and (not self.different or bool(self.raised))

    @property
    def line(self) -> str:
        """The verdict in words."""
        if self.failed:
            verdict = f"FAILS in {'; '.join(self.failed)}"
        elif not self.different:
            verdict = f"neutral, {len(self.same)} cases"
        elif self.raised:
            why = "; ".join(f"{name}: {numerics.reason(name)}" for name in self.raised)
            verdict = f"new version, {len(self.different)} cases differ ({why})"
        else:
            verdict = f"DIFFERS in {', '.join(self.different)}; mend it or raise its version in experiments/numerics.py"
        return f"{self.family}: {verdict}" + (f", {len(self.new)} new" if self.new else "")


@contextlib.contextmanager
def tree(revision: str) -> Iterator[Path]:
    """The code of a revision in a folder of its own.  Raises ValueError for a revision that is not there."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        try:
            subprocess.run([*git, "add", "--quiet", "--detach", path, revision], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise ValueError(f"there is no revision {revision!r} in a git checkout at {ROOT}; name a commit") from None
        try:
            yield path
        finally:
            subprocess.run([*git, "remove", "--force", path], check=True)


def started(path: Path, names: Sequence[str], cache: Path) -> subprocess.Popen[str]:
    """Run cases by the code in `path`, nothing that was compiled before at hand."""
    one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
    environment = {**os.environ, **one, "PYTHONPATH": str(path), "NUMBA_CACHE_DIR": str(cache)}
    first = (path / "experiments" / "golden.py").exists()  # where the golden cases stood when they were new
    module = "experiments.golden" if first else "experiments.harness.golden"
    command = [sys.executable, "-W", "ignore", "-m", module, "run", *names]
    return subprocess.Popen(command, cwd=path, env=environment, stdout=subprocess.PIPE, text=True)


def neutral(revision: str, names: Sequence[str] | None = None) -> list[Verdict]:
    """Compare the cases, of all families unless named, with the code of `revision`.

    Both trees compute them with this interpreter and these libraries, side by side.  Cases that had other names there
    are found by `former_names.json`.

    Raises ValueError for a revision that is not there, RuntimeError if the code of one cannot be run at all.
    """
    chosen = list(names or cases())
    with tree(revision) as path, tempfile.TemporaryDirectory() as caches:
        former = json.loads((GOLDEN / "former_names.json").read_text())
        first = (path / "experiments" / "golden.py").exists()
        there = {name: _former(name, former) if first else name for name in chosen}
        running = [started(path, list(there.values()), Path(caches) / "a"), started(ROOT, chosen, Path(caches) / "b")]
        texts = [process.communicate()[0] for process in running]
        if any(process.returncode for process in running):
            raise RuntimeError(f"the cases could not be run by the code of {revision} and by the code here")
        was, now = map(json.loads, texts)
        versions = _versions(path)
    families: dict[str, list[str]] = {}
    for name in chosen:
        families.setdefault(family_of(name), []).append(name)
    return [_verdict(family, of, there, was, now, versions) for family, of in sorted(families.items())]


def _former(name: str, former: Mapping[str, str]) -> str:
    experiment, _, how = name.partition(" ")
    return f"{former.get(experiment, experiment)} {how}".strip()


def _versions(path: Path) -> dict[str, int]:
    """`NUMERICS` of the tree at `path`; every version is 1 in one that has none."""
    module = path / "experiments" / "numerics.py"
    return dict(runpy.run_path(str(module))["NUMERICS"]) if module.exists() else {}


def _verdict(
    family: str, names: list[str], there: Mapping[str, str], was: Json, now: Json, versions: Mapping[str, int]
) -> Verdict:
    sorts: dict[str, list[str]] = {"same": [], "different": [], "new": [], "failed": []}
    for name in names:
        before, after = was[there[name]], now[name]
        if "error" in after:
            sorts["failed"].append(f"{name} ({after['error']})")
        elif "error" in before:
            sorts["new"].append(name)
        else:
            sorts["same" if before["fingerprint"] == after["fingerprint"] else "different"].append(name)
    raised = [name for name, version in numerics.versions(family).items() if version > versions.get(name, 1)]
    return Verdict(family, **{sort: tuple(of) for sort, of in sorts.items()}, raised=tuple(raised))


if __name__ == "__main__":
    # How `neutral` runs cases in another tree: fingerprints and sketches as JSON.
    assert sys.argv[1] == "run"
    print(json.dumps(results(sys.argv[2:]), indent=1))
