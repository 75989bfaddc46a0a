"""Fig. 2: LeNet-5, drawn from its specification.  Layers stand at equal distances, maps have their true sizes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.harness.loader import Loader
from lenet98.networks import LENET5
from lenet98.specs import Geometry, Shape
from paper_figures._style import PAPER, TEST, TRAIN, style

SIZE = (9.0, 2.2)
"""Width and height of the figure, inches."""
APART = 50
"""Between two layers, pixels of the input."""
OFFSET = 1.3
"""From one map to the next, pixels of the input."""
LABELS = 34
"""Height of the labels above the axis of the network, pixels of the input."""
COLORS = {"convolution": TEST, "subsampling": TRAIN, "full": TEST, "rbf": PAPER}
WORDS = {
    "convolution": "5x5\nconvolution",
    "subsampling": "2x2\nsubsampling",
    "full": "full\nconnection",
    "rbf": "RBF units,\n7x12 bitmaps",
}


def figure(_: Loader) -> Figure:
    """The picture; it needs no results."""
    layers = LENET5.geometry
    with style():
        drawn = Figure(figsize=SIZE)
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_aspect("equal")
        _maps(axes, 0, LENET5.input_shape, "0.4", ("input", _size(LENET5.input_shape)))
        for place, layer in enumerate(layers, start=1):
            label = (f"{layer.name}: {_size(layer.out_shape)}", f"{layer.parameters:,} parameters")
            if layer.kind == "rbf":
                label = (f"output: {layer.out_shape[0]}", "no parameters")
            _maps(axes, place * APART, layer.out_shape, COLORS[layer.kind], label)
            axes.text((place - 0.5) * APART, -29, _step(layer), ha="center", va="top", fontsize=8, color="0.3")
        axes.set_xlim(-APART * 0.5, (len(layers) + 0.5) * APART)
        axes.set_ylim(-42, 44)
    return drawn


def _size(shape: Shape) -> str:
    maps, height, width = shape
    return f"{height}x{width}" if maps == 1 else str(maps) if height == width == 1 else f"{maps}@{height}x{width}"


def _step(layer: Geometry) -> str:
    """What leads to a layer, in two lines."""
    table = " by Table I" if layer.kind == "convolution" and not layer.every_map else ""
    return WORDS[layer.kind] + table


def _maps(axes: Axes, center: float, shape: Shape, color: str, label: tuple[str, str]) -> None:
    """The maps of a layer, one behind the other; a layer of single units is a column of them."""
    maps, height, width = shape
    if height == width == 1:
        length = 11 * maps**0.3
        axes.add_patch(Rectangle((center - 1.5, -length / 2), 3, length, facecolor=color, alpha=0.35, linewidth=0))
        axes.add_patch(Rectangle((center - 1.5, -length / 2), 3, length, fill=False, edgecolor=color, linewidth=0.7))
    else:
        spread = OFFSET * (maps - 1)
        for m in reversed(range(maps)):
            corner = (center - width / 2 + m * OFFSET - spread / 2, -height / 2 + m * OFFSET - spread / 2)
            axes.add_patch(Rectangle(corner, width, height, facecolor="white", edgecolor=color, linewidth=0.7))
    axes.text(center, LABELS + 1, label[0], ha="center", va="bottom", fontsize=9)
    axes.text(center, LABELS, label[1], ha="center", va="top", fontsize=7.5, color="0.3")
