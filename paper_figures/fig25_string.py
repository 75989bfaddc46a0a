"""Fig. 25: a string read without segmentation, with the states of C1, C3 and C5 of the replicated network.

With the authors' PDF: its 2345, the states of 1998 on the left and ours on the right.  Without it: test digits of MNIST
that touch.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.trunk1998 import pictures
from lenet98.trunk1998.pictures import States
from paper_figures._display import place, stacked
from paper_figures._strings import LEFT, RIGHT, String, answers_to, draw_string, height, made
from paper_figures._style import style
from paper_figures._trained import STRINGS, Trained, trained

SEEDS = 4
"""So many networks at most."""
STRING, BETWEEN_BOXES = "2345", 0
"""What ours shows, and empty columns between its digits."""
WIDTHS = {"C1": 0.45, "C3": 0.2, "C5": 0.14}
"""Of the layers' columns, in heights of the panel."""
SPACE, HEAD = 1.5, 9.0
"""Between columns, and above the panel, pixels of the input."""
UNIT = 0.045
"""Inches a pixel of the input."""


def figure(load: Loader, pdf: Path | None = None) -> Figure:
    """Draw Fig. 25 from published weights or results, with the paper's side if its PDF is named."""
    ours = trained(load, STRINGS, SEEDS)
    string = String.of_1998(pictures.fig25(pdf)) if pdf else made(load_mnist(None), STRING, BETWEEN_BOXES)
    return draw(string, ours)


def draw(string: String, ours: Trained) -> Figure:
    """The maps, and the string with the answers of all networks."""
    answers = answers_to(string, ours)
    tall = height(len(answers))
    maps = sum(WIDTHS.values()) * tall + SPACE * len(WIDTHS)
    both = string.theirs is not None
    middle = maps + LEFT
    whole = middle + string.width + RIGHT + both * maps
    with style():
        drawn = Figure(figsize=(whole * UNIT, (tall + HEAD + 1) * UNIT))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        sides = list(answers.values())
        _layers(axes, 0, tall, sides[0])
        if both:
            _layers(axes, middle + string.width + RIGHT, tall, sides[1])
        draw_string(axes, string, answers, middle, 0)
        axes.text(
            whole / 2, -HEAD + 0.5, f"{'Left the states of 1998, right ours' if both else 'Ours'}: {ours.described}",
            ha="center", va="top", fontsize=9,
        )  # fmt: skip
        axes.set(xlim=(-0.5, whole + 0.5), ylim=(tall + 1, -HEAD))
    return drawn


def _layers(axes: Axes, left: float, tall: float, states: States) -> None:
    for name, share in WIDTHS.items():
        maps = states.layers[name]
        place(axes, stacked(maps) if maps.ndim == 3 else maps, left, 0, share * tall, tall)
        axes.text(left + share * tall / 2, -0.7, name, ha="center", va="bottom", fontsize=8)
        left += share * tall + SPACE
