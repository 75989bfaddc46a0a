"""Fig. 1: recognition by two modules, with LeNet-5 beside it: there the same gradient trains both.

Where LeNet-5's feature vector is, is a matter of words.  Here it is what C5 gives, after the last convolution.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from experiments.harness.loader import Loader
from lenet98.networks import LENET5
from lenet98.specs import Geometry
from paper_figures._style import PAPER, TEST, style

SIZE = (5.6, 2.7)
"""Width and height of the figure, inches."""
WIDTH, HEIGHT = 5.0, 1.5
"""Of a module's box; the axes have units of their own."""
RUNS = 1.1
"""Length of an arrow."""


def figure(_: Loader) -> Figure:
    """The picture; it needs no results."""
    convolutional = max(n for n, layer in enumerate(LENET5.geometry) if layer.kind == "convolution") + 1
    features, classifier = LENET5.geometry[:convolutional], LENET5.geometry[convolutional:]
    with style():
        drawn = Figure(figsize=SIZE)
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.text(0, 6.6, "Traditional", ha="center", va="bottom", fontsize=10, weight="bold")
        axes.text(7, 6.6, "LeNet-5", ha="center", va="bottom", fontsize=10, weight="bold")
        _column(
            axes, 0, ("raw input", "feature vector", "class scores"),
            (("Feature extraction", "made by hand"), ("Classifier", "trained")), (PAPER, TEST),
        )  # fmt: skip
        _column(
            axes, 7,
            (_units(LENET5.input_shape), f"{features[-1].units} states", f"{LENET5.classes} distances"),
            (_module(features), _module(classifier)), (TEST, TEST),
        )  # fmt: skip
        axes.set(xlim=(-3, 10), ylim=(-0.7, 7.2))
    return drawn


def _units(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]}x{shape[2]} pixels"


def _module(layers: tuple[Geometry, ...]) -> tuple[str, str]:
    """The layers by name, and how much of them is trained."""
    first, last = (layer.name for layer in (layers[0], layers[-1]))
    return f"{first} to {last}" if len(layers) > 2 else f"{first}, {last}", (
        f"trained: {sum(layer.parameters for layer in layers):,} parameters"
    )


def _column(
    axes: Axes,
    center: float,
    passed: tuple[str, str, str],
    modules: tuple[tuple[str, str], tuple[str, str]],
    colors: tuple[str, str],
) -> None:
    """From the bottom up, as in the paper: what is passed on, and the modules between."""
    axes.text(center, -0.1, passed[0], ha="center", va="top", fontsize=9)
    height = 0.0
    for (title, below), color, handed in zip(modules, colors, passed[1:], strict=True):
        _arrow(axes, center, height, height + RUNS)
        box = FancyBboxPatch(
            (center - WIDTH / 2, height + RUNS), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.15",
            facecolor="white", edgecolor=color, linewidth=1.2,
        )  # fmt: skip
        axes.add_patch(box)
        axes.text(center, height + RUNS + 0.98, title, ha="center", va="center", fontsize=9, color=color)
        axes.text(center, height + RUNS + 0.45, below, ha="center", va="center", fontsize=8, color="0.3")
        height += RUNS + HEIGHT
        axes.text(center + 0.25, height + RUNS / 2, handed, va="center", fontsize=9)
    _arrow(axes, center, height, height + RUNS)


def _arrow(axes: Axes, x: float, low: float, high: float) -> None:
    axes.add_patch(FancyArrowPatch((x, low), (x, high), arrowstyle="-|>", mutation_scale=9, linewidth=0.9, color=PAPER))
