"""The readings study at a glance: training curves of every reading beside Fig. 5's, and h_kk of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from experiments.paper import numbers as paper
from experiments.paper.readings import Variation, curvatures, of_the_study, training_curves, varied
from lenet98.sdlm import MU
from paper_figures._style import PAPER, TRAIN, style

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Initial weights": ("all", "init", "fan_in_counts_bias", "bias_init"),
    "Subsampling": ("subsampling", "coefficient_init", "coefficient_curvature"),
    "Loss": ("loss", "loss_scale", "rbf_scale"),
    "Second derivatives": ("curvature_scale", "output_curvature"),
    "Eq. 9's j": ("j",),
    "Patterns and weights": ("order", "curvature_patterns", "final_weights"),
}
"""Panels of training curves, each of the variations of some points."""

BESIDE = ("literal", "sum")
"""Variations whose curvature is drawn beside the default's."""

CURVES = ("#0b3d91", "#3a923a", "#7b3294", "#c51b7d", "#1a9bb5", "#8c6d31", "#d62728")
GRAY = "0.6"
LOWEST, HIGHEST = 0.2, 100.0
"""Training error shown, percent."""
FLATTEST, STEEPEST = 1e-6, 30.0
"""h_kk shown; what lies below is drawn at the lower edge."""


@dataclass(frozen=True)
class Panels:
    """What there are results of."""

    default: Runs
    variations: Sequence[tuple[Variation, Runs]]


def figure(load: Loader) -> Figure:
    """Draw the figure of all readings that have results."""
    variations = [(variation, of_the_study(runs)) for variation, runs in varied(load)]
    return draw(Panels(of_the_study(load.one(paper.LENET5)), variations))


def draw(panels: Panels) -> Figure:
    """Two rows of training curves, one panel a group of points, and a row of h_kk by layer."""
    with style():
        drawing = Figure(figsize=(7.2, 9.4), layout="constrained")
        rows = drawing.subplots(3, 3)
        for axes, title in zip(rows[:2].ravel(), GROUPS, strict=True):
            chosen = [(v, runs) for v, runs in panels.variations if v.point in GROUPS[title]]
            _training(axes, title, panels.default, chosen)
        beside = [(v.title, runs) for v, runs in panels.variations if v.name in BESIDE]
        shown = [("DEFAULT", panels.default), *beside]
        for axes, (title, runs) in zip(rows[2], shown, strict=False):
            _curvature(axes, title, runs)
        for axes in rows[2, len(shown) :]:
            axes.set_axis_off()
        for axes in rows[:2, 0]:
            axes.set_ylabel("Training error, on the fly (%)")
        rows[2, 0].set_ylabel(r"Median $h_{kk}$ of a layer")
        for axes in rows[2]:
            axes.set_xlabel("Pass")
        keys = [
            Line2D([], [], color=GRAY, linewidth=2.5, label="DEFAULT"),
            Line2D([], [], linestyle="", marker="o", markersize=3, color=PAPER, label="the paper, Fig. 5"),
        ]
        drawing.legend(handles=keys, loc="outside upper center", ncols=2)
    return drawing


def _training(axes: Axes, title: str, default: Runs, chosen: Sequence[tuple[Variation, Runs]]) -> None:
    _curve(axes, default, color=GRAY, linewidth=2.5)
    for (variation, runs), color, line in zip(chosen, CURVES, cycle(("-", "--")), strict=False):
        _curve(axes, runs, color=color, linewidth=1, linestyle=line, label=variation.title)
    axes.plot(range(1, 21), paper.FIG5_TRAIN[:20], "o", color=PAPER, markersize=2.5, zorder=3)
    axes.set_title(title, fontsize=9)
    axes.set(yscale="log", ylim=(LOWEST, HIGHEST), xlim=(0, 20.5))
    axes.set_xticks(range(0, 21, 5))
    axes.set_yticks([0.2, 1, 10, 100], ["0.2", "1", "10", "100"])
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.1), handlelength=1.6, labelspacing=0.2)


def _curve(axes: Axes, runs: Runs, **look: object) -> None:
    if runs.finished:
        mean = training_curves(runs.finished).mean(axis=0)
        axes.plot(np.arange(1, len(mean) + 1), mean, **look)  # type: ignore[arg-type]


def _curvature(axes: Axes, title: str, runs: Runs) -> None:
    for (layer, h), color in zip(curvatures(runs).items(), CURVES, strict=False):
        axes.plot(np.arange(1, len(h) + 1), np.maximum(h, FLATTEST), color=color, linewidth=1, label=layer)
    axes.axhline(MU, color=TRAIN, linewidth=1, linestyle="--")
    axes.text(20.3, MU, r"$\mu$", color=TRAIN, fontsize=8, va="bottom", ha="right")
    axes.set_title(title, fontsize=9)
    axes.set(yscale="log", ylim=(FLATTEST, STEEPEST), xlim=(0, 20.5))
    axes.set_xticks(range(0, 21, 5))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", ncols=3, handlelength=0.8, columnspacing=0.6, labelspacing=0.2)
