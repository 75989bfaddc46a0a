"""Principal components and a polynomial classifier (Section III.C.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions, greatest
from lenet98.classifiers.linear import Layer, place_code


@dataclass(frozen=True)
class Quadratic:
    """A linear classifier on the products of all pairs of 40 principal components.

    The mean of the training patterns is taken away, and the rest projected on the eigenvectors of the covariance matrix
    with the greatest eigenvalues.  A polynomial classifier of degree two is a linear one with 821 inputs: the 820
    products, squares among them, and the bias.  The components alone are not among them.
    """

    size: tuple[int, int]
    mean: NDArray[np.float32]
    """Shape (pixels,)."""
    axes: NDArray[np.float32]
    """Shape (components, pixels)."""
    layer: Layer

    @classmethod
    def fit(cls, images: NDArray[np.uint8], labels: ArrayLike, *, components: int = 40, ridge: float) -> Quadratic:
        """Find the principal components and fit the units on their products; see `Layer.fit`.

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
        mean, axes = pca.mean_.astype(np.float32), pca.components_.astype(np.float32)
        features = products((inputs - mean) @ axes.T)
        return cls(images.shape[1:], mean, axes, Layer.fit(features, place_code(classes), ridge))

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One a class, shape (n, 10)."""
        return self.layer(products((vectors(images, self.size) - self.mean) @ self.axes.T))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        return greatest(self.outputs(images))

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        """Projection, one multiplication a product, and the linear units."""
        return self.axes.size + self.layer.weights.shape[1] + self.layer.multiply_accumulates

    @property
    def stored(self) -> int:
        """Mean, axes, weights and biases."""
        return self.mean.size + self.axes.size + self.layer.stored


def products(components: NDArray[np.float32]) -> NDArray[np.float32]:
    """The products of all pairs of columns, each with itself too: (n, k) to (n, k (k + 1) / 2)."""
    first, second = np.triu_indices(components.shape[1])
    return components[:, first] * components[:, second]
