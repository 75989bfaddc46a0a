"""Fig. 12: variables that each classifier stores."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.harness.loader import Loader
from experiments.paper.comparison import compared, costs
from paper_figures._bars import draw_costs


def figure(load: Loader) -> Figure:
    """Draw Fig. 12."""
    return draw_costs(costs(compared(load), "stored"), "Stored variables (thousands)")
