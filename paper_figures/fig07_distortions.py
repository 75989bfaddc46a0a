"""Fig. 7: distortions of ten training patterns, each row an original and its nine distorted copies."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from experiments.paper.fig7_registration import samples
from lenet98.data.fields import BLACK, WHITE
from paper_figures._style import COLUMN, style


def figure(load: Loader) -> Figure:
    """Draw Fig. 7, from the training set alone."""
    return draw(samples(load_mnist(None).train_images)[1])


def draw(images: NDArray[np.float32]) -> Figure:
    """Images of shape (patterns, instances, 32, 32), -0.1 white to 1.175 black, side by side at their full size."""
    patterns, instances, height, width = images.shape
    sheet = images.swapaxes(1, 2).reshape(patterns * height, instances * width)
    with style():
        drawing = Figure(figsize=(COLUMN[0], COLUMN[0] * sheet.shape[0] / sheet.shape[1]))
        axes = drawing.add_axes((0, 0, 1, 1))
        axes.imshow(sheet, cmap="gray_r", vmin=WHITE, vmax=BLACK, interpolation="nearest")
        axes.set_axis_off()
    return drawing
