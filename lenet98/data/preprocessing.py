"""Digits brought to the forms in which the paper's database holds them (Section III.A)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

FIELD = 28
"""Height and width of an MNIST image."""
BOX = 20
"""Height and width of the box that the digit fits (III.A)."""

MINIMAL_CONTRAST = 10
"""Grey levels by which the ink of a foreign image must differ from its background."""
FAINTEST = 0.05
"""Share of full ink below which grey is the trace of a compression or an interpolation and bounds no digit."""


# --- digits from elsewhere --------------------------------------------------------------------------------------------


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Grey levels of an image file of any format that Pillow knows, or of a .npy file; transparency becomes white.

    A .npy file holds one image (height, width), integers 0 to 255 or fractions 0 to 1.

    Returns
    -------
    Shape (height, width).

    Raises ValueError, naming the file, for one that cannot be read or holds something else.
    """
    path = Path(path)
    try:
        if path.suffix == ".npy":
            return _grey_levels(np.load(path, allow_pickle=False))
        with Image.open(path) as image:
            return _on_white(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image of a known format; give a PNG, a JPEG or a .npy array") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: {error}") from error


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """Grey levels of an image on white paper."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return np.asarray(page.convert("L"))


def _grey_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.ndim != 2:
        raise ValueError(f"holds an array of shape {values.shape}; one image (height, width) is needed")
    if values.dtype.kind not in "buif":
        raise ValueError(f"holds {values.dtype} values; numbers are needed")
    if values.dtype.kind in "bf":
        values = values * 255.0
    if not (values.size and values.min() >= 0 and values.max() <= 255):
        raise ValueError("holds values out of range; give integers 0 to 255 or fractions 0 to 1")
    return np.rint(values).astype(np.uint8)


def normalise_digit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring one isolated digit to the form of MNIST's regular version (III.A).

    The ink's bounding box is fitted, aspect kept and anti-aliased, into 20x20 pixels, and its centre of mass put at the
    centre of the 28x28 field.  Whether ink is darker or lighter than its even background is seen from the border.

    Parameters
    ----------
    image
        Grey levels, shape (height, width).

    Returns
    -------
    Shape (28, 28), 0 = background, 255 = ink.

    Raises ValueError for an image in which nothing stands out from the background.
    """
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise ValueError(f"the image must be uint8 of shape (height, width), got {image.dtype} of shape {image.shape}")
    ink = _ink(image)
    rows, columns = ndimage.find_objects((ink > FAINTEST).astype(int))[0]
    box = Image.fromarray(ink[rows, columns])
    width, height = (max(1, round(BOX * side / max(box.size))) for side in box.size)
    digit = np.asarray(box.resize((width, height), Image.Resampling.HAMMING))
    # The centre of the field is the corner that its four middle pixels share; MNIST counts it as pixel 14.
    top, left = (
        int(np.clip(round(FIELD / 2 - mass), 0, FIELD - side))
        for mass, side in zip(ndimage.center_of_mass(digit), (height, width), strict=True)
    )
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[top : top + height, left : left + width] = np.rint(255 * digit / digit.max())
    return field


def _ink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Ink from 0, the background, to 1, shape as the image; what the background's own noise explains is 0."""
    grey = image.astype(np.float32)
    border = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    background = np.median(border)
    noise = 10 * np.median(np.abs(border - background))  # nearly 7 standard deviations of a normal one
    difference = grey - background
    if -difference.min() > difference.max():  # dark on light
        difference = -difference
    strongest = difference.max()
    if strongest <= max(noise, MINIMAL_CONTRAST):
        raise ValueError("the image is blank: nothing stands out from its background; give one isolated digit")
    return np.where(difference > noise, difference / strongest, np.float32(0))
