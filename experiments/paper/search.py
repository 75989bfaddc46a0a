"""The search for one reading under which all that III.B prints of training comes out (docs/readings.md).

It is approximate Bayesian computation.  Readings are drawn from a prior; each is compared with one printed fact after
another, the cheapest first, and given up as soon as one is missed by far.  Nothing printed of the test set takes part.

1. The range of the effective rates of the first pass (III.B: about 7e-5 to 0.016) costs a tenth of a second.
2. The first points of Fig. 5's training curve cost a few passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.paper.readings import PAPER_RATES
from lenet98 import checkpoint
from lenet98.loop import Progress
from lenet98.randomness import generator
from lenet98.readings import Reading, initial_parameters
from lenet98.sdlm import ETAS
from lenet98.training import Config, effective_rates, train

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
        return Reading(**given)  # type: ignore[arg-type]


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
    rates_spread: Range = (0.11, 0.065)
    """Standard deviation of the logarithm of both ends: over seeds of `fig9/lenet5`, and what printing rounds away."""
    rates_within: float = 5.0
    """Root mean square of both ends' distances, in these units, up to which a reading is trained."""
    curve: tuple[float, ...] = paper.FIG5_TRAIN[:3]
    """Training error on the fly in percent, by pass."""
    curve_within: float = 0.3
    """|ln(ours / theirs)| of the first pass up to which training goes on."""

    def rates_distance(self, least: float, greatest: float) -> float:
        """Root mean square distance of the first pass's rates from those printed."""
        ratios = np.log(np.divide((least, greatest), self.rates))
        return float(np.sqrt(np.mean((ratios / self.rates_spread) ** 2)))


class _FarOff(Exception):
    """A reading is given up."""


@family("search")
def explore(config: Start, seed: int, context: Context) -> Outcome:
    """The first rates of a block of readings, and the first training errors of those whose rates are near.

    Returns
    -------
    A measurement: `rates`, float32 (draws, 2), least and greatest of the first pass; `errors`, int32 (draws, passes),
    training errors on the fly, -1 where the reading had been given up.
    """
    rates = np.zeros((config.draws, 2), np.float32)
    errors = np.full((config.draws, len(config.etas)), -1, np.int32)
    run, done = (config, seed), 0
    if saved := checkpoint.load(context.checkpoint, run):
        rates, errors, done = saved.arrays["rates"], saved.arrays["errors"], int(saved.notes)
    for n in range(done, config.draws):
        context.progress(Progress(1, 1, n, config.draws, None))
        number = seed * config.draws + n
        own = replace(config, reading=config.prior.draw(number))
        rates[n] = first_rates(own, number, context)
        if config.rates_distance(*rates[n]) <= config.rates_within:
            found = first_errors(own, number, context, (n, config.draws))
            errors[n, : len(found)] = found
        checkpoint.save(context.checkpoint, run, {"rates": rates, "errors": errors}, n + 1)
    trained = int((errors[:, 0] >= 0).sum())
    return Outcome(extra={"readings": config.draws, "trained": trained}, arrays={"rates": rates, "errors": errors})


def first_rates(config: Config, seed: int, context: Context) -> Range:
    """Least and greatest effective rate of the first pass."""
    start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    _, eps = effective_rates(config, seed, 1, start, context.mnist)
    return float(eps.min()), float(eps.max())


def first_errors(config: Start, seed: int, context: Context, where: tuple[int, int]) -> list[int]:
    """Training errors of the passes; none if those of the first are far from Fig. 5's, and training stops there."""
    theirs = config.curve[0] / 100 * config.train_size
    fewest, most = theirs * np.exp([-config.curve_within, config.curve_within])

    def look(report: Progress) -> None:
        context.progress(Progress(1, 1, *where, None))
        errors = report.errors or 0
        if report.pass_number == 1 and (errors > most or (report.done == report.total and errors < fewest)):
            raise _FarOff

    try:
        trained = train(config, seed, context.mnist, progress=look)
    except _FarOff:
        return []
    return [entry.train_errors for entry in trained.history]


START = "search/start"
BLOCKS = 40

register(
    Experiment(
        START,
        "LeNet-5, readings drawn from the prior: first rates, first passes",
        Start(),
        explore,
        minutes=4,
        seeds=tuple(range(BLOCKS)),
    )
)
