"""One digit found in a photograph: uneven light, noise, frames, neighbors and dirt.

The light is taken out first: a closing over a window wider than any stroke gives the paper as it would look without
ink, sharp shadows included.  What then stands out are marks.  The largest is the digit, with the pieces near to it;
frames, other digits and dirt are left out, and the notes say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lenet98.data.images import BLANK, MINIMAL_CONTRAST, even_ink, in_field, normalize_digit
from lenet98.data.preprocessing import BOX, FIELD

Gray = NDArray[np.uint8]
Ink = NDArray[np.float32]
Mask = NDArray[np.bool_]

LARGEST = 800
"""Pixels of the longer side at which a photograph is looked at; a larger one is reduced."""
SMALLEST = 140
"""Pixels of the longer side to which a smaller one is enlarged."""
WINDOW = 1 / 3
"""Of the shorter side: wider than any stroke, narrower than the shadows that count as light."""
CERTAIN = 6.0
"""Standard deviations of the noise by which ink must stand out."""
PALEST = 0.1
"""Share of its light that ink must take from paper; the light itself changes by less across a stroke."""
HALF = 0.4
"""Share of full ink from which a pixel belongs to a stroke."""
PIECE = 0.15
"""Of the digit's size: a gap this wide separates a piece from the digit that it belongs to."""
BESIDE = 0.06
"""The same for a piece that may be another digit: as tall, at its side, both together wide."""
UPRIGHT = 1.0
"""Width over height above which two marks side by side are wide for one digit."""
AS_LARGE = 0.5
"""Of the digit's size: a mark of that size may be a digit."""
DIRT = 0.005
"""Of the digit's ink: a smaller mark is noise, of which nothing is said."""
SIDES = 0.08
"""Of a frame's size: how far its lines may be from the box around it."""
THIN = 1.6
"""Width of a stroke in pixels of MNIST; 95% of its digits have wider ones."""
WIDEST = 1.82
"""Width over height; of MNIST's training digits 1 in 1,000 is wider."""


class Digit(NamedTuple):
    """What was found."""

    image: Gray
    """Shape (28, 28), 0 = background, 255 = ink."""
    notes: tuple[str, ...]
    """What was left out and what may be wrong, a sentence each."""


def find_digit(image: Gray) -> Digit:
    """The digit of an image, in MNIST's form.

    An image that has MNIST's size is taken as it is, if something stands out from its border.

    Parameters
    ----------
    image
        Gray levels, shape (height, width); dark on light or light on dark.

    Raises ValueError for an image in which nothing stands out from the background.
    """
    if image.shape == (FIELD, FIELD):
        try:
            return Digit(normalize_digit(image), ())
        except ValueError:
            pass  # no prepared image but a small photograph
    sized = _sized(image)
    ink = even_ink(sized) if _even(sized) else _flattened(sized)
    return _isolated(ink)


def _sized(image: Gray) -> Gray:
    """The image, its longer side reduced to `LARGEST` or enlarged to `SMALLEST`."""
    if image.size == 0:
        raise ValueError(BLANK)
    longer = max(image.shape)
    scale = min(1, LARGEST / longer) * max(1, SMALLEST / longer)
    if scale == 1:
        return image
    height, width = (max(1, round(scale * side)) for side in image.shape)
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def _even(image: Gray) -> bool:
    border = np.concatenate((image[0], image[-1], image[:, 0], image[:, -1]))
    return int(np.ptp(border)) <= MINIMAL_CONTRAST


# --- light ------------------------------------------------------------------------------------------------------------


def _flattened(image: Gray) -> Ink:
    """Ink from 0, the background, to 1; light, shadows and noise taken out."""
    smooth = ndimage.gaussian_filter(image.astype(np.float32), max(image.shape) / 200)
    if not _dark_on_light(smooth):
        smooth = 255 - smooth
    paper = _paper(smooth)
    darker = 1 - smooth / np.maximum(paper, MINIMAL_CONTRAST)
    darker -= np.median(darker)
    noise = 1.4826 * np.median(np.abs(darker))
    least = max(CERTAIN * noise, PALEST)
    full = _full_ink(darker, least)
    ink = np.clip((darker / full - HALF / 2) / (1 - HALF), 0, 1)
    strokes = (darker > least) & (ink > HALF)
    return ink * ndimage.binary_dilation(strokes, np.ones((3, 3)), max(1, round(max(image.shape) / 150)))


def _paper(image: Ink) -> Ink:
    """The image without what is dark and narrower than `WINDOW`."""
    window = max(3, round(WINDOW * min(image.shape)))
    # Beyond its edges the image goes on as it ends there, or a shadow's corner would be narrow, and so be ink.
    closed = ndimage.grey_closing(np.pad(image, window, "edge"), size=(window, window))
    return closed[window:-window, window:-window]


def _dark_on_light(image: Ink) -> bool:
    """Whether what stands out from a plane through the image is dark."""
    step = max(1, min(image.shape) // 100)  # a plane needs no more pixels, nor does what stands out
    image = image[::step, ::step]
    y, x = (axis / max(image.shape) for axis in np.indices(image.shape, np.float32))
    terms = np.stack([np.ones_like(x), x, y]).reshape(3, -1).T
    gray = image.ravel()
    weights = np.ones_like(gray)
    for _ in range(10):  # least absolute deviations, so that strokes do not tilt the plane
        plane = np.linalg.lstsq(terms * weights[:, None], gray * weights, rcond=None)[0]
        rest = gray - terms @ plane
        weights = 1 / np.sqrt(np.maximum(np.abs(rest), 1))
    return bool((rest**3).sum() < 0)


def _full_ink(darker: Ink, least: float) -> float:
    """How much darker than paper full ink is: the upper tenth of the marks, of those inside the image if there are."""
    marks, _ = _marks(darker > least)
    sizes = [max(_extent(box)) for box in ndimage.find_objects(marks)]
    large = [k for k, size in enumerate(sizes, start=1) if size >= min(darker.shape) / 20]
    if not large:
        raise ValueError(BLANK)
    inside = np.setdiff1d(large, _at_edge(marks))
    return float(np.quantile(darker[np.isin(marks, inside if len(inside) else large)], 0.9))


# --- marks ------------------------------------------------------------------------------------------------------------


@dataclass
class _Mark:
    """A connected set of pixels."""

    label: int
    box: tuple[slice, slice]
    area: int

    @property
    def size(self) -> int:
        return max(_extent(self.box))


def _extent(box: tuple[slice, slice]) -> tuple[int, int]:
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def _marks(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Number of the mark at every pixel, 0 between them; strokes that meet at a corner are one."""
    return ndimage.label(mask, np.ones((3, 3)))


def _at_edge(marks: NDArray[np.int32]) -> NDArray[np.int32]:
    found = np.unique(np.concatenate((marks[0], marks[-1], marks[:, 0], marks[:, -1])))
    return found[found > 0]


def _isolated(ink: Ink) -> Digit:
    """The digit alone, out of all that is ink."""
    ink, unframed = _unframed(ink)
    labels, n = _marks(ink > HALF)
    boxes = ndimage.find_objects(labels)
    areas = np.bincount(labels.ravel(), minlength=n + 1)
    marks = [_Mark(k, boxes[k - 1], int(areas[k])) for k in range(1, n + 1)]
    large = max((mark.size for mark in marks), default=0)
    marks = [mark for mark in marks if mark.size >= large / 50]
    frames = [mark for mark in marks if any(_frames(labels, mark, other) for other in marks)]
    inner = [mark for mark in marks if mark not in frames]
    edge = set(_at_edge(labels).tolist())
    whole = [mark for mark in inner if mark.label not in edge]
    # A digit may touch the edge of its image, but hardly beside another mark of its size.
    candidates = whole if max((mark.size for mark in whole), default=0) >= min(ink.shape) / 8 else inner
    if not candidates:
        raise ValueError(BLANK)
    digit = _grown(labels, max(candidates, key=lambda mark: mark.area), candidates)
    left_out = [mark for mark in inner if mark not in digit]
    notes = _notes(digit, unframed or bool(frames), left_out, edge)
    kept = [mark.label for mark in digit]
    if n > len(kept):
        ink = ink * _nearest(labels, kept)
    thick, thickened = _thickened(ink, np.isin(labels, kept))
    return Digit(in_field(thick), (*notes, *thickened))


def _unframed(ink: Ink) -> tuple[Ink, bool]:
    """Ink without the lines of frames, broken or touched by the digit, and whether there were any."""
    near = max(1, round(max(ink.shape) / 100))
    labels, _ = _marks(ndimage.binary_dilation(ink > HALF, np.ones((3, 3)), near))
    bare, found = ink, False
    for k, box in enumerate(ndimage.find_objects(labels), start=1):
        extent = _extent(box)
        if min(extent) < max(0.4 * max(extent), 0.5 * min(ink.shape)) or _covered(labels[box] == k) < 3:
            continue
        without = _without_lines(np.where(labels[box] == k, ink[box], 0), round(SIDES * max(extent)) + near)
        rest = np.where(labels[box] == k, without, ink[box])
        inside = [max(_extent(mark)) for mark in ndimage.find_objects(_marks(rest > HALF)[0])]
        if 4 * max(inside, default=0) < min(extent):
            continue  # no frame but a stroke, a 1 for example
        bare, found = bare.copy(), True
        bare[box] = rest
    return bare, found


def _without_lines(ink: Ink, depth: int) -> Ink:
    """Ink without the line along each side of its box, where one begins within `depth` pixels."""
    bare = ink.copy()
    for inked, view in zip(_turned(ink > 0), _turned(bare), strict=True):
        begins = np.where(inked.any(axis=0), inked.argmax(axis=0), len(inked))
        beyond = np.arange(len(inked))[:, None] >= begins
        ends = np.where((beyond & ~inked).any(axis=0), (beyond & ~inked).argmax(axis=0), len(inked))
        line = begins < depth
        if line.any():
            width = np.median((ends - begins)[line])  # where the digit touches it, the line goes no deeper
            view[(np.arange(len(inked))[:, None] <= begins + width) & line] = 0
    return bare


def _frames(labels: NDArray[np.int32], mark: _Mark, other: _Mark) -> bool:
    """Whether a mark is a frame around another that may be a digit."""
    if mark is other or 4 * other.size < min(_extent(mark.box)):
        return False
    if not all(
        out.start < within.start and within.stop < out.stop for out, within in zip(mark.box, other.box, strict=True)
    ):
        return False
    hole = ndimage.binary_fill_holes(labels[mark.box] == mark.label)
    return bool(hole[labels[mark.box] == other.label].all())


def _covered(shape: Mask) -> int:
    """Sides of its box along which a mark runs."""
    depth = max(1, round(SIDES * max(shape.shape)))
    return sum(bool(turned[:depth].any(axis=0).mean() >= 0.8) for turned in _turned(shape))


def _turned(image: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Views of an image with each of its sides at the top."""
    return image, image[::-1], image.T, image.T[::-1]


def _grown(labels: NDArray[np.int32], first: _Mark, marks: list[_Mark]) -> list[_Mark]:
    """The mark with the pieces that belong to it, the nearest first."""
    digit, others = [first], [mark for mark in marks if mark is not first]
    while others:
        away = ndimage.distance_transform_edt(~np.isin(labels, [mark.label for mark in digit]))
        gaps = ndimage.minimum(away, labels, [mark.label for mark in others])
        near = [(gap, k) for k, gap in enumerate(gaps) if gap <= _limit(digit, others[k])]
        if not near:
            break
        digit.append(others.pop(min(near)[1]))
    return digit


def _limit(digit: list[_Mark], mark: _Mark) -> float:
    """The widest gap, in pixels, at which a mark is a piece of the digit."""
    height, width = _extent(_around([*digit, mark]))
    before = _around(digit)
    rows, columns = mark.box
    apart = min(columns.stop, before[1].stop) - max(columns.start, before[1].start) <= 0.3 * min(
        columns.stop - columns.start, before[1].stop - before[1].start
    )
    two = apart and width > UPRIGHT * height and rows.stop - rows.start >= AS_LARGE * height
    return (BESIDE if two else PIECE) * max(height, width)


def _around(marks: list[_Mark]) -> tuple[slice, slice]:
    rows, columns = (
        slice(min(mark.box[axis].start for mark in marks), max(mark.box[axis].stop for mark in marks))
        for axis in (0, 1)
    )
    return rows, columns


def _nearest(labels: NDArray[np.int32], kept: list[int]) -> Mask:
    """Pixels whose nearest mark is one of those kept."""
    _, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    return np.isin(labels[rows, columns], kept)


def _thickened(ink: Ink, mask: Mask) -> tuple[Ink, tuple[str, ...]]:
    """Ink with the strokes of a thin pen widened to `THIN` pixels of MNIST."""
    depth = ndimage.distance_transform_edt(mask)
    ridge = depth[mask & (depth == ndimage.maximum_filter(depth, 3))]
    size = max(_extent(ndimage.find_objects(mask.astype(int))[0]))
    lacking = THIN * size / BOX - 2 * float(np.median(ridge))
    radius = round(lacking / 2)
    if radius < 1:
        return ink, ()
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    wide = ndimage.grey_dilation(np.pad(ink, radius), footprint=x**2 + y**2 <= radius**2)
    return wide, ("its strokes are thinner than MNIST's and were widened",)


# --- words ------------------------------------------------------------------------------------------------------------


def _notes(digit: list[_Mark], framed: bool, left_out: list[_Mark], edge: set[int]) -> tuple[str, ...]:
    box = _around(digit)
    height, width = _extent(box)
    area = sum(mark.area for mark in digit)
    notes = []
    if framed:
        notes.append("a frame around the digit was left out")
    rest = []
    for mark in left_out:
        if mark.label in edge:
            rest.append("what touches the edge of the image was left out")
        elif mark.size >= AS_LARGE * max(height, width) and mark.area >= 0.1 * area:
            where = _direction(mark.box, box)
            rest.append(f"a mark as large as a digit, {where} it, was left out; cut the image to one digit")
        elif mark.area >= DIRT * area:
            rest.append("small marks away from the digit, perhaps dirt, were left out")
    notes += dict.fromkeys(rest)
    if any(mark.label in edge for mark in digit):
        notes.append("it touches the edge of the image and may be cut off, or be no digit but a shadow")
    if width > WIDEST * height:
        notes.append("it is wider than nearly all digits; if two touch, cut them apart")
    return tuple(notes)


def _direction(mark: tuple[slice, slice], box: tuple[slice, slice]) -> str:
    down, right = ((a.start + a.stop - b.start - b.stop) / 2 for a, b in zip(mark, box, strict=True))
    if abs(right) >= abs(down):
        return "to the right of" if right > 0 else "to the left of"
    return "below" if down > 0 else "above"
