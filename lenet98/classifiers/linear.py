"""Linear classifiers (Sections III.C.1 and, for the layer on top of other features, III.C.3 and III.C.4).

Each output is a weighted sum of the inputs and a bias.  The paper found that sigmoid units trained by gradient, linear
ones, and the direct solution of the linear system "gave similar results"; here the system is solved.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import Ridge

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions, Report, greatest, silent
from lenet98.data.mnist import CLASSES


@dataclass(frozen=True)
class Layer:
    """Linear units: `weights` (units, inputs) and `biases` (units,)."""

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    @classmethod
    def fit(cls, inputs: NDArray[np.float32], targets: NDArray[np.float32], ridge: float) -> Layer:
        """Least squares, by the regularized pseudo-inverse of the inputs about their mean.

        Parameters
        ----------
        inputs
            Shape (n, inputs).
        targets
            Shape (n, units).
        ridge
            Weight of the sum of squared weights beside the mean squared error of a pattern; biases are free.

        Raises ValueError for a ridge that is negative or not finite.
        """
        if not 0 <= ridge < float("inf"):
            raise ValueError(f"ridge is {ridge!r}; it must be at least 0 and finite")
        solved = Ridge(alpha=ridge * len(inputs), solver="cholesky").fit(inputs.astype(np.float64), targets)
        units = targets.shape[1]
        weights, biases = solved.coef_.reshape(units, -1), np.reshape(solved.intercept_, units)
        return cls(weights.astype(np.float32), biases.astype(np.float32))

    def __call__(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (n, units)."""
        return inputs @ self.weights.T + self.biases

    @property
    def multiply_accumulates(self) -> int:
        """One a weight."""
        return self.weights.size

    @property
    def stored(self) -> int:
        """Weights and biases."""
        return self.weights.size + self.biases.size


def place_code(labels: NDArray[np.intp], classes: int = CLASSES) -> NDArray[np.float32]:
    """+1 for the class of each pattern and -1 for the others, shape (n, classes)."""
    return 2 * np.eye(classes, dtype=np.float32)[labels] - 1


@dataclass(frozen=True)
class Linear:
    """Ten linear units on the pixels, the highest of which gives the class (III.C.1).

    7,850 parameters on 28x28 pixels, 4,010 on the 20x20 of the deslanted images.
    """

    size: tuple[int, int]
    layer: Layer

    @classmethod
    def fit(cls, images: NDArray[np.uint8], labels: ArrayLike, *, ridge: float) -> Linear:
        """Fit the units to +1 for their class and -1 for others; see `Layer.fit`.  ValueError for what cannot be."""
        inputs = vectors(images)
        targets = place_code(classes_of(labels, len(images)))
        return cls(images.shape[1:], Layer.fit(inputs, targets, ridge))

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One a class, shape (n, 10)."""
        return self.layer(vectors(images, self.size))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classes and scores, each (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return greatest(self.outputs(images))

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes, shape (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        return self.layer.multiply_accumulates

    @property
    def stored(self) -> int:
        return self.layer.stored


PAIRS = tuple(combinations(range(CLASSES), 2))
"""The classes that each of the 45 pairwise units tells apart, the lower first."""


@dataclass(frozen=True)
class PairwiseLinear:
    """45 linear units, one for each pair of classes (III.C.1).

    Unit i/j is fitted to +1 on class i and -1 on class j, and not fitted on others.  The score of a class is the sum of
    the outputs of all units i/x less that of all units y/i.  Outputs are squashed, tanh(gain * a): a unit may answer
    the eight classes that it has never seen with a large sum, which would drown the units that know.
    """

    size: tuple[int, int]
    layer: Layer
    gain: float | None
    """None for outputs that are not squashed."""

    @classmethod
    def fit(
        cls,
        images: NDArray[np.uint8],
        labels: ArrayLike,
        *,
        ridge: float,
        gain: float | None,
        report: Report = silent,
    ) -> PairwiseLinear:
        """Fit every unit, before it is squashed, on the patterns of its two classes; see `Layer.fit`.

        Raises ValueError for what cannot be.
        """
        inputs, classes = vectors(images), classes_of(labels, len(images))
        if gain is not None and not 0 < gain < float("inf"):
            raise ValueError(f"gain is {gain!r}; it must be positive and finite, or None for outputs not squashed")
        units = []
        for done, (i, j) in enumerate(PAIRS, start=1):
            chosen = (classes == i) | (classes == j)
            targets = np.where(classes[chosen] == i, np.float32(1), np.float32(-1))
            units.append(Layer.fit(inputs[chosen], targets[:, None], ridge))
            report(done, len(PAIRS))
        weights, biases = (np.concatenate([getattr(unit, part) for unit in units]) for part in ("weights", "biases"))
        return cls(images.shape[1:], Layer(weights, biases), gain)

    def outputs(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The score of every class, shape (n, 10)."""
        units = self.layer(vectors(images, self.size))
        return (units if self.gain is None else np.tanh(self.gain * units)) @ SIGNS

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classes and scores, each (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return greatest(self.outputs(images))

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Classes, shape (n,), of images, bytes (n, height, width); ValueError for those of another size."""
        return self.decide(images).classes

    @property
    def multiply_accumulates(self) -> int:
        """Of the 45 units; their outputs are only added and subtracted."""
        return self.layer.multiply_accumulates

    @property
    def stored(self) -> int:
        return self.layer.stored


SIGNS = np.array([[(c == i) * 1.0 - (c == j) for c in range(CLASSES)] for i, j in PAIRS], np.float32)
"""What each unit's output counts in the score of each class, shape (45, 10)."""
