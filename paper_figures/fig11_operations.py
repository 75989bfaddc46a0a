"""Fig. 11: multiply-accumulate operations for the recognition of one character."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.paper.comparison import compared, costs
from paper_figures._bars import draw_costs


def figure(load: Loader) -> Figure:
    """Draw Fig. 11."""
    return draw_costs(costs(compared(load), "multiply_accumulates"), "Multiply-accumulates (thousands)")
