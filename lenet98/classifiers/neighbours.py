"""The K nearest neighbors by Euclidean distance (Section III.C.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions
from lenet98.classifiers.distances import squared_distances, squared_norms
from lenet98.data.mnist import CLASSES

BLOCK = 250
"""Patterns classified at a time: with 60,000 prototypes their distances take 60 MB."""


class Found(NamedTuple):
    """What lies near some patterns."""

    classes: NDArray[np.intp]
    """Of the k nearest prototypes, the nearest first, shape (n, k)."""
    nearest: NDArray[np.float32]
    """Distance to the nearest prototype of every class, shape (n, 10)."""


@dataclass(frozen=True)
class KNearest:
    """All training patterns are kept; the class is that of most of the k nearest.

    Where classes have equally many of the k, the one of the nearest prototype among theirs is given.  The rejection
    score is how much farther the nearest prototype of any other class is: the difference of the two best outputs, if
    the output of a class is its distance.  It is negative where the vote overrules the nearest prototype.
    """

    size: tuple[int, int]
    prototypes: NDArray[np.float32]
    """Pixels, shape (n, pixels), class after class."""
    norms: NDArray[np.float32]
    """Their squared norms, shape (n,)."""
    starts: NDArray[np.intp]
    """The first prototype of every class, shape (10,)."""
    k: int

    @classmethod
    def fit(cls, images: NDArray[np.uint8], labels: ArrayLike, *, k: int = 3) -> KNearest:
        """Keep the patterns; ValueError for what cannot be."""
        inputs, classes = vectors(images), classes_of(labels, len(images))
        if not 1 <= k <= len(inputs):
            raise ValueError(f"k is {k!r}; with {len(inputs)} training patterns it must be 1 to {len(inputs)}")
        order = np.argsort(classes, kind="stable")
        prototypes = inputs[order]
        starts = np.searchsorted(classes[order], np.arange(CLASSES))
        return cls(images.shape[1:], prototypes, squared_norms(prototypes), starts, k)

    def neighbours(self, images: NDArray[np.uint8]) -> Found:
        """The nearest prototypes of each image."""
        queries = vectors(images, self.size)
        blocks = [self._found(queries[start : start + BLOCK]) for start in range(0, max(len(queries), 1), BLOCK)]
        return Found(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _found(self, queries: NDArray[np.float32]) -> Found:
        distances = squared_distances(queries, self.prototypes, self.norms)
        near = np.argpartition(distances, self.k - 1, axis=1)[:, : self.k]
        by_distance = np.take_along_axis(distances, near, axis=1).argsort(axis=1, kind="stable")
        near = np.take_along_axis(near, by_distance, axis=1)
        classes = np.searchsorted(self.starts, near, side="right") - 1
        return Found(classes, np.sqrt(np.minimum.reduceat(distances, self.starts, axis=1)))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classes and scores, each (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        found = self.neighbours(images)
        chosen = majority(found.classes)
        each = np.arange(len(chosen))
        others = found.nearest.copy()
        others[each, chosen] = np.inf
        scores = others.min(axis=1) - found.nearest[each, chosen]
        return Decisions(chosen.astype(np.uint8), scores)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes, shape (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        """One a component of every prototype (a difference squared)."""
        return self.prototypes.size

    @property
    def stored(self) -> int:
        """The components of the prototypes."""
        return self.prototypes.size


def majority(classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """The most frequent class in each row, of those equally frequent the one that comes first; shape (n,)."""
    each = np.arange(len(classes))
    votes = np.zeros((len(classes), CLASSES), int)
    for column in classes.T:
        votes[each, column] += 1
    first_of_most = np.take_along_axis(votes, classes, axis=1).argmax(axis=1)
    return classes[each, first_of_most]
