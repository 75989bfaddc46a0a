"""Fig. 4: a hundred digits of MNIST, the very ones of the paper, in its order.

The paper says that they are drawn from the test set (III.A).  They are training digits: each of the figure's images is
one of today's training file but for the rounding of its gray levels (correlation above 0.9998), and no test digit comes
near.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from experiments.paper.numbers import FIG4_TRAINING_INDEX
from lenet98.data.fields import BLACK, WHITE, pad_and_scale
from paper_figures._style import COLUMN, style

COLUMNS = 10
"""Digits in a row, as in the paper."""


def figure(_: Loader) -> Figure:
    """Draw Fig. 4, from the training set alone."""
    return draw(digits(load_mnist(None).train_images))


def digits(training: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The hundred in the paper's order, row by row, from the training images; shape (100, 32, 32)."""
    return pad_and_scale(training[list(FIG4_TRAINING_INDEX)])[:, 0]


def draw(images: NDArray[np.float32]) -> Figure:
    """Images of shape (n, 32, 32), -0.1 white to 1.175 black, ten in a row at their full size."""
    height, width = images.shape[1:]
    sheet = images.reshape(-1, COLUMNS, height, width).swapaxes(1, 2).reshape(-1, COLUMNS * width)
    size = COLUMN[0] * sheet.shape[0] / sheet.shape[1]
    with style():
        drawing = Figure(figsize=(COLUMN[0], size))
        axes = drawing.add_axes((0, 0, 1, 1))
        axes.imshow(sheet, cmap="gray_r", vmin=WHITE, vmax=BLACK, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title("Training digits, which the paper calls test digits", fontsize=9)
    return drawing
