"""The search for one reading: first-pass rates of all drawn, the ridge they leave, training curves, the fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.harness.loader import Loader, NoResults
from experiments.paper import numbers as paper
from experiments.paper.candidates import CHOSEN
from experiments.paper.fingerprint import FIGURES, OF_1998, Fingerprint, fingerprints
from experiments.paper.posterior import KEPT, Explored, explored, on_the_average
from experiments.paper.search import START
from experiments.paper.trials import ROOM, Tried, distances, results
from lenet98.curvature import curvature_scale
from lenet98.readings import DEFAULT, Reading
from paper_figures._style import PAPER, TEST, TRAIN, style

DRAWN, NEAR = "0.8", "0.5"
SHOWN = 6
"""Readings whose training curves are drawn, the nearest."""

KINDS = {
    "DEFAULT": ("fingerprint/default-strings", "o", TEST),
    "FORMER": ("fingerprint/former-strings", "x", NEAR),
    "v = 1, S4 from 2": ("fingerprint/v1-s2-2-s4-2-h2-strings", "^", TRAIN),
}
"""Readings whose first layers are shown, trained as VII.B says: experiment, marker, color."""


def figure(load: Loader) -> Figure:
    """Draw the search; NoResults if there is none."""
    found = explored(load.one(START), load.one(paper.FORMER).finished)
    tried: Mapping[str, Tried] = {}
    with suppress(NoResults):  # they come later
        tried = results(load)
    layers = load.there([experiment for experiment, *_ in KINDS.values()])
    return draw(found, tried, {name: fingerprints(runs) for name, runs in layers.items()})


def draw(found: Explored, tried: Mapping[str, Tried], layers: Mapping[str, Sequence[Fingerprint]]) -> Figure:
    """Four panels: the plane of the rates, that of v and the coefficients, training curves, the first layers."""
    with style():
        drawing = Figure(figsize=(7.2, 5.4), layout="constrained")
        (rates, ridge), (curves, kinds) = drawing.subplots(2, 2)
        _rates(rates, found)
        _ridge(ridge, found)
        _curves(curves, tried)
        _layers(kinds, layers)
        keys = [
            Line2D([], [], linestyle="", marker=".", color=DRAWN, label="drawn"),
            Line2D([], [], linestyle="", marker="o", markersize=3, color=NEAR, label="rates near"),
            Line2D([], [], linestyle="", marker="o", markersize=3.5, color=TRAIN, label=f"{KEPT} nearest"),
            Line2D([], [], linestyle="", marker="*", markersize=8, color=TEST, label="DEFAULT"),
            Line2D([], [], linestyle="", marker="P", color=PAPER, label="the paper"),
        ]
        drawing.legend(handles=keys, loc="outside upper center", ncols=5)
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

    def place_of(reading: Reading) -> tuple[float, float]:
        pull = reading.rbf_scale * curvature_scale(reading) * np.prod(on_the_average(reading))
        return reading.init_gain, float(pull)

    gain, pull = np.full((2, len(found.numbers)), np.nan)
    for place in np.flatnonzero(found.near):
        gain[place], pull[place] = place_of(found.reading(int(place)))
    near, nearest = np.flatnonzero(found.near), found.nearest(KEPT)
    axes.plot(gain[near], pull[near], "o", color=NEAR, markersize=2)
    axes.plot(gain[nearest], pull[nearest], "o", color=TRAIN, markersize=2.5)
    axes.plot(*place_of(DEFAULT), "*", color=TEST, markersize=11, markeredgecolor="white")
    axes.set(xscale="log", yscale="log", xlabel="Initial range v", ylabel=r"$h \cdot c_{S2} \cdot c_{S4}$")
    axes.set_xticks([0.7, 1, 1.5, 2, 3], ["0.7", "1", "1.5", "2", "3"])
    axes.minorticks_off()


def _curves(axes: Axes, tried: Mapping[str, Tried]) -> None:
    """Training curves of the nearest readings that were trained through all passes."""
    apart = distances(tried) if tried else {}
    lines = [(name, NEAR, 0.8) for name in sorted(apart, key=lambda name: apart[name])[:SHOWN]]
    for name, color, width in (*lines, (f"{ROOM}/{CHOSEN}", TEST, 1.6)):
        if name in tried:
            mean = tried[name].train[60_000].mean(axis=0)
            axes.plot(np.arange(1, len(mean) + 1), mean, color=color, linewidth=width)
    axes.plot(np.arange(1, 21), paper.FIG5_TRAIN[:20], "P", color=PAPER, markersize=4)
    axes.set(yscale="log", xlabel="Pass", ylabel="Training error, on the fly (%)", xlim=(0, 20.5))
    axes.set_xticks(range(0, 21, 5))
    axes.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
    axes.minorticks_off()


def _layers(axes: Axes, layers: Mapping[str, Sequence[Fingerprint]]) -> None:
    """What the first layers became, each seed a mark, in units of those of 1998."""
    for shift, (title, (experiment, marker, color)) in zip((-0.2, 0, 0.2), KINDS.items(), strict=True):
        for seed, one in enumerate(layers.get(experiment, ())):
            ratios = [one[name] / OF_1998[name] for name in FIGURES]
            label = title if seed == 0 else None
            axes.plot(np.arange(len(FIGURES)) + shift, ratios, marker, color=color, markersize=4, label=label)
    axes.axhline(1, color=PAPER, linewidth=0.8)
    axes.set(yscale="log", ylim=(0.4, 14), ylabel="First layers, ours / 1998's")
    axes.set_xticks(range(len(FIGURES)), [name.replace(" ", "\n", 1) for name in FIGURES], rotation=90)
    axes.set_yticks([0.5, 1, 2, 4, 8], ["1/2", "1", "2", "4", "8"])
    axes.minorticks_off()
    axes.legend(loc="upper center", ncols=len(KINDS), handletextpad=0, columnspacing=0.8)
