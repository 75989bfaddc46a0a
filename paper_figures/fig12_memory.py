"""Fig. 12: variables that each classifier stores."""

from __future__ import annotations

from matplotlib.figure import Figure

from experiments.comparison import compared, costs
from experiments.tables import Loader
from paper_figures.bars import draw_costs


def figure(load: Loader) -> Figure:
    """Draw Fig. 12."""
    return draw_costs(costs(compared(load), "stored"), "Stored variables (thousands)")
