"""Fig. 9: error rate of every classifier on the test set."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.paper.comparison import Line, compared
from paper_figures._bars import ROW, Bar, Scale, draw_bars
from paper_figures._style import style

HIGHEST = 5.0
"""Percent; the few bars beyond are cut."""


def figure(load: Loader) -> Figure:
    """Draw Fig. 9."""
    return draw(bars(compared(load)))


def bars(found: Sequence[Line]) -> list[Bar]:
    """A bar for every classifier, in percent, with the 95% interval of ours, over seeds and patterns."""
    rows = [line.test for line in found]
    return [Bar(row.row, row.paper, row.mean, row.drawn) for row in rows]


def draw(shown: Sequence[Bar]) -> Figure:
    """The paper's errors and ours, with 95% intervals."""
    with style():
        drawing = Figure(figsize=(5.6, 0.5 + ROW * len(shown)))
        axes = drawing.subplots()
        draw_bars(axes, shown, Scale(0, HIGHEST, lambda value: f"{value:.2f}"))
        axes.set_xlabel("Test error rate (%)")
    return drawing
