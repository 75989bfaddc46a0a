"""Tangent distance (Section III.C.10; Simard, LeCun and Denker 1993).

What small translations, rotations, ... make of an image is close to a plane, the image plus any combination of seven
tangent vectors.  The distance of two patterns is that of their planes, and a pattern is given the class of most of its
nearest training patterns.  Only those that are near in the Euclidean sense are measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lenet98.classifiers.checks import CLASSES, classes_of, vectors

TANGENTS = ("x translation", "y translation", "scaling", "rotation", "squeezing", "skewing", "thickness")
SPRING = 1e-4
"""Price of a squared unit of length along the planes, so that the nearest points of parallel planes are unique."""
INDEPENDENT = 1e-10
"""Share of the largest eigenvalue below which a combination of tangent vectors counts as zero."""
BLOCK = 200
"""Patterns whose Euclidean distances to all training patterns are held at a time."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Planes:
    """Smoothed images and orthonormal bases of their tangent planes."""

    points: Floats
    """Shape (n, pixels)."""
    bases: Floats
    """Shape (n, 7, pixels), orthonormal rows; zero rows where tangent vectors depend on one another."""

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, which: slice | NDArray[np.intp]) -> Planes:
        return Planes(self.points[which], self.bases[which])


def tangent_vectors(images: NDArray[np.float64], sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed images and their seven tangent vectors, in the order of `TANGENTS`.

    Derivatives are those of the image under a Gaussian of standard deviation `sigma`, pixels, with background around
    it.  Coordinates are pixels from the centre of the field.

    Parameters
    ----------
    images
        Shape (n, height, width).

    Returns
    -------
    Shapes (n, height, width) and (n, 7, height, width).
    """
    smooth, by_y, by_x = (
        gaussian_filter(images, (0, sigma, sigma), order=order, mode="constant")
        for order in ((0, 0, 0), (0, 1, 0), (0, 0, 1))
    )
    height, width = images.shape[1:]
    y, x = np.arange(height)[:, None] - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    tangents = (
        by_x,
        by_y,
        x * by_x + y * by_y,
        y * by_x - x * by_y,
        x * by_x - y * by_y,
        y * by_x + x * by_y,
        by_x**2 + by_y**2,
    )
    return smooth, np.stack(tangents, axis=1)


def planes(images: NDArray[np.uint8], sigma: float) -> Planes:
    """The tangent planes of images of shape (n, height, width), ink 1 on background 0."""
    if sigma <= 0:
        raise ValueError(f"sigma must be positive, got {sigma}")
    pixels = vectors(images).shape[1]
    points = np.empty((len(images), pixels), np.float32)
    bases = np.empty((len(images), len(TANGENTS), pixels), np.float32)
    for start in range(0, len(images), 1000):
        part = slice(start, start + 1000)
        smooth, tangents = tangent_vectors(vectors(images[part]).reshape(images[part].shape).astype(np.float64), sigma)
        points[part] = smooth.reshape(len(smooth), -1)
        bases[part] = _orthonormal(tangents.reshape(*tangents.shape[:2], -1))
    return Planes(points, bases)


def _orthonormal(tangents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal rows that span those of each of shape (n, 7, pixels); zero rows for what is missing."""
    norms = np.linalg.norm(tangents, axis=2, keepdims=True)
    tangents = np.divide(tangents, norms, out=np.zeros_like(tangents), where=norms > 0)
    values, rotations = np.linalg.eigh(tangents @ tangents.transpose(0, 2, 1))
    lengths = np.sqrt(np.where(values > INDEPENDENT * values[:, -1:], values, np.inf))
    return (rotations / lengths[:, None, :]).transpose(0, 2, 1) @ tangents


def squared_distances(one: Planes, others: Planes) -> Floats:
    """Squared tangent distances, two-sided, from the only plane of `one` to each of `others`, shape (m,).

    The least |x + a.T_x - p - b.T_p|^2 + SPRING (|a|^2 + |b|^2), whose normal equations are solved in blocks of seven.
    """
    x, basis, p, bases = one.points[0], one.bases[0], others.points, others.bases
    count, size = len(p), len(basis)
    flat = bases.reshape(count * size, -1)
    with_both = (flat @ np.vstack((basis, x)).T).reshape(count, size, size + 1)
    cross = with_both[:, :, :size]  # T_p . T_x
    along_x = basis @ x - p @ basis.T  # of x - p
    along_p = with_both[:, :, size] - np.matmul(bases, p[:, :, None])[:, :, 0]
    stiff = np.float32(1 + SPRING)
    # (1 + s) a + C' b = along_x and C a + (1 + s) b = along_p, up to signs; a is eliminated.
    schur = stiff * np.eye(size, dtype=np.float32) - cross @ cross.transpose(0, 2, 1) / stiff
    rest = along_p - np.matmul(cross, along_x[:, :, None])[:, :, 0] / stiff
    explained = (along_x**2).sum(axis=1) / stiff + (rest * np.linalg.solve(schur, rest[:, :, None])[:, :, 0]).sum(
        axis=1
    )
    apart = x - p
    return np.maximum((apart * apart).sum(axis=1) - explained, 0)


@dataclass(frozen=True)
class Nearest:
    """The candidates of each pattern, nearest first."""

    distances: Floats
    """Tangent distances, not squared, shape (n, candidates)."""
    classes: NDArray[np.intp]
    """Shape (n, candidates)."""

    def predict(self, k: int) -> NDArray[np.uint8]:
        """The class of most of the `k` nearest, of those with as many votes the one with the nearest; shape (n,)."""
        if not 1 <= k <= self.classes.shape[1]:
            raise ValueError(f"k is {k}; there are {self.classes.shape[1]} candidates")
        chosen = self.classes[:, :k]
        votes = (chosen[:, :, None] == np.arange(CLASSES)).sum(axis=1)
        most = np.take_along_axis(votes, chosen, axis=1)
        first = most.argmax(axis=1)  # the nearest whose class has most votes
        return chosen[np.arange(len(chosen)), first].astype(np.uint8)

    def scores(self, given: NDArray[np.uint8]) -> Floats:
        """How much farther the nearest of another class is than the nearest of the class `given`, shape (n,).

        Below 0 where votes overrule the nearest.  Where no candidate is of another class the farthest stands for it:
        it would have been no nearer.
        """
        own = self.classes == given[:, None]
        other = np.where(own, self.distances[:, -1:], self.distances).min(axis=1)
        return other - np.where(own, self.distances, np.inf).min(axis=1)


@dataclass(frozen=True)
class TangentDistance:
    """Training patterns with their tangent planes."""

    prototypes: Planes
    labels: NDArray[np.intp]
    shape: tuple[int, int]
    sigma: float

    @classmethod
    def fit(cls, images: NDArray[np.uint8], labels: NDArray[np.integer], sigma: float) -> TangentDistance:
        """Prototypes are all images, shape (n, height, width), with one label each."""
        return cls(planes(images, sigma), classes_of(labels, len(images)), images.shape[1:], sigma)

    def nearest(
        self, images: NDArray[np.uint8], candidates: int, progress: Callable[[int], None] = lambda done: None
    ) -> Nearest:
        """The `candidates` prototypes that are nearest to each image in the Euclidean sense, by tangent distance.

        `progress` is given the number of images done, twice a second or so.
        """
        if not 1 <= candidates <= len(self.prototypes):
            raise ValueError(f"{candidates} candidates of {len(self.prototypes)} prototypes are impossible")
        vectors(images, self.shape)
        queries = planes(images, self.sigma)
        norms = (self.prototypes.points**2).sum(axis=1)
        distances = np.empty((len(images), candidates), np.float32)
        classes = np.empty((len(images), candidates), np.intp)
        for start in range(0, len(images), BLOCK):
            block = queries[start : start + BLOCK]
            euclidean = norms - 2 * block.points @ self.prototypes.points.T
            near = np.argpartition(euclidean, candidates - 1, axis=1)[:, :candidates]
            for i, chosen in enumerate(near):
                if i % 20 == 0:
                    progress(start + i)
                found = squared_distances(block[i : i + 1], self.prototypes[chosen])
                order = np.argsort(found, kind="stable")
                distances[start + i], classes[start + i] = np.sqrt(found[order]), self.labels[chosen[order]]
        return Nearest(distances, classes)

    def multiply_accumulates(self, candidates: int) -> int:
        """For one pattern: inner products with all prototypes, and 63 more with the pixels of each candidate's plane.

        These are the products of the two bases with one another (49) and with the other's point (7 and 7); what is done
        with seven numbers is not counted.
        """
        size, pixels = self.prototypes.bases.shape[1:]
        return pixels * (len(self.prototypes) + candidates * (size * size + 2 * size))

    @property
    def stored(self) -> int:
        """Variables: the prototypes and their planes."""
        return self.prototypes.points.size + self.prototypes.bases.size
