"""The search for one reading: first-pass rates of all that were drawn, the ridge they leave, and training curves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.harness.loader import Loader, NoResults
from experiments.paper import numbers as paper
from experiments.paper.posterior import KEPT, Explored, explored, on_the_average
from experiments.paper.search import START
from experiments.paper.trials import ROOM, Tried, distances, results
from lenet98.curvature import curvature_scale
from paper_figures._style import PAPER, TEST, TRAIN, style

DRAWN, NEAR = "0.8", "0.5"
SHOWN = 6
"""Readings whose training curves are drawn, the nearest."""


def figure(load: Loader) -> Figure:
    """Draw the search; NoResults if there is none."""
    found = explored(load.one(START), load.one(paper.FORMER).finished)
    tried: Mapping[str, Tried] = {}
    with suppress(NoResults):  # they come later
        tried = results(load)
    return draw(found, tried)


def draw(found: Explored, tried: Mapping[str, Tried]) -> Figure:
    """Three panels: the plane of the rates, the plane of v and the coefficients, training curves."""
    with style():
        drawing = Figure(figsize=(7.2, 3.0), layout="constrained")
        rates, ridge, curves = drawing.subplots(1, 3)
        _rates(rates, found)
        _ridge(ridge, found)
        _curves(curves, tried)
        keys = [
            Line2D([], [], linestyle="", marker=".", color=DRAWN, label="drawn"),
            Line2D([], [], linestyle="", marker="o", markersize=3, color=NEAR, label="rates near"),
            Line2D([], [], linestyle="", marker="o", markersize=3.5, color=TRAIN, label=f"{KEPT} nearest"),
            Line2D([], [], linestyle="", marker="P", color=PAPER, label="the paper"),
        ]
        drawing.legend(handles=keys, loc="outside upper center", ncols=4)
    return drawing


def _rates(axes: Axes, found: Explored) -> None:
    """Least and greatest rate of the first pass."""
    least, greatest = found.rates.T
    axes.plot(least, greatest, ".", color=DRAWN, markersize=1, rasterized=True)
    axes.plot(least[found.near], greatest[found.near], "o", color=NEAR, markersize=2)
    nearest = found.nearest(KEPT)
    axes.plot(least[nearest], greatest[nearest], "o", color=TRAIN, markersize=2.5)
    axes.plot(*found.config.rates, "P", color=PAPER, markersize=6)
    axes.set(xscale="log", yscale="log", xlabel="Least rate of pass 1", ylabel="Greatest rate of pass 1")


def _ridge(axes: Axes, found: Explored) -> None:
    """What the rates tie together: the range of the weights, and the curvature times the gain of the subsampling."""
    gain, pull = np.empty(len(found.numbers)), np.empty(len(found.numbers))
    for place in np.flatnonzero(found.near):
        reading = found.reading(int(place))
        gain[place] = reading.init_gain
        pull[place] = reading.rbf_scale * curvature_scale(reading) * np.prod(on_the_average(reading))
    near, nearest = np.flatnonzero(found.near), found.nearest(KEPT)
    axes.plot(gain[near], pull[near], "o", color=NEAR, markersize=2)
    axes.plot(gain[nearest], pull[nearest], "o", color=TRAIN, markersize=2.5)
    axes.set(xscale="log", yscale="log", xlabel="Initial range v", ylabel=r"$h \cdot c_{S2} \cdot c_{S4}$")
    axes.set_xticks([0.7, 1, 1.5, 2, 3], ["0.7", "1", "1.5", "2", "3"])
    axes.minorticks_off()


def _curves(axes: Axes, tried: Mapping[str, Tried]) -> None:
    """Training curves of the nearest readings that were trained through all passes."""
    apart = distances(tried) if tried else {}
    for name in sorted(apart, key=lambda name: apart[name])[:SHOWN]:
        mean = tried[name].train[60_000].mean(axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, color=TEST, linewidth=0.8, label=name.removeprefix(f"{ROOM}/"))
    axes.plot(np.arange(1, 21), paper.FIG5_TRAIN[:20], "P", color=PAPER, markersize=4)
    axes.set(yscale="log", xlabel="Pass", ylabel="Training error, on the fly (%)", xlim=(0, 20.5))
    axes.set_xticks(range(0, 21, 5))
    axes.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
    axes.minorticks_off()
