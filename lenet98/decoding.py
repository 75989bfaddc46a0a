"""Strings from the outputs of a network replicated over a field: Viterbi through the least grammar (Section VII).

The replicated network gives a penalty to each class at each output, 4 pixels apart.  The paper composes them with a
model of characters that it does not print.  The one here is the least that gives the answers of Figs. 25 and 26: each
output is a digit or blank, equal digits on successive outputs are one digit, and between different digits there is a
blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLANK = -1
"""In a path: the output is no digit."""


class Decoded(NamedTuple):
    """The path of least penalty."""

    digits: tuple[int, ...]
    """The string."""
    path: tuple[int, ...]
    """The class of every output, or `BLANK`."""
    penalty: float
    """Sum over the outputs (eq. 10)."""


def decode(penalties: ArrayLike, blank: float) -> Decoded:
    """The string of least penalty.

    Of equal paths the one whose last outputs are blank, or else of the lowest class, is taken.

    Parameters
    ----------
    penalties
        Of each class at each output, shape (outputs, classes); infinite where a class is impossible.
    blank
        Penalty of an output that is no digit.

    Raises ValueError for other shapes, for NaN or minus infinity, and for a blank that is not finite.
    """
    costs = np.asarray(penalties, float)
    if costs.ndim != 2:
        raise ValueError(f"penalties must have shape (outputs, classes), got {costs.shape}")
    (found,) = decode_many(costs[None], blank)
    return found


def decode_many(penalties: ArrayLike, blank: float) -> list[Decoded]:
    """`decode` of many strings of as many outputs each, all at once: penalties of shape (strings, outputs, classes)."""
    costs = np.asarray(penalties, float)
    if costs.ndim != 3 or 0 in costs.shape[1:]:
        raise ValueError(f"penalties must have shape (outputs, classes) for each string, got {costs.shape}")
    if np.isnan(costs).any() or np.isneginf(costs).any() or not np.isfinite(blank):
        raise ValueError("penalties must be numbers or plus infinity, and that of a blank finite")
    strings, outputs, classes = costs.shape
    here = np.arange(classes)
    costs = np.pad(costs, ((0, 0), (0, 0), (0, 1)), constant_values=blank)  # the last state is blank
    least = costs[:, 0].copy()  # of the paths to each state at this output
    before = np.empty((outputs, strings, classes + 1), np.int64)
    for output in range(1, outputs):
        from_blank = least[:, -1:]
        before[output, :, :-1] = np.where(least[:, :-1] < from_blank, here, classes)
        before[output, :, -1] = _best(least)
        least = costs[:, output] + np.take_along_axis(least, before[output], 1)
    every = np.arange(strings)
    path = np.empty((outputs, strings), np.int64)
    path[-1] = _best(least)
    for output in range(outputs - 1, 0, -1):
        path[output - 1] = before[output, every, path[output]]
    total = least[every, path[-1]]
    path[path == classes] = BLANK
    starts = (path != BLANK) & (path != np.vstack((np.full(strings, BLANK), path[:-1])))
    return [
        Decoded(tuple(states[first].tolist()), tuple(states.tolist()), float(cost))
        for states, first, cost in zip(path.T, starts.T, total, strict=True)
    ]


def _best(least: NDArray[np.float64]) -> NDArray[np.int64]:
    """The state of the cheapest path of each string, blank if equal; shape (strings,)."""
    digit = least[:, :-1].argmin(1)
    cheaper = least[np.arange(len(least)), digit] < least[:, -1]
    return np.where(cheaper, digit, least.shape[1] - 1)
