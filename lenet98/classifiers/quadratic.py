"""Principal components and a polynomial classifier (Section III.C.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions, greatest
from lenet98.classifiers.linear import Layer, place_code


@dataclass(frozen=True)
class Quadratic:
    """A linear classifier on the products of all pairs of 40 principal components.

    Patterns are projected on the eigenvectors of their covariance matrix with the greatest eigenvalues.  A polynomial
    classifier of degree two is a linear one with 821 inputs: the 820 products, squares among them, and the bias.  The
    components alone are not among them, and need not be: where the mean, which is taken away to find the eigenvectors,
    is not taken away from the projected patterns, their products tell the sign of a component.
    """

    size: tuple[int, int]
    mean: NDArray[np.float32] | None
    """What is taken away before the projection, shape (pixels,); None for nothing."""
    axes: NDArray[np.float32]
    """Shape (components, pixels)."""
    layer: Layer

    @classmethod
    def fit(
        cls, images: NDArray[np.uint8], labels: ArrayLike, *, components: int = 40, centred: bool = False, ridge: float
    ) -> Quadratic:
        """Find the principal components and fit the units on their products; see `Layer.fit`.

        `centred` patterns have the mean taken away before they are projected, and not only to find the components.
        Raises ValueError for what cannot be.
        """
        inputs, classes = vectors(images), classes_of(labels, len(images))
        if not 1 <= components <= min(inputs.shape):
            raise ValueError(
                f"components is {components}; {len(inputs)} images of {inputs.shape[1]} pixels have "
                f"1 to {min(inputs.shape)}"
            )
        # Solved in float64: covariances of 60,000 patterns lose digits in float32.
        pca = PCA(components, svd_solver="covariance_eigh").fit(inputs.astype(np.float64))
        mean, axes = pca.mean_.astype(np.float32) if centred else None, pca.components_.astype(np.float32)
        layer = Layer.fit(products(_projected(inputs, mean, axes)), place_code(classes), ridge)
        return cls(images.shape[1:], mean, axes, layer)

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One a class, shape (n, 10)."""
        return self.layer(products(_projected(vectors(images, self.size), self.mean, self.axes)))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classes and scores, each (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return greatest(self.outputs(images))

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes, shape (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        """Projection, one multiplication a product, and the linear units."""
        return self.axes.size + self.layer.weights.shape[1] + self.layer.multiply_accumulates

    @property
    def stored(self) -> int:
        """Axes, weights and biases, and the mean where it is taken away."""
        return (0 if self.mean is None else self.mean.size) + self.axes.size + self.layer.stored


def _projected(
    inputs: NDArray[np.float32], mean: NDArray[np.float32] | None, axes: NDArray[np.float32]
) -> NDArray[np.floating[Any]]:
    return (inputs if mean is None else inputs - mean) @ axes.T


def products(components: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The products of all pairs of columns, each with itself too: (n, k) to (n, k (k + 1) / 2)."""
    first, second = np.triu_indices(components.shape[1])
    return (components[:, first] * components[:, second]).astype(np.float32, copy=False)
