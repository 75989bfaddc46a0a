"""The readings study: each point that the paper leaves open, varied alone from `DEFAULT`.

A reading is judged by what the paper prints of training, never by test error: the range of the effective rates in the
first pass (III.B: about 7e-5 to 0.016) and Fig. 5's training curve.  docs/readings.md tells what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Result, Runs
from experiments.harness.tables import Row, Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.trainers import train_network
from lenet98.data.fields import pad_and_scale
from lenet98.modules import network
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, LITERAL, Reading, initial_parameters
from lenet98.specs import A, Spec
from lenet98.training import Config, train

# --- how far each layer is saturated at the start of training, after one pass and after two ---------------------------


PATTERNS = 500
"""The first so many of the training set are shown to the network."""

LITTLE = 0.01
"""A unit is saturated when f'(a)^2 has fallen to this share of its greatest value, at a = 0."""


@family("saturation")
def train_and_look(config: Config, seed: int, context: Context) -> Outcome:
    """Train as `config` says, and look at the network before, between and after its passes."""
    spec, images = config.spec, pad_and_scale(context.mnist.train_images[:PATTERNS])
    looks = [look(spec, config.reading, initial_parameters(spec, config.reading, generator(seed, "init")), images)]
    for passes in range(1, len(config.etas) + 1):
        # The first passes of a run are those of a shorter one.
        shorter = replace(config, etas=config.etas[:passes])
        trained = train(shorter, seed, context.mnist, progress=context.progress)
        looks.append(look(spec, config.reading, trained.parameters, images))
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        extra={"looks": looks},
    )


def look(
    spec: Spec, reading: Reading, parameters: NDArray[np.float32], images: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """Of each layer, the share of states that are saturated, and the standard deviation of a unit's over the patterns.

    Parameters
    ----------
    spec, reading, parameters
        The network.
    images
        Shape (n, 1, height, width).

    Returns
    -------
    By layer: "saturated", 0 to 1, over all units and patterns, and "spread", the mean over the layer's units.
    """
    net = network(spec, parameters, reading)
    with torch.no_grad():
        states = [state.flatten(1).numpy() for state in net.states(torch.from_numpy(images))[1:]]
    # f' is proportional to 1 - (f/A)^2.
    edge = A * np.sqrt(1 - np.sqrt(LITTLE))
    return {
        layer.name: {"saturated": float((abs(state) > edge).mean()), "spread": float(state.std(axis=0).mean())}
        for layer, state in zip(spec.hidden, states, strict=True)
    }


# --- the variations ---------------------------------------------------------------------------------------------------


SEEDS = tuple(range(5))


@dataclass(frozen=True)
class Variation:
    """One point read otherwise than by default."""

    name: str
    """Of its experiment, in its room."""
    point: str
    """The open point: a field of `Reading` or `Config`."""
    title: str
    config: Config

    @property
    def experiment(self) -> str:
        return f"readings/{self.name}"


def _read(name: str, point: str, title: str, **fields: Any) -> Variation:
    return Variation(name, point, title, Config(reading=replace(DEFAULT, **fields)))


VARIATIONS = (
    Variation("literal", "all", "Appendix A to the letter", Config(reading=LITERAL)),
    _read("init2.4-over-fan-in", "init", "weights within 2.4/F", init_gain=2.4, init_power=1.0),
    _read("init1-over-sqrt-fan-in", "init", "weights within 1/sqrt F", init_gain=1.0),
    _read("init2.4-over-sqrt-fan-in", "init", "weights within 2.4/sqrt F", init_gain=2.4),
    _read("fan-in-with-bias", "fan_in_counts_bias", "fan-in with the bias", fan_in_counts_bias=True),
    _read("bias-drawn", "bias_init", "biases drawn as weights", bias_init="drawn"),
    _read("coefficient1", "coefficient_init", "coefficients 1 in S2 and S4", coefficient_init=1.0),
    _read("coefficient2", "coefficient_init", "coefficients 2 in S2 and S4", coefficient_init=2.0),
    _read("coefficient-drawn", "coefficient_init", "coefficients drawn", coefficient_init="drawn"),
    _read(
        "sum-same-start", "subsampling", "sum, the same start",
        subsampling="sum", coefficient_init=(0.5, 0.25),
    ),
    _read("sum", "subsampling", "sum, coefficients of 1", subsampling="sum", coefficient_init=1.0),
    _read(
        "coefficient-as-four-links", "coefficient_curvature", "coefficient as four links",
        coefficient_curvature="links",
    ),
    _read("loss1", "loss_scale", "loss without the 1/2", loss_scale=1.0),
    _read("one-scale", "curvature_scale", "second derivatives halved, too", curvature_scale=None),
    _read("curvature-of-loss", "output_curvature", "second derivatives of eq. 9", output_curvature="exact"),
    _read("gaussian", "rbf_scale", "eq. 7 with the 1/2 of a Gaussian", rbf_scale=0.5),
    _read("loss-eq8", "loss", "eq. 8", loss="eq8"),
    _read("j0.1", "j", "j = 0.1", j=0.1),
    _read("j3", "j", "j = 3", j=3.0),
    _read("j10", "j", "j = 10", j=10.0),
    _read("order-reshuffled", "order", "new order every pass", order="reshuffled"),
    _read(
        "curvature-first500", "curvature_patterns", "curvature of the first 500 patterns", curvature_patterns="first",
    ),
    _read("weights-averaged", "final_weights", "weights averaged over the last pass", final_weights="average"),
)  # fmt: skip

for variation in VARIATIONS:
    register(
        Experiment(
            variation.experiment,
            f"LeNet-5, {variation.title}",
            variation.config,
            train_network,
            minutes=2,
            seeds=SEEDS,
        )
    )

MECHANISM = ("literal", "sum", "sum-same-start")
"""Variations whose curvature and saturation tell why they fail, or do not."""

SATURATION = {"readings/saturation/default": ("DEFAULT", Config())} | {
    f"readings/saturation/{variation.name}": (variation.title, variation.config)
    for variation in VARIATIONS
    if variation.name in MECHANISM
}
"""Title and configuration, of all passes, of the experiments that look at saturation after the first two."""

for name, (title, config) in SATURATION.items():
    register(
        Experiment(
            name,
            f"LeNet-5, {title}: saturation in two passes",
            replace(config, etas=config.etas[:2]),
            train_and_look,
            minutes=0.4,
            seeds=SEEDS,
        )
    )


# --- the distance by which readings are judged ------------------------------------------------------------------------

PAPER_RATES = (7e-5, 0.016)
"""III.B: least and greatest effective learning rate of the first pass, approximately."""


def first_rates(results: Sequence[Result]) -> NDArray[np.float64]:
    """Least and greatest effective rate of the first pass, over the parameters; shape (runs that had one, 2)."""
    first = [result.passes[0] for result in results if result.passes]
    return np.array([[entry["rate_min"], entry["rate_max"]] for entry in first]).reshape(-1, 2)


def rates_distance(results: Sequence[Result], theirs: ArrayLike = PAPER_RATES) -> float:
    """Mean of |ln(ours / theirs)| over the two ends of the first pass's rates, ours the geometric mean of the runs."""
    return float(abs(np.log(first_rates(results) / np.asarray(theirs)).mean(axis=0)).mean())


def curve_distance(results: Sequence[Result], theirs: ArrayLike = paper.FIG5_TRAIN) -> float:
    """Mean over the passes of |ln(ours / theirs)|, ours the mean training error of the runs, on the fly, in percent."""
    return curves_distance(training_curves(results), theirs)


def curves_distance(curves: NDArray[np.float64], theirs: ArrayLike = paper.FIG5_TRAIN) -> float:
    """The same of training curves, shape (runs, passes)."""
    ours = curves.mean(axis=0)
    return float(abs(np.log(ours / np.asarray(theirs)[: len(ours)])).mean())


def training_curves(results: Sequence[Result]) -> NDArray[np.float64]:
    """Training error on the fly in percent, shape (runs, passes), of runs of one length."""
    return np.array([[entry["train_error_percent"] for entry in result.passes] for result in results])


def distance(results: Sequence[Result]) -> float:
    """The distance of a reading from what the paper prints of training, of runs that did not diverge."""
    return rates_distance(results) + curve_distance(results)


def yardstick(results: Sequence[Result]) -> tuple[float, ...]:
    """How far each run is from the others of its reading by the same measure, as the paper's one run would be."""
    return tuple(
        rates_distance(others, first_rates([one])[0]) + curve_distance(others, training_curves([one])[0])
        for one, others in zip(results, _without_each(results), strict=True)
    )


def standard_error(statistic: Callable[[Sequence[Any]], float], items: Sequence[Any]) -> float | None:
    """The jackknife's over the items, such as runs; None for a single one."""
    if len(items) < 2:
        return None
    values = [statistic(rest) for rest in _without_each(items)]
    return float(np.sqrt((len(items) - 1) * np.var(values)))


def _without_each(items: Sequence[Any]) -> list[list[Any]]:
    return [[*items[:i], *items[i + 1 :]] for i in range(len(items))]


@dataclass(frozen=True)
class Judged:
    """A reading with its runs and its distances, None if all its runs diverged."""

    experiment: str
    point: str
    title: str
    runs: Runs
    rates: float | None = None
    curve: float | None = None
    error: float | None = None
    """Standard error of the distance."""

    @property
    def distance(self) -> float | None:
        return None if self.rates is None or self.curve is None else self.rates + self.curve

    @property
    def rank(self) -> float:
        """By which readings are sorted: the distance, those without one last."""
        return float("inf") if self.distance is None else self.distance


def varied(load: Loader) -> list[tuple[Variation, Runs]]:
    """The variations that have results; NoResults if none has."""
    there = load.there(variation.experiment for variation in VARIATIONS)
    return [(variation, there[variation.experiment]) for variation in VARIATIONS if variation.experiment in there]


def judged(load: Loader) -> list[Judged]:
    """DEFAULT, then FORMER and the variations that have results, the nearest to the paper first.

    All are judged by the same seeds, those of the study.  NoResults if DEFAULT or all variations have no results.
    """
    there = varied(load)
    default = _judge(paper.LENET5, "", "DEFAULT", load.one(paper.LENET5))
    others = [_judge(v.experiment, v.point, v.title, runs) for v, runs in there]
    if (former := load.there([paper.LENET5, paper.FORMER]).get(paper.FORMER)) is not None:
        others.append(_judge(paper.FORMER, "all", "FORMER", former))
    return [default, *sorted(others, key=lambda one: one.rank)]


def _judge(experiment: str, point: str, title: str, runs: Runs) -> Judged:
    runs = of_the_study(runs)
    results = runs.finished
    if not results:
        return Judged(experiment, point, title, runs)
    return Judged(
        experiment, point, title, runs,
        rates_distance(results), curve_distance(results), standard_error(distance, results),
    )  # fmt: skip


def of_the_study(runs: Runs) -> Runs:
    """The runs of the study's seeds."""
    return replace(runs, results=tuple(result for result in runs.results if result.seed in SEEDS))


# --- tables -----------------------------------------------------------------------------------------------------------

DISTANCE = (
    "Readings are judged by the distance, the sum of two. *d rates* is the mean of |ln(ours/paper)| over the least and "
    "the greatest effective rate of the first pass, 7e-5 and 0.016 in III.B (ours: geometric mean over seeds). "
    "*d curve* is the mean of |ln(ours/paper)| over the 20 passes of Fig. 5's training error on the fly (ours: mean "
    "over seeds). In brackets the distance's standard error, by the jackknife over seeds. Test error has no part in "
    "it, and is what the reading then gives. Rates are of all parameters, shown as a range over seeds; training error "
    "is that of the last pass. A run has diverged when its loss is no longer finite."
)

HEADER = (
    "reading", "point", "least rate", "greatest rate", "d rates", "d curve", "distance", "training, %",
    "test, %", "sd", "n", *tables.INTERVALS, "diverged",
)  # fmt: skip


@tables.table("readings")
def readings_table(load: Loader) -> Table:
    """Every reading's distance from what the paper prints of training, and the test error that it gives."""
    found = judged(load)
    rows = [tables.test_row(one.runs, one.title, paper.TEST_ERROR["lenet5"]) for one in found]
    theirs = (
        "**the paper**", "", *map(scientific, PAPER_RATES), "", "", "",
        tables.number(paper.FIG5_TRAIN[19]), tables.number(paper.TEST_ERROR["lenet5"]), *[""] * 5,
    )  # fmt: skip
    body = [theirs, *(_line(one, row) for one, row in zip(found, rows, strict=True))]
    records = [_record(one, row) for one, row in zip(found, rows, strict=True)]
    names = {one.experiment for one in found}
    remarks = [
        DISTANCE,
        tables.COVER,
        *_against_default(found),
        *tables.lacking((v.experiment for v in VARIATIONS), names),
    ]
    return Table(
        "readings", "Readings of the open points, by their distance from the paper's training figures.",
        HEADER, body, records, tables.notes("readings", [one.runs for one in found], *remarks),
    )  # fmt: skip


def _against_default(found: Sequence[Judged]) -> list[str]:
    """What the distances say of DEFAULT: how near a run of its own would be, and which readings are nearer."""
    default, *others = found
    remarks = []
    if len(default.runs.finished) > 1:
        spread = yardstick(default.runs.finished)
        remarks.append(
            "Were the paper's run one of DEFAULT's, it would be about as far away as each of those is from the others "
            f"by the same measure: {np.mean(spread):.2f} on average, {min(spread):.2f} to {max(spread):.2f}."
        )
    nearer = [one for one in others if one.rank < default.rank]
    if nearer:
        gains = "; ".join(f"{one.title}, by {_gain(one, default)}" for one in nearer)
        remarks.append(f"Nearer than DEFAULT (standard error of the difference, paired by seed): {gains}.")
    else:
        remarks.append("No variation is nearer than DEFAULT.")
    return remarks


def _gain(one: Judged, default: Judged) -> str:
    """By how much a reading is nearer to the paper than DEFAULT, over the seeds of both."""
    theirs = {result.seed: result for result in default.runs.finished}
    pairs = [(result, theirs[result.seed]) for result in one.runs.finished if result.seed in theirs]

    def gain(pairs: Sequence[tuple[Result, Result]]) -> float:
        return distance([theirs for _, theirs in pairs]) - distance([ours for ours, _ in pairs])

    error = standard_error(gain, pairs)
    return f"{default.rank - one.rank:.2f}" + (f" ({error:.2f})" if error is not None else "")


def _line(one: Judged, row: Row) -> list[str]:
    rates = [_range(ends) for ends in first_rates(one.runs.results).T]
    _, test, sd, n, *intervals, _ = tables.cells(row)
    return [
        one.title,
        f"`{one.point}`" if one.point else "",
        *rates,
        tables.number(one.rates),
        tables.number(one.curve),
        tables.number(one.distance) + (f" ({one.error:.2f})" if one.error is not None else ""),
        tables.number(_last_training_error(one)),
        *(test, sd, n.partition(" ")[0], *intervals),
        f"{len(one.runs.diverged)} of {len(one.runs.results)}",
    ]


def _range(values: NDArray[np.float64]) -> str:
    """The range of some rates, one number if its ends look alike."""
    ends = dict.fromkeys(scientific(end) for end in ((values.min(), values.max()) if values.size else ()))
    return "–".join(ends)


def scientific(value: float) -> str:
    """Two digits and a power of ten, as 7.0e-5."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _last_training_error(one: Judged) -> float | None:
    return float(training_curves(one.runs.finished)[:, -1].mean()) if one.runs.finished else None


def _record(one: Judged, row: Row) -> Json:
    least, greatest = first_rates(one.runs.results).T
    return {
        **row.as_json(),
        "experiment": one.experiment,
        "point": one.point,
        "rate_min": least.tolist(),
        "rate_max": greatest.tolist(),
        "rates_distance": one.rates,
        "curve_distance": one.curve,
        "distance": one.distance,
        "distance_error": one.error,
        "train": _last_training_error(one),
        "diverged_share": len(one.runs.diverged) / len(one.runs.results),
    }


MECHANISM_PASSES = (1, 2, 3, 20)


def curvatures(runs: Runs) -> dict[str, NDArray[np.float64]]:
    """Median h_kk of each layer before each pass, the median over the runs that came so far; shape (passes,)."""
    passes = max((len(result.passes) for result in runs.results), default=0)
    return {
        layer: np.array(
            [
                np.median([r.passes[p]["curvature"][layer] for r in runs.results if len(r.passes) > p])
                for p in range(passes)
            ]
        )
        for layer in _layers(runs)
    }


def _layers(runs: Runs) -> tuple[str, ...]:
    return next((tuple(result.passes[0]["curvature"]) for result in runs.results if result.passes), ())


@tables.table("curvature")
def curvature_table(load: Loader) -> Table:
    """Median h_kk of each layer, for the default and the readings of `MECHANISM`."""
    chosen = {v.experiment: v.title for v in VARIATIONS if v.name in MECHANISM}
    titles = {paper.LENET5: "DEFAULT"} | chosen
    there = load.there(chosen)
    used = [of_the_study(runs) for runs in (load.one(paper.LENET5), *there.values())]
    records = [record for runs in used for record in _curvature_records(titles[runs.experiment], runs)]
    layers = list(_layers(used[0]))
    body = [
        [record["row"], str(record["pass"]), *(scientific(record[layer]) for layer in layers)] for record in records
    ]
    remark = (
        "Median h_kk over the parameters of each layer before a pass, median over seeds. Where h_kk is far below "
        "mu = 0.02, a rate is at its cap, eta/mu, whatever the curvature."
    )
    return Table(
        "curvature", "Curvature by layer under some readings.", ["reading", "pass", *layers], body, records,
        tables.notes("curvature", used, remark),
    )  # fmt: skip


def _curvature_records(title: str, runs: Runs) -> list[Json]:
    layers = curvatures(runs)
    reached = max((len(h) for h in layers.values()), default=0)
    return [
        {
            "row": title,
            "experiment": runs.experiment,
            "pass": number,
            **{layer: float(h[number - 1]) for layer, h in layers.items()},
        }
        for number in MECHANISM_PASSES
        if number <= reached
    ]


@tables.table("saturation")
def saturation_table(load: Loader) -> Table:
    """How far each layer is saturated before the first pass and after the first two."""
    there = load.there(SATURATION)
    used = list(there.values())
    records = [record for runs in used for record in _saturation_records(SATURATION[runs.experiment][0], runs)]
    layers = [name.removeprefix("saturated ") for name in records[0] if name.startswith("saturated ")]
    body = [
        [
            record["row"],
            str(record["passes"]),
            *(f"{100 * record[f'saturated {layer}']:.0f}" for layer in layers),
            f"{record['spread']:.3f}",
        ]
        for record in records
    ]
    remark = (
        "Share of the states of each layer, percent, whose f'(a)^2 is below a hundredth of its greatest value, and the "
        "standard deviation of an F6 state over patterns: where it is zero, the network answers the same to all. On "
        "the first 500 training patterns, mean over seeds."
    )
    header = ["reading", "after pass", *(f"{layer}, %" for layer in layers), f"spread of {layers[-1]}"]
    notes = tables.notes("saturation", used, remark, *tables.lacking(SATURATION, there))
    return Table("saturation", "Saturation by layer under some readings.", header, body, records, notes)


def _saturation_records(title: str, runs: Runs) -> list[Json]:
    looks = [result.extra["looks"] for result in runs.results]
    return [
        {
            "row": title,
            "experiment": runs.experiment,
            "passes": passes,
            "n": len(looks),
            **{f"saturated {name}": float(np.mean([one[passes][name]["saturated"] for one in looks])) for name in last},
            "spread": float(np.mean([one[passes][list(last)[-1]]["spread"] for one in looks])),
        }
        for passes, last in enumerate(looks[0])
    ]
