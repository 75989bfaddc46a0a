"""Digits from elsewhere: image files read, and one isolated digit brought to MNIST's form (Section III.A).

`photographs` finds the digit where light, paper and surroundings are not even.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from lenet98.data.preprocessing import BOX, FIELD

MINIMAL_CONTRAST = 10
"""Gray levels by which the ink of a foreign image must differ from its background."""
FAINTEST = 0.05
"""Share of full ink below which gray is the trace of a compression or an interpolation and bounds no digit."""

BLANK = "the image is blank: nothing stands out from its background; give one isolated digit"


# --- files ------------------------------------------------------------------------------------------------------------


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Gray levels of an image file of any format that Pillow knows, or of a .npy file; transparency becomes white.

    A .npy file holds one image (height, width), integers 0 to 255 or fractions 0 to 1.

    Returns
    -------
    Shape (height, width).

    Raises ValueError, naming the file, for one that cannot be read or holds something else.
    """
    path = Path(path)
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise ValueError("is an empty file; save the image again")
        return _read_array(path) if path.suffix == ".npy" else _read_picture(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_picture(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return _on_white(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise ValueError("not an image of a known format; give a PNG, a JPEG or a .npy array") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{error}; make it smaller") from error
    except OSError:
        raise
    except Exception as error:  # Pillow raises whatever the decoder of a damaged file runs into
        raise ValueError(f"is damaged ({error}); save the image again") from error


def _read_array(path: Path) -> NDArray[np.uint8]:
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError("is no .npy file, whatever its name says; write one with numpy.save")
        file.seek(0)
        try:
            values = np.load(file, allow_pickle=False)
        except Exception as error:  # as many kinds as there are ways to damage a header
            if "Object arrays" in str(error):
                raise ValueError(f"holds Python objects; {_WANTED}") from None
            raise ValueError("is damaged or cut short; write it again with numpy.save") from error
    return _gray_levels(values)


_WANTED = "save an array of numbers of shape (height, width), integers 0 to 255 or fractions 0 to 1"


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """Gray levels of an image on white paper."""
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return np.asarray(page.convert("L"))


def _gray_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype.kind not in "buif":
        what = {"U": "text", "S": "text"}.get(values.dtype.kind, f"{values.dtype} values")
        raise ValueError(f"holds {what} where numbers are needed; {_WANTED}")
    if values.ndim != 2:
        raise ValueError(f"holds an array of shape {values.shape}; one image (height, width) is needed")
    if values.size == 0:
        raise ValueError(f"holds an array without a single pixel, of shape {values.shape}; {_WANTED}")
    if values.dtype.kind in "bf":
        values = values * 255.0
    if not (values.min() >= 0 and values.max() <= 255):
        raise ValueError("holds values out of range; give integers 0 to 255 or fractions 0 to 1")
    return np.rint(values).astype(np.uint8)


# --- one isolated digit -----------------------------------------------------------------------------------------------


def normalize_digit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring one isolated digit to the form of MNIST's regular version (III.A).

    Whether ink is darker or lighter than its even background is seen from the border.

    Parameters
    ----------
    image
        Gray levels, shape (height, width).

    Returns
    -------
    Shape (28, 28), 0 = background, 255 = ink.

    Raises ValueError for an image in which nothing stands out from the background.
    """
    if image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        raise ValueError(f"the image must be uint8 of shape (height, width), got {image.dtype} of shape {image.shape}")
    return in_field(even_ink(image))


def in_field(ink: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The ink's bounding box fitted into 20x20 pixels, its center of mass at the center of the 28x28 field.

    The aspect is kept, and the edges are anti-aliased.

    Parameters
    ----------
    ink
        From 0, the background, to 1; shape (height, width), some of it above `FAINTEST`.

    Returns
    -------
    Shape (28, 28), 0 = background, 255 = ink.
    """
    rows, columns = ndimage.find_objects((ink > FAINTEST).astype(int))[0]
    box = Image.fromarray(ink[rows, columns])
    width, height = (max(1, round(BOX * side / max(box.size))) for side in box.size)
    digit = np.asarray(box.resize((width, height), Image.Resampling.HAMMING))
    # The center of the field is the corner that its four middle pixels share; MNIST counts it as pixel 14.
    top, left = (
        int(np.clip(round(FIELD / 2 - mass), 0, FIELD - side))
        for mass, side in zip(ndimage.center_of_mass(digit), (height, width), strict=True)
    )
    field = np.zeros((FIELD, FIELD), np.uint8)
    field[top : top + height, left : left + width] = np.rint(255 * digit / digit.max())
    return field


def even_ink(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Ink from 0, the background, to 1, shape as the image; what the background's own noise explains is 0.

    Raises ValueError for an image in which nothing stands out from the background.
    """
    gray = image.astype(np.float32)
    border = np.concatenate((gray[0], gray[-1], gray[:, 0], gray[:, -1]))
    background = np.median(border)
    noise = 10 * np.median(np.abs(border - background))  # nearly 7 standard deviations of a normal one
    difference = gray - background
    if -difference.min() > difference.max():  # dark on light
        difference = -difference
    strongest = difference.max()
    if strongest <= max(noise, MINIMAL_CONTRAST):
        raise ValueError(BLANK)
    return np.where(difference > noise, difference / strongest, np.float32(0))
