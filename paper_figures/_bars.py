"""Horizontal bars of classifiers, the paper's above ours, as Figs. 9 to 12 have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.paper.comparison import Cost, thousands
from paper_figures._style import PAPER, TEST, style

THICKNESS = 0.4
"""Of a bar; two of them and a gap make a row."""

ROW = 0.3
"""Height of a row, inches: two lines of the smallest text."""


@dataclass(frozen=True)
class Bar:
    """One classifier; None where there is no value."""

    title: str
    theirs: float | None
    ours: float | None
    interval: tuple[float, float] | None = None
    """Of ours."""


@dataclass(frozen=True)
class Scale:
    """The axis of the values, and how one is written; bars beyond `most` are cut there, with two strokes through."""

    least: float
    most: float
    write: Callable[[float], str]


def draw_bars(axes: Axes, bars: Sequence[Bar], scale: Scale) -> None:
    """Draw from top to bottom, with the value at the end of each bar and the interval of ours as an error bar."""
    axes.set_xlim(scale.least, scale.most)
    theirs = [(row - THICKNESS / 2, bar.theirs) for row, bar in enumerate(bars) if bar.theirs is not None]
    ours = [(row + THICKNESS / 2, bar.ours) for row, bar in enumerate(bars) if bar.ours is not None]
    _draw(axes, theirs, scale, "white", "Paper")
    _draw(axes, ours, scale, TEST, "Ours")
    ends = {row + THICKNESS / 2: bar.interval[1] for row, bar in enumerate(bars) if bar.interval}
    for row, bar in enumerate(bars):
        if bar.ours is not None and bar.interval and bar.ours <= scale.most:
            _interval(axes, row + THICKNESS / 2, bar.ours, bar.interval)
    for height, value in [*theirs, *ours]:
        _value(axes, height, value, max(value, ends.get(height, value)), scale)
    axes.set_yticks(range(len(bars)), [bar.title for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right")


def _draw(axes: Axes, heights: Sequence[tuple[float, float]], scale: Scale, color: str, label: str) -> None:
    axes.barh(
        [height for height, _ in heights], [min(value, scale.most) - scale.least for _, value in heights], THICKNESS,
        scale.least, color=color, edgecolor=PAPER, linewidth=0.6, label=label,
    )  # fmt: skip


def _interval(axes: Axes, height: float, mean: float, interval: tuple[float, float]) -> None:
    low, high = interval
    # Gray: to be seen within the bar and beyond it.
    axes.errorbar(
        mean, height, xerr=[[mean - low], [high - mean]], color="0.55", capsize=1.8, elinewidth=1, capthick=1
    )  # fmt: skip


def _value(axes: Axes, height: float, value: float, end: float, scale: Scale) -> None:
    """The value to the right of what is drawn of it."""
    if cut := value > scale.most:
        axes.annotate(
            "//", (scale.most, height), (-14, 0), textcoords="offset points", va="center", fontsize=8,
            bbox={"boxstyle": "square,pad=0", "color": "white"},
        )  # fmt: skip
    axes.annotate(
        scale.write(value), (scale.most if cut else min(end, scale.most), height), (3, 0), textcoords="offset points",
        va="center_baseline", fontsize=7.5, annotation_clip=False,
    )  # fmt: skip


def draw_costs(found: Sequence[Cost], label: str) -> Figure:
    """Figs. 11 and 12: the paper's thousands and ours, on a logarithmic axis since they span four powers of ten."""
    with style():
        drawing = Figure(figsize=(5.6, 0.5 + ROW * len(found)))
        axes = drawing.subplots()
        axes.set_xscale("log")
        draw_bars(axes, [Bar(one.line.row.title, one.paper, one.ours) for one in found], Scale(1, 3e5, thousands))
        axes.set_xlabel(label)
    return drawing
