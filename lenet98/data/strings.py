"""Training patterns of the space displacement network: a digit between two others, blanks, inverted pixels (VII.B).

"Training images were composed of a central character, flanked by two side characters picked at random in the training
set"; their bounding boxes are -1 to 4 pixels apart.  "In other instances, no central character was present, in which
case the desired output of the network was the blank space class."  And 10% of the pixels are inverted, as they also are
for the network of Section III.E, which knows neither neighbors nor blanks: that is `NOISE`.

A pattern is named by (seed, pattern, copy) and made when it is needed, the same whatever else is made with it, like the
distorted patterns of `lenet98.data.distortions`.  If digits are distorted too, they are so before they stand in a row:
each is then any of the ten members that the pool of III.B has of it.

The gap between two boxes is the number of empty columns from one to the other: at 0 they are next to each other, at -1
one column is common to both.  A box holds every pixel with any ink.  Where characters overlap, the darker ink shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lenet98.data.distortions import FIELD, Magnitudes, Pool, distort, numbered, philox, philox_key
from lenet98.data.fields import BLACK, LEVELS, WHITE
from lenet98.readings import BEFORE


@dataclass(frozen=True)
class Strings:
    """What Sections III.E and VII.B say of their patterns, and what they leave open.

    Raises ValueError, naming the field, for a value that no pattern can have.
    """

    neighbors: bool = True
    """Whether the central character has others on both sides (VII.B), or stands alone (III.E)."""
    gap: tuple[int, int] = (-1, 4)
    """Least and greatest gap between two boxes, pixels, all in between equally likely.  The authors' manuscript has -1
    to 4; the proceedings lost the minus sign in print."""
    blanks: float = 1 / 11
    """Share of patterns without a central character.  Not in the paper; so each of eleven classes is as frequent."""
    between: float = 0.5
    """Share of the blanks whose center is the gap between two adjacent characters, as the network sees it halfway from
    one to the next; of the others a central character was only taken away.  Not in the paper, which may mean either."""
    missing: float = 0.0
    """Probability that a neighbor is not there, for each side, as at an end of a string.  VII.B has two sides."""
    shift_x: int = 0
    """The whole row is moved by up to so many pixels to either side, but for one that `clear` moves.  Not in the paper;
    outputs of the network are 4 px apart, so 2 would be the most that a digit can lie off the nearest."""
    shift_y: int = 0
    """Each character is moved by up to so many pixels up or down.  Not in the paper, which speaks of varying baselines
    as something that the network copes with."""
    inverted: float = 0.1
    """Probability with which each pixel of the field is inverted (III.E, VII.B)."""
    clear: int | None = field(default=None, metadata={BEFORE: None})
    """A gap that is a blank's center lies anywhere that leaves the middles of the boxes on both sides at least so many
    pixels from the middle of the field, all such places equally likely; exactly in the middle if None.  Where two
    narrow characters leave no such place, the blank is of the other kind: a central character is taken away.  Not in
    the paper.  Digits are about 20 px wide and outputs 4 px apart: most outputs see neither the middle of a digit nor
    that of a gap; and no digit that counts as one is so far off the middle."""
    fresh: bool = True
    """Whether every pass draws anew, or the first drawing stays for all.  The size of the set is not in the paper."""

    def __post_init__(self) -> None:
        for name in ("blanks", "between", "missing", "inverted"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Strings.{name} is {getattr(self, name)!r}; it is a probability or a share, 0 to 1")
        object.__setattr__(self, "gap", tuple(self.gap))
        if len(self.gap) != 2 or not all(isinstance(end, int) and abs(end) < FIELD for end in self.gap):
            raise ValueError(f"Strings.gap is {self.gap}; it must be two whole numbers of pixels below {FIELD}")
        if self.gap[0] > self.gap[1]:
            raise ValueError(f"Strings.gap is {self.gap}; the least must come first")
        for name in ("shift_x", "shift_y"):
            pixels = getattr(self, name)
            if not isinstance(pixels, int) or not 0 <= pixels < FIELD // 2:
                raise ValueError(f"Strings.{name} is {pixels!r}; it must be whole pixels, 0 to {FIELD // 2 - 1}")
        if self.clear is not None and (not isinstance(self.clear, int) or self.clear < 0):
            raise ValueError(f"Strings.clear is {self.clear!r}; it must be whole pixels, 0 or more, or None")


NOISE = Strings(neighbors=False, blanks=0.0)
"""Single centered digits with inverted pixels: the training set of the network of Fig. 13 (III.E)."""


class Layout(NamedTuple):
    """Where the characters of n patterns stand: the central one, the left and the right one, in this order."""

    blank: NDArray[np.bool_]
    """Whether there is no central character, shape (n,)."""
    image: NDArray[np.int64]
    """Which image each is, -1 where there is none, shape (n, 3)."""
    copy: NDArray[np.int64]
    """Which member of III.B's pool each would be if digits are distorted, 0 for the original, shape (n, 3)."""
    gap: NDArray[np.int64]
    """Columns between the boxes to the left and to the right of the center, the first if they meet; shape (n, 2)."""
    between: NDArray[np.bool_]
    """Whether the center is the gap between two characters, where `Strings.clear` lets it be; shape (n,)."""
    shift: NDArray[np.int64]
    """Pixels by which the row is moved to the right, shape (n,)."""
    drop: NDArray[np.int64]
    """Pixels by which each character is moved down, shape (n, 3)."""
    place: NDArray[np.float64]
    """Which of the places that `Strings.clear` allows a gap has, from left to right, 0 to below 1; shape (n,)."""


DRAWS = 4
"""Blocks of random words that the layout of a pattern takes; those for its pixels come after them."""


def layout(seed: int, patterns: ArrayLike, copies: ArrayLike, strings: Strings, images: int) -> Layout:
    """How each (pattern, copy) is composed, a function of (seed, pattern, copy) and nothing else.

    Parameters
    ----------
    seed
        Seed of the run.
    patterns, copies
        Non-negative integers, shape (n,).
    strings
        What to draw.
    images
        Neighbors are drawn from the first so many images.

    Raises ValueError for rows of different lengths, negative numbers, or no images.
    """
    pattern, copy = numbered(patterns, copies)
    if images < 1:
        raise ValueError(f"neighbors are drawn from {images} images; there must be one")
    counter = np.zeros((4, DRAWS, pattern.size), np.uint64)
    counter[0], counter[1], counter[2] = pattern, copy, np.arange(DRAWS, dtype=np.uint64)[:, None]
    words = philox(counter, philox_key(seed, "strings")).swapaxes(0, 1).reshape(4 * DRAWS, -1)
    u = (words >> np.uint64(11)) * 2.0**-53  # 53 bits, in [0, 1)

    def whole(rows: slice, least: int, greatest: int) -> NDArray[np.int64]:
        return (least + np.floor(u[rows] * (greatest - least + 1))).astype(np.int64).T

    blank = u[0] < strings.blanks
    between = blank & (u[1] < strings.between) & strings.neighbors
    gap = whole(slice(2, 4), *strings.gap)
    sides = whole(slice(4, 6), 0, images - 1)
    sides[(u[6:8] < strings.missing).T | (not strings.neighbors)] = -1
    shift = whole(slice(8, 9), -strings.shift_x, strings.shift_x)[:, 0]
    place = np.zeros(pattern.size)
    if strings.clear is None:
        # Half of the patterns have the odd column of their gap on one side of the center and half on the other.
        shift += between * (gap[:, 0] % 2) * (u[12] < 0.5)
    else:
        place[between] = u[1, between] / strings.between  # there u[1] is uniform below `between`
    return Layout(
        blank,
        np.column_stack((pattern, sides)),
        whole(slice(13, 16), 0, Pool().copies - 1),
        gap,
        between,
        shift,
        whole(slice(9, 12), -strings.shift_y, strings.shift_y),
        place,
    )


def blank(seed: int, patterns: ArrayLike, copies: ArrayLike, strings: Strings) -> NDArray[np.bool_]:
    """Which patterns have no central character, shape (n,); the parameters are those of `layout`."""
    return layout(seed, patterns, copies, strings, 1).blank


def compose(
    images: NDArray[np.uint8],
    patterns: ArrayLike,
    copies: ArrayLike,
    seed: int,
    strings: Strings,
    *,
    neighbors: int | None = None,
    distortions: Magnitudes | None = None,
) -> NDArray[np.float32]:
    """The patterns (seed, pattern, copy), ready for the network.

    Parameters
    ----------
    images
        The training set, uint8, shape (N, height, width), 0 = background, at most 32x32; 28x28 if it is distorted.
    patterns, copies
        Indices in `images` of the central characters and copy numbers, shape (n,).
    seed
        Seed of the run.
    strings
        How they are composed.
    neighbors
        The first so many images are those from which neighbors are drawn; all if None.
    distortions
        Each character is one of the ten members of III.B's pool, so distorted; none is if None.

    Returns
    -------
    Float32, shape (n, 1, 32, 32), -0.1 white to 1.175 black.

    Raises ValueError for other types and shapes, and for patterns that are not there.
    """
    drawn = layout(seed, patterns, copies, strings, len(images) if neighbors is None else neighbors)
    if neighbors is not None and neighbors > len(images):
        raise ValueError(f"neighbors are drawn from the first {neighbors} images, but there are {len(images)}")
    if images.dtype != np.uint8 or images.ndim != 3 or max(images.shape[1:]) > FIELD:
        raise ValueError(
            f"images must be uint8 (N, height, width) of at most {FIELD}x{FIELD}, got {images.dtype} of shape "
            f"{images.shape}"
        )
    # Compiled code reads past the end of an array without a word, so indices are checked here.
    if drawn.image.size and not drawn.image.max() < len(images):
        raise ValueError(f"patterns must lie in 0..{len(images) - 1}, got {drawn.image.max()}")
    image = drawn.image
    if distortions:
        images, image = _distorted(images, drawn, seed, distortions)
    boxes = np.empty((*image.shape, 2), np.int64)
    find_columns(images, image, boxes)
    top = (FIELD - images.shape[1]) // 2 + drawn.drop
    left = _corners(boxes, drawn, (FIELD - images.shape[2]) // 2, strings.clear)
    shown = np.where(np.column_stack((drawn.blank, np.zeros((len(image), 2), bool))), -1, image)
    pattern, copy = numbered(patterns, copies)
    key = np.array(philox_key(seed, "strings"), np.uint64)
    field = np.empty((len(image), 1, FIELD, FIELD), np.float32)
    paint(images, shown, top, left, pattern.view(np.uint64), copy.view(np.uint64), key,
           np.uint64(round(strings.inverted * 2**32)), np.uint64(DRAWS), LEVELS, field[:, 0])  # fmt: skip
    return field


def _distorted(
    images: NDArray[np.uint8], drawn: Layout, seed: int, magnitudes: Magnitudes
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The characters of a layout, distorted, as images (m, 32, 32) in 256 levels; and which each is, shape (n, 3)."""
    there = drawn.image >= 0
    ink = distorted_ink(images, drawn.image[there], drawn.copy[there], seed, magnitudes)
    image = np.full(there.shape, -1, np.int64)
    image[there] = np.arange(len(ink))
    return ink, image


def distorted_ink(
    images: NDArray[np.uint8], patterns: ArrayLike, copies: ArrayLike, seed: int, magnitudes: Magnitudes
) -> NDArray[np.uint8]:
    """Members of III.B's pool as `lenet98.data.distortions.distort` has them, in 256 levels, shape (n, 32, 32)."""
    field = distort(images, patterns, copies, seed, magnitudes)[:, 0]
    return np.rint((field - np.float32(WHITE)) * np.float32(255 / (BLACK - WHITE))).astype(np.uint8)


TYPICAL = 20
"""Columns of a character that is missing: MNIST's digits were fitted into boxes of 20x20."""


def _corners(boxes: NDArray[np.int64], drawn: Layout, margin: int, clear: int | None) -> NDArray[np.int64]:
    """Column of the field at which each image begins, shape (n, 3); its box may then begin further to the right.

    `boxes` has the first column of each box and the one after its last, shape (n, 3, 2), within the image.
    """
    central = margin + drawn.shift
    ends = central[:, None] + boxes[:, 0]  # of the central box
    between, gap = drawn.between, drawn.gap[:, 0]
    begins = FIELD // 2 + drawn.shift - (gap + 1) // 2  # a gap in the middle of the field
    if clear is not None:
        # The box on the left ends where the gap begins; both middles are half a width from the gap's ends.
        wide = np.where(drawn.image[:, 1:] < 0, TYPICAL, boxes[:, 1:, 1] - boxes[:, 1:, 0])
        least = FIELD // 2 + clear - gap - wide[:, 1] // 2
        places = FIELD // 2 - clear + wide[:, 0] // 2 - least + 1
        begins = least + np.floor(drawn.place * places).astype(np.int64)
        between = between & (places > 0)
    ends = np.where(between[:, None], np.column_stack((begins, begins + gap)), ends)
    apart = np.where(between[:, None], 0, drawn.gap)
    left = ends[:, 0] - apart[:, 0] - boxes[:, 1, 1]
    right = ends[:, 1] + apart[:, 1] - boxes[:, 2, 0]
    return np.column_stack((central, left, right))


# --- compiled: kept on disk until this file changes, so nothing of another file is used but by argument --------------


@njit(nogil=True, cache=True)
def find_columns(images, chosen, boxes):  # type: ignore[no-untyped-def]
    """First column with ink and the one after the last, to `boxes` (n, 3, 2), of images[chosen[i, k]]; 0, 0 if none."""
    height, width = images.shape[1:]
    for i in range(chosen.shape[0]):
        for k in range(chosen.shape[1]):
            first, last = width, 0
            if chosen[i, k] >= 0:
                image = images[chosen[i, k]]
                for row in range(height):
                    for column in range(first):
                        if image[row, column] > 0:
                            first = column
                            break
                    for column in range(width - 1, last - 1, -1):
                        if image[row, column] > 0:
                            last = column + 1
                            break
            boxes[i, k, 0], boxes[i, k, 1] = (first, last) if first < last else (0, 0)


@njit(nogil=True, cache=True)
def paint(images, chosen, top, left, pattern, copy, key, threshold, first_block, levels, into):  # type: ignore[no-untyped-def]
    """Fill `into` (n, height, width) with images[chosen[i, k]] at (top, left)[i, k], and invert some of the pixels.

    A pixel is inverted where 32 random bits of (pattern, copy) are below `threshold`.  Eight pixels take a block.
    """
    size = images.shape[1:]
    height, width = into.shape[1:]
    ink = np.zeros(height * width, np.uint8)
    low = np.uint64(0xFFFFFFFF)
    for i in range(into.shape[0]):
        ink[:] = 0
        for k in range(chosen.shape[1]):
            if chosen[i, k] < 0:
                continue
            image, y, x = images[chosen[i, k]], top[i, k], left[i, k]
            for row in range(max(0, -y), min(size[0], height - y)):
                for column in range(max(0, -x), min(size[1], width - x)):
                    at = (y + row) * width + x + column
                    ink[at] = max(ink[at], image[row, column])
        if threshold > 0:
            for block in range(height * width // 8):
                words = _philox(pattern[i], copy[i], first_block + np.uint64(block), key[0], key[1])
                for w in range(4):
                    ink[8 * block + 2 * w] ^= np.uint8(255) * np.uint8((words[w] & low) < threshold)
                    ink[8 * block + 2 * w + 1] ^= np.uint8(255) * np.uint8((words[w] >> np.uint64(32)) < threshold)
        for row in range(height):
            for column in range(width):
                into[i, row, column] = levels[ink[row * width + column]]


@njit(nogil=True, cache=True)
def _philox(c0, c1, c2, k0, k1):  # type: ignore[no-untyped-def]
    """`lenet98.data.distortions.philox` of one counter (c0, c1, c2, 0), all uint64; four words."""
    c3 = np.uint64(0)
    for _ in range(10):
        high0, low0 = _product(c0, np.uint64(0xD2E7470EE14C6C93))
        high2, low2 = _product(c2, np.uint64(0xCA5A826395121157))
        c0, c1, c2, c3 = high2 ^ c1 ^ k0, low2, high0 ^ c3 ^ k1, low0
        k0 += np.uint64(0x9E3779B97F4A7C15)
        k1 += np.uint64(0xBB67AE8584CAA73B)
    return c0, c1, c2, c3


@njit(nogil=True, cache=True)
def _product(a, b):  # type: ignore[no-untyped-def]
    """High and low 64 bits of the 128-bit product of two uint64."""
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low, b_high, b_low = a >> half, a & low, b >> half, b & low
    middle = a_high * b_low + (a_low * b_low >> half)
    carry = a_low * b_high + (middle & low)
    return a_high * b_high + (middle >> half) + (carry >> half), a * b
