"""Targets of the RBF output units: the 7x12 bitmaps of Fig. 3, and place codes for the nets that have no bitmaps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Fig. 3, digits 0 to 9, read from the figure's native bilevel images: '#' is +1, '.' is -1.
# The overlines and the low shapes of some digits are the paper's.
_DIGITS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def bitmaps() -> NDArray[np.float32]:
    """The ten digit prototypes as +-1, shape (10, 84), rows of the 7x12 image one after the other."""
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    ink = np.array([[[pixel == "#" for pixel in row[digit]] for row in rows] for digit in range(10)])
    return np.where(ink, np.float32(1), np.float32(-1)).reshape(10, 84)


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
