"""The search for one reading under which all that III.B prints of training comes out (docs/readings.md).

It is approximate Bayesian computation.  Readings are drawn from a prior; each is compared with one printed fact after
another, the cheapest first, and given up as soon as one is missed by far.  Nothing printed of the test set takes part.

1. The range of the effective rates of the first pass (III.B: about 7e-5 to 0.016) costs a tenth of a second.
2. The first points of Fig. 5's training curve cost a few passes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.paper.readings import PAPER_RATES
from lenet98 import checkpoint
from lenet98.data.mnist import MNIST
from lenet98.loop import Progress
from lenet98.randomness import generator
from lenet98.readings import FORMER, Reading, initial_parameters
from lenet98.sdlm import ETAS
from lenet98.training import Config, effective_rates, train
from lenet98.trunk1998.numbers import SIZE

Range = tuple[float, float]


@dataclass(frozen=True)
class Prior:
    """What a reading may be before anything printed is looked at: every field is drawn by itself.

    Of a range, the logarithm is uniform; of choices, each is as likely as it is often there.  Points that neither the
    first rates nor the training curve can tell apart stay as they are in `Reading`.
    """

    init_gain: Range = (0.7, 3.0)
    init_power: tuple[float, ...] = (0.5, 0.5, 0.5, 0.5, 1.0)
    fan_in_counts_bias: tuple[bool, ...] = (True, False)
    bias_init: tuple[str, ...] = ("drawn", "zero")
    coefficient: Range = (0.25, 4.0)
    """First coefficients of S2 and of S4, each by itself, on the average of the field."""
    subsampling: tuple[str, ...] = ("average", "sum")
    coefficient_curvature: tuple[str, ...] = ("unit", "links")
    loss: tuple[str, ...] = ("eq8", "eq9", "eq9", "eq9")
    j: Range = (0.1, 20.0)
    rbf_scale: tuple[float, ...] = (0.5, 1.0)
    loss_scale: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    curvature_scale: tuple[float | None, ...] = (None, 0.25, 0.5, 1.0, 2.0, 4.0)
    output_curvature: tuple[str, ...] = ("exact", "eq8")

    def draw(self, number: int) -> Reading:
        """Reading `number` of the prior; the same number is the same reading."""
        rng = generator(number, "reading")

        def within(ends: Range) -> float:
            return float(np.exp(rng.uniform(*np.log(ends))))

        def one_of(choices: tuple[object, ...]) -> object:
            return choices[rng.integers(len(choices))]

        on_the_average = within(self.coefficient), within(self.coefficient)
        subsampling = one_of(self.subsampling)
        field = 1 if subsampling == "average" else 4
        ranges = {name: within(getattr(self, name)) for name in ("init_gain", "j")}
        choices = {
            name: one_of(getattr(self, name))
            for name in (
                "init_power", "fan_in_counts_bias", "bias_init", "coefficient_curvature", "loss", "rbf_scale",
                "loss_scale", "curvature_scale", "output_curvature",
            )
        }  # fmt: skip
        coefficients = tuple(coefficient / field for coefficient in on_the_average)
        given = {"subsampling": subsampling, "coefficient_init": coefficients, **ranges, **choices}
        return replace(FORMER, **given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Start(Config):
    """How many readings are drawn from a prior, and how near to what is printed they must come to go on.

    The other fields are those of a run; its reading is the drawn one, and its passes are the first few.
    """

    etas: tuple[float, ...] = ETAS[:3]
    prior: Prior = Prior()
    draws: int = 500
    """Of one block; block n holds readings n * draws and on, and each is also the seed of its run."""
    rates: Range = PAPER_RATES
    rates_spread: Range = (0.1, 0.15)
    """Standard deviation of the logarithm of both ends over the seeds of one reading, about."""
    rates_within: float = 2.0
    """Root mean square of both ends' distances, in these units, up to which a reading is trained."""
    curve: tuple[float, ...] = paper.FIG5_TRAIN[:3]
    """Training error on the fly in percent, by pass."""
    curve_within: tuple[float, ...] = (0.15, 0.25, 0.35)
    """|ln(ours / theirs)| of each pass up to which a reading is kept."""

    def rates_distance(self, rates: NDArray[np.floating]) -> NDArray[np.float64]:
        """Root mean square distance of first passes' rates, shape (..., 2), from those printed; shape (...)."""
        ratios = np.log(rates / np.array(self.rates))
        return np.asarray(np.sqrt(np.mean((ratios / self.rates_spread) ** 2, axis=-1)))


class _FarOff(Exception):
    """A reading is given up."""


@family("search")
def explore(config: Start, seed: int, context: Context) -> Outcome:
    """The first rates of a block of readings, and the first training errors of those whose rates are near.

    Returns
    -------
    A measurement: `rates`, float32 (draws, 2), least and greatest of the first pass; `errors`, int32 (draws, passes),
    training errors on the fly, -1 of passes that were not completed.
    """
    rates = np.zeros((config.draws, 2), np.float32)
    errors = np.full((config.draws, len(config.etas)), -1, np.int32)
    run, done = (config, seed), 0
    if saved := checkpoint.load(context.checkpoint, run):
        rates, errors, done = saved.arrays["rates"], saved.arrays["errors"], int(saved.notes)
    for n in range(done, config.draws):
        context.progress(Progress(n + 1, config.draws, 0, 1, None))
        number = seed * config.draws + n
        own = replace(config, reading=config.prior.draw(number))
        rates[n] = first_rates(own, number, context)
        if config.rates_distance(rates[n]) <= config.rates_within:
            found = first_errors(own, number, context.mnist, partial(_report, context, n, (config.draws, 1)))
            errors[n, : len(found)] = found
        checkpoint.save(context.checkpoint, run, {"rates": rates, "errors": errors}, n + 1)
    kept = int((errors[:, -1] >= 0).sum())
    return Outcome(
        extra={"readings": config.draws, "trained to the end": kept}, arrays={"rates": rates, "errors": errors}
    )


def first_rates(config: Config, seed: int, context: Context) -> Range:
    """Least and greatest effective rate of the first pass."""
    start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    _, eps = effective_rates(config, seed, 1, start, context.mnist)
    return float(eps.min()), float(eps.max())


def first_errors(config: Start, seed: int, data: MNIST, progress: Callable[[Progress], None]) -> list[int]:
    """Training errors by pass; training stops in or after a pass whose errors are far from Fig. 5's."""
    theirs = np.array(config.curve) / 100 * config.train_size
    fewest, most = theirs * np.exp(np.outer((-1, 1), config.curve_within))
    found: list[int] = []

    def look(report: Progress) -> None:
        progress(Progress(1, 1, 0, 1, None))
        errors, n = report.errors or 0, report.pass_number - 1
        if report.done == report.total:
            found.append(errors)
        if errors > most[n] or (report.done == report.total and errors < fewest[n]):
            raise _FarOff

    with suppress(_FarOff):
        train(config, seed, data, progress=look)
    return found


@dataclass(frozen=True)
class Trial(Config):
    """A reading, trained through all passes on training sets of several sizes."""

    sizes: tuple[int, ...] = (15_000, 30_000, 60_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sizes or not all(self.curvature_patterns <= size <= self.train_size for size in self.sizes):
            raise ValueError(f"Trial.sizes is {self.sizes}; each must be curvature_patterns..train_size")


@family("search")
def compare(config: Trial, seed: int, context: Context) -> Outcome:
    """Train a reading on each of the sizes.

    Returns
    -------
    A measurement: `train` and `test`, errors by pass, int32, shape (sizes, passes); `trunk`, float32, the parameters of
    C1 to S4 after the last run.  Passes that a diverging run did not complete are -1.
    """
    shape = len(config.sizes), len(config.etas)
    arrays: dict[str, NDArray[Any]] = {name: np.full(shape, -1, np.int32) for name in ("train", "test")}
    arrays["trunk"] = np.zeros(SIZE, np.float32)
    run, done, rates = (config, seed), 0, []
    if saved := checkpoint.load(context.checkpoint, run):
        arrays, done, rates = dict(saved.arrays), saved.notes["done"], saved.notes["rates"]
    for n in range(done, len(config.sizes)):
        own = replace(config, train_size=config.sizes[n], sizes=config.sizes[n : n + 1])
        trained = train(own, seed, context.mnist, progress=partial(_report, context, n, shape))
        for name in ("train", "test"):
            arrays[name][n, : len(trained.history)] = [getattr(entry, f"{name}_errors") for entry in trained.history]
        arrays["trunk"] = trained.parameters[:SIZE]
        rates.append([[entry.rate_min, entry.rate_max] for entry in trained.history[:1]])
        checkpoint.save(context.checkpoint, run, arrays, {"done": n + 1, "rates": rates})
    return Outcome(extra={"rates": rates}, arrays=arrays)


def _report(context: Context, n: int, shape: tuple[int, int], report: Progress) -> None:
    """Run n of several, each of as many passes, reports."""
    runs, passes = shape
    context.progress(replace(report, pass_number=n * passes + report.pass_number, passes=runs * passes))


START = "search/start"
BLOCKS = 40

register(
    Experiment(
        START,
        "LeNet-5, readings drawn from the prior: first rates, first passes",
        Start(reading=FORMER),
        explore,
        minutes=4,
        seeds=tuple(range(BLOCKS)),
    )
)
