"""What the search for one reading left of its prior (docs/readings.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import nan
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.store import Result, Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from experiments.paper.readings import training_curves
from experiments.paper.search import START, Prior, Start
from lenet98.curvature import curvature_scale
from lenet98.readings import Reading

Array = NDArray[np.float64]

KEPT = 30
"""Readings that go on to full training: the nearest."""


@dataclass(frozen=True)
class Explored:
    """All readings that were drawn, in the order of their numbers."""

    config: Start
    numbers: NDArray[np.int64]
    """Shape (n,)."""
    rates: Array
    """Least and greatest of the first pass, shape (n, 2)."""
    percent: Array
    """Training error on the fly by pass, shape (n, passes); nan of passes that were not completed."""
    spread: Array
    """Standard deviation over seeds of the logarithm of each fact, shape (2 + passes,)."""

    @cached_property
    def misses(self) -> Array:
        """ln(ours / the paper's) of each fact in units of its spread, shape (n, 2 + passes)."""
        ours = np.hstack([self.rates, self.percent])
        return np.asarray(np.log(ours / [*self.config.rates, *self.config.curve]) / self.spread)

    @cached_property
    def distance(self) -> Array:
        """Root mean square of the misses, shape (n,); nan of readings that were given up."""
        return np.asarray(np.sqrt(np.mean(self.misses**2, axis=1)))

    @property
    def near(self) -> NDArray[np.bool_]:
        """Whether the rates were near enough to train, shape (n,)."""
        return self.config.rates_distance(self.rates) <= self.config.rates_within

    def nearest(self, count: int) -> NDArray[np.int64]:
        """Places of the nearest readings among those that were trained to the end, nearest first."""
        order = np.argsort(self.distance)
        return order[: min(count, int(np.isfinite(self.distance).sum()))]

    def reading(self, place: int) -> Reading:
        """One of them."""
        return self.config.prior.draw(int(self.numbers[place]))


def explored(runs: Runs, of_one_reading: Sequence[Result]) -> Explored:
    """Put the blocks together; the spread of the training errors is that of `of_one_reading`, runs with other seeds."""
    config = Start()
    blocks = [(result.seed, result.arrays()) for result in runs.finished]
    numbers = np.concatenate([seed * config.draws + np.arange(len(arrays["rates"])) for seed, arrays in blocks])
    errors = np.vstack([arrays["errors"] for _, arrays in blocks]).astype(float)
    percent = np.where(errors < 0, nan, 100 * errors / config.train_size)
    curves = np.log(training_curves(of_one_reading))[:, : len(config.etas)].std(axis=0, ddof=1)
    spread = np.concatenate([config.rates_spread, curves])
    return Explored(config, numbers, np.vstack([arrays["rates"] for _, arrays in blocks]), percent, spread)


# --- tables -----------------------------------------------------------------------------------------------------------


SHORT: dict[str, Callable[[Reading], str]] = {
    "v": lambda r: f"{r.init_gain:.2f}",
    "p": lambda r: f"{r.init_power:g}",
    "biases": lambda r: f"{r.bias_init}{', F + 1' if r.fan_in_counts_bias else ''}",
    "S2, S4": lambda r: (
        (", ".join(f"{c:.2f}" for c in on_the_average(r)) or "drawn") + (" sum" if r.subsampling == "sum" else "")
    ),
    "loss": lambda r: "eq. 8" if r.loss == "eq8" else f"eq. 9, j {r.j:.2g}",
    "1/2 y": lambda r: "yes" if r.rbf_scale == 0.5 else "no",
    "g": lambda r: f"{r.loss_scale:g}",
    "h": lambda r: f"{curvature_scale(r):g}{'' if r.output_curvature == 'exact' else ', eq. 8'}",
}
"""What distinguishes a reading, by the head of its column."""

LEGEND = (
    "Weights start within v/F^p; the bias counts in F where it says F + 1. S2, S4: first coefficients, as on the "
    "average of the field; they multiply its sum where it says so. 1/2 y: whether eq. 7 has the factor 1/2 within "
    "the loss. g and h: factors on the loss and on its second derivatives, which are those of eq. 8 where it says so."
)


def on_the_average(reading: Reading) -> tuple[float, ...]:
    """First coefficients as they would be on the average of the field."""
    given = reading.coefficient_init
    if isinstance(given, str):
        return ()
    field = 1 if reading.subsampling == "average" else 4
    return tuple(field * coefficient for coefficient in (given if isinstance(given, tuple) else (given, given)))


@tables.table("search")
def search_table(load: Loader) -> Table:
    """The readings of the search that come nearest to what is printed of the first three passes."""
    runs, default = load.one(START), load.one(paper.FORMER)
    found = explored(runs, default.finished)
    records: list[Json] = []
    body = []
    for place in found.nearest(KEPT):
        reading, distance = found.reading(place), float(found.distance[place])
        rates, percent = found.rates[place], found.percent[place]
        number = int(found.numbers[place])
        body.append(
            [
                str(number),
                *(word(reading) for word in SHORT.values()),
                " to ".join(f"{rate:.1e}" for rate in rates),
                ", ".join(f"{error:.2f}" for error in percent),
                f"{distance:.2f}",
            ]
        )
        records.append(
            {
                "number": number,
                **{name: word(reading) for name, word in SHORT.items()},
                "rates": [float(rate) for rate in rates],
                "training errors": [float(e) for e in percent],
                "distance": distance,
            }
        )
    config, trained = found.config, np.isfinite(found.distance)
    remark = (
        f"{len(found.numbers):,} readings were drawn. {int(found.near.sum()):,} have first-pass rates near those of "
        f"III.B, 7e-5 to 0.016. {int(np.isfinite(found.percent[:, 0]).sum()):,} of them complete the first pass and "
        f"{int(trained.sum()):,} the third without leaving Fig. 5's training curve by far: "
        + ", ".join(f"{theirs:g}" for theirs in config.curve)
        + f"%. The table has the {len(body)} nearest. Distance: root mean square over both rates and the passes of "
        "ln(ours / the paper's), in units of its spread over seeds. One seed each."
    )
    header = ["number", *SHORT, "rates", "training errors, %", "distance"]
    caption = "Readings drawn from the prior: those nearest to what is printed of the first passes."
    return Table("search", caption, header, body, records, tables.notes("search", [runs, default], remark, LEGEND))


@tables.table("posterior")
def posterior_table(load: Loader) -> Table:
    """Each open point: what the prior says of it, and what is left of it after the rates and after three passes."""
    runs, default = load.one(START), load.one(paper.FORMER)
    found = explored(runs, default.finished)
    stages = {
        "prior": range(len(found.numbers)),
        "rates": np.flatnonzero(found.near),
        "and curve": found.nearest(KEPT),
    }
    readings = {name: [found.reading(place) for place in places] for name, places in stages.items()}
    records = [record for point in _points(found.config.prior) for record in _left(point, readings)]
    body = [[record["point"], record["value"], *(_cell(record[name]) for name in stages)] for record in records]
    remark = (
        f"Prior: {len(found.numbers):,} readings. Rates: the {len(readings['rates']):,} with first-pass rates near "
        f"those printed. And curve: the {len(readings['and curve'])} nearest after three passes. Quartiles of what is "
        "a number, share in percent of what is a choice."
    )
    caption = "What the first rates and passes leave of each open point."
    header = ["point", "value", *stages]
    return Table("posterior", caption, header, body, records, tables.notes("posterior", [runs, default], remark))


Point = tuple[str, Sequence[object] | None, Callable[[Reading], object]]
"""Name, choices (None of a range) and value of an open point."""


def _points(prior: Prior) -> Iterable[Point]:
    for field in fields(prior):
        if field.name == "coefficient":
            yield "coefficient of S2", None, lambda reading: on_the_average(reading)[0]
            yield "coefficient of S4", None, lambda reading: on_the_average(reading)[1]
        else:
            choices = None if field.type == "Range" else tuple(dict.fromkeys(getattr(prior, field.name)))
            yield field.name, choices, attrgetter(field.name)
    # What a run feels of three of them: the factors on 2 (x - w) and on its derivative where no classes compete.
    yield "gradient, rbf_scale x loss_scale", None, lambda reading: reading.rbf_scale * reading.loss_scale
    yield "curvature, rbf_scale x its scale", None, lambda reading: reading.rbf_scale * curvature_scale(reading)


def _left(point: Point, readings: dict[str, list[Reading]]) -> list[Json]:
    """One row of a point that is a number, one row for each of its choices else."""
    name, choices, value = point
    values = {stage: [value(reading) for reading in found] for stage, found in readings.items()}
    if choices is None:
        quartiles = {
            stage: [float(q) for q in np.quantile(np.array(found, float), [0.25, 0.5, 0.75])] if found else None
            for stage, found in values.items()
        }
        return [{"point": name, "value": "quartiles", **quartiles}]
    return [
        {
            "point": name,
            "value": "as the loss" if choice is None else str(choice),
            **{stage: 100 * found.count(choice) / len(found) if found else None for stage, found in values.items()},
        }
        for choice in choices
    ]


def _cell(value: object) -> str:
    if value is None:
        return ""
    return " ".join(f"{q:.2g}" for q in value) if isinstance(value, list) else f"{value:.0f}"
