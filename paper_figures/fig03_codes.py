"""Fig. 3: the 96 codes that the RBF units have as parameters, the ten of LeNet-5's classes framed."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from experiments.harness.loader import Loader
from lenet98.prototypes import FIRST, LAST, ascii_codes
from paper_figures._style import TEST, style

COLUMNS = 16
"""Codes in a row, as in the paper."""
WIDTH, HEIGHT = 7, 12
"""Of a code, pixels."""
PITCH = (13, 21)
"""From one code to the next, across and down, pixels of the codes."""
PIXEL = 0.029
"""Side of a pixel, inches."""


def figure(_: Loader) -> Figure:
    """The picture; it needs no results."""
    codes = ascii_codes().reshape(-1, HEIGHT, WIDTH)
    rows = len(codes) // COLUMNS
    width, height = COLUMNS * PITCH[0], rows * PITCH[1]
    with style():
        drawn = Figure(figsize=(width * PIXEL, height * PIXEL))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        axes.set_axis_off()
        for number, code in enumerate(codes):
            left = (number % COLUMNS) * PITCH[0] + (PITCH[0] - WIDTH) / 2
            top = (number // COLUMNS) * PITCH[1] + 1
            digit = chr(FIRST + number).isdigit()
            box = (left, left + WIDTH, top + HEIGHT, top)
            axes.imshow(code, cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest", extent=box)
            axes.add_patch(
                Rectangle(
                    (left - 0.6, top - 0.6), WIDTH + 1.2, HEIGHT + 1.2, fill=False,
                    edgecolor=TEST if digit else "0.6", linewidth=1.4 if digit else 0.6,
                )
            )  # fmt: skip
            axes.text(
                left + WIDTH / 2, top + HEIGHT + 1.2, name_of(FIRST + number), family="monospace", fontsize=8,
                ha="center", va="top", parse_math=False,
            )  # fmt: skip
    return drawn


def name_of(character: int) -> str:
    """What stands below a code; the first and the last have no sign of their own."""
    return {FIRST: "space", LAST: str(LAST)}.get(character, chr(character))
