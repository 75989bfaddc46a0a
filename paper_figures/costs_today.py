"""What the error of today's networks costs: multiply-accumulates of a recognition, and time of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.modern.ladder import LADDER, seconds, size
from experiments.modern.popular import NETWORKS
from experiments.paper import numbers as paper
from paper_figures._style import PAPER, TEST, TRAIN, style

TITLES = {rung.experiment: rung.title for rung in LADDER} | {name: popular.name for name, popular in NETWORKS.items()}
"""All that are drawn, by experiment."""

MARKS = dict(
    zip(TITLES, [*(str(number) for number in range(len(LADDER))), *ascii_lowercase[: len(NETWORKS)]], strict=True)
)
"""Number of a rung, 0 for LeNet-5, and letter of a popular network."""

LABELED = "357"
"""First digits of values between powers of ten that are written at the axes."""

SHARE = 0.03
"""Networks whose costs differ by less are drawn in columns about their cost."""
COLUMNS = (1.0, 1 / 1.07, 1.07)
"""Places of the columns, the networks by falling error in turn: were they in a row, it would look like a trend."""


@dataclass(frozen=True)
class Point:
    """One network."""

    experiment: str
    error: float
    """Percent."""
    interval: tuple[float, float]
    multiply_accumulates: int
    seconds: float
    """Of one run."""

    @property
    def color(self) -> str:
        return PAPER if self.experiment == paper.FORMER else TRAIN if self.experiment in NETWORKS else TEST


def figure(load: Loader) -> Figure:
    """Draw the networks that have results; NoResults if LeNet-5 would be alone."""
    return draw(points(load))


def points(load: Loader) -> list[Point]:
    """Of the rungs and the popular networks that have results; NoResults if there is none but LeNet-5."""
    there = load.there(TITLES, needed=(name for name in TITLES if name != paper.FORMER))
    found = []
    for name, runs in there.items():
        row, time = tables.test_row(runs, TITLES[name], None), seconds(runs)
        if row.mean is not None and row.drawn is not None and time is not None:
            found.append(Point(name, row.mean, row.drawn, size(name).multiply_accumulates, time))
    return found


def draw(found: Sequence[Point]) -> Figure:
    """Error with its 95% interval over seeds and patterns against both costs, on logarithmic axes."""
    with style():
        drawing = Figure(figsize=(7.2, 3.4), layout="constrained")
        left, right = drawing.subplots(1, 2, sharey=True)
        _panel(left, side_by_side(found))
        _panel(right, [(point.seconds, point) for point in found])
        left.set(xlabel="Multiply-accumulates (thousands)", ylabel="Test error (%)")
        right.set_xlabel("Training time of a run (s)")
        keys = [
            Line2D([], [], linestyle="", marker="o", markersize=4, color=point.color, label=_key(point))
            for point in found
        ]
        drawing.legend(handles=keys, loc="outside right center", handletextpad=0.1, labelspacing=0.25, fontsize=7)
    return drawing


def side_by_side(found: Sequence[Point]) -> list[tuple[float, Point]]:
    """Thousands of multiply-accumulates, those of nearly equal cost in columns: most rungs change no size."""
    groups: list[list[Point]] = []
    for point in sorted(found, key=lambda point: point.multiply_accumulates):
        if groups and point.multiply_accumulates < (1 + SHARE) * groups[-1][0].multiply_accumulates:
            groups[-1].append(point)
        else:
            groups.append([point])
    return [
        (point.multiply_accumulates / 1000 * COLUMNS[place % len(COLUMNS)], point)
        for group in groups
        for place, point in enumerate(sorted(group, key=lambda point: -point.error))
    ]


def _key(point: Point) -> str:
    return f"{MARKS[point.experiment]}  {TITLES[point.experiment]}"


def _panel(axes: Axes, shown: Sequence[tuple[float, Point]]) -> None:
    axes.set(xscale="log", yscale="log")
    axes.margins(x=0.1)  # the marks stand to the right of their points
    for cost, point in shown:
        low, high = point.interval
        axes.errorbar(
            cost, point.error, yerr=[[max(point.error - low, 0)], [max(high - point.error, 0)]], fmt="o",
            color=point.color, markersize=3, elinewidth=0.8,
        )  # fmt: skip
        axes.annotate(
            MARKS[point.experiment], (cost, point.error), (3, 2), textcoords="offset points", fontsize=7,
            color=point.color,
        )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in LABELED else "")
    axes.grid(color="0.9", which="both", linewidth=0.5)
    axes.set_axisbelow(True)
