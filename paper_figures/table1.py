"""Table I: which maps of S2 each map of C3 reads, from the specification."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from lenet98.networks import LENET5
from paper_figures._style import TEST, style

CELL = 0.27
"""Width and height of a cell, inches."""
LEFT, TOP, EDGE = 2.1, 2.1, 0.1
"""Room for the numbers and titles, and for the line at the right, cells."""


def figure(_: Loader) -> Figure:
    """The picture; it needs no results."""
    (layer,) = (layer for layer in LENET5.geometry if layer.kind == "convolution" and not layer.every_map)
    columns, rows = layer.out_shape[0], layer.in_shape[0]
    with style():
        drawn = Figure(figsize=((columns + LEFT + EDGE) * CELL, (rows + TOP + 1) * CELL))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-LEFT, columns + EDGE), ylim=(rows + 1, -TOP), aspect="equal")
        axes.set_axis_off()
        for column in range(columns + 1):
            axes.plot([column, column], [0, rows], color="0.8", linewidth=0.5)
        for row in range(rows + 1):
            axes.plot([0, columns], [row, row], color="0.8", linewidth=0.5)
        places = [(m + 0.5, source + 0.5) for m, source in layer.links]
        axes.plot(*zip(*places, strict=True), "X", color=TEST, markersize=8, markeredgewidth=0)
        for column in range(columns):
            axes.text(column + 0.5, -0.5, str(column), ha="center", va="center", fontsize=9)
            reads = len(layer.table[column])
            axes.text(column + 0.5, rows + 0.5, str(reads), ha="center", va="center", fontsize=8, color="0.4")
        for row in range(rows):
            axes.text(-0.5, row + 0.5, str(row), ha="center", va="center", fontsize=9)
        axes.text(columns / 2, -1.6, f"map of {layer.name}", ha="center", va="center", fontsize=9)
        axes.text(-1.6, rows / 2, "map of S2", ha="center", va="center", rotation=90, fontsize=9)
        axes.text(-0.2, rows + 0.5, "reads", ha="right", va="center", fontsize=8, color="0.4")
    return drawn
