"""Fig. 13: unusual, distorted and noisy characters, and all layers of a network that sees them.

With the authors' PDF: its nine characters, the states of 1998 on the left of each and ours on the right.  Without it:
nine of our own, made of MNIST's test digits in the same ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage

from experiments.harness.loader import Loader
from experiments.harness.registry import load_mnist
from lenet98.data.changes import moved
from lenet98.data.distortions import transform
from lenet98.data.fields import BLACK, WHITE, pad_and_scale
from lenet98.data.mnist import MNIST
from lenet98.displacement import penalties
from lenet98.trunk1998 import pictures
from lenet98.trunk1998.pictures import States
from paper_figures._display import distance_shown, field_of, place, shown, stacked
from paper_figures._style import TRAIN, style
from paper_figures._trained import NOISE, Trained, trained

SEEDS = 4
"""So many networks at most."""
WIDTHS = {"C1": 28, "S2": 28, "C3": 13, "S4": 13, "C5": 9}
"""Of the layers' columns, in units of about a pixel of C1."""
SPACE, GAP = 3, 24
"""Between columns, and between panels."""
HEIGHT, INPUT = 180, 112
"""Of a panel, and of its input."""
UNIT = 0.0125
"""Inches."""
LAYERS = sum(WIDTHS.values()) + SPACE * len(WIDTHS)
"""Width of all layers' columns."""


@dataclass(frozen=True)
class Character:
    """One panel."""

    true: int
    field: NDArray[np.float32]
    """Input values, shape (32, 32)."""
    theirs: States | None
    """What the paper shows."""


def figure(load: Loader, pdf: Path | None = None) -> Figure:
    """Draw Fig. 13 from published weights or results, with the paper's side if its PDF is named."""
    ours = trained(load, NOISE, SEEDS)
    return draw(of_1998(pdf) if pdf else of_our_own(load_mnist(None)), ours)


def of_1998(pdf: Path) -> list[Character]:
    """The nine of the paper; it says that all were recognized, so the labels are the classes."""
    return [Character(states.labels[0][1], field_of(states), states) for states in pictures.fig13(pdf)]


def of_our_own(mnist: MNIST) -> list[Character]:
    """Nine from the first 3, 4 and 8 of the test set, treated as the paper's seem to be."""
    made = unusual({digit: mnist.test_images[np.argmax(mnist.test_labels == digit)] for digit in (3, 4, 8)})
    return [Character(digit, pad_and_scale(image[None])[0, 0], None) for digit, image in made]


def unusual(images: dict[int, NDArray[np.uint8]]) -> list[tuple[int, NDArray[np.uint8]]]:
    """Class and image (32, 32), 0 background to 255 ink, of nine characters made of the 3, 4 and 8 in `images`."""
    three, four, eight = (np.pad(images[digit], 2).astype(float) for digit in (3, 4, 8))
    random = np.random.default_rng(0)
    rows, columns = np.indices(four.shape)
    lines = 255.0 * ((rows + columns) % 8 == 0)
    inverted = np.where(random.random(four.shape) < 0.1, 255 - four, four)
    shear = np.array([[[1, -0.7, 0], [0, 1, 0]]])
    slanted = _ink(transform(images[3][None], [0], shear))
    outline = ndimage.grey_dilation(four, (3, 3)) - np.where(four > 128, four, 0)
    broken = np.where(np.isin(rows, (11, 12, 19, 20)), 0, three)
    sprayed = np.where(random.random(four.shape) < 0.6, three, 0) + 255.0 * (random.random(four.shape) < 0.1)
    made = [
        (4, _ink(moved(images[4][None], scale=1.5))),
        (4, _ink(moved(images[4][None], scale=0.6))),
        (4, _ink(moved(images[4][None], degrees=35))),
        (4, inverted),
        (3, np.maximum(slanted, lines)),
        (8, np.maximum(eight, lines)),
        (4, outline),
        (3, broken),
        (3, sprayed),
    ]
    return [(digit, np.clip(np.rint(image), 0, 255).astype(np.uint8)) for digit, image in made]


def _ink(fields: NDArray[np.float32]) -> NDArray[np.float64]:
    """The one field in `fields`, shape (1, 1, 32, 32), as ink, 0 to 255."""
    return 255 * (fields[0, 0].astype(np.float64) - WHITE) / (BLACK - WHITE)


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw(characters: Sequence[Character], ours: Trained) -> Figure:
    """The panels, three a row."""
    both = characters[0].theirs is not None
    width = LAYERS * (1 + both) + INPUT + SPACE * both
    columns, rows = 3, len(characters) // 3
    whole = columns * (width + GAP) - GAP, rows * (HEIGHT + GAP) - GAP
    top, bottom = 54, 4
    with style():
        drawn = Figure(figsize=((whole[0] + 8) * UNIT, (whole[1] + top + bottom) * UNIT))
        axes = drawn.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-4, whole[0] + 4), ylim=(whole[1] + bottom, -top))
        axes.set_axis_off()
        right = 0
        for number, character in enumerate(characters):
            left, high = (number % columns) * (width + GAP), (number // columns) * (HEIGHT + GAP)
            if number < columns:
                _headings(axes, left, both, list(ours.nets))
            right += _panel(axes, left, high, character, ours)
        sides = (
            "Left of each input the states of 1998, right ours" if both else "Left of each input our network's states"
        )
        seeds = f"seed{'s' * (len(ours.nets) > 1)} {', '.join(map(str, ours.nets))}"
        axes.text(
            whole[0] / 2, -top + 4,
            f"{sides}, seed {min(ours.nets)}: {ours.described}\n"
            f"Above: penalty, answer and F6 of {'1998 and of ' * both}{seeds}; "
            f"{right} of our {len(characters) * len(ours.nets)} answers right",
            ha="center", va="top", fontsize=9, linespacing=1.4,
        )  # fmt: skip
        axes.set(xlim=(-4, whole[0] + 4), ylim=(whole[1] + bottom, -top))
    return drawn


def _headings(axes: Axes, left: float, both: bool, seeds: Sequence[int]) -> None:
    for start in (left, left + LAYERS + INPUT + SPACE)[: 1 + both]:
        for name, width in WIDTHS.items():
            axes.text(start + width / 2, -3, name, ha="center", va="bottom", fontsize=8 if width > 20 else 7)
            start += width + SPACE
    for number, title in enumerate(["1998"] * both + [str(seed) for seed in seeds]):
        axes.text(left + LAYERS + _slot(number, both + len(seeds)), -3, title, ha="center", va="bottom", fontsize=8)


def _slot(number: int, of: int) -> float:
    """Center of one of the columns above an input."""
    return INPUT * (number + 0.5) / of


def _panel(axes: Axes, left: float, top: float, character: Character, ours: Trained) -> int:
    """One character; gives the number of our networks that are right."""
    found = [shown(net, character.field) for net in ours.nets.values()]
    costs = [float(penalties(net, character.field[None]).min()) for net in ours.nets.values()]
    middle = left + LAYERS
    theirs = character.theirs
    if theirs:
        _layers(axes, left, top, theirs)
        _layers(axes, middle + INPUT + SPACE, top, found[0])
    else:
        _layers(axes, left, top, found[0])
    place(axes, theirs.input if theirs else found[0].input, middle, top + HEIGHT - INPUT, INPUT, INPUT)
    entries = [(states, f"{cost:.1f}") for states, cost in zip(found, costs, strict=True)]
    if theirs:
        entries.insert(0, (theirs, f">{distance_shown(theirs, 0, character.true):.1f}"))
    for number, (states, cost) in enumerate(entries):
        center = middle + _slot(number, len(entries))
        _, digit, gray = states.labels[0]
        axes.text(center, top + 5, cost, ha="center", va="center", fontsize=7.5, color="0.3")
        axes.text(
            center, top + 19, str(digit), ha="center", va="center", fontsize=12, weight="bold", color=str(gray),
            bbox=None if digit == character.true else {"boxstyle": "square,pad=0.1", "fill": False, "edgecolor": TRAIN},
        )  # fmt: skip
        place(axes, states.layers["F6"][0], center - 8, top + 33, 16, 16 * 12 / 7)
    return sum(states.labels[0][1] == character.true for states in found)


def _layers(axes: Axes, left: float, top: float, states: States) -> None:
    for name, width in WIDTHS.items():
        maps = states.layers[name]
        sheet = stacked(maps) if maps.ndim == 3 else maps
        place(axes, sheet, left, top, width, HEIGHT)
        left += width + SPACE
