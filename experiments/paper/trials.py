"""Readings that the search left, trained through all passes and compared with what III.B prints of training.

Those are the rates of the first pass, Fig. 5's training curve, and Fig. 6's training errors with 15,000 and 30,000
patterns.  Test errors are measured too, and reported beside the paper's; they choose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from experiments.paper.candidates import AUTHORS, ROUND, STEADY
from experiments.paper.posterior import LEGEND, SHORT
from experiments.paper.readings import PAPER_RATES, curves_distance
from experiments.paper.search import Prior, Trial, compare
from lenet98.data.distortions import FIG7
from lenet98.readings import DEFAULT, FORMER, Reading

Array = NDArray[np.float64]

ROOM = "search/trials"

DRAWN: tuple[int, ...] = (
    3729,
    1101,
    13491,
    7077,
    11843,
    18219,
    9352,
    11999,
    2411,
    10484,
    15700,
    3961,
    13634,
    6276,
    12125,
    2545,
    16439,
    8336,
    6586,
    19884,
    18262,
    12814,
    8677,
    15549,
    2752,
    11101,
    14965,
    11815,
    15435,
    19202,
)
"""Numbers of the nearest readings of the search: those of `table search`."""

CANDIDATES: dict[str, Reading] = {
    **{f"{ROOM}/{name}": read for name, read in ROUND.items()},
    **{f"{ROOM}/drawn{number:05d}": Prior().draw(number) for number in DRAWN},
}
"""All of them, by experiment."""

LIKE = f"{ROOM}/{next(iter(ROUND))}"
"""Whose golden case serves the others."""


def _register(name: str, title: str, config: Trial, minutes: float, like: str | None = LIKE) -> None:
    register(Experiment(name, f"LeNet-5, {title}", config, compare, minutes=minutes, seeds=tuple(range(5)), like=like))


for name, read in CANDIDATES.items():
    title = f"{name.removeprefix(f'{ROOM}/')}, by size of the training set"
    _register(name, title, Trial(reading=read), 1.5, None if read in (FORMER, AUTHORS) else LIKE)

MAGNITUDES = {"": FIG7, "-distort0.5": FIG7.scaled(0.5)}
"""Distortions with which the readings in round numbers are trained too, by the end of the experiment's name."""

DISTORTED = {
    f"search/distorted/{name}{end}": Trial(reading=read, sizes=(60_000,), distortions=magnitudes)
    for name, read in ROUND.items()
    for end, magnitudes in MAGNITUDES.items()
}
"""All of them, by experiment."""

for name, config in DISTORTED.items():
    _register(name, f"{name.removeprefix('search/distorted/')}, distortions", config, 1)

NEAR = {
    "j1.5": replace(DEFAULT, j=1.5),
    "j2": replace(DEFAULT, j=2.0),
    "v1-h2": replace(DEFAULT, init_gain=1.0, curvature_scale=2.0),
    "v1.2-h1.5": STEADY,
    "v1.2-h1.5-j1.5": replace(STEADY, j=1.5),
    "v1.6-s4-0.75-h0.75": replace(DEFAULT, init_gain=1.6, curvature_scale=0.75, coefficient_init=(2.0, 0.75)),
}
"""Readings around DEFAULT, by what differs: the search widened where first layers come nearest to those of 1998."""

for name, read in NEAR.items():
    _register(f"search/near/{name}", f"DEFAULT but for {name}", Trial(reading=read, sizes=(60_000,)), 1)

_LEFT_OPEN = np.array([0.5e-5, 0.0005, paper.FIG6_TOLERANCE, paper.FIG6_TOLERANCE])
ROUNDED = _LEFT_OPEN / [*PAPER_RATES, *paper.FIG6_TRAIN[:2]] / sqrt(3)
"""Standard deviation of the logarithm of both rates and of the training errors of the smaller sets by what printing and
reading off the figure leave open."""

FIG6 = dict(zip(paper.FIG6_TRAIN_SIZES, paper.FIG6_TRAIN, strict=True))


@dataclass(frozen=True)
class Tried:
    """What the runs of one reading gave."""

    runs: Runs
    rates: Array
    """Least and greatest of the first pass, of the largest set, shape (runs, 2)."""
    train: Mapping[int, Array]
    """Training error on the fly in percent, shape (runs, passes), by size of the set."""
    test: Mapping[int, Array]
    """Test error in percent, likewise."""

    @cached_property
    def facts(self) -> Array:
        """ln(ours / the paper's), shape (runs, 4): both rates, and the training errors of the smaller sets at the end.

        An error of none counts as half of one.
        """
        columns = [np.log(self.rates / PAPER_RATES)]
        for size in paper.FIG6_TRAIN_SIZES[:2]:
            last = np.maximum(self.train[size][:, -1], 50 / size)
            columns.append(np.log(last / FIG6[size])[:, None])
        return np.hstack(columns)

    @property
    def curve(self) -> float:
        """Mean over the passes of |ln(ours / Fig. 5's)|, ours the mean of the runs."""
        return curves_distance(self.train[60_000])


def tried(runs: Runs) -> Tried:
    """The runs of a reading that did not diverge on any set."""
    sizes = runs.results[0].record["config"]["sizes"]
    whole = [result for result in runs.finished if (result.arrays()["train"] >= 0).all()]
    percent = {
        part: {
            size: 100 * np.array([result.arrays()[part][n] for result in whole]) / (size if part == "train" else 10_000)
            for n, size in enumerate(sizes)
        }
        for part in ("train", "test")
    }
    rates = np.array([result.extra["rates"][-1][0] for result in whole])
    return Tried(runs, rates, percent["train"], percent["test"])


def curve_spread(found: Mapping[str, Tried]) -> float:
    """Mean distance of one run's training curve from the mean of the others of its reading, over all readings."""
    apart = []
    for one in found.values():
        curves = one.train[60_000]
        for n in range(len(curves)) if len(curves) > 1 else ():
            others = np.delete(curves, n, axis=0).mean(axis=0)
            apart.append(abs(np.log(curves[n] / others)).mean())
    return float(np.mean(apart)) if apart else float("nan")


def spread(found: Mapping[str, Tried]) -> Array:
    """Standard deviation of each of the facts, shape (4,): over seeds, pooled over the readings, and by `ROUNDED`."""
    within = [one.facts - one.facts.mean(axis=0) for one in found.values() if len(one.facts) > 1]
    freedom = sum(len(one) - 1 for one in within)
    over_seeds = sum((one**2).sum(axis=0) for one in within) / freedom if freedom else np.full(4, np.nan)
    return np.asarray(np.sqrt(over_seeds + ROUNDED**2))


def distances(found: Mapping[str, Tried]) -> dict[str, float]:
    """Root mean square over the facts and the curve of each reading's distance, in units of the spread over seeds."""
    units, unit = spread(found), curve_spread(found)
    return {
        name: float(np.sqrt(np.mean([*(one.facts.mean(axis=0) / units) ** 2, (one.curve / unit) ** 2])))
        for name, one in found.items()
    }


def results(load: Loader) -> dict[str, Tried]:
    """What the candidates gave of which there are results, by experiment."""
    there = load.there(CANDIDATES)
    return {name: one for name, runs in there.items() if len((one := tried(runs)).rates)}


def listed(percent: Sequence[float]) -> str:
    """Errors in percent, in a row."""
    return ", ".join(f"{error:.2f}" for error in percent)


HEADER = ["reading", "n", *SHORT, "rates", "curve", "training, %", "test, %"]

RATES_AND_CURVE = (
    "Rates: least and greatest of the first pass, geometric mean; the paper has 7e-5 to 0.016. Curve: mean over the "
    "passes of |ln(ours / Fig. 5's)|, ours the mean of n runs"
)
ERRORS = (
    "Training, test: errors after the last pass, of 15,000, 30,000 and 60,000 patterns where there are three; Fig. 6 "
    f"has {listed(paper.FIG6_TRAIN)} and {listed(paper.FIG6_TEST)}."
)


@tables.table("trials")
def trials(load: Loader) -> Table:
    """Readings trained through all passes, nearest first to what is printed of training."""
    found = results(load)
    apart = distances(found)
    records = [
        {**_record(name.removeprefix(f"{ROOM}/"), found[name], CANDIDATES[name]), "distance": apart[name]}
        for name in sorted(found, key=lambda name: apart[name])
    ]
    remark = (
        f"{RATES_AND_CURVE}; one run is {curve_spread(found):.3f} from the others of its reading. {ERRORS} "
        "Distance: root mean square over both rates, the curve and the training errors of the two smaller sets, in "
        "units of their spread over seeds and by rounding. Test errors have no part in it."
    )
    header = [*HEADER, "distance"]
    body = [[*_cells(record), f"{record['distance']:.2f}"] for record in records]
    caption = "Readings trained through all passes: what is printed of training, and beside it the test errors."
    used = [one.runs for one in found.values()]
    return Table("trials", caption, header, body, records, tables.notes("trials", used, remark, LEGEND))


@tables.table("near")
def near(load: Loader) -> Table:
    """Readings around DEFAULT, trained through all passes on 60,000 patterns."""
    there = load.there(f"search/near/{name}" for name in NEAR)
    found = {name.removeprefix("search/near/"): tried(runs) for name, runs in there.items()}
    records = [_record(name, one, NEAR[name]) for name, one in found.items() if len(one.rates)]
    caption = "Readings around DEFAULT, trained on 60,000 patterns."
    notes = tables.notes("near", list(there.values()), f"{RATES_AND_CURVE}. {ERRORS}", LEGEND)
    return Table("near", caption, HEADER, [_cells(record) for record in records], records, notes)


def _record(name: str, one: Tried, read: Reading) -> Json:
    return {
        "reading": name,
        "n": len(one.rates),
        **{column: word(read) for column, word in SHORT.items()},
        "rates": [float(rate) for rate in np.exp(np.log(one.rates).mean(axis=0))],
        "curve": one.curve,
        "training": [float(errors[:, -1].mean()) for errors in one.train.values()],
        "test": [float(errors[:, -1].mean()) for errors in one.test.values()],
    }


def _cells(record: Json) -> list[str]:
    return [
        record["reading"],
        str(record["n"]),
        *(record[column] for column in SHORT),
        " to ".join(f"{rate:.1e}" for rate in record["rates"]),
        f"{record['curve']:.3f}",
        listed(record["training"]),
        listed(record["test"]),
    ]


@tables.table("trials-distorted")
def distorted(load: Loader) -> Table:
    """Readings in round numbers, trained with distortions."""
    there = load.there(DISTORTED)
    records: list[Json] = []
    for name, runs in there.items():
        one, config = tried(runs), DISTORTED[name]
        assert config.distortions is not None
        records.append(
            {
                "reading": name.removeprefix("search/distorted/").partition("-distort")[0],
                "magnitudes": config.distortions.scale / FIG7.scale,
                "n": len(one.rates),
                "training": float(one.train[60_000][:, -1].mean()),
                "test": [float(error) for error in one.test[60_000][:, -1]],
            }
        )
    body = [
        [
            record["reading"],
            f"{record['magnitudes']:g}",
            str(record["n"]),
            f"{record['training']:.2f}",
            f"{np.mean(record['test']):.3f}",
            f"{np.std(record['test'], ddof=1):.3f}" if record["n"] > 1 else "",
        ]
        for record in records
    ]
    remark = (
        "Errors in percent after the last pass; the paper has 0.82 on the test set and no training error. Magnitudes "
        "are those of Fig. 7 times this. Test errors choose nothing."
    )
    header = ["reading", "magnitudes", "n", "training, %", "test, %", "sd"]
    caption = "Readings in round numbers, trained with distortions."
    notes = tables.notes("trials-distorted", list(there.values()), remark)
    return Table("trials-distorted", caption, header, body, records, notes)
