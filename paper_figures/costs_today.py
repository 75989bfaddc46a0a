"""What the error of a network costs: multiply-accumulates of a recognition, parameters, and time of training.

On one page: the paper's networks, the ladder to today, and what people write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from experiments.modern.ladder import LADDER, size
from experiments.modern.popular import NETWORKS
from experiments.paper import comparison
from experiments.paper import numbers as paper
from paper_figures._style import PAPER, TEST, TRAIN, style


@dataclass(frozen=True)
class Group:
    """Networks that are drawn alike."""

    title: str
    titles: Mapping[str, str]
    """By experiment, in the order of their marks."""
    marks: Sequence[str]
    """What is written in each, of one or two signs."""
    marker: str
    color: str
    columns: int
    """Of the key."""


GROUPS = (
    Group(
        "The paper's networks",
        # "LeNet-4 / K-NN" and the like keep training patterns: these are no networks alone.
        {
            row.experiment: row.title
            for row in paper.ROWS
            if ("mlp" in row.name or "lenet" in row.name) and "/" not in row.title
        },
        ascii_uppercase,
        "s",
        PAPER,
        2,
    ),
    Group(
        "The ladder",
        {rung.experiment: rung.title for rung in LADDER} | {LADDER[0].experiment: "LeNet-5, its start"},
        [str(number) for number in range(len(LADDER))],
        "o",
        TEST,
        2,
    ),
    Group(
        "What people write",
        {name: popular.name for name, popular in NETWORKS.items()},
        ascii_lowercase,
        "D",
        TRAIN,
        1,
    ),
)
"""The first group that has an experiment draws it."""

TODAY = [name for group in GROUPS[1:] for name in group.titles if name != LADDER[0].experiment]
"""Experiments of today's networks, of which one at least must have results."""

NOTE = (
    "least error at a cost or below. Bars: 95%, seeds and patterns. Crowded marks stand beside their cost; strokes at "
    "the edge show it."
)

LABELED = "2357"
"""First digits of values between powers of ten that are written at the axes."""

MARK = 9.0
"""Width of a mark, points; marks are kept as far apart."""
EDGE = 0.035
"""Height of the strokes at the lower edge that show where the costs are, as a share of the panel's."""
FAINT = 0.45
"""Opacity of a mark whose training was timed on another processor than most."""

WIDTH, PANEL, ROW = 7.2, 2.3, 0.15
"""Inches: of the page, of a panel's height, of a row of the key."""
LEFT, BELOW = 0.55, 0.5
"""Inches: left of the panels and below each."""


@dataclass(frozen=True)
class Point:
    """One network."""

    group: Group
    mark: str
    title: str
    error: float
    """Percent."""
    interval: tuple[float, float]
    multiply_accumulates: float
    """Of a recognition, thousands."""
    parameters: float
    """Thousands."""
    seconds: float
    """Of one run."""
    processor: str
    """On which it was timed."""


def figure(load: Loader) -> Figure:
    """Draw the networks that have results; NoResults if there are none of today's."""
    return draw(list(points(load).values()))


def points(load: Loader) -> dict[str, Point]:
    """The networks that have results, by experiment; NoResults if there are none of today's."""
    groups = {name: group for group in reversed(GROUPS) for name in group.titles}
    there = load.there(dict.fromkeys(name for group in GROUPS for name in group.titles), needed=TODAY)
    found = {name: _point(groups[name], name, runs) for name, runs in there.items()}
    return {name: point for name, point in found.items() if point is not None}


def _point(group: Group, name: str, runs: Runs) -> Point | None:
    """None if no run finished, or they are too unlike for a mean."""
    row, time = tables.test_row(runs, group.titles[name], None), tables.seconds(runs)
    if row.mean is None or row.drawn is None or time is None:
        return None
    if group is GROUPS[0]:
        costs = [comparison.thousands_of(runs, quantity) for quantity in ("multiply_accumulates", "stored")]
    else:
        costs = [size(name).multiply_accumulates / 1000, size(name).parameters / 1000]
    if costs[0] is None or costs[1] is None:
        return None
    mark = group.marks[list(group.titles).index(name)]
    processor = runs.finished[0].record["machine"]["cpu"]
    return Point(group, mark, row.row, row.mean, row.drawn, costs[0], costs[1], time, processor)


def draw(found: Sequence[Point]) -> Figure:
    """Error with its 95% interval over seeds and patterns against the three costs, on logarithmic axes."""
    rows = max(-(-len(_of(group, found)) // group.columns) for group in GROUPS) + 2
    height = 3 * (PANEL + BELOW) + ROW * rows + 0.05
    usual = Counter(point.processor for point in found).most_common(1)[0][0]
    faint = [point.processor != usual for point in found]
    panels = (
        ("Multiply-accumulates of a recognition (thousands)", [p.multiply_accumulates for p in found], None),
        ("Parameters (thousands)", [p.parameters for p in found], None),
        (
            "Training time of a run (s)" + ("; pale: on another processor than most" if any(faint) else ""),
            [p.seconds for p in found],
            faint,
        ),
    )
    with style():
        drawing = Figure(figsize=(WIDTH, height))
        for number, (label, costs, pale) in enumerate(panels):
            bottom = height - (number + 1) * PANEL - number * BELOW - 0.05
            box = (LEFT / WIDTH, bottom / height, 1 - (LEFT + 0.05) / WIDTH, PANEL / height)
            axes = drawing.add_axes(box, xscale="log", yscale="log", xlabel=label, ylabel="Test error (%)")
            _panel(axes, found, costs, pale or [False] * len(found))
        _key(drawing.add_axes((0, 0, 1, ROW * rows / height)), found, rows)
    return drawing


def _of(group: Group, found: Sequence[Point]) -> list[Point]:
    return [point for point in found if point.group is group]


def _panel(axes: Axes, found: Sequence[Point], costs: Sequence[float], faint: Sequence[bool]) -> None:
    errors = [point.error for point in found]
    axes.set_xlim(min(costs) / 1.15, max(costs) * 1.15)
    axes.set_ylim(min(point.interval[0] for point in found) / 1.06, max(point.interval[1] for point in found) * 1.06)
    axes.step(*front(costs, errors), where="post", color="0.6", linestyle="--", linewidth=0.9, zorder=1)
    inches = 72 / axes.figure.dpi
    places = axes.transData.transform(np.column_stack([costs, errors])) * inches
    places[:, 0] = beside(places, MARK)
    moved = axes.transData.inverted().transform(places / inches)[:, 0]
    for point, cost, true, pale in zip(found, moved, costs, faint, strict=True):
        _mark(axes, point, cost, FAINT if pale else 1)
        axes.axvline(true, 0, EDGE, color=point.group.color, linewidth=0.8, zorder=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in LABELED else "")
    axes.tick_params(which="minor", labelsize=8, size=2.5, pad=4.5)  # in line with the others
    axes.grid(color="0.9", which="both", linewidth=0.5)
    axes.set_axisbelow(True)


def front(costs: Sequence[float], errors: Sequence[float]) -> tuple[list[float], list[float]]:
    """Costs and errors of the networks than which none errs less at the same cost or a lower one, by cost."""
    best: list[tuple[float, float]] = []
    for cost, error in sorted(zip(costs, errors, strict=True)):
        if not best or error < best[-1][1]:
            best.append((cost, error))
    return [cost for cost, _ in best], [error for _, error in best]


def beside(places: NDArray[np.float64], apart: float) -> NDArray[np.float64]:
    """Where marks stand from left to right, shape (n,), so that none covers another.

    Each of the `places`, shape (n, 2), moves sideways only, to the nearest place that is `apart` from those before.
    """
    placed = np.empty((0, 2))
    for x, y in places:
        near = placed[abs(placed[:, 1] - y) < apart]
        reach = np.sqrt(apart**2 - (near[:, 1] - y) ** 2) * (1 + 1e-9)
        free = [
            place
            for place in (x, *(near[:, 0] - reach), *(near[:, 0] + reach))
            if (np.hypot(near[:, 0] - place, near[:, 1] - y) >= apart).all()
        ]
        placed = np.vstack([placed, [min(free, key=lambda place: abs(place - x)), y]])
    return placed[:, 0]


def _mark(axes: Axes, point: Point, cost: float, opacity: float) -> None:
    low, high = point.interval
    axes.plot([cost, cost], [low, high], color=point.group.color, linewidth=0.8, alpha=0.6 * opacity, zorder=2)
    _signed(axes, point, cost, point.error, opacity)


def _signed(axes: Axes, point: Point, x: float, y: float, opacity: float = 1) -> None:
    """A mark of the group with the network's sign in it."""
    size = MARK * {"s": 0.86, "D": 0.74}.get(point.group.marker, 1)
    axes.plot(x, y, "o", color="white", markersize=MARK, markeredgewidth=0, zorder=3)  # hides bars of others
    axes.plot(
        x, y, point.group.marker, color=point.group.color, markersize=size, markeredgewidth=0, alpha=opacity, zorder=4
    )  # fmt: skip
    axes.annotate(
        point.mark, (x, y), ha="center", va="center_baseline", color="white", zorder=5, annotation_clip=False,
        fontsize=6.5 if len(point.mark) == 1 else 5.5, fontweight="bold",
    )  # fmt: skip


def _key(axes: Axes, found: Sequence[Point], rows: int) -> None:
    """Marks and names by group; coordinates are inches."""
    axes.set(xlim=(0, WIDTH), ylim=(ROW * (rows - 0.5), -ROW * 0.5))
    axes.set_axis_off()
    wide = (WIDTH - 0.1) / sum(group.columns for group in GROUPS)
    left = 0.15
    for group in GROUPS:
        axes.text(left - 0.06, 0, group.title, fontsize=8, fontweight="bold", va="center_baseline", color=group.color)
        for place, point in enumerate(_of(group, found)):
            column, row = divmod(place, rows - 2)
            x, y = left + column * wide, ROW * (row + 1)
            _signed(axes, point, x, y)
            axes.text(x + 0.1, y, point.title, fontsize=7, va="center_baseline")
        left += group.columns * wide
    last = ROW * (rows - 0.8)
    axes.plot([0.09, 0.35], [last, last], color="0.6", linestyle="--", linewidth=0.9)
    axes.text(0.42, last, NOTE, fontsize=7, va="center_baseline")
