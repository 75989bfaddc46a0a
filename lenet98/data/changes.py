"""Test digits changed by one factor at a time: what Section III.E says a network is robust to.

"Accurate recognition occurs for scale variations up to about a factor of two, vertical shift variations of plus or
minus about half the height of the character, and rotations up to plus or minus 30 degrees", and there are "salt and
pepper noise" and the marks of Fig. 13.  Every function takes images of ink, uint8, shape (n, 28, 28), 0 = background,
and gives what a network sees of them: float32, shape (n, 1, 32, 32), -0.1 white to 1.175 black.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, cos, hypot, radians, sin

import numpy as np
from numpy.typing import NDArray

from lenet98.data.distortions import FIELD, transform
from lenet98.data.fields import BLACK, pad_and_scale
from lenet98.data.strings import NOISE, compose

Images = NDArray[np.uint8]
Fields = NDArray[np.float32]

FINE = 2
"""Points of the grid on which strokes are widened, by pixel and axis."""
SPECK = 2
"""Side of a speck, pixels: Fig. 13's have two."""


def moved(images: Images, *, scale: float = 1.0, degrees: float = 0.0, right: float = 0.0, down: float = 0.0) -> Fields:
    """The digits scaled and turned clockwise about the center of the field, then shifted by pixels.

    Where they shrink, a pixel is the mean of so many points in it that no ink lies between them.

    Raises ValueError for a scale that is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale is {scale}; it must be positive")
    c, s = scale * cos(radians(degrees)), scale * sin(radians(degrees))
    every = np.arange(len(images))
    finer = 1 if scale >= 1 else ceil(2 / scale)
    offsets = (np.arange(finer) + 0.5) / finer - 0.5
    total = np.zeros((len(images), 1, FIELD, FIELD), np.float32)
    for x in right + offsets:
        for y in down + offsets:
            # y points down, so that this turns clockwise.
            total += transform(images, every, np.broadcast_to([[c, -s, x], [s, c, y]], (len(images), 2, 3)))
    return total / np.float32(finer**2)


def widened(images: Images, pixels: float) -> Fields:
    """Digits whose strokes are wider by so many pixels, half on each side, or narrower.

    On a grid `FINE` times finer each point becomes the darkest, or the lightest, of those around it in a disk: the
    dilation and the erosion of gray morphology.
    """
    fine = images.repeat(FINE, axis=1).repeat(FINE, axis=2)
    ink = fine if pixels >= 0 else 255 - fine
    radius = FINE * abs(pixels) / 2
    reach = int(radius)
    margins = np.pad(ink, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = ink.shape[1:]
    most = ink.copy()
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if 0 < hypot(x, y) <= radius:
                there = margins[:, reach + y : reach + y + height, reach + x : reach + x + width]
                np.maximum(most, there, out=most)
    if pixels < 0:
        most = 255 - most
    parts = [most[:, y::FINE, x::FINE].astype(np.uint16) for y in range(FINE) for x in range(FINE)]
    return pad_and_scale(np.rint(np.sum(parts, axis=0) / FINE**2).astype(np.uint8))


def inverted(images: Images, p: float, seed: int = 0) -> Fields:
    """Each pixel of the field inverted with probability p, as for the network of Fig. 13."""
    every = np.arange(len(images))
    return compose(images, every, np.zeros_like(every), seed, replace(NOISE, inverted=p))


def specked(images: Images, specks: int, seed: int = 0) -> Fields:
    """So many black squares of `SPECK` pixels anywhere in the field, drawn anew for each digit."""
    fields, draw = pad_and_scale(images), np.random.default_rng(seed)
    corners = draw.integers(0, FIELD - SPECK + 1, (2, len(images), specks))
    for row in range(SPECK):
        for column in range(SPECK):
            fields[np.arange(len(images))[:, None], 0, corners[0] + row, corners[1] + column] = BLACK
    return fields
