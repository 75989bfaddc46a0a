"""What a seed is worth: test errors of LeNet-5 over seeds, plain and with distortions, and 1998's two runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.harness.loader import Loader
from experiments.paper import numbers as paper
from experiments.paper.seeds import THEIRS, TITLES, Seeds, both
from paper_figures._style import TEST, TRAIN, style

COLORS = {paper.LENET5: TEST, paper.DIST_LENET5: TRAIN}
WIDTH = 0.02
"""Of a bar, percentage points: two errors."""


def figure(load: Loader) -> Figure:
    """Draw both distributions; NoResults where there is none."""
    return draw(both(load))


def draw(found: Mapping[str, Seeds]) -> Figure:
    """A histogram of each, and a line where 1998's run is."""
    with style():
        drawing = Figure(figsize=(4.5, 2.8), layout="constrained")
        axes = drawing.subplots()
        for name, one in found.items():
            errors, color = np.round(one.percent / WIDTH).astype(int), COLORS[name]
            values, counts = np.unique(errors, return_counts=True)
            label = f"{TITLES[name]}: mean {one.percent.mean():.2f}, sd {one.sd:.2f}, n {len(one.percent)}"
            axes.bar(values * WIDTH, counts, 0.9 * WIDTH, color=color, alpha=0.6, label=label)
            axes.axvline(THEIRS[name], color=color, linestyle="--", linewidth=1.2)
        for name in found:
            axes.annotate(
                f"1998: {THEIRS[name]:.2f}", (THEIRS[name], 1), (2, -2), xycoords=("data", "axes fraction"),
                textcoords="offset points", rotation=90, va="top", fontsize=8, color=COLORS[name],
            )  # fmt: skip
        axes.set(xlabel="Test error after the last pass (%)", ylabel="Runs")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.legend(loc="outside upper center", ncols=1)
    return drawing
