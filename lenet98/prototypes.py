"""Targets of the RBF output units: the 7x12 bitmaps of Fig. 3, and place codes for the nets that have no bitmaps."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

FIRST, LAST = 32, 127
"""Fig. 3 has a code for every character of ASCII from the space to 127, which is blank as the space is."""


@lru_cache(maxsize=1)
def ascii_codes() -> NDArray[np.float32]:
    """The 96 codes of Fig. 3 as +-1, in the order of ASCII, shape (96, 84), rows of a 7x12 image one after the other.

    Read from the figure's native bilevel images; the overlines and the low shapes of some characters are the paper's.
    Not writeable.
    """
    text = files("lenet98").joinpath("fig3_codes.txt").read_text(encoding="ascii")
    rows = np.array([[list(code) for code in line.split()] for line in text.splitlines() if line])  # (72, 16, 7)
    ink = rows.reshape(-1, 12, 16, 7).swapaxes(1, 2).reshape(-1, 84) == "#"
    codes = np.where(ink, np.float32(1), np.float32(-1))
    codes.flags.writeable = False
    return codes


def bitmaps() -> NDArray[np.float32]:
    """The ten digit prototypes as +-1, shape (10, 84): a copy of these rows of `ascii_codes`."""
    zero = ord("0") - FIRST
    return ascii_codes()[zero : zero + 10].copy()


def place_codes(classes: int = 10) -> NDArray[np.float32]:
    """One output unit per class: +1 for the class, -1 for the others, shape (classes, classes)."""
    return np.where(np.eye(classes, dtype=bool), np.float32(1), np.float32(-1))


def prototypes(kind: str, classes: int = 10) -> NDArray[np.float32]:
    """The prototypes of an RBF layer, shape (classes, components)."""
    if kind == "bitmaps" and classes == 10:
        return bitmaps()
    if kind == "places":
        return place_codes(classes)
    raise ValueError(f"no {kind!r} prototypes for {classes} classes; there are 'bitmaps' (10 classes) and 'places'")
