"""Tangent distance (Section III.C.10; Simard, LeCun and Denker 1993).

What small translations, rotations, ... make of an image is close to a plane, the image plus any combination of seven
tangent vectors.  The distance of two patterns is that of their planes, and a pattern is given the class of most of its
nearest training patterns.  Only those that are near in the Euclidean sense are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions
from lenet98.classifiers.distances import squared_distances as euclidean
from lenet98.classifiers.distances import squared_norms
from lenet98.classifiers.neighbours import majority

TANGENTS = ("x translation", "y translation", "scaling", "rotation", "squeezing", "skewing", "thickness")
SPRING = 1e-4
"""Price of a squared unit of length along the planes, so that the nearest points of parallel planes are unique."""
INDEPENDENT = 1e-10
"""Share of the largest eigenvalue below which a combination of tangent vectors counts as zero."""
BLOCK = 200
"""Patterns whose Euclidean distances to all prototypes are held at a time: with 60,000 they take 48 MB."""

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
    it.  Coordinates are pixels from the center of the field.

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


class Nearest(NamedTuple):
    """The candidates of some patterns, nearest first."""

    distances: Floats
    """Tangent distances, not squared, shape (n, candidates)."""
    classes: NDArray[np.intp]
    """Shape (n, candidates)."""

    def decide(self, k: int) -> Decisions:
        """The class of most of the `k` nearest, of those with as many votes the one of the nearest.

        The score is how much farther the nearest of another class is than the nearest of this one; below 0 where votes
        overrule the nearest.  Where all candidates are of one class the farthest stands for the others, which would
        hardly be nearer.
        """
        if not 1 <= k <= self.classes.shape[1]:
            raise ValueError(f"k is {k!r}; with {self.classes.shape[1]} candidates it must be 1 to as many")
        chosen = majority(self.classes[:, :k])
        own = self.classes == chosen[:, None]
        other = np.where(own, self.distances[:, -1:], self.distances).min(axis=1)
        nearest = np.where(own, self.distances, np.inf).min(axis=1)
        return Decisions(chosen.astype(np.uint8), (other - nearest).astype(np.float32))


@dataclass(frozen=True)
class TangentDistance:
    """All training patterns are kept, with their tangent planes; nothing is fitted."""

    size: tuple[int, int]
    prototypes: Planes
    labels: NDArray[np.intp]
    norms: Floats
    """Squared norms of the prototypes' points, shape (n,)."""
    sigma: float
    candidates: int
    """Prototypes, nearest in the Euclidean sense, whose tangent distance is measured."""
    k: int

    @classmethod
    def fit(
        cls, images: NDArray[np.uint8], labels: ArrayLike, *, sigma: float, candidates: int, k: int
    ) -> TangentDistance:
        """Keep the patterns, images of shape (n, height, width); ValueError for what cannot be."""
        classes = classes_of(labels, len(images))
        if not 1 <= k <= candidates <= len(images):
            raise ValueError(
                f"k is {k!r} and candidates {candidates!r}; of {len(images)} patterns, 1 <= k <= candidates <= all"
            )
        prototypes = planes(images, sigma)
        norms = squared_norms(prototypes.points)
        return cls(images.shape[1:], prototypes, classes, norms, sigma, candidates, k)

    def nearest(self, images: NDArray[np.uint8]) -> Nearest:
        """The candidates of each image, by tangent distance."""
        vectors(images, self.size)
        queries = planes(images, self.sigma)
        blocks = [self._nearest(queries[start : start + BLOCK]) for start in range(0, max(len(images), 1), BLOCK)]
        return Nearest(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))

    def _nearest(self, queries: Planes) -> Nearest:
        squares = euclidean(queries.points, self.prototypes.points, self.norms)
        near = np.argpartition(squares, self.candidates - 1, axis=1)[:, : self.candidates]
        found = np.empty(near.shape, np.float32)
        for i, chosen in enumerate(near):
            found[i] = squared_distances(queries[i : i + 1], self.prototypes[chosen])
        order = np.argsort(found, axis=1, kind="stable")
        return Nearest(*(np.take_along_axis(part, order, axis=1) for part in (np.sqrt(found), self.labels[near])))

    def decide(self, images: NDArray[np.uint8]) -> Decisions:
        """Classify images of shape (n, height, width)."""
        return self.nearest(images).decide(self.k)

    @property
    def multiply_accumulates(self) -> int:
        """Inner products with all prototypes, and 63 more with the pixels of each candidate's plane.

        These are the products of the two bases with one another (49) and with the other's point (7 and 7); what is done
        with seven numbers is not counted, nor the plane of the pattern itself.
        """
        size, pixels = self.prototypes.bases.shape[1:]
        return pixels * (len(self.prototypes) + self.candidates * (size * size + 2 * size))

    @property
    def stored(self) -> int:
        """The prototypes and the bases of their planes."""
        return self.prototypes.points.size + self.prototypes.bases.size
