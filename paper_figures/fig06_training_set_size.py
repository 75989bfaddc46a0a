"""Fig. 6: training and test error of LeNet-5 against the size of the training set, and with distortions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MultipleLocator

from experiments.harness.loader import Loader
from experiments.harness.tables import Row
from experiments.paper.training_size import POINTS, Measured, measured
from paper_figures._style import COLUMN, PAPER, TEST, TRAIN, style

DISTORTED = "#2e7d32"
HIGHEST = 1.8
"""Of the paper's axis, percent."""


@dataclass(frozen=True)
class Series:
    """One curve of the figure: the rows of our points and the paper's, each with its number of patterns."""

    label: str
    ours: Sequence[tuple[int, Row]]
    theirs: Sequence[tuple[int, float]]
    color: str
    line: str
    marker: str
    above: bool
    """Whether its label stands above its last point, or below."""


def series(found: Sequence[Measured]) -> list[Series]:
    """The curves of the figure; the paper's points are all there, whatever we have."""
    plain = [one for one in found if one.point.train is not None]
    distorted = [one for one in found if one.point.train is None]
    test = [(point.size, point.test) for point in POINTS if point.train is not None]
    with_distortions = [(point.size, point.test) for point in POINTS if point.train is None]
    train = [(point.size, point.train) for point in POINTS if point.train is not None]
    return [
        Series("Test", [(one.point.size, one.test) for one in plain], test, TEST, "-", "o", True),
        Series(
            "Test,\nwith distortions", [(one.point.size, one.test) for one in distorted], with_distortions,
            DISTORTED, "", "D", False,
        ),
        Series("Training", [(one.point.size, one.train) for one in plain], train, TRAIN, "--", "s", True),
    ]  # fmt: skip


def figure(load: Loader) -> Figure:
    """Draw Fig. 6."""
    return draw(measured(load))


def draw(found: Sequence[Measured]) -> Figure:
    """Our means with the range of the seeds, the paper's markers on top."""
    with style():
        drawing = Figure(figsize=COLUMN)
        axes = drawing.subplots()
        for one in series(found):
            _ours(axes, one)
            _paper(axes, one)
            _label(axes, one)
        axes.set(xlabel="Training set size (x1000)", ylabel="Error rate (%)", xlim=(0, 100))
        axes.set_xticks(range(0, 101, 10))
        axes.yaxis.set_major_locator(MultipleLocator(0.2))
        axes.set_ylim(0, max(HIGHEST, axes.get_ylim()[1]))
        keys = [
            Line2D([], [], color=PAPER, marker="_", label="Ours: mean, range"),
            Line2D([], [], **MARKER, marker="o", label="Paper"),
        ]
        axes.legend(handles=keys, loc="upper right")
    return drawing


MARKER: dict[str, Any] = {
    "linestyle": "", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": PAPER, "markeredgewidth": 0.8,
}  # fmt: skip


def _ours(axes: Axes, one: Series) -> None:
    drawn = [(size / 1000, row) for size, row in one.ours if row.mean is not None]
    if not drawn:
        return
    errors = np.array([[100 * end(row.errors) / row.patterns for _, row in drawn] for end in (min, max)])
    means = np.array([row.mean for _, row in drawn])
    axes.errorbar(
        [size for size, _ in drawn], means, abs(errors - means), color=one.color, linestyle=one.line, marker="_",
        capsize=2.5, label=f"{one.label}, ours",
    )  # fmt: skip


def _paper(axes: Axes, one: Series) -> None:
    sizes, errors = zip(*one.theirs, strict=True)
    axes.plot(np.array(sizes) / 1000, errors, **MARKER, marker=one.marker, zorder=3, label=f"{one.label}, paper")


def _label(axes: Axes, one: Series) -> None:
    """The curve's name to the right of its last point, clear of the neighbors'."""
    size, error = one.theirs[-1]
    ours = [row.mean for last, row in one.ours if last == size and row.mean is not None]
    height = (max if one.above else min)([error, *ours])
    axes.text(
        size / 1000 + 3, height, one.label, color=one.color, fontsize=8, va="bottom" if one.above else "top",
        linespacing=0.9,
    )  # fmt: skip
