"""A network at work, drawn as Figs. 13, 25 and 26 draw it: states in gray, black positive; labels by their penalty.

`pictures.States` holds what the paper's figures show.  `shown` makes the same of a network of ours, in the same grays,
so that one function draws both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from lenet98.data.fields import BLACK, WHITE
from lenet98.decoding import decode
from lenet98.displacement import penalties
from lenet98.modules import Net
from lenet98.prototypes import bitmaps
from lenet98.published import BLANK_PENALTY
from lenet98.trunk1998.estimate import BACKGROUND_GRAY, Panel
from lenet98.trunk1998.numbers import recovered
from lenet98.trunk1998.pictures import States

Array = NDArray[np.floating[Any]]
Gray = NDArray[np.uint8]

LABEL = (0.08, 0.10, 0.75)
"""Gray of a label without penalty, and per unit of penalty, about as in the paper's figures; and the lightest that can
be read."""
F6 = (12, 7)
"""Rows and columns of F6's image."""
BETWEEN = "#3c6e71"
"""Color between maps."""
MARGIN = 6
"""Columns of the network's field on either side that Figs. 25 and 26 do not show."""


# --- states and their grays -------------------------------------------------------------------------------------------


def field_of(states: States, margin: int = 0) -> NDArray[np.float32]:
    """What the network saw, by the middle of the displayed levels: input values with `margin` columns of background
    added on either side, shape (height, width + 2 margin)."""
    inside = Panel.of(states).input
    return np.pad(inside, ((0, 0), (margin, margin)), constant_values=WHITE).astype(np.float32)


def input_gray(field: Array) -> Gray:
    """Input values as the paper's figures draw them: a light gray for the background, black for ink; any shape."""
    return _gray(BACKGROUND_GRAY * (1 - (field - WHITE) / (BLACK - WHITE)))


def state_gray(states: Array) -> Gray:
    """States of C1 to C5 as drawn in 1998, by the display that the recovered weights come with; any shape."""
    display = recovered().record["display"]
    return _gray(display["offset"] - display["gain"] * states)


def f6_gray(states: Array) -> Gray:
    """States of F6, for which black is 1 and white -1; any shape."""
    return _gray(127.5 - 127.5 * states)


def _gray(levels: Array) -> Gray:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def label_gray(penalty: float) -> float:
    """Gray of a label, 0 black to 1 white: lighter for a higher penalty."""
    least, slope, most = LABEL
    return min(least + slope * penalty, most)


@torch.no_grad()
def shown(net: Net, field: NDArray[np.float32], margin: int = 0, blank: float = BLANK_PENALTY) -> States:
    """A LeNet-5 of ours replicated over a field, shape (32, width), of which `margin` columns are hidden on each side.

    Labels are the nearest classes where they are nearer than a blank; the answer is the string that Viterbi finds.
    """
    names = ["input", *(layer.name for layer in net.spec.hidden)]
    states = dict(zip(names, (x[0].numpy() for x in net.states(torch.from_numpy(field)[None, None])), strict=True))
    layers = {name: state_gray(states[name]) for name in ("C1", "S2", "C3", "S4")}
    layers["C5"] = state_gray(states["C5"][:, 0])
    layers["F6"] = f6_gray(states["F6"][:, 0].T).reshape(-1, *F6)
    (found,) = penalties(net, field[None])
    labels = tuple(
        (window, int(row.argmin()), label_gray(float(row.min())))
        for window, row in enumerate(found)
        if row.min() < blank or len(found) == 1
    )
    answer = "".join(map(str, decode(found, blank).digits))
    return States(input_gray(field[:, margin : field.shape[1] - margin]), layers, labels, answer)


def distance_shown(states: States, window: int, digit: int) -> float:
    """Squared distance from the code of a class of what F6 shows in a window: where states beyond ±1 are cut off, less
    than it was."""
    x = (127.5 - states.layers["F6"][window].astype(float).ravel()) / 127.5
    return float(np.square(x - bitmaps()[digit]).sum())


# --- drawing ----------------------------------------------------------------------------------------------------------


def stacked(maps: Gray, gap: int = 1) -> NDArray[np.float64]:
    """Maps of shape (n, height, width) one below the other as colors 0 to 1, shape (rows, width, 3), lines between."""
    sheet = np.tile(to_rgb(BETWEEN), (len(maps) * (maps.shape[1] + gap) - gap, maps.shape[2], 1))
    for number, one in enumerate(maps):
        top = number * (maps.shape[1] + gap)
        sheet[top : top + maps.shape[1]] = one[..., None] / 255
    return sheet


def place(axes: Axes, image: NDArray[Any], left: float, top: float, width: float, height: float) -> None:
    """Draw grays (0 to 255) or colors with a frame; y runs downward."""
    axes.imshow(
        image, cmap="gray", vmin=0, vmax=255, interpolation="nearest",
        extent=(left, left + width, top + height, top), aspect="auto",
    )  # fmt: skip
    axes.plot(
        [left, left + width, left + width, left, left], [top, top, top + height, top + height, top],
        color=BETWEEN, linewidth=0.6, solid_joinstyle="miter",
    )  # fmt: skip
