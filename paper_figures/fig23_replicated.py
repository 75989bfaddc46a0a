"""Fig. 23: LeNet-5 replicated over a wide field, from its specification; in orange what one of its outputs reads.

Maps are as wide as what they see of the field, so that all layers stand above it.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.data.fields import BLACK, WHITE
from lenet98.displacement import Wide, operations, wide
from lenet98.networks import LENET5
from paper_figures._strings import FIELD, STEP, String, made
from paper_figures._style import PAPER, TEST, TRAIN, style

STRING, GAP = "4295", 3
"""The paper shows $42.95; and empty columns between boxes."""
WINDOW = 7
"""The output whose field is shown."""
THICK, APART, SHIFT = 5.0, 15.0, 0.55
"""Height of a map as drawn, from one layer to the next, and from map to map, pixels of the input."""
UNIT = 0.045
"""Inches a pixel of the input."""


def figure(_: Loader) -> Figure:
    """The picture; of results it needs none, and of MNIST the digits that it shows."""
    return draw(made(load_mnist(None), STRING, GAP))


def draw(string: String) -> Figure:
    """LeNet-5 over the string's field."""
    width = string.field.shape[1]
    layers = list(wide(LENET5, width))
    top = FIELD + APART * len(layers) + 2
    cost = operations(LENET5, width)
    with style():
        drawn = Figure(figsize=((width + 50) * UNIT, (top + 9) * UNIT))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(string.field, cmap="gray_r", vmin=WHITE, vmax=BLACK, interpolation="nearest",
                    extent=(0, width, 0, FIELD), aspect="auto")  # fmt: skip
        axes.add_patch(Rectangle((0, 0), width, FIELD, fill=False, edgecolor="0.4", linewidth=0.7))
        left = WINDOW * STEP
        axes.add_patch(Rectangle((left, 0), FIELD, FIELD, fill=False, edgecolor=TRAIN, linewidth=1.5))
        _label(axes, width, FIELD / 2, f"input: {FIELD}x{width}")
        below: tuple[float, float, float] = (left, left + FIELD, FIELD)
        for number, one in enumerate(layers):
            base = FIELD + APART * (number + 1) - THICK
            below = _layer(axes, one, base, width, below)
        axes.text(
            0, top + 7,
            f"{cost.outputs} outputs for {cost.replicated / 1e6:.2f} million multiply-accumulates, where "
            f"{cost.outputs} networks have {cost.windows / 1e6:.2f} million",
            ha="left", va="top", fontsize=9,
        )  # fmt: skip
        axes.set(xlim=(-2, width + 48), ylim=(-2, top + 7))
    return drawn


def _layer(
    axes: Axes, one: Wide, base: float, width: int, below: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Its maps, one behind the other, and the part that one output reads; gives where that part is."""
    maps = one.layer.out_shape[0] if one.layer.out_shape[1] > 1 else 1
    length = one.columns * one.pitch
    left = (width - length) / 2
    color = {"convolution": TEST, "full": TEST, "subsampling": "#5a8ac6", "rbf": PAPER}[one.layer.kind]
    for m in reversed(range(maps)):
        corner = (left + m * SHIFT, base + m * SHIFT * 0.6)
        axes.add_patch(Rectangle(corner, length, THICK, facecolor="white", edgecolor=color, linewidth=0.6))
    if maps == 1:
        for column in range(1, one.columns):
            at = left + column * one.pitch
            axes.plot([at, at], [base, base + THICK], color=color, linewidth=0.5)
    first = left + WINDOW * STEP
    last = first + one.layer.out_shape[2] * one.pitch
    axes.add_patch(Rectangle((first, base), last - first, THICK, facecolor=TRAIN, alpha=0.35, linewidth=0))
    axes.add_patch(Rectangle((first, base), last - first, THICK, fill=False, edgecolor=TRAIN, linewidth=1.2))
    for start, end in zip(below[:2], (first, last), strict=True):
        axes.plot([start, end], [below[2], base], color=TRAIN, linewidth=0.7)
    name = one.size if one.layer.kind != "rbf" else f"output: {one.layer.out_shape[0]}@1x{one.columns}"
    _label(axes, width, base + THICK / 2, name)
    return first, last, base + THICK


def _label(axes: Axes, width: int, at: float, text: str) -> None:
    axes.text(width + 13, at, text, ha="left", va="center", fontsize=9)
