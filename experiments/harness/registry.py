"""What an experiment is, and the list of them.

A module of `experiments.paper` or `experiments.modern` describes experiments and registers them.

A name is a path: the study, then what is varied in it, in words joined by hyphens.  A number stands directly behind its
word ("mu0.1", "passes80"), or behind a hyphen if the word ends in a digit ("coef0-0.3"); other values stand behind a
hyphen ("curvature-eq8").  "loss", "distort" and "eta" are factors on the paper's loss, distortions and rates.  What a
name leaves out is as in what the study starts from: a row of Fig. 9, or the default reading.  In a folder "held-out",
training patterns that are not learned are the judge.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments import numerics
from experiments.harness.identity import Identity, Json, plain
from lenet98.loop import Progress

if TYPE_CHECKING:
    from lenet98.data.mnist import MNIST


@dataclass(frozen=True)
class Context:
    """What a run is given besides its configuration and seed."""

    progress: Callable[[Progress], None]
    """To be called every second or so; it raises to stop the run, and must be let through."""
    checkpoint: Path
    """Where the run may keep its state, to resume from; removed when the run ends."""
    data_dir: Path | None = None
    threads: int = 1
    """That it may use; only what computes the same bits with any number of them does."""

    @cached_property
    def mnist(self) -> MNIST:
        return load_mnist(self.data_dir)


@lru_cache(maxsize=1)
def load_mnist(data_dir: Path | None) -> MNIST:
    """MNIST, read and verified once a process."""
    from lenet98.data import mnist

    return mnist.load(data_dir)


@lru_cache(maxsize=1)
def _labels() -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Classes of the training and the test patterns, or None, with a line that says why, if they are not here."""
    from lenet98.data import mnist

    try:
        found, reason = mnist.labels(), "MNIST is not here; `lenet98 data` fetches it"
    except mnist.DataError as error:
        found, reason = None, str(error)
    if found is None:
        logging.getLogger("experiments").warning("errors are not recounted from predictions: %s", reason)
    return found


def judged(data: str, config: Json) -> NDArray[np.uint8] | None:
    """Classes of the patterns that judge a run with such data and configuration: the test set or held-out patterns.

    None if the data are of another version, or are not here.
    """
    if data != DATA["mnist"]() or (labels := _labels()) is None:
        return None
    training, test = labels
    held_out = config.get("held_out", 0)
    return training[-held_out:] if held_out else test


@dataclass(frozen=True)
class Outcome:
    """What a run gives back.

    `passes` has one entry per completed pass (one for a classifier without passes): `test_errors` and `test_patterns`,
    integers, and where they exist `train_errors`, `train_patterns`, `seconds` and anything else worth keeping.

    A measurement classifies nothing: it has no passes and no predictions, and its numbers are `extra` and `arrays`.
    """

    passes: Sequence[Mapping[str, Any]] = ()
    predictions: NDArray[np.uint8] | None = None
    """Class given to every test pattern after the last pass."""
    diverged: bool = False
    """Whether it stopped in the pass after these, its loss no longer finite."""
    scores: NDArray[np.floating[Any]] | None = None
    """Rejection score of every test pattern: the smaller, the sooner rejected."""
    weights: NDArray[Any] | None = None
    network: Mapping[str, Any] | None = None
    """`spec` and `reading` of the network that has the weights, where the configuration does not name them."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers for the record, of JSON types."""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Further arrays, kept and published beside the record, by names of their own."""
    seconds: float | None = None
    """Its time, where the clock of the process that ends it does not tell: its share, if it was computed together with
    others; that of all passes, if it is a measurement that may be resumed between them."""
    resumed: bool = False
    """Whether what it was computed together with was resumed."""


_PART = r"[a-z0-9]+([._-][a-z0-9]+)*"
NAME = re.compile(f"{_PART}(/{_PART})*")
"""A name of an experiment."""


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's figures, or one of ours: a configuration and the function that computes its outcome."""

    name: str
    """Its path below the folders of results."""
    title: str
    """Its row in a table, as the paper writes it."""
    config: Any
    """A dataclass or mapping of JSON types; all that the outcome depends on."""
    run: Callable[[Any, int, Context], Outcome]
    minutes: float
    """Estimated time of one run on one core."""
    seeds: tuple[int, ...] = tuple(range(10))
    deterministic: bool = False
    """Whether the seed changes nothing: one run, seed 0, is all there is."""
    data: str = "mnist"
    """The data that it needs, a name of `DATA`."""
    paper_error: float | None = None
    """Test error of the paper, percent, where it has this row."""
    file: Path | None = None
    """One of one's own that registers it."""
    like: str | None = None
    """The experiment whose golden case stands for this one too: one of many whose numbers were drawn, for example."""
    together: Callable[[Any, Sequence[int], Context], Sequence[Outcome]] | None = None
    """Computes the runs of several seeds at once, one outcome each; None where each is computed alone."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"an experiment cannot be called {self.name!r}; a name is a path of lower-case words, digits, . _ and -"
            )
        if self.data not in DATA:
            raise ValueError(f"experiment {self.name}: no data called {self.data!r}; there are {', '.join(DATA)}")
        if self.deterministic:
            object.__setattr__(self, "seeds", (0,))

    @property
    def family(self) -> str:
        """The way in which it is computed, a name of `experiments.numerics`."""
        return numerics.family_of(self.run)

    @property
    def command(self) -> str:
        """What runs it."""
        module = "" if self.file is None else f" --module {shlex.quote(str(self.file))}"
        # With --replicas a GPU is the default.
        device = " --device cpu" if getattr(self.config, "device", "cpu") == "cpu" else ""
        replicas = "" if self.together is None else f" --replicas{device}"
        return f"python -m experiments run{module} {self.name}{replicas}"

    def identity(self) -> Identity:
        """What its results are found by."""
        return Identity(plain(self.config), DATA[self.data](), self.family, numerics.versions(self.family))


def _mnist_version() -> str:
    from lenet98.data import mnist

    return f"mnist-{mnist.VERSION}"


DATA: dict[str, Callable[[], str]] = {"mnist": _mnist_version, "none": lambda: "none"}
"""Version of each data set, by name."""

_experiments: dict[str, Experiment] = {}


def register(experiment: Experiment) -> Experiment:
    """Add to the list; ValueError if the name is taken."""
    if experiment.name in _experiments:
        raise ValueError(f"there are two experiments called {experiment.name}")
    _experiments[experiment.name] = experiment
    return experiment


@lru_cache(maxsize=1)
def _import_all() -> None:
    """Import every module of `experiments`, so that all experiments are registered."""
    import experiments

    for module in pkgutil.walk_packages(experiments.__path__, "experiments."):
        if module.name != "experiments.__main__":
            importlib.import_module(module.name)


def load() -> dict[str, Experiment]:
    """All experiments by name."""
    _import_all()
    return _experiments


SHOW_ALL = "`python -m experiments list` shows all"


def named(name: str, others: Iterable[str] = ()) -> Experiment:
    """The experiment of that name, or the only one whose path ends in it.

    ValueError names those that it may stand for if there are several, or if there is none the names most like it, of
    experiments and of `others`, which whoever asks knows too.
    """
    experiments = load()
    if name in experiments:
        return experiments[name]
    ending = [path for path in experiments if path.rpartition("/")[2] == name]
    if len(ending) == 1:
        return experiments[ending[0]]
    if ending:
        raise ValueError(f"{name!r} may be any of {', '.join(ending)}")
    raise ValueError(f"no experiment called {name!r}; {nearest(name, [*experiments, *others])}{SHOW_ALL}")


def nearest(name: str, paths: Iterable[str]) -> str:
    """The three names most like `name`, as paths and by their last parts, in words; nothing if none is like it."""
    known = {path.rpartition("/")[2]: path for path in paths} | {path: path for path in paths}
    alike = dict.fromkeys(known[found] for found in get_close_matches(name, known, n=6, cutoff=0.5))
    return f"most like it are {', '.join([*alike][:3])}; " if alike else ""


_groups: dict[str, tuple[str, ...]] = {}


def register_group(name: str, experiments: Iterable[str]) -> None:
    """Let `name` stand for some experiments; ValueError if the name is taken."""
    if name in _groups or name in _experiments:
        raise ValueError(f"there is already something called {name}")
    _groups[name] = tuple(experiments)


def members(name: str, others: Iterable[str] = ()) -> list[Experiment]:
    """The experiments of a group, those that a glob matches, or the one of that name.

    A glob has the shell's rules: `*` stays within a part of a path, `**` stands for any number of parts.  Raises
    ValueError, as `named` does with `others`, for what stands for nothing.
    """
    load()
    if name in _groups:
        return [_experiments[experiment] for experiment in _groups[name] if experiment in _experiments]
    if not any(sign in name for sign in "*?["):
        return [named(name, [*_groups, *others])]
    found = [experiment for path, experiment in load().items() if matches(path.split("/"), name.split("/"))]
    if not found:
        raise ValueError(f"no experiment matches {name!r}; `*` does not cross /, `**` does; {SHOW_ALL}")
    return found


def matches(parts: Sequence[str], glob: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a glob."""
    if not glob:
        return not parts
    if glob[0] == "**":
        return any(matches(parts[skipped:], glob[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], glob[0]) and matches(parts[1:], glob[1:])


def on_device(experiment: Experiment, device: str) -> Experiment:
    """The experiment computed on another device, with a configuration of its own; itself if it knows no devices."""
    if not hasattr(experiment.config, "device"):
        return experiment
    return replace(experiment, config=replace(experiment.config, device=device))


_replicas: dict[Callable[..., Outcome], Callable[[Experiment], Experiment]] = {}


def register_replicas(run: Callable[..., Outcome], way: Callable[[Experiment], Experiment]) -> None:
    """Let `way` make of an experiment that `run` computes the one that computes several seeds at once."""
    _replicas[run] = way


def as_replicas(experiment: Experiment) -> Experiment:
    """The experiment with several seeds computed at once, of another family; ValueError if it cannot be."""
    if experiment.run not in _replicas:
        raise ValueError(f"{experiment.name} is not computed as replicas; leave --replicas out")
    return _replicas[experiment.run](experiment)
