"""Digits as a network sees them: in a field of background, gray levels scaled (Section II.B)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

WHITE = -0.1
"""Input value of the background (II.B)."""
BLACK = 1.175
"""Input value of full ink (II.B); with `WHITE` it makes the mean input roughly 0."""

LEVELS = np.linspace(WHITE, BLACK, 256).astype(np.float32)
"""Input value of each gray level, 0 = background."""


def pad_and_scale(images: NDArray[np.uint8], size: int = 32) -> NDArray[np.float32]:
    """Put images in the middle of a larger field of background and scale their gray levels (II.B).

    Parameters
    ----------
    images
        Shape (n, height, width), 0 = background, 255 = ink.
    size
        Height and width of the field, pixels.

    Returns
    -------
    Shape (n, 1, size, size), one map, -0.1 white to 1.175 black.

    Raises ValueError for other types and shapes, and for images larger than the field.
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"images must be uint8 (n, height, width), got {images.dtype} of shape {images.shape}")
    height, width = images.shape[1:]
    if max(height, width) > size:
        raise ValueError(f"images of {height}x{width} do not fit a field of {size}x{size}")
    field = np.full((len(images), 1, size, size), LEVELS[0])
    top, left = (size - height) // 2, (size - width) // 2
    _scale(images, LEVELS, field[:, 0, top : top + height, left : left + width])
    return field


@njit(nogil=True, cache=True)
def _scale(images, levels, scaled):  # type: ignore[no-untyped-def]
    """The level of every gray value of `images`, both (n, height, width)."""
    for i in range(images.shape[0]):
        for row in range(images.shape[1]):
            for column in range(images.shape[2]):
                scaled[i, row, column] = levels[images[i, row, column]]
