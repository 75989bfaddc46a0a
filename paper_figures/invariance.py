"""Errors on test digits that are changed by one factor at a time, with the ranges that Section III.E claims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.harness.loader import Loader
from experiments.paper.invariance import ACCURATE, DIGIT, FACTORS, TITLES, Curve, Factor, curves
from lenet98.data.distortions import FIELD
from paper_figures._style import PAPER, TEST, TRAIN, style

LOOKS = dict(
    zip(TITLES, ((TEST, "-", "o"), (TRAIN, "--", "s"), ("#0a7f6f", "-.", "^"), ("0.45", ":", "D")), strict=True)
)
"""Color, line and marker, by experiment."""


def figure(load: Loader) -> Figure:
    """Draw the curves; NoResults if there are none."""
    there = load.there(TITLES, needed=[next(iter(TITLES))])
    return draw({name: curves(runs) for name, runs in there.items() if runs.finished})


def draw(found: Mapping[str, Mapping[str, Curve]]) -> Figure:
    """A panel for each factor."""
    with style():
        drawing = Figure(figsize=(7.2, 6.4), layout="constrained")
        panels = drawing.subplots(3, 3).ravel()
        for axes, (name, factor) in zip(panels, FACTORS.items(), strict=False):
            _panel(axes, factor, {network: of[name] for network, of in found.items()})
        for axes in panels[len(FACTORS) :]:
            axes.axis("off")
        handles, labels = panels[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="lower right", bbox_to_anchor=(0.98, 0.1))
        for axes in panels[::3]:
            axes.set_ylabel("Test error (%)")
    return drawing


def _panel(axes: Axes, factor: Factor, of: Mapping[str, Curve]) -> None:
    for number, claim in enumerate(factor.claimed):
        shade, words = (("0.92", "claimed in III.E"), ("0.85", "largest / smallest = 2"))[number]
        axes.axvspan(*claim, color=shade, zorder=number / 10, label=words)
    axes.axhline(ACCURATE, color=PAPER, linewidth=0.6, label=f"{ACCURATE:g}%")
    for network, curve in of.items():
        color, line, marker = LOOKS[network]
        axes.plot(
            factor.values, curve.mean, linestyle=line, marker=marker, markersize=3, color=color, label=TITLES[network]
        )
    axes.set(xlabel=factor.title[0].upper() + factor.title[1:], yscale="log", ylim=(0.5, 100))
    axes.set_yticks([1, 10, 100], ["1", "10", "100"])
    if factor.title == "scale":
        axes.set(xscale="log", xlabel=f"Scale (at 2: {2 * DIGIT} px in a field of {FIELD})")
        axes.set_xticks([0.5, 1, 2], ["1/2", "1", "2"])
        axes.xaxis.set_minor_locator(NullLocator())
    elif factor.title.startswith("rotation"):
        axes.set_xticks(np.arange(-60, 61, 30))
