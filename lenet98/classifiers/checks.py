"""What every classifier is given, checked once: images as bytes, one class a pattern, every class there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet98.data.mnist import CLASSES
from lenet98.data.preprocessing import check_images


def vectors(images: NDArray[np.uint8], like: tuple[int, int] | None = None) -> NDArray[np.float32]:
    """The pixels of each image in one row, 0 = background, 1 = full ink.

    Parameters
    ----------
    images
        Shape (n, height, width), bytes.
    like
        Height and width of the images that the classifier was fitted on, where it was.

    Returns
    -------
    Shape (n, height * width), float32.

    Raises ValueError for other types and shapes.
    """
    check_images(images)
    if like is not None and images.shape[1:] != like:
        given, fitted = (f"{height}x{width}" for height, width in (images.shape[1:], like))
        raise ValueError(f"images are {given}, the classifier was fitted on {fitted}; give images of one form")
    pixels = images.reshape(len(images), images.shape[1] * images.shape[2])
    return pixels.astype(np.float32) / np.float32(255)


def classes_of(labels: ArrayLike, patterns: int, classes: int = CLASSES) -> NDArray[np.intp]:
    """The class of each of `patterns` training patterns, shape (patterns,).

    Raises ValueError unless there is one whole number in 0..classes-1 for each pattern, and a pattern of each class.
    """
    given: NDArray[Any] = np.asarray(labels)
    if given.dtype.kind not in "iu":
        raise ValueError(f"labels are {given.dtype}; they must be whole numbers, 0 to {classes - 1}")
    if given.shape != (patterns,):
        raise ValueError(f"labels have shape {given.shape}; {patterns} images need shape ({patterns},)")
    outside = given[(given < 0) | (given >= classes)]
    if outside.size:
        raise ValueError(f"a label is {outside[0]}; classes are 0 to {classes - 1}")
    empty = np.flatnonzero(np.bincount(given, minlength=classes) == 0)
    if empty.size:
        raise ValueError(f"no pattern of class {', '.join(map(str, empty))}; a classifier needs some of every class")
    return given.astype(np.intp)
