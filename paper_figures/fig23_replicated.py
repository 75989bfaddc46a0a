"""Fig. 23: LeNet-5 replicated over a wide field, from its specification; in orange what one of its outputs reads.

Maps are as wide as what they see of the field, so that all layers stand above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.accounting import multiply_accumulates
from lenet98.data.fields import BLACK, WHITE
from lenet98.networks import LENET5
from lenet98.specs import Geometry
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


@dataclass(frozen=True)
class Wide:
    """A layer of the replicated network."""

    layer: Geometry
    columns: int
    """Of its maps."""
    pitch: int
    """Pixels of the input from one column to the next."""

    @property
    def size(self) -> str:
        maps, height, _ = self.layer.out_shape
        return f"{self.layer.name}: {maps}@{height}x{self.columns}"

    @property
    def share(self) -> float:
        """Columns over those of the network alone: what it computes, over what one network does."""
        return self.columns / self.layer.out_shape[2]


def wide(width: int) -> Iterator[Wide]:
    """The layers of LeNet-5 over a field of so many columns."""
    pitch = 1
    for layer in LENET5.geometry:
        if layer.kind == "subsampling":
            pitch *= 2
        yield Wide(layer, (width - FIELD) // pitch + layer.out_shape[2], pitch)


def figure(_: Loader) -> Figure:
    """The picture; of results it needs none, and of MNIST the digits that it shows."""
    return draw(made(load_mnist(None), STRING, GAP))


def draw(string: String) -> Figure:
    """LeNet-5 over the string's field."""
    width = string.field.shape[1]
    layers = list(wide(width))
    top = FIELD + APART * len(layers) + 2
    once = sum(multiply_accumulates(one.layer) for one in layers)
    replicated = sum(multiply_accumulates(one.layer) * one.share for one in layers)
    outputs = layers[-1].columns
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
            f"{outputs} outputs for {replicated / 1e6:.2f} million multiply-accumulates, where {outputs} networks have "
            f"{once * outputs / 1e6:.2f} million",
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
