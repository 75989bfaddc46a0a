"""Which patterns are learned, and which judge what was learned."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet98.data.mnist import MNIST


class Split(NamedTuple):
    """Images, bytes, shape (n, height, width), and labels, shape (n,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    images: NDArray[np.uint8]
    """Of the patterns that judge."""
    labels: NDArray[np.uint8]


def split(data: MNIST, train_size: int, held_out: int = 0) -> Split:
    """The first `train_size` training patterns to learn; to judge, the last `held_out` of them, or the test set if 0.

    Raises ValueError if the training set is too small for both.
    """
    available = len(data.train_images) - held_out
    if held_out < 0:
        raise ValueError(f"Config.held_out is {held_out}; it must be at least 0")
    if not 1 <= train_size <= available:
        besides = f" besides Config.held_out, {held_out}" if held_out else ""
        raise ValueError(f"Config.train_size is {train_size}; there are {available} patterns to learn{besides}")
    learned = data.train_images[:train_size], data.train_labels[:train_size]
    if held_out == 0:
        return Split(*learned, data.test_images, data.test_labels)
    return Split(*learned, data.train_images[-held_out:], data.train_labels[-held_out:])
