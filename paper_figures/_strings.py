"""Strings of digits before a replicated network, as Figs. 25 and 26 show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lenet98.data import rows
from lenet98.data.fields import LEVELS
from lenet98.data.mnist import MNIST
from lenet98.displacement import step
from lenet98.networks import LENET5
from lenet98.trunk1998.pictures import States
from paper_figures._display import MARGIN, field_of, place, shown
from paper_figures._style import TRAIN
from paper_figures._trained import Trained

FIELD = LENET5.input_shape[2]
"""Height of a field, and width of what one output sees, pixels."""
STEP = step(LENET5)
"""From one output to the next, pixels."""
ROW, LABEL = 11.4, 4.0
"""Height of what one network answers and of the labels in it, pixels of the input."""
LEFT, RIGHT = 11.0, 20.0
"""Room beside the input for what stands before and behind a row."""


@dataclass(frozen=True)
class String:
    """One panel."""

    true: str
    field: NDArray[np.float32]
    """Input values, shape (32, width), with the columns that the figure does not show."""
    theirs: States | None
    """What the paper shows."""

    @classmethod
    def of_1998(cls, states: States) -> String:
        """The paper says that it was read right; columns beyond the picture are taken as background."""
        return cls(states.answer, field_of(states, MARGIN), states)

    @property
    def width(self) -> int:
        """Columns that the figure shows."""
        return self.field.shape[1] - 2 * MARGIN


def digits_of(mnist: MNIST, string: str) -> list[NDArray[np.uint8]]:
    """For each digit of a string the first test image of its class that it does not have yet, shape (28, 28)."""
    places: dict[str, int] = {}
    found = []
    for digit in string:
        nth = places[digit] = places.get(digit, -1) + 1
        found.append(mnist.test_images[np.flatnonzero(mnist.test_labels == int(digit))[nth]])
    return found


def row(images: Sequence[NDArray[np.uint8]], gap: int = 1, inverted: float = 0.0, seed: int = 0) -> NDArray[np.uint8]:
    """Digits side by side, of shape (28, 28) each, `gap` empty columns between their boxes; shape (32, width).

    Of the pixels so large a share is inverted (VII.B), by the seed.
    """
    return rows.compose(np.stack(images), [range(len(images))], gap, inverted=inverted, seed=seed).ink[0]


def made(mnist: MNIST, string: str, gap: int = 1, share: float = 0.0) -> String:
    """A string of MNIST's test digits."""
    return String(string, LEVELS[row(digits_of(mnist, string), gap, share, int(string))], None)


def answers_to(string: String, ours: Trained) -> dict[str, States]:
    """What each network makes of a string, by name: that of 1998 first, if the paper shows it, then ours by seed."""
    found = {f"seed {seed}": shown(net, string.field, MARGIN, ours.blank) for seed, net in ours.nets.items()}
    return {"1998": string.theirs, **found} if string.theirs else found


# --- drawing ----------------------------------------------------------------------------------------------------------


def height(networks: int) -> float:
    """Of a panel that has the answers of so many networks, pixels of the input."""
    return networks * ROW + FIELD


def draw_string(
    axes: Axes, string: String, answers: Mapping[str, States], left: float, top: float, names: bool = True
) -> None:
    """The input below, above it the answers of each network: labels by their penalty, F6, and the string.

    Axes are in pixels of the input, y downward; `left` is the input's left edge.  A string that is wrong is framed.
    """
    for number, (name, states) in enumerate(answers.items()):
        high = top + number * ROW
        if names:
            axes.text(left - 1, high + LABEL + 3, name, ha="right", va="center", fontsize=8)
        for window, image in enumerate(states.layers["F6"]):
            place(axes, image, _center(window) + left - 1.75, high + LABEL, 3.5, 6)
        for window, digit, gray in states.labels:
            axes.text(
                left + _center(window), high + LABEL / 2, str(digit), color=str(gray), fontsize=10, weight="bold",
                ha="center", va="center",
            )  # fmt: skip
        wrong = {"boxstyle": "square,pad=0.15", "fill": False, "edgecolor": TRAIN, "linewidth": 1.2}
        axes.text(
            left + string.width + 1.5, high + LABEL + 3, states.answer, fontsize=11, weight="bold", ha="left",
            va="center", bbox=None if states.answer == string.true else wrong,
        )  # fmt: skip
    shown = next(iter(answers.values())).input
    place(axes, shown, left, top + len(answers) * ROW, string.width, FIELD)


def _center(window: int) -> float:
    """Of what an output sees, columns of the picture."""
    return FIELD / 2 - MARGIN + STEP * window
