"""Fig. 6: LeNet-5 trained on 15,000, 30,000 and 60,000 patterns, and on 60,000 with distortions (Section III.B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.store import Runs
from experiments.harness.tables import Row, Table
from experiments.paper import numbers as paper
from experiments.trainers import train_network
from lenet98.recipes import longer
from lenet98.training import Config


@dataclass(frozen=True)
class Point:
    """One abscissa of Fig. 6, errors in percent."""

    experiment: str
    title: str
    size: int
    """Training patterns."""
    test: float
    train: float | None
    """None where the figure shows no training error."""


POINTS = (
    *(
        Point(
            paper.LENET5 if size == 60_000 else f"training-size/patterns{size}", f"{size:,} patterns", size, test, train
        )
        for size, test, train in zip(paper.FIG6_TRAIN_SIZES, paper.FIG6_TEST, paper.FIG6_TRAIN, strict=True)
    ),
    Point(paper.DIST_LENET5, "60,000 patterns, distortions", 60_000, paper.FIG6_TEST_DISTORTED, None),
)
"""Fig. 6 from left to right; LeNet-5 with all patterns, and with distortions, are experiments of their own."""

UPDATES = tuple(
    replace(
        point,
        experiment=f"{point.experiment}-passes{60_000 // point.size * 20}",
        title=f"{point.title}, {60_000 // point.size * 20} passes",
    )
    for point in POINTS
    if point.size < 60_000
)
"""The same with as many updates as on 60,000 patterns, each eta for as many: the paper does not say that a smaller set
was learned in 20 passes."""

for point in (*POINTS, *UPDATES):
    if point.size < 60_000:
        times = 60_000 // point.size if point in UPDATES else 1
        register(
            Experiment(
                point.experiment,
                f"LeNet-5, {point.title}",
                Config(train_size=point.size, etas=longer(times)),
                train_network,
                minutes=2 * times * point.size / 60_000,
                seeds=tuple(range(5)),
            )
        )

REMARK = (
    f"The paper's values are read off Fig. 6, to ±{paper.FIG6_TOLERANCE}. The first so many patterns of the training "
    "set are learned, in 20 passes but for the rows that say otherwise; in those each eta lasts for as many updates as "
    "on 60,000 patterns. Training error is measured on the fly, during the last pass; with distortions it is that on "
    "the distorted patterns, which Fig. 6 does not show. Errors in percent."
)


@dataclass(frozen=True)
class Measured:
    """What our runs gave at one point of Fig. 6, after the last pass."""

    point: Point
    runs: Runs
    test: Row
    train: Row


def measured(load: Loader, points: Sequence[Point] = POINTS) -> list[Measured]:
    """Every point of Fig. 6 that has results; NoResults if none has on less than the whole training set."""
    smaller = (point.experiment for point in points if point.size < 60_000)
    there = load.there([point.experiment for point in points], needed=smaller)
    return [_measured(point, there[point.experiment]) for point in points if point.experiment in there]


def _measured(point: Point, runs: Runs) -> Measured:
    errors, patterns = tables.counts(runs.finished, "train")
    train = tables.summarize(
        f"{point.title}, training on the fly", point.train, errors, patterns,
        diverged=len(runs.diverged), source=runs.source,
    )  # fmt: skip
    return Measured(point, runs, tables.test_row(runs, f"{point.title}, test", point.test), train)


@tables.table("fig6")
def fig6(load: Loader) -> Table:
    """Fig. 6 in numbers: test and training error by the size of the training set."""
    found = measured(load, sorted((*POINTS, *UPDATES), key=lambda point: point.size))
    header = [
        "", "test: paper", "ours", "sd", "n", *tables.INTERVALS, "difference", "training: paper", "ours",
        "difference",
    ]  # fmt: skip
    body = [
        [
            one.point.title,
            *tables.cells(one.test),
            tables.number(one.train.paper),
            tables.number(one.train.mean),
            tables.number(one.train.difference, signed=True),
        ]
        for one in found
    ]
    records = [row.as_json() for one in found for row in (one.test, one.train)]
    notes = tables.notes("fig6", [one.runs for one in found], REMARK, tables.COVER)
    return Table("fig6", "Fig. 6: error after the last pass, by training set.", header, body, records, notes)
