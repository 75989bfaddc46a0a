"""Fig. 8: the test patterns that a network misclassifies; below each the correct answer and the network's.

The 82 of the paper, and in the same layout those of one of our networks trained with distortions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from experiments.paper import numbers as paper
from lenet98.data.fig8 import fig8
from paper_figures._style import COLUMN, TRAIN, style

EXPERIMENT = paper.DIST_LENET5
"""Our networks trained as that of Fig. 8 was."""

COLUMNS = 10
"""Digits in a row, as in the paper."""
CELL, LINE = 28, 12
"""Height of a digit and of the line below it, pixels of the digit."""


@dataclass(frozen=True)
class Errors:
    """What one panel shows, in the order of the test set."""

    title: str
    images: NDArray[np.uint8]
    """Shape (n, 28, 28), 0 = background."""
    true: NDArray[np.integer]
    answers: NDArray[np.integer]
    framed: NDArray[np.bool_]
    """Digits to be framed, shape (n,)."""


def errors_of(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.integer], predictions: NDArray[np.integer]
) -> Errors:
    """The errors of a network among the test patterns; framed are those that are also in the paper's Fig. 8.

    Parameters
    ----------
    name
        Of the network, for the title.
    images, labels, predictions
        Of the whole MNIST test set, shapes (10000, 28, 28), (10000,) and (10000,).
    """
    wrong = np.flatnonzero(predictions != labels)
    title = f"{name}: {len(wrong)} errors (framed: in 1998 too)"
    return Errors(title, images[wrong], labels[wrong], predictions[wrong], np.isin(wrong, fig8().test_index))


def figure(load: Loader) -> Figure:
    """Draw Fig. 8, and beside it the errors of our first network that did not diverge, once there is one."""
    mnist = load_mnist(None)
    panels = [paper_errors(mnist.test_images, mnist.test_labels)]
    if (ours := next(load.every(EXPERIMENT), None)) and (finished := ours.finished):
        predictions = finished[0].arrays()["predictions"]
        panels.append(errors_of(f"Ours, seed {finished[0].seed}", mnist.test_images, mnist.test_labels, predictions))
    return draw(*panels)


def paper_errors(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Errors:
    """The paper's Fig. 8, from the MNIST test set."""
    index = fig8().test_index
    answers = fig8().predictions(labels)[index]
    return Errors("The 1998 network: 82 errors", images[index], labels[index], answers, np.zeros(len(index), bool))


def draw(*panels: Errors) -> Figure:
    """The panels side by side, ten digits a row."""
    rows = max(ceil(len(panel.true) / COLUMNS) for panel in panels)
    with style():
        drawing = Figure(figsize=(COLUMN[0] * len(panels), COLUMN[0] * (CELL + LINE) * (rows + 0.5) / (CELL * COLUMNS)))
        for axes, panel in zip(np.ravel(drawing.subplots(1, len(panels))), panels, strict=True):
            _panel(axes, panel, rows)
        drawing.subplots_adjust(0, 0, 1, 0.95, wspace=0.06)
    return drawing


def _panel(axes: Axes, panel: Errors, rows: int) -> None:
    axes.set(xlim=(0, COLUMNS * CELL), ylim=(rows * (CELL + LINE), 0), aspect="equal")
    axes.set_axis_off()
    axes.set_title(panel.title, fontsize=9)
    for place, (image, true, answer, framed) in enumerate(
        zip(panel.images, panel.true, panel.answers, panel.framed, strict=True)
    ):
        top, left = (place // COLUMNS) * (CELL + LINE), (place % COLUMNS) * CELL
        box = (left, left + CELL, top + CELL, top)
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", extent=box)
        axes.text(left + CELL / 2, top + CELL, rf"{true}$\to${answer}", fontsize=8, ha="center", va="top")
        if framed:
            frame = Rectangle((left + 1, top + 1), CELL - 2, CELL - 2, fill=False, edgecolor=TRAIN, linewidth=0.8)
            axes.add_patch(frame)
