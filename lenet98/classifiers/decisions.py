"""What a classifier says of a pattern: its class, and how far ahead of the second-best that is (Section III.C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Report = Callable[[int, int], None]
"""Told, while a classifier is being fitted, how many of how many parts are done."""


def silent(done: int, total: int) -> None:
    """Tells nobody."""


class Decisions(NamedTuple):
    """What becomes of some patterns."""

    classes: NDArray[np.uint8]
    """Class given to each, shape (n,)."""
    scores: NDArray[np.float32]
    """Difference of the two best outputs; the smaller, the sooner a pattern is rejected (Fig. 10).  Shape (n,)."""


class Classifier(Protocol):
    """A fitted classifier."""

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classify images (n, height, width) of the form that it was fitted on; ValueError for others."""

    @property
    def multiply_accumulates(self) -> int:
        """Of one recognition (Fig. 11)."""

    @property
    def stored(self) -> int:
        """Variables to be kept (Fig. 12)."""


def greatest(outputs: NDArray[np.floating[Any]]) -> Decisions:
    """The class of the greatest of the outputs (n, classes), of the lowest number where two tie."""
    second, best = np.partition(outputs, -2, axis=1)[:, -2:].T
    return Decisions(outputs.argmax(axis=1).astype(np.uint8), (best - second).astype(np.float32))
