"""The network of 1998: C1's kernels with what they detect, Table I tested, and C3's kernels at their places in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from experiments.harness.loader import Loader
from lenet98.networks import TABLE_I
from lenet98.trunk1998.kernels import described
from lenet98.trunk1998.numbers import GEOMETRY, Recovered, recovered
from paper_figures._style import style

DIVERGING = "PuOr_r"
"""Purple for negative, orange for positive weights: for all kinds of color vision, and as dark in gray at both ends."""
KERNEL = 5
PITCH = 6.5
"""From one kernel of C3 to the next, weights."""
LEAST, GREATEST = 0.003, 2.0
"""Rms weights shown in Table I."""


def figure(_: Loader) -> Figure:
    """The picture, from the package's numbers; it needs no results."""
    network = recovered()
    with style():
        drawn = Figure(figsize=(7.2, 6.6), layout="constrained")
        top, middle, bottom = drawn.subfigures(3, 1, squeeze=False, height_ratios=(1.25, 1.15, 1.75))[:, 0]
        _first(top.subplots(1, 6), network)
        _table(middle.subplots(), network)
        _third(bottom.subplots(), network)
        top.suptitle("C1: kernels, each on its own scale, and what they detect", fontsize=9)
        middle.suptitle("Table I tested: rms weight where every map of C3 may read all six of S2", fontsize=9)
        bottom.suptitle("C3: kernels by Table I", fontsize=9)
    return drawn


def kernels(network: Recovered, layer: str) -> NDArray[np.float64]:
    """Shape (kernels, 5, 5), in the order of Table I's filled cells."""
    return network.layers[layer].weights.reshape(-1, KERNEL, KERNEL)


def _first(panels: Sequence[Axes], network: Recovered) -> None:
    for number, (axes, kernel) in enumerate(zip(panels, kernels(network, "C1"), strict=True)):
        _draw(axes, kernel, 0, 0, abs(kernel).max())
        axes.set(aspect="equal", xlim=(0, KERNEL), ylim=(KERNEL, 0))
        axes.set_axis_off()
        axes.set_title(f"{number} (±{abs(kernel).max():.1f})", fontsize=8)
        axes.text(KERNEL / 2, KERNEL + 0.4, described(kernel), ha="center", va="top", fontsize=8)


def _table(axes: Axes, network: Recovered) -> None:
    found = np.array([row["weight"] for row in network.record["table1"]]).T
    mesh = axes.pcolormesh(found, cmap="cividis", norm=LogNorm(LEAST, GREATEST), edgecolors="white", linewidth=0.5)
    for number, sources in enumerate(TABLE_I):
        for source in sources:
            axes.add_patch(Rectangle((number + 0.14, source + 0.14), 0.72, 0.72, fill=False, edgecolor="black", lw=0.9))
    _axes_of_table(axes, 1.0, 0.5)
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("rms weight")


def _third(axes: Axes, network: Recovered) -> None:
    for (number, source), kernel in zip(GEOMETRY["C3"].links, kernels(network, "C3"), strict=True):
        _draw(axes, kernel, number * PITCH, source * PITCH, abs(kernel).max())
    axes.set_aspect("equal")
    _axes_of_table(axes, PITCH, KERNEL / 2)
    for number in set(range(len(TABLE_I))) - set(network.identified):
        axes.text(number * PITCH + KERNEL / 2, 6 * PITCH, "not\nidentified", ha="center", va="top", fontsize=6)


def _axes_of_table(axes: Axes, pitch: float, center: float) -> None:
    """Columns are C3's maps and rows S2's, as in the paper's Table I."""
    axes.set_xticks([number * pitch + center for number in range(16)], [str(number) for number in range(16)])
    axes.set_yticks([source * pitch + center for source in range(6)], [str(source) for source in range(6)])
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.set_ylabel("map of S2")
    axes.spines[:].set_visible(False)
    axes.invert_yaxis()


def _draw(axes: Axes, kernel: NDArray[np.float64], left: float, top: float, scale: float) -> None:
    edges = np.arange(KERNEL + 1)
    axes.pcolormesh(left + edges, top + edges, kernel, cmap=DIVERGING, vmin=-scale, vmax=scale)
    axes.add_patch(Rectangle((left, top), KERNEL, KERNEL, fill=False, edgecolor="0.4", linewidth=0.4))
