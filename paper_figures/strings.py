"""Strings read wrong against their length and against how far apart their digits are, by the readers of Section VII.

Bars are one standard deviation over seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from experiments.paper.strings import CTC, GAPS, LENGTHS, SDNN, decided, row, shown_way
from lenet98.data.strings import Strings
from paper_figures._style import TEST, TRAIN, style

LOOKS = {
    SDNN: ("LeNet-5 replicated (VII)", TEST, "o", "-"),
    CTC: ("a network of today, CTC", TRAIN, "s", "--"),
}
"""Label, color, marker and line, by experiment."""


def figure(load: Loader) -> Figure:
    """Draw the readers that have results; NoResults if the replicated network has none."""
    return draw(load.there(decided(), needed=[SDNN]))


def draw(used: Mapping[str, Runs]) -> Figure:
    """A panel for the length and one for the gap."""
    with style():
        drawing = Figure(figsize=(7.0, 2.9), layout="constrained")
        of_length, of_gap = drawing.subplots(1, 2, sharey=True)
        _panel(of_length, used, "length", LENGTHS)
        _panel(of_gap, used, "gap", GAPS)
        of_length.set(xlabel="Digits, −1 to 4 px apart", ylabel="Strings read wrong (%)", ylim=(0, None))
        of_gap.set(xlabel="Columns between the boxes of 5 digits")
        least, most = Strings().gap
        of_gap.axvspan(least, most, color="0.92", zorder=0)
        of_gap.annotate("learned (VII.B)", ((least + most) / 2, 0.93), xycoords=("data", "axes fraction"), ha="center")
        of_length.legend(loc="upper left")
    return drawing


def _panel(axes: Axes, used: Mapping[str, Runs], kind: str, values: Sequence[int]) -> None:
    for reader, runs in used.items():
        label, color, marker, line = LOOKS[reader]
        found = [row(runs, "", f"{kind} {value}", shown_way(reader)) for value in values]
        means = np.array([one.mean for one in found], float)
        spread = np.array([one.sd or 0.0 for one in found])
        axes.errorbar(
            values, means, spread, label=label, color=color, marker=marker, linestyle=line, markersize=4, capsize=2
        )
    axes.set_xticks(values, [f"{value}".replace("-", "−") for value in values])
