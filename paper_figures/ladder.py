"""The ladder from 1998 to today: the error of every rung, and beside it what its idea does alone."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.loader import Loader, NoResults
from experiments.modern.ladder import ALONE, LADDER, SLOW, SLOWER, Line, lines
from experiments.paper import numbers as paper
from paper_figures._style import PAPER, TEST, TRAIN, style

ROW = 0.28
"""Height of a rung, inches."""

MOST = 1.0
"""A change alone beyond so many percentage points is written at the edge, where an arrow points out."""


def figure(load: Loader) -> Figure:
    """Draw the rungs that have results."""
    return draw(lines(load, LADDER), _alone(load))


def _alone(load: Loader) -> list[Line]:
    try:
        return [line for line in lines(load, ALONE) if line.change]
    except NoResults:
        return []


def draw(ladder: Sequence[Line], alone: Sequence[Line]) -> Figure:
    """Rungs from top to bottom: error, and each idea's change alone, with 95% intervals over seeds and patterns."""
    titles = [rung.title for rung in LADDER]
    with style():
        drawing = Figure(figsize=(7.0, 0.8 + ROW * len(titles)), layout="constrained")
        left, right = drawing.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        _errors(left, ladder, titles)
        _changes(right, alone, titles)
        left.set_yticks(range(len(titles)), [titles[0], *(f"+ {title}" for title in titles[1:])])
        left.set_ylim(len(titles) - 0.5, -0.5)
    return drawing


def _errors(axes: Axes, found: Sequence[Line], titles: Sequence[str]) -> None:
    rows = [line.row for line in found]
    shown = [(titles.index(row.row), row.mean, row.drawn) for row in rows if row.mean is not None]
    axes.plot([error for _, error, _ in shown], [place for place, _, _ in shown], color="0.8", zorder=1)
    for place, error, interval in shown:
        _interval(axes, place, error, interval, PAPER if place == 0 else TEST)
    axes.set_xlabel("Test error (%), each rung with all above it")
    axes.set_xlim(left=0)
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)


def _changes(axes: Axes, found: Sequence[Line], titles: Sequence[str]) -> None:
    axes.axvline(0, color=PAPER, linewidth=0.7)
    for line in found:
        title = line.variant.title
        if not line.change or (idea := title.removesuffix(SLOW)) not in titles:
            continue
        place, mean = titles.index(idea), line.change.mean
        if abs(mean) > MOST:
            _outside(axes, place, mean)
        else:
            filled, marker = line.variant.against == paper.FORMER, "o" if idea == title else "D"
            _interval(axes, place, mean, line.change.interval, TRAIN, filled=filled, marker=marker)
    for marker, filled, label in (
        ("o", True, "to 1998's network and training"),
        ("o", False, "to 1998's network, trained by AdamW"),
        ("D", True, f"to 1998's, with {SLOWER:g} of eta"),
    ):
        axes.plot([], [], marker, color=TRAIN, markerfacecolor=TRAIN if filled else "white", markersize=4, label=label)
    axes.set_xlabel("Change alone (percentage points)")
    axes.set_xlim(-MOST * 1.1, MOST * 1.1)
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), handletextpad=0.2)


def _outside(axes: Axes, place: int, value: float) -> None:
    """An arrow at the edge that `value` is beyond, and the value beside it."""
    edge, arrow, inwards, side = (MOST, ">", -6, "right") if value > 0 else (-MOST, "<", 6, "left")
    axes.plot(edge, place, arrow, color=TRAIN, markersize=5)
    axes.annotate(
        f"{value:+.0f}", (edge, place), (inwards, 0), textcoords="offset points", ha=side, va="center", fontsize=7.5
    )


def _interval(
    axes: Axes,
    place: int,
    value: float,
    interval: tuple[float, float] | None,
    color: str,
    *,
    filled: bool = True,
    marker: str = "o",
) -> None:
    low, high = interval or (value, value)
    axes.errorbar(
        value, place, xerr=[[max(value - low, 0)], [max(high - value, 0)]], fmt=marker, color=color, markersize=4,
        markerfacecolor=color if filled else "white", capsize=2, elinewidth=1, zorder=2,
    )  # fmt: skip
