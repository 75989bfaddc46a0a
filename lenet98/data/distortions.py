"""Artificially distorted training patterns (Section III.B, Fig. 7).

They are planar affine transformations: horizontal and vertical translation, scaling, squeezing (horizontal compression
with vertical elongation, or the reverse) and horizontal shearing.  The text gives no magnitudes; the defaults are those
of the hundred images of Fig. 7, recovered by registration (`experiments.paper.fig7_registration`).

A distorted pattern is named by (seed, pattern, copy) and made when it is needed, the same whatever else is made with
it; copy 0 is the original.  `Pool` is the paper's training set of 60,000 originals and 540,000 distorted patterns, and
the order in which the passes show it.

Coordinates are in pixels from the center of the field, x to the right and y downwards.  A point (x, y) moves to

    x' = sx (x + shear y + shift_x)                 sx = exp(scale + squeeze)
    y' = sy (y + shift_y - anchor) + anchor         sy = exp(scale - squeeze)

Scaling comes last: were it first, no image of Fig. 7 could be shifted by 2.8 px or slanted by 0.17, as one is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, isfinite, log
from typing import Any, Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from lenet98.data.fields import BLACK, WHITE
from lenet98.randomness import Purpose, generator

FIELD = 32
"""Height and width of LeNet-5's input."""

RANGES = ("scale", "squeeze", "shear", "shift_x", "shift_y")
"""The parameters of a distortion, in the order in which `parameters` draws them."""


@dataclass(frozen=True)
class Magnitudes:
    """Half-ranges of the five parameters, each drawn uniformly from its range; there is no rotation.

    Raises ValueError, naming the field, for a range that is negative or not finite, or under which digits would be more
    than doubled or halved, slanted beyond 45 degrees, or moved until their center is off the field.
    """

    scale: float = 0.29
    """Log of the scale of both axes: sizes 0.75 to 1.34."""
    squeeze: float = 0.09
    """Half the log ratio of horizontal to vertical scale; keeps the area."""
    shear: float = 0.14
    """Horizontal displacement per pixel of height, before scaling."""
    shift_x: float = 2.0
    """Horizontal translation, pixels, before scaling."""
    shift_y: float = 2.0
    """Vertical translation, pixels, before scaling."""
    anchor: float = 11.0
    """Pixels below the center of the field of the line that vertical scaling leaves in place; not a range."""

    def __post_init__(self) -> None:
        for name in RANGES:
            half_range = getattr(self, name)
            if not 0 <= half_range < float("inf"):
                raise ValueError(f"Magnitudes.{name} is {half_range!r}; it must be zero or positive and finite")
        if not isfinite(self.anchor):
            raise ValueError(f"Magnitudes.anchor is {self.anchor!r}; it must be finite")
        if self.scale + self.squeeze > log(2):
            raise ValueError(
                f"Magnitudes.scale + squeeze is {self.scale + self.squeeze:.3g}; it must be at most log 2 = 0.693,"
                " digits of twice or half the size"
            )
        if self.shear > 1:
            raise ValueError(f"Magnitudes.shear is {self.shear!r}; it must be at most 1, a slant of 45 degrees")
        largest = exp(self.scale + self.squeeze)
        furthest = {
            "x": largest * self.shift_x,
            "y": largest * (self.shift_y + abs(self.anchor)) - abs(self.anchor),
        }
        for axis, pixels in furthest.items():
            if pixels >= FIELD / 2:
                raise ValueError(
                    f"Magnitudes move the center of a digit up to {pixels:.3g} px in {axis}, off the"
                    f" {FIELD}x{FIELD} field; reduce shift_{axis}" + (", anchor or scale" if axis == "y" else "")
                )

    def scaled(self, m: float) -> Magnitudes:
        """All ranges times m; the anchor stays."""
        if not 0 <= m < float("inf"):
            raise ValueError(f"magnitudes cannot be scaled by {m!r}; the factor must be zero or positive and finite")
        return replace(self, **{name: m * getattr(self, name) for name in RANGES})


FIG7 = Magnitudes()


def parameters(seed: int, patterns: ArrayLike, copies: ArrayLike, magnitudes: Magnitudes = FIG7) -> NDArray[np.float64]:
    """The distortion of each (pattern, copy), a function of (seed, pattern, copy) and nothing else.

    Parameters
    ----------
    seed
        Seed of the run.
    patterns, copies
        Non-negative integers, shape (n,).
    magnitudes
        Ranges to draw from.

    Returns
    -------
    Shape (n, 5), columns as `RANGES`; zeros for copy 0.

    Raises ValueError for rows of different lengths or negative numbers.
    """
    pattern, copy = numbered(patterns, copies)
    counter = np.zeros((4, 2, pattern.size), np.uint64)
    counter[0], counter[1], counter[2] = pattern, copy, [[0], [1]]  # two blocks of four words for five parameters
    words = philox(counter, philox_key(seed, "distortion")).swapaxes(0, 1).reshape(8, -1)[: len(RANGES)]
    uniform = (words >> np.uint64(11)) * 2.0**-52 - 1  # 53 bits, in [-1, 1)
    bounds = np.array([getattr(magnitudes, name) for name in RANGES])
    return uniform.T * bounds * (copy > 0)[:, None]


def numbered(patterns: ArrayLike, copies: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pattern and copy numbers, both shape (n,); ValueError for rows of different lengths or negative numbers."""
    pattern, copy = np.asarray(patterns), np.asarray(copies)
    if pattern.ndim != 1 or pattern.shape != copy.shape:
        raise ValueError(f"patterns and copies must be two rows of one length, got {pattern.shape} and {copy.shape}")
    if pattern.size and min(pattern.min(), copy.min()) < 0:
        raise ValueError(f"pattern and copy numbers cannot be negative, got {min(pattern.min(), copy.min())}")
    return pattern.astype(np.int64), copy.astype(np.int64)


def philox_key(seed: int, purpose: Purpose) -> tuple[int, int]:
    """The key of `philox` for a purpose of run `seed`."""
    first, second = generator(seed, purpose).integers(0, 2**64, 2, dtype=np.uint64)
    return int(first), int(second)


_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Philox4x64-10 (Salmon et al., SC 2011), the block function of `numpy.random.Philox`, on many counters at once.

    Parameters
    ----------
    counter
        Shape (4, ...).
    key
        Two integers below 2**64.

    Returns
    -------
    Random words, uint64, of the shape of `counter`.
    """
    c0, c1, c2, c3 = counter
    for round_number in range(10):
        k0 = np.uint64((key[0] + round_number * 0x9E3779B97F4A7C15) % 2**64)
        k1 = np.uint64((key[1] + round_number * 0xBB67AE8584CAA73B) % 2**64)
        high0, low0 = _product(c0, np.uint64(0xD2E7470EE14C6C93))
        high2, low2 = _product(c2, np.uint64(0xCA5A826395121157))
        c0, c1, c2, c3 = high2 ^ c1 ^ k0, low2, high0 ^ c3 ^ k1, low0
    return np.stack((c0, c1, c2, c3))


def _product(a: NDArray[np.uint64], b: np.uint64) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """High and low 64 bits of the 128-bit product."""
    a_high, a_low, b_high, b_low = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a_high * b_low + (a_low * b_low >> _HALF)
    carry = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _HALF) + (carry >> _HALF), a * b


def matrices(drawn: NDArray[np.float64], anchor: float = FIG7.anchor) -> NDArray[np.float64]:
    """The affine maps of such parameters, (x, y) -> (x', y') about the center of the field.

    Parameters
    ----------
    drawn
        Shape (n, 5), columns as `RANGES`.
    anchor
        Height of the line that vertical scaling leaves in place, pixels below the center.

    Returns
    -------
    Shape (n, 2, 3): the linear part, then the translation.
    """
    scale, squeeze, shear, shift_x, shift_y = drawn.T
    sx, sy = np.exp(scale + squeeze), np.exp(scale - squeeze)
    x = (sx, sx * shear, sx * shift_x)
    y = (np.zeros_like(sy), sy, sy * (shift_y - anchor) + anchor)
    return np.stack((*x, *y), axis=-1).reshape(-1, 2, 3)


def transform(images: NDArray[np.uint8], patterns: ArrayLike, maps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move patterns by affine maps: each pixel takes the bilinear mean of the four around the point that moves there.

    Parameters
    ----------
    images
        Ink, uint8, shape (N, 28, 28), 0 = background.
    patterns
        Which images, shape (n,).
    maps
        Affine maps about the center, shape (n, 2, 3), as of `matrices`.

    Returns
    -------
    Float32, shape (n, 1, 32, 32), -0.1 white to 1.175 black; what comes from outside the image is white.

    Raises ValueError for other types and shapes, and for patterns that are not there.
    """
    chosen = np.asarray(patterns)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(f"images must be uint8 of shape (N, 28, 28), got {images.dtype} of shape {images.shape}")
    if maps.shape != (chosen.size, 2, 3):
        raise ValueError(f"{chosen.size} patterns need maps of shape ({chosen.size}, 2, 3), got {maps.shape}")
    # Compiled code reads past the end of an array without a word, so indices are checked here.
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(images):
        raise ValueError(f"patterns must lie in 0..{len(images) - 1}, got {chosen.min()}..{chosen.max()}")
    moved = np.empty((chosen.size, 1, FIELD, FIELD), np.float32)
    _resample(images, chosen.astype(np.int64), _from_pixels(maps), WHITE, BLACK, moved[:, 0])
    return moved


def _from_pixels(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse maps, from a pixel (column, row) of the field to the point of the 28x28 image that moves there."""
    linear = np.linalg.inv(maps[:, :, :2])
    origin = (28 - 1) / 2 - linear @ ((FIELD - 1) / 2 + maps[:, :, 2:])
    return np.concatenate((linear, origin), axis=2)


@njit(nogil=True, cache=True)
def _resample(images, patterns, inverse, white, black, moved):  # type: ignore[no-untyped-def]
    """Fill `moved` (n, FIELD, FIELD) with the bilinear values of images[patterns[i]] at the points of inverse[i].

    Compiled code is kept on disk until this file changes, so the levels `white` and `black` of `fields` are arguments.
    """
    height, width = images.shape[1:]
    per_level = (black - white) / 255
    for i in range(len(patterns)):
        image, m = images[patterns[i]], inverse[i]
        # Read once: to the compiler, any write to `moved` might change them.
        xx, xy, x0, yx, yy, y0 = m[0, 0], m[0, 1], m[0, 2], m[1, 0], m[1, 1], m[1, 2]
        for row in range(moved.shape[1]):
            for column in range(moved.shape[2]):
                x = xx * column + xy * row + x0
                y = yx * column + yy * row + y0
                left, top = int(np.floor(x)), int(np.floor(y))
                ink = 0.0
                for r in range(max(top, 0), min(top + 2, height)):
                    for c in range(max(left, 0), min(left + 2, width)):
                        ink += (1 - abs(y - r)) * (1 - abs(x - c)) * image[r, c]
                moved[i, row, column] = white + ink * per_level


def distort(
    images: NDArray[np.uint8], patterns: ArrayLike, copies: ArrayLike, seed: int, magnitudes: Magnitudes = FIG7
) -> NDArray[np.float32]:
    """The distorted patterns (seed, pattern, copy), ready for the network; copy 0 is the original.

    Parameters
    ----------
    images
        The training set, uint8, shape (N, 28, 28).
    patterns, copies
        Indices in `images` and copy numbers, shape (n,).
    seed
        Seed of the run.
    magnitudes
        Ranges to draw from.

    Returns
    -------
    Float32, shape (n, 1, 32, 32), -0.1 white to 1.175 black.

    Raises ValueError for other types and shapes, and for patterns that are not there.
    """
    drawn = parameters(seed, patterns, copies, magnitudes)
    return transform(images, patterns, matrices(drawn, magnitudes.anchor))


@dataclass(frozen=True)
class Sample:
    """Patterns, each the original or a copy, in the order in which they are learned."""

    index: NDArray[np.integer[Any]]
    """Index in the training set, shape (n,)."""
    copy: NDArray[np.integer[Any]]
    """Copy number, 0 for the original, shape (n,)."""

    def __getitem__(self, part: slice) -> Sample:
        """The same for a part of the patterns."""
        return Sample(self.index[part], self.copy[part])


@dataclass(frozen=True)
class Pool:
    """Each pattern and its distorted copies: 60,000 originals and 540,000 distorted patterns (Section III.B).

    Ten passes of 60,000 show each of the 600,000 members once, so that in twenty "each individual pattern" is shown
    only twice.
    """

    patterns: int = 60_000
    distorted: int = 9
    """Distorted copies of each pattern."""

    def __post_init__(self) -> None:
        if self.patterns < 1 or self.distorted < 0:
            raise ValueError(
                f"a pool needs patterns and no negative number of copies, got {self.patterns} and {self.distorted}"
            )

    @property
    def copies(self) -> int:
        """Members per pattern, and passes until all have been shown."""
        return 1 + self.distorted

    def pass_sample(self, pass_number: int, seed: int, order: Literal["constant", "reshuffled"] = "constant") -> Sample:
        """Members of the pool that pass `pass_number`, counted from 1, takes, shape (patterns,).

        The members stand in one random order, cut into passes.  After the last cut the same order begins again (App. C:
        "constant random order"), so that passes 1 and 11 take the same; "reshuffled" begins a new order instead.
        """
        if pass_number < 1:
            raise ValueError(f"passes are counted from 1, got {pass_number}")
        round_number, part = divmod(pass_number - 1, self.copies)
        rng = generator(seed, "order", round_number if order == "reshuffled" else 0)
        members = rng.permutation(np.arange(self.patterns * self.copies, dtype=np.int32))
        chosen = members[part * self.patterns : (part + 1) * self.patterns]
        return Sample(*np.divmod(chosen, np.int32(self.copies)))
