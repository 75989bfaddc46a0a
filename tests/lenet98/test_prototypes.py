"""The bitmaps of Fig. 3: facts that no other transcription error would leave intact."""

import numpy as np
import pytest

from lenet98.prototypes import bitmaps, place_codes, prototypes

# The rows of the ten images of Fig. 3 from the top, digit by digit.
FIG_3 = (
    ".#####. ....... ..###.. .##.##. ##...## ##...## ##...## ##...## .##.##. ..###.. ....... .......",
    "...##.. ..###.. .####.. ...##.. ...##.. ...##.. ...##.. ...##.. ...##.. .###### ....... .......",
    ".#####. ....... .#####. ##...## #....## ....##. ..###.. .##.... ##..... ####### ....... .......",
    "####### .....## ....##. ...##.. ..####. .....## .....## .....## ##...## .#####. ....... .......",
    ".#####. ....... ....... .##..## .##..## ###..## ##...## ##...## ##..### .###### .....## .....##",
    ".#####. ....... ####### ##..... ##..... .####.. ..####. .....## ##...## .#####. ....... .......",
    "..####. .##.... ##..... ##..... ######. ###..## ##...## ##...## ###..## .#####. ....... .......",
    "####### .....## .....## ....##. ...##.. ...##.. ..##... ..##... ..##... ..##... ....... .......",
    ".#####. ##...## ##...## ##...## .#####. ##...## ##...## ##...## ##...## .#####. ....... .......",
    ".#####. ##..### ##...## ##...## ##..### .###### .....## .....## ....##. .####.. ....... .......",
)


def test_all_840_pixels_are_those_of_fig_3():
    drawn = [" ".join("".join("#" if pixel > 0 else "." for pixel in row) for row in code) for code in images()]
    assert drawn == list(FIG_3)


def images():
    """The vectors as images; the rows stand one after the other, the top first."""
    return bitmaps().reshape(10, 12, 7)


def test_ink_of_the_ten_digits():
    assert (bitmaps() == 1).sum(1).tolist() == [35, 27, 33, 32, 41, 35, 39, 25, 43, 39]
    assert set(np.unique(bitmaps())) == {-1, 1}


def test_distances_between_the_digits():
    codes = bitmaps()
    hamming = (codes[:, None] != codes).sum(2)
    pairs = {(i, k): hamming[i, k] for i in range(10) for k in range(i)}
    assert max(pairs.values()) == 50
    assert [pair for pair, distance in pairs.items() if distance <= 12] == [(8, 6)]
    assert pairs[8, 6] == 12


def test_place_codes():
    assert place_codes(3).tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]


@pytest.mark.parametrize(("kind", "classes"), [("bitmaps", 11), ("glyphs", 10)])
def test_unknown_prototypes_are_named(kind, classes):
    with pytest.raises(ValueError, match=f"no '{kind}' prototypes for {classes} classes"):
        prototypes(kind, classes)
