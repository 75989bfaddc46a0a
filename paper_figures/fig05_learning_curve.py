"""Fig. 5: training and test error of LeNet-5 against the number of passes through the training set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.harness.loader import Loader, NoResults
from experiments.harness.store import Runs
from experiments.paper import numbers as paper
from paper_figures._style import COLUMN, PAPER, TEST, TRAIN, style

PASSES = 20
"""The paper's axis; its 21st marker has no pass."""


@dataclass(frozen=True)
class Curves:
    """Errors in percent, shape (seeds, passes); training error is measured on the fly."""

    test: NDArray[np.float64]
    train: NDArray[np.float64]


def curves(runs: Runs) -> Curves:
    """The curves of all runs that did not diverge."""
    if not runs.finished:
        raise NoResults(f"every run in {runs.folder} diverged: there is no curve to draw")
    passes = min(len(result.passes) for result in runs.finished)

    def rates(part: str) -> NDArray[np.float64]:
        return np.array(
            [[entry[f"{part}_error_percent"] for entry in result.passes[:passes]] for result in runs.finished]
        )

    return Curves(rates("test"), rates("train"))


def figure(load: Loader) -> Figure:
    """Draw Fig. 5."""
    return draw(curves(load.one(paper.LENET5)))


def draw(ours: Curves) -> Figure:
    """Our mean as a line, the range of the seeds as a band, the paper's markers on top."""
    with style():
        drawing = Figure(figsize=COLUMN)
        axes = drawing.subplots()
        _curve(axes, ours.test, paper.FIG5_TEST, TEST, "-", "o", "Test")
        _curve(axes, ours.train, paper.FIG5_TRAIN, TRAIN, "--", "s", "Training")
        axes.set(xlabel="Training set iterations", ylabel="Error rate (%)", xlim=(0, PASSES), ylim=(0, 5))
        axes.set_xticks(range(0, PASSES + 1, 4))
        runs = len(ours.test)
        axes.legend(title=f"Ours: mean and range of {runs} seeds" if runs > 1 else "Ours: one run", title_fontsize=8)
    return drawing


def _curve(
    axes: Axes, ours: NDArray[np.float64], theirs: tuple[float, ...], color: str, line: str, marker: str, label: str
) -> None:
    passes = np.arange(1, ours.shape[1] + 1)
    axes.fill_between(passes, ours.min(0), ours.max(0), color=color, alpha=0.25, linewidth=0)
    axes.plot(passes, ours.mean(0), line, color=color, label=f"{label}, ours")
    axes.plot(
        range(1, PASSES + 1),
        theirs[:PASSES],
        marker,
        markersize=3.5,
        markerfacecolor="white",
        markeredgecolor=PAPER,
        markeredgewidth=0.8,
        clip_on=False,
        zorder=3,
        label=f"{label}, paper",
    )
