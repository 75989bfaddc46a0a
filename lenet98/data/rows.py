"""Rows of digits in wide fields: strings that a space displacement network reads (Section VII).

Training patterns of Section VII.B are 32 columns wide and have one digit in their middle (`lenet98.data.strings`).
Here whole strings stand in fields as wide as they need.  Gaps are counted as there: empty columns from one box to the
next, fewer than 0 if they overlap; the darker ink shows.  The paper gives no error of any set of strings, so which
digits, how many and how far apart is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet98.data.distortions import FIELD, philox_key
from lenet98.data.fields import LEVELS
from lenet98.data.strings import DRAWS, find_columns, paint
from lenet98.randomness import generator

STEP = 4
"""Pixels between outputs of LeNet-5: fields are 32 columns and a multiple of this wide."""
END = 15
"""Empty columns before the first box and behind the last, at least: the outermost outputs then have it in view."""


@dataclass(frozen=True)
class Rows:
    """A set of strings.

    Raises ValueError, naming the field, for a value that no set can have.
    """

    digits: int = 5
    """Of each string."""
    gap: tuple[int, int] = (-1, 4)
    """Least and greatest gap between two boxes, pixels, all in between equally likely; those of VII.B."""
    strings: int = 1000
    inverted: float = 0.0
    """Probability with which each pixel of the field is inverted."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gap", tuple(self.gap))
        for name in ("digits", "strings"):
            if getattr(self, name) < 1:
                raise ValueError(f"Rows.{name} is {getattr(self, name)!r}; it must be at least 1")
        if len(self.gap) != 2 or self.gap[0] > self.gap[1] or max(map(abs, self.gap)) >= FIELD:
            raise ValueError(f"Rows.gap is {self.gap}; it must be two whole numbers below {FIELD}, the least first")
        if not 0 <= self.inverted <= 1:
            raise ValueError(f"Rows.inverted is {self.inverted!r}; it is a probability, 0 to 1")


class Drawn(NamedTuple):
    """What stands in n rows."""

    image: NDArray[np.int64]
    """Which images, shape (n, digits)."""
    gap: NDArray[np.int64]
    """From each box to the next, shape (n, digits - 1)."""


class Fields(NamedTuple):
    """Rows, ready to be scaled."""

    ink: NDArray[np.uint8]
    """Gray levels, 0 = background, shape (n, 32, width of the widest)."""
    width: NDArray[np.int64]
    """Columns of each row's own field, 32 and a multiple of 4; what lies right of them is empty.  Shape (n,)."""

    @property
    def values(self) -> NDArray[np.float32]:
        """Input values, -0.1 white to 1.175 black."""
        return LEVELS[self.ink]

    @property
    def outputs(self) -> NDArray[np.int64]:
        """How many outputs a network of 32 columns has over each row's own field, shape (n,)."""
        return (self.width - FIELD) // STEP + 1


def beyond(outputs: ArrayLike, count: int) -> NDArray[np.bool_]:
    """Which of `count` outputs lie right of each row's own field, which has `outputs[i]`; shape (n, count)."""
    return np.arange(count) >= np.asarray(outputs)[:, None]


def draw(rows: Rows, seed: int, images: int) -> Drawn:
    """Digits and gaps of a set, of the first so many images; the same for the same set, seed and number of images.

    All sets of one length have the same digits in the same order, whatever their gaps are and however many strings
    there are.  No image stands there twice before each has stood there once: with 10,000 images the first repeats in
    string 2,001 of five digits.  Beyond that strings are not independent of each other.

    Raises ValueError if there are no images.
    """
    if images < 1:
        raise ValueError(f"digits are drawn from {images} images; there must be one")
    # The first counter is 0, since those of `lenet98.modern.ctc` are the numbers of its passes.
    rng, needed = generator(seed, "rows", 0, rows.digits), rows.strings * rows.digits
    image = np.concatenate([rng.permutation(images) for _ in range(-(-needed // images))])[:needed]
    of_gaps = generator(seed, "rows", 0, rows.digits, *(end + FIELD for end in rows.gap))
    gap = of_gaps.integers(rows.gap[0], rows.gap[1], (rows.strings, rows.digits - 1), endpoint=True)
    return Drawn(image.reshape(rows.strings, rows.digits), gap)


def compose(
    images: NDArray[np.uint8], image: ArrayLike, gap: ArrayLike, *, inverted: float = 0.0, seed: int = 0, end: int = END
) -> Fields:
    """Digits side by side.

    Parameters
    ----------
    images
        Shape (N, height, width), 0 = background, at most 32 rows; they stand in the middle of the field's.
    image
        Which stand in each row, shape (n, digits).
    gap
        Columns from each box to the next, shape (n, digits - 1), or one number for all.
    inverted
        Probability with which each pixel is inverted, in the row's own field and right of it.
    seed
        Of what is inverted.
    end
        Empty columns at either end, at least; to the right as many more as make the outputs fit.

    Raises ValueError for other types and shapes, and for images that are not there.
    """
    chosen = np.asarray(image, np.int64)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] > FIELD:
        raise ValueError(f"images must be uint8 (N, height, width) of at most {FIELD} rows, got {images.shape}")
    if chosen.ndim != 2 or 0 in chosen.shape:
        raise ValueError(f"the images of rows must have shape (n, digits), got {chosen.shape}")
    # Compiled code reads past the end of an array without a word, so indices are checked here.
    if chosen.min() < 0 or chosen.max() >= len(images):
        raise ValueError(f"images of rows must lie in 0..{len(images) - 1}, got {chosen.min()} to {chosen.max()}")
    gaps = np.broadcast_to(np.asarray(gap, np.int64), (len(chosen), chosen.shape[1] - 1))
    boxes = np.empty((*chosen.shape, 2), np.int64)
    find_columns(images, chosen, boxes)
    ends = np.cumsum(boxes[..., 1] - boxes[..., 0], axis=1)
    ends[:, 1:] += np.cumsum(gaps, axis=1)
    ends += end
    width = np.maximum(ends.max(axis=1) + end, FIELD)
    width += -width % STEP
    field = np.empty((len(chosen), FIELD, int(width.max())), np.uint8)
    number = np.arange(len(chosen), dtype=np.uint64)
    top = np.full(chosen.shape, (FIELD - images.shape[1]) // 2)
    paint(images, chosen, top, ends - boxes[..., 1], number, np.zeros_like(number),
          np.array(philox_key(seed, "rows"), np.uint64), np.uint64(round(inverted * 2**32)), np.uint64(DRAWS),
          np.arange(256, dtype=np.uint8), field)  # fmt: skip
    return Fields(field, width)


def fields(
    rows: Rows, seed: int, images: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> tuple[Fields, NDArray[np.uint8]]:
    """The fields of a set, and the classes of its digits, shape (strings, digits)."""
    drawn = draw(rows, seed, len(images))
    return compose(images, *drawn, inverted=rows.inverted, seed=seed), labels[drawn.image]
