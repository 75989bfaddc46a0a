"""The radial basis function network (Section III.C.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.cluster import KMeans

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions, Report, greatest, silent
from lenet98.classifiers.distances import squared_distances
from lenet98.classifiers.linear import Layer, place_code
from lenet98.data.mnist import CLASSES
from lenet98.randomness import generator


@dataclass(frozen=True)
class RBFNetwork:
    """Gaussian units on the pixels, the first layer, and linear units on those, the second.

    The centers of the Gaussians are found by K-means on each class alone, 100 for each of 10 classes in the paper; the
    second layer is solved by a regularized pseudo-inverse.  The paper gives no widths: one for all units here.
    """

    size: tuple[int, int]
    centers: NDArray[np.float32]
    """Shape (units, pixels), class after class."""
    width: float
    """Standard deviation of the Gaussians, in the pixels' unit (full ink is 1)."""
    layer: Layer

    @classmethod
    def fit(
        cls,
        images: NDArray[np.uint8],
        labels: ArrayLike,
        *,
        per_class: int = 100,
        spread: float,
        ridge: float,
        seed: int = 0,
        report: Report = silent,
    ) -> RBFNetwork:
        """Find the centers, then fit the linear units; see `Layer.fit`.

        Parameters
        ----------
        images, labels
            Training patterns.
        per_class
            Gaussian units of each class.
        spread
            Width of the Gaussians, as a multiple of the root mean square distance of a pattern from its center.
        ridge
            Of the second layer.
        seed
            Decides the patterns from which K-means starts.
        report
            Called with how many of how many classes are done.

        Raises ValueError for what cannot be.
        """
        inputs, classes = vectors(images), classes_of(labels, len(images))
        fewest = np.bincount(classes).min()
        if not 1 <= per_class <= fewest:
            raise ValueError(f"per_class is {per_class!r}; the smallest class has {fewest} patterns to find centers in")
        if not 0 < spread < float("inf"):
            raise ValueError(f"spread is {spread!r}; it must be positive and finite")
        groups, squares = [], 0.0
        for c in range(CLASSES):
            state = int(generator(seed, "init", c).integers(2**31))
            means = KMeans(per_class, n_init=1, random_state=state).fit(inputs[classes == c])
            groups.append(means.cluster_centers_)
            squares += means.inertia_
            report(c + 1, CLASSES)
        centers = np.concatenate(groups).astype(np.float32)
        width = spread * float(np.sqrt(squares / len(inputs)))
        if width == 0:
            raise ValueError("every pattern is a center and the Gaussians have no width; lower per_class")
        layer = Layer.fit(gaussians(inputs, centers, width), place_code(classes), ridge)
        return cls(images.shape[1:], centers, width, layer)

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One a class, shape (n, 10)."""
        return self.layer(gaussians(vectors(images, self.size), self.centers, self.width))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classes and scores, each (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return greatest(self.outputs(images))

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes, shape (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        """One a component of every center (a difference squared), and the linear units; the Gaussian is not counted."""
        return self.centers.size + self.layer.multiply_accumulates

    @property
    def stored(self) -> int:
        """Centers, their one width, weights and biases."""
        return self.centers.size + 1 + self.layer.stored


def gaussians(inputs: NDArray[np.float32], centers: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """exp(-d^2 / (2 width^2)) of the distance of every input from every center, shape (n, units)."""
    exponents = squared_distances(inputs, centers)
    exponents *= np.float32(-0.5 / width**2)
    return np.exp(exponents, out=exponents)
