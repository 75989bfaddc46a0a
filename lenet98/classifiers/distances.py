"""Euclidean distances between many patterns, by one matrix product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def squared_norms(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shape (n,)."""
    return np.einsum("ij,ij->i", vectors, vectors)


def squared_distances(
    queries: NDArray[np.float32], points: NDArray[np.float32], norms: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """From every query (n, d) to every point (m, d), whose squared norms may be known; shape (n, m), at least 0."""
    found = queries @ points.T
    found *= -2
    found += squared_norms(points) if norms is None else norms
    found += squared_norms(queries)[:, None]
    return np.maximum(found, 0, out=found)
