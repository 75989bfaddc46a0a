"""Fig. 10: test patterns that must be rejected for 0.5% error on the rest, and the error for every share rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from experiments.paper.comparison import REJECTION_ROWS, REST, Line, compared, rejected, rejection_curve
from paper_figures._bars import ROW, Bar, Scale, draw_bars
from paper_figures._style import PAPER, style

HIGHEST = 10.0
"""Share rejected that is shown, percent."""

FLOOR = 0.02
"""Error rate at the foot of the curves, percent; what lies below is drawn there."""

COLORS = ("#0b3d91", "#d1660f", "#3a923a", "#7b3294", "0.45")
DASHES = ("-", "--")


@dataclass(frozen=True)
class Curve:
    """Percent, of the median run."""

    title: str
    rejected: NDArray[np.float64]
    error: NDArray[np.float64]
    theirs: float | None
    """What the paper rejects for 0.5% error."""


def figure(load: Loader) -> Figure:
    """Draw Fig. 10."""
    found = compared(load, REJECTION_ROWS)
    return draw(bars(found), curves(found))


def bars(found: Sequence[Line]) -> list[Bar]:
    """Share rejected of every classifier, percent."""
    rows = [rejected(line) for line in found]
    return [
        Bar(row.row if row.paper else f"{row.row} (not in Fig. 10)", row.paper, row.mean, row.interval) for row in rows
    ]


def curves(found: Sequence[Line]) -> list[Curve]:
    """The curves of all classifiers that kept scores."""
    return [
        Curve(line.row.title, 100 * curve[0], 100 * curve[1], line.row.rejected)
        for line in found
        if (curve := rejection_curve(line))
    ]


def draw(shown: Sequence[Bar], drawn: Sequence[Curve]) -> Figure:
    """Bars above; below, the curves, with the paper's points on the line of 0.5% error."""
    with style():
        height = 0.3 + ROW * len(shown)
        drawing = Figure(figsize=(5.6, height + 3.6), layout="constrained")
        upper, lower = drawing.subplots(2, height_ratios=(height, 3.6))
        draw_bars(upper, shown, Scale(0, HIGHEST, lambda value: f"{value:.1f}"))
        upper.set_xlabel(f"Rejected (%) for {100 * REST:g}% error on the rest")
        _curves(lower, drawn)
        drawing.legend(*lower.get_legend_handles_labels(), ncols=3, loc="outside lower center")
    return drawing


def _curves(axes: Axes, drawn: Sequence[Curve]) -> None:
    looks = cycle((color, dash) for dash in DASHES for color in COLORS)
    axes.axhline(100 * REST, color=PAPER, linewidth=0.6)
    for curve, (color, dash) in zip(drawn, looks, strict=False):
        axes.step(curve.rejected, np.maximum(curve.error, FLOOR), dash, where="post", color=color, label=curve.title)
        if curve.theirs is not None:
            axes.plot(
                curve.theirs, 100 * REST, "o", markersize=4, markerfacecolor="white", markeredgecolor=color, zorder=3
            )
    axes.plot([], [], "o", markersize=4, markerfacecolor="white", markeredgecolor=PAPER, label="Paper")
    axes.set(
        xlabel="Rejected (%)", ylabel="Error rate on the rest (%)", xlim=(0, HIGHEST), yscale="log", ylim=(FLOOR, 5)
    )
    axes.set_yticks([0.02, 0.1, 0.5, 1, 5], ["0.02", "0.1", "0.5", "1", "5"])
