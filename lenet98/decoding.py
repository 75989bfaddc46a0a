"""Strings from the outputs of a network replicated over a field: Viterbi through the least grammar (Section VII).

The replicated network gives a penalty to each class at each output, 4 pixels apart.  The paper composes them with a
model of characters that it does not print.  The one here is the least that gives the answers of Figs. 25 and 26: each
output is a digit or blank, equal digits on successive outputs are one digit, and between different digits there is a
blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

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
    if costs.ndim != 2 or 0 in costs.shape:
        raise ValueError(f"penalties must have shape (outputs, classes), got {costs.shape}")
    if np.isnan(costs).any() or np.isneginf(costs).any() or not np.isfinite(blank):
        raise ValueError("penalties must be numbers or plus infinity, and that of a blank finite")
    classes = costs.shape[1]
    least = np.append(costs[0], blank)  # of the paths to each class at this output; the last is blank
    before = []
    for row in costs[1:]:
        came = np.where(least[:classes] < least[-1], np.arange(classes), classes)
        came = np.append(came, classes if least[-1] <= least[:-1].min() else least[:-1].argmin())
        before.append(came)
        least = np.append(row, blank) + least[came]
    state = classes if least[-1] <= least[:-1].min() else int(least[:-1].argmin())
    penalty = float(least[state])
    path = [state]
    for came in reversed(before):
        path.append(int(came[path[-1]]))
    path = [BLANK if state == classes else state for state in reversed(path)]
    starts = [here for here, earlier in zip(path, [BLANK, *path[:-1]], strict=True) if here not in (BLANK, earlier)]
    return Decoded(tuple(starts), tuple(path), penalty)
