"""Elastic distortions of training patterns (Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural
Networks Applied to Visual Document Analysis", ICDAR 2003): not of the 1998 paper, whose distortions are affine.

Every pixel is displaced by a random field that a Gaussian has made smooth.  The field of a pattern is named by (seed,
pattern, copy) and is the same whatever else is made with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from lenet98.randomness import generator


@dataclass(frozen=True)
class Elastic:
    """Strength and smoothness of the displacements.

    Raises ValueError, naming the field, for a value that is not positive and finite.
    """

    alpha: float = 34.0
    """Factor on the smoothed field, pixels; the paper of 2003 found 34 the best."""
    sigma: float = 4.0
    """Standard deviation of the Gaussian, pixels; there 4."""

    def __post_init__(self) -> None:
        for name in ("alpha", "sigma"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"Elastic.{name} is {getattr(self, name)!r}; it must be positive and finite")


def displacements(
    seed: int, patterns: NDArray[np.integer], copy: int, side: int, elastic: Elastic
) -> NDArray[np.float32]:
    """The displacement of each pixel of each pattern, in pixels.

    Parameters
    ----------
    seed
        Seed of the run.
    patterns
        Non-negative integers, shape (n,).
    copy
        Which of each pattern's fields, not negative: the number of the pass.
    side
        Height and width of the field.
    elastic
        Strength and smoothness.

    Returns
    -------
    Shape (n, 2, side, side), x before y.
    """
    key = generator(seed, "distortion").integers(0, 2**64, 2, dtype=np.uint64)
    drawn = np.empty((len(patterns), 2, side, side), np.float32)
    for row, pattern in zip(drawn, patterns, strict=True):
        # The last word keeps these draws apart from those of `lenet98.data.distortions`, which have the key and a 0.
        stream = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, copy, int(pattern) + 1]))
        stream.random(out=row, dtype=np.float32)
    # Uniform in +-1, smoothed as if the field went on in nothing.
    return elastic.alpha * gaussian_filter(2 * drawn - 1, elastic.sigma, mode="constant", axes=(2, 3))


def distort(images: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displace images: each pixel takes the bilinear mean around the point that its displacement leads to.

    Parameters
    ----------
    images
        Ink, 0 = background, shape (n, 1, side, side).
    moved
        Displacements in pixels, shape (n, 2, side, side), as of `displacements`.

    Returns
    -------
    As `images`; what comes from outside is background.
    """
    side = images.shape[-1]
    at = np.arange(side, dtype=np.float32)
    points = np.stack((at[None, None, :] + moved[:, 0], at[None, :, None] + moved[:, 1]), axis=-1)
    grid = torch.from_numpy(2 * points / (side - 1) - 1)
    return F.grid_sample(torch.from_numpy(images), grid, align_corners=True).numpy()
