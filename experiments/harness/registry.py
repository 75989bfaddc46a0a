"""What an experiment is, and the list of them.

A module of `experiments.paper` or `experiments.modern` describes experiments and registers them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments import numerics
from experiments.harness.identity import Identity, plain

if TYPE_CHECKING:
    from lenet98.data.mnist import MNIST


class Report(Protocol):
    """How far a run is: `done` of `total` patterns of the pass, `errors` among them so far."""

    @property
    def pass_number(self) -> int: ...
    @property
    def passes(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def errors(self) -> int: ...


@dataclass(frozen=True)
class Step:
    """A report for experiments that have no training passes of their own."""

    done: int
    total: int
    errors: int = 0
    pass_number: int = 1
    passes: int = 1


@dataclass(frozen=True)
class Context:
    """What a run is given besides its configuration and seed."""

    progress: Callable[[Report], None]
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


def judged(experiment: Experiment) -> NDArray[np.uint8]:
    """Classes of the patterns that an experiment is judged on: of the test set, or held out of the training set."""
    data, held_out = load_mnist(None), getattr(experiment.config, "held_out", 0)
    return data.train_labels[-held_out:] if held_out else data.test_labels


@dataclass(frozen=True)
class Outcome:
    """What a run gives back.

    `passes` has one entry per finished pass (one for a classifier without passes): `test_errors` and `test_patterns`,
    integers, and where they exist `train_errors`, `train_patterns`, `seconds` and anything else worth keeping.
    """

    passes: Sequence[Mapping[str, Any]]
    predictions: NDArray[np.uint8]
    """Class given to every test pattern after the last pass."""
    diverged: bool = False
    """Whether it stopped in the pass after these, its loss no longer finite."""
    scores: NDArray[np.floating[Any]] | None = None
    """Rejection score of every test pattern: the smaller, the sooner rejected."""
    weights: NDArray[Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers for the record, of JSON types."""


@dataclass(frozen=True)
class Experiment:
    """One row of the paper's figures, or one of ours: a configuration and the function that computes its outcome."""

    name: str
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

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise ValueError(f"experiment {self.name}: no data called {self.data!r}; there are {', '.join(DATA)}")
        if self.deterministic:
            object.__setattr__(self, "seeds", (0,))

    @property
    def family(self) -> str:
        """The way in which it is computed, a name of `experiments.numerics`."""
        return numerics.family_of(self.run)

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


def named(name: str) -> Experiment:
    """The experiment of that name; ValueError lists what exists, the names most like it first."""
    experiments = load()
    if name not in experiments:
        alike = get_close_matches(name, experiments, n=3)
        nearest = f"; most like it are {', '.join(alike)}" if alike else ""
        raise ValueError(f"no experiment called {name!r}{nearest}; there are {', '.join(experiments)}")
    return experiments[name]


_groups: dict[str, tuple[str, ...]] = {}


def register_group(name: str, experiments: Iterable[str]) -> None:
    """Let `name` stand for some experiments; ValueError if the name is taken."""
    if name in _groups or name in _experiments:
        raise ValueError(f"there is already something called {name}")
    _groups[name] = tuple(experiments)


def members(name: str) -> list[Experiment]:
    """The experiments of a group, or the one of that name; ValueError lists what exists."""
    load()
    return [named(experiment) for experiment in _groups.get(name, (name,))]


def on_device(experiment: Experiment, device: str) -> Experiment:
    """The experiment computed on another device, with a configuration of its own; itself if it knows no devices."""
    if not hasattr(experiment.config, "device"):
        return experiment
    return replace(experiment, config=replace(experiment.config, device=device))
