"""What a gray level in Figs. 13 and 25 tells of the state that it shows.

A state x is drawn in the gray o - g x, rounded to one of 64 levels, 255/63 apart; what falls off either end is drawn
black or white.  The screen had fewer colors than that: a level is drawn in a color near it, two or three levels
sometimes in one, and not in the same one on every panel.  So a gray level says that o - g x lies in an interval, open
at the ends of the scale.  With a little noise on the state, that interval has a probability, which is the likelihood
of the weights behind the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr

Array = NDArray[np.floating[Any]]
Gray = NDArray[np.uint8]

LEVELS = 64
STEP = 255 / (LEVELS - 1)
"""Gray between two levels."""


def monotone(cost: Array) -> NDArray[np.intp]:
    """For each row the column that it is assigned to, at the least total cost.

    Columns never fall from row to row, and each has a row.

    Parameters
    ----------
    cost
        Shape (rows, columns), columns <= rows.
    """
    rows, columns = cost.shape
    best = np.full(columns, np.inf)
    best[0] = cost[0, 0]
    steps = np.zeros((rows, columns), bool)
    for row in range(1, rows):
        before = np.concatenate(([np.inf], best[:-1]))
        steps[row] = before < best
        best = np.minimum(best, before) + cost[row]
    chosen = np.empty(rows, np.intp)
    column = columns - 1
    for row in range(rows - 1, -1, -1):
        chosen[row] = column
        column -= int(steps[row, column])
    return chosen


@dataclass(frozen=True)
class Palette:
    """The colors of one panel, and the levels that each stands for."""

    colors: tuple[int, ...]
    """Gray of each color, ascending, 0 to 255."""
    of_level: tuple[int, ...]
    """For each of the 64 levels the index of its color."""

    @classmethod
    def nearest(cls, shown: Gray) -> Palette:
        """The palette of a panel on which the colors `shown` occur: each level has a color near it, each color a level.

        Raises ValueError for a panel without black or without white, or of more colors than levels.
        """
        colors = np.unique(shown).astype(float)
        if colors[0] != 0 or colors[-1] != 255 or len(colors) > LEVELS:
            raise ValueError(f"a panel has from 0 to 255 at most {LEVELS} colors, this one {len(colors)}")
        chosen = monotone((STEP * np.arange(LEVELS)[:, None] - colors) ** 2)
        return cls(tuple(map(int, colors)), tuple(map(int, chosen)))

    def voted(self, expected: Array, shown: Gray) -> Palette:
        """The palette by which states of `expected` gray are drawn as `shown`: each level votes; shapes (n,).

        Levels that do not occur keep the nearest color.
        """
        levels = np.clip(np.rint(expected / STEP), 0, LEVELS - 1).astype(int)
        votes = np.zeros((LEVELS, len(self.colors)))
        np.add.at(votes, (levels, np.searchsorted(self.colors, shown)), 1)
        votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1)
        away = abs(STEP * np.arange(LEVELS)[:, None] - np.array(self.colors)) / 255
        return Palette(self.colors, tuple(map(int, monotone(0.1 * away - votes))))

    @cached_property
    def edges(self) -> Array:
        """Gray at which one color gives way to the next, shape (colors - 1,)."""
        first = np.searchsorted(self.of_level, np.arange(1, len(self.colors)))
        edges: Array = STEP * (first - 0.5)
        return edges

    def interval(self, shown: Gray) -> tuple[Array, Array]:
        """Least and greatest gray that is drawn as `shown`; infinite at the ends of the scale; any shape."""
        ends = np.concatenate(([-np.inf], self.edges, [np.inf]))
        color = np.searchsorted(self.colors, shown)
        return ends[color], ends[color + 1]

    def middle(self, shown: Gray) -> Array:
        """The middle of the levels drawn as `shown`, any shape."""
        first = np.searchsorted(self.of_level, np.arange(len(self.colors)))
        last = np.searchsorted(self.of_level, np.arange(len(self.colors)), side="right") - 1
        return (STEP * (first + last) / 2)[np.searchsorted(self.colors, shown)]

    def draw(self, gray: Array) -> Gray:
        """What gray levels, of any shape, are drawn as."""
        levels = np.clip(np.rint(gray / STEP), 0, LEVELS - 1).astype(int)
        return np.array(self.colors, np.uint8)[np.array(self.of_level)[levels]]

    def information(self, gray: Array, noise: float) -> Array:
        """Fisher information, on the true gray, of seeing how `gray` is drawn; any shape."""
        return np.interp(gray, *_information(self, noise))


@lru_cache(maxsize=256)
def _information(palette: Palette, noise: float) -> tuple[Array, Array]:
    """Gray levels, and the information at each: of every color, the squared slope of its probability over that."""
    gray = np.arange(-30.0, 290.0, min(0.1, noise / 2))
    z = (palette.edges - gray[:, None]) / noise
    ends = ((0, 0), (1, 1))
    slope = np.diff(np.pad(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi), ends), axis=1)
    chance = np.diff(np.pad(ndtr(z), ends, constant_values=(0, 1)), axis=1)
    found = np.divide(slope**2, chance, out=np.zeros_like(slope), where=chance > 1e-9)
    return gray, found.sum(axis=1) / noise**2


def likelihood(gray: Array, lower: ArrayLike, upper: ArrayLike, noise: float) -> tuple[Array, Array]:
    """Log probability that a state of `gray`, with normal noise, is drawn within an interval, and its slope.

    Parameters
    ----------
    gray, lower, upper
        Of one shape; the ends may be infinite.
    noise
        Standard deviation, gray levels.

    Returns
    -------
    logarithm, slope
        Of that shape; the slope is the derivative by `gray`.
    """
    a, b = (np.asarray(lower) - gray) / noise, (np.asarray(upper) - gray) / noise
    mirrored = a + b > 0  # in the left tail, differences of small numbers keep their digits
    a, b = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    left, right = log_ndtr(a), log_ndtr(b)
    logarithm = right + np.log1p(-np.exp(np.minimum(left - right, -1e-12)))
    slope = (_density(a, logarithm) - _density(b, logarithm)) / noise
    return logarithm, np.where(mirrored, -slope, slope)


def _density(z: Array, logarithm: Array) -> Array:
    """Normal density over the exponential of `logarithm`; 0 at infinity."""
    exponent = np.where(np.isfinite(z), -0.5 * np.square(np.where(np.isfinite(z), z, 0)) - logarithm, -np.inf)
    return np.exp(exponent) / np.sqrt(2 * np.pi)
