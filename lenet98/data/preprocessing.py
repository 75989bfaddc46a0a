"""Digits brought to the forms in which the paper's database holds them (Section III.A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet98.data.mnist import MNIST

FIELD = 28
"""Height and width of an MNIST image."""
BOX = 20
"""Height and width of the box that the digit fits (III.A)."""
REDUCED = 16
"""Height and width of the reduced images (III.A)."""

BLOCK = 5000
"""Images transformed at a time, to spare memory."""

Images = NDArray[np.uint8]


# --- the forms of the database ----------------------------------------------------------------------------------------


def crop(images: Images, size: int = BOX) -> Images:
    """Cut the digits out of their field: the window that holds most ink, of equals the one nearest to the middle.

    MNIST's digits fit 20x20 pixels, but `middle` cuts into most of them, because it is their center of mass that lies
    there.  The window chosen here is the box to which they were normalized: nothing is lost.

    Parameters
    ----------
    images
        Shape (n, height, width), 0 = background.
    size
        Height and width of the window, pixels.

    Returns
    -------
    Shape (n, size, size).

    Raises ValueError for other types and shapes, and for images smaller than the window.
    """
    check_images(images)
    _check_window(images, size)
    cut = images
    for axis in (1, 2):
        start = _window(cut.sum(axis=3 - axis, dtype=np.int64), size)
        places = np.expand_dims(start[:, None] + np.arange(size), 3 - axis)
        cut = np.take_along_axis(cut, places, axis)
    return cut


def middle(images: Images, size: int = BOX) -> Images:
    """Cut the window out of the middle of the field, where MNIST's digits have their center of mass.

    Parameters, result and errors are those of `crop`.
    """
    check_images(images)
    _check_window(images, size)
    top, left = ((side - size) // 2 for side in images.shape[1:])
    return np.ascontiguousarray(images[:, top : top + size, left : left + size])


def _check_window(images: Images, size: int) -> None:
    if not 1 <= size <= min(images.shape[1:]):
        raise ValueError(f"a window of {size}x{size} cannot be cut out of images of {_size(images)}")


def _window(profile: NDArray[np.int64], size: int) -> NDArray[np.intp]:
    """Where the window of `size` pixels begins that holds most of each row of `profile`."""
    sums = np.cumsum(np.pad(profile, ((0, 0), (1, 0))), axis=1)
    held = sums[:, size:] - sums[:, :-size]
    starts = np.arange(held.shape[1])
    nearest = np.argsort(abs(2 * starts - starts[-1]), kind="stable")
    return nearest[held[:, nearest].argmax(axis=1)]


def deslant(images: Images) -> Images:
    """Shift the lines of each digit sideways until its principal axis is vertical.

    The moments are those of the gray levels.  A line is shifted by its height above the center of mass times
    mu_xy / mu_yy, which makes mu_xy zero; linear interpolation keeps the mass and the mean of every line.

    Parameters
    ----------
    images
        Shape (n, height, width), 0 = background.

    Returns
    -------
    The same shape; ink shifted out of the field is lost.  A blank image, or ink on a single line, stays what it is.

    Raises ValueError for other types and shapes.
    """
    check_images(images)
    return _in_blocks(_deslanted, images, images.shape[1:])


def _moments(images: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Height of each line below the center of mass, shape (n, height), and the slant, shape (n,).

    The slant is mu_xy / mu_yy of the ink, pixels to the right per pixel down; 0 where mu_yy is 0.
    """
    height, width = images.shape[1:]
    y, x = np.arange(height), np.arange(width)
    lines = images.sum(axis=2, dtype=np.float64)
    mass = np.maximum(lines.sum(axis=1), 1)
    below = y - (lines @ y / mass)[:, None]
    first = images @ x.astype(np.float64)  # of every line, about the left border; the center's x cancels
    mu_xy, mu_yy = (first * below).sum(axis=1), (lines * below**2).sum(axis=1)
    return below, np.divide(mu_xy, mu_yy, out=np.zeros(len(images)), where=mu_yy > 0)


def _deslanted(images: Images) -> Images:
    below, slant = _moments(images)
    width = images.shape[2]
    source = np.arange(width) + (slant[:, None] * below)[:, :, None]
    left = np.floor(source)
    share = source - left
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1)))

    def at(column: NDArray[np.float64]) -> NDArray[np.uint8]:
        return np.take_along_axis(padded, np.clip(column + 1, 0, width + 1).astype(np.intp), axis=2)

    return np.rint((1 - share) * at(left) + share * at(left + 1)).astype(np.uint8)


def reduce(images: Images, size: int = REDUCED) -> Images:
    """Reduce images to `size` x `size` pixels, each the mean gray level of the area that it covers.

    Parameters
    ----------
    images
        Shape (n, height, width); 20x20 boxes for the paper's 16x16 pixels.

    Returns
    -------
    Shape (n, size, size), rounded to whole gray levels.

    Raises ValueError for other types and shapes, and for images smaller than `size`.
    """
    check_images(images)
    if not 1 <= size <= min(images.shape[1:]):
        raise ValueError(f"images of {_size(images)} cannot be reduced to {size}x{size}")
    down, across = (_areas(side, size) for side in images.shape[1:])
    return _in_blocks(lambda block: np.rint(down @ block @ across.T).astype(np.uint8), images, (size, size))


def _areas(side: int, size: int) -> NDArray[np.float64]:
    """Share of each of `side` pixels in the mean over each of `size` equal intervals, shape (size, side)."""
    edges = np.arange(size + 1) * side / size
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.maximum(overlap, 0) * size / side


def _in_blocks(transform: Callable[[Images], Images], images: Images, shape: tuple[int, ...]) -> Images:
    made = np.empty((len(images), *shape), np.uint8)
    for start in range(0, len(images), BLOCK):
        made[start : start + BLOCK] = transform(images[start : start + BLOCK])
    return made


FORMS: dict[str, Callable[[Images], Images]] = {
    "28x28": lambda images: images,
    "20x20": crop,
    "deslanted": lambda images: middle(deslant(images)),
    "16x16": lambda images: reduce(crop(images)),
}
"""What makes each form of the database out of the regular one; "deslanted" is cropped to 20x20 (III.A)."""


def in_form(data: MNIST, form: str) -> MNIST:
    """The database with all its images in a form of `FORMS`; ValueError lists what exists."""
    if form not in FORMS:
        raise ValueError(f"the database has no form {form!r}; there are {', '.join(FORMS)}")
    transform = FORMS[form]
    return replace(data, train_images=transform(data.train_images), test_images=transform(data.test_images))


def check_images(images: NDArray[Any]) -> None:
    """ValueError unless `images` are bytes of shape (n, height, width)."""
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"images must be uint8 (n, height, width), got {images.dtype} of shape {images.shape}")


def _size(images: Images) -> str:
    return f"{images.shape[1]}x{images.shape[2]}"
