"""Fig. 24: from the outputs of the replicated network to the best interpretation, on a string of test digits.

As in the paper from the bottom up.  The interpretation graph here has of each output the classes nearest to it and the
blank; an arc is there where the model of characters has one.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.decoding import BLANK, Decoded, decode
from lenet98.displacement import penalties
from paper_figures._display import MARGIN, input_gray, place
from paper_figures._strings import FIELD, STEP, String, made
from paper_figures._style import PAPER, TRAIN, style
from paper_figures._trained import STRINGS, Trained, trained

STRING, GAP = "420", 2
"""What is read, and empty columns between boxes."""
CLASSES = 2
"""So many of each output stand in the interpretation graph, the nearest ones; the path is there in any case."""
RADIUS, LINE = 1.5, 4.6
"""Of a node, and from one line of nodes to the next, pixels of the input."""
SIDE = 32.0
"""Room at the left, pixels of the input."""
UNIT = 0.058
"""Inches a pixel of the input."""


def figure(load: Loader) -> Figure:
    """Draw Fig. 24 with the first network of which there are weights."""
    return draw(made(load_mnist(None), STRING, GAP), trained(load, STRINGS, 1))


def nodes(costs: NDArray[np.float32], path: tuple[int, ...]) -> list[list[int]]:
    """Of each output the classes in the interpretation graph, `BLANK` first; costs of shape (outputs, classes)."""
    found = []
    for row, taken in zip(costs, path, strict=True):
        nearest = sorted({*map(int, row.argsort()[:CLASSES]), taken} - {BLANK})
        found.append([BLANK, *nearest])
    return found


def allowed(here: int, after: int) -> bool:
    """Whether the model of characters lets one class follow another on the next output."""
    return here == after or BLANK in (here, after)


def draw(string: String, network: Trained) -> Figure:
    """All that leads from the field to the answer."""
    (seed, net), = network.nets.items()  # fmt: skip
    (costs,) = penalties(net, string.field[None])
    decoded = decode(costs, network.blank)
    columns = nodes(costs, decoded.path)
    with style():
        drawn = Figure()
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        place(axes, input_gray(string.field[:, MARGIN:-MARGIN]), 0, 0, string.width, FIELD)
        high = _box(axes, string.width, -2.5, "SDNN transformer")
        high = _output(axes, costs, 3 * network.blank, high - 2.5)
        _side(axes, high + 16, "SDNN output:\npenalties of the\nclasses, dark = low")
        _model(axes, high - 2.5, string.width / 2 - 16.5)
        high = _box(axes, string.width, high - 3, "Compose")
        low = high - 4.5
        high = _graph(axes, columns, decoded, low)
        _side(axes, (low + high) / 2, "Interpretation graph;\nViterbi's path in orange")
        high = _box(axes, string.width, high - 3, "Viterbi transformer")
        axes.text(
            string.width / 2, high - 4.5, "".join(map(str, decoded.digits)), ha="center", va="center", fontsize=15,
            weight="bold",
        )  # fmt: skip
        _side(axes, high - 4.5, "Viterbi answer")
        axes.text(
            (string.width - SIDE) / 2, FIELD + 4, f"{network.described}, seed {seed}", ha="center", va="center",
            fontsize=8, color="0.3",
        )  # fmt: skip
        axes.set(xlim=(-SIDE - 1, string.width + 1), ylim=(FIELD + 6, high - 8))
        drawn.set_size_inches((string.width + SIDE + 2) * UNIT, (FIELD + 6 - high + 8) * UNIT)
    return drawn


def _side(axes: Axes, at: float, text: str) -> None:
    axes.text(-SIDE, at, text, ha="left", va="center", fontsize=9)


def _center(window: int) -> float:
    return FIELD / 2 - MARGIN + STEP * window


def _box(axes: Axes, width: float, low: float, text: str) -> float:
    """A transformer between two arrows; gives the upper end of the upper arrow."""
    middle = width / 2
    axes.add_patch(Rectangle((middle - 16, low - 5), 32, 5, fill=False, edgecolor=PAPER, linewidth=1.2))
    axes.text(middle, low - 2.5, text, ha="center", va="center", fontsize=9, weight="bold")
    for start in (low + 2.5, low - 5):
        _arrow(axes, (middle, start), (middle, start - 2.5))
    return low - 7.5


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bent: float = 0.0) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=7, linewidth=0.8, color=PAPER, shrinkA=0, shrinkB=0,
            connectionstyle=f"arc3,rad={bent}",
        )
    )  # fmt: skip


def _output(axes: Axes, costs: NDArray[np.float32], white: float, low: float) -> float:
    """A row for each class, a column for each output, white from so high a penalty on; gives its upper end."""
    outputs, classes = costs.shape
    size = 2.4
    top = low - classes * size
    sheet = np.clip(255 * costs.T / white, 0, 255)
    place(axes, sheet, _center(0) - STEP / 2, top, outputs * STEP, classes * size)
    for digit in range(classes):
        at = top + (digit + 0.5) * size
        axes.text(_center(0) - STEP / 2 - 0.8, at, str(digit), ha="right", va="center", fontsize=8)
    return top


def _model(axes: Axes, at: float, box: float) -> None:
    """The least model, left of the box that takes it: a blank between different digits, a digit as often as seen."""
    blank, digit = (-26.0, at - 3), (-14.0, at - 3)
    for (x, y), text in ((blank, "blank"), (digit, "0 ... 9")):
        axes.add_patch(Circle((x, y), 3.4, fill=False, edgecolor=PAPER, linewidth=0.9))
        axes.text(x, y, text, ha="center", va="center", fontsize=7)
        _arrow(axes, (x - 1.6, y - 3.0), (x + 1.6, y - 3.0), -1.6)
    _arrow(axes, (blank[0] + 2.9, at - 4.6), (digit[0] - 2.9, at - 4.6), -0.3)
    _arrow(axes, (digit[0] - 2.9, at - 1.4), (blank[0] + 2.9, at - 1.4), -0.3)
    _side(axes, at + 4.2, "Character model transducer")
    _arrow(axes, (digit[0] + 4.0, at - 3), (box, at - 3))


def _graph(axes: Axes, columns: list[list[int]], decoded: Decoded, low: float) -> float:
    """Nodes and arcs of the interpretation graph, and the path; gives its upper end."""
    places = [
        {state: (_center(window), low - LINE * line) for line, state in enumerate(states)}
        for window, states in enumerate(columns)
    ]
    for here, after in pairwise(places):
        for state, (x, y) in here.items():
            for following, (x2, y2) in after.items():
                if allowed(state, following):
                    axes.plot([x, x2], [y, y2], color="0.75", linewidth=0.6, zorder=1)
    taken = [places[window][state] for window, state in enumerate(decoded.path)]
    axes.plot(*zip(*taken, strict=True), color=TRAIN, linewidth=2, zorder=2)
    for window, states in enumerate(places):
        for state, (x, y) in states.items():
            on = decoded.path[window] == state
            axes.add_patch(
                Circle(
                    (x, y), RADIUS, facecolor="white", edgecolor=TRAIN if on else "0.5",
                    linewidth=1.3 if on else 0.6, zorder=3,
                )
            )  # fmt: skip
            if state != BLANK:
                axes.text(x, y, str(state), ha="center", va="center", fontsize=7.5, zorder=4)
    return low - LINE * (max(map(len, columns)) - 1) - RADIUS
