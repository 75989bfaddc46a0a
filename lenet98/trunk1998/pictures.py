"""The pictures of the paper's figures as the authors drew them: gray levels of every pixel, where they stand, labels.

The authors' own PDF holds Figs. 4, 7, 8, 13, 25 and 26 not as scans but as small images at their native size, one
image a digit or a feature map.  The PDF is not part of this package: name its file by `PAPER_PDF` or an argument, or
let it be fetched from the author's site.  Reading it needs the extra `paper` (pypdf).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet98.data.mnist import cache_folder

Gray = NDArray[np.uint8]

ENVIRONMENT = "PAPER_PDF"
"""Environment variable that names the file."""

URL = "http://yann.lecun.com/exdb/publis/pdf/lecun-01a.pdf"
SHA256 = "a7a376fb189dac68e51068d129dc55c41e579d6c50c74b39cae72870295ef286"
"""Of the one version in which the pictures can be read; the print of the IEEE has scans."""

PATIENCE = 10.0
"""Seconds that the author's site has to answer."""


class PaperError(ValueError):
    """The PDF is not there, is another one, or cannot be read; the message says what to do."""


# --- the file ---------------------------------------------------------------------------------------------------------


def paper_pdf(path: Path | str | None = None) -> Path:
    """The authors' PDF, verified: `path`, else the file that `PAPER_PDF` names, else fetched once into the cache.

    Raises PaperError for a file that is missing or another one, and where the author's site cannot be reached.
    """
    named = path or os.environ.get(ENVIRONMENT)
    if named:
        return _verified(Path(named))
    kept = cache_folder() / Path(URL).name
    return _verified(kept) if kept.is_file() else _fetched(kept)


def _verified(path: Path) -> Path:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PaperError(f"{path}: cannot be read ({error.strerror}); name the PDF of {URL} by {ENVIRONMENT}") from None
    if found != SHA256:
        raise PaperError(f"{path}: not the PDF of {URL} (its sha256 is {found[:12]}..., not {SHA256[:12]}...)")
    return path


def _fetched(kept: Path) -> Path:
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=True, timeout=PATIENCE)
    try:
        pooch.retrieve(URL, f"sha256:{SHA256}", fname=kept.name, path=kept.parent, downloader=downloader)
    except (OSError, ValueError) as error:
        raise PaperError(
            f"the paper's PDF could not be fetched from {URL} ({type(error).__name__}); "
            f"get it in another way and name its file by {ENVIRONMENT}"
        ) from None
    return kept


# --- a page: images and texts with their places -----------------------------------------------------------------------

Matrix = NDArray[np.float64]
"""An affine map of PDF, shape (3, 3), applied to row vectors (x, y, 1)."""


class Picture(NamedTuple):
    """An image on a page."""

    gray: Gray
    """Shape (height, width), 0 = black."""
    left: float
    bottom: float
    right: float
    top: float
    """Edges in points from the lower left corner of the page."""


class Text(NamedTuple):
    """A string on a page; only figures have strings that can be read."""

    words: str
    left: float
    bottom: float
    gray: float
    """0 = black, 1 = white."""


@dataclass(frozen=True)
class Page:
    pictures: tuple[Picture, ...]
    texts: tuple[Text, ...]

    def of_shape(self, *shape: int) -> list[Picture]:
        """Pictures of so many rows and columns, row by row from the top, each row from the left."""
        return in_reading_order(picture for picture in self.pictures if picture.gray.shape == shape)


def in_reading_order(pictures: Iterable[Picture]) -> list[Picture]:
    """From the top down, and from left to right where they stand on one line."""
    return sorted(pictures, key=lambda picture: (-round(picture.bottom), picture.left))


@lru_cache(maxsize=8)
def read_page(path: Path, number: int) -> Page:
    """The gray images and the texts of page `number`, from 1.  Raises PaperError where pypdf is not installed."""
    try:
        from pypdf import PdfReader
    except ImportError:
        raise PaperError("reading the paper needs pypdf; install it with `pip install 'lenet98[paper]'`") from None
    contents = PdfReader(path).pages[number - 1].get_contents()
    assert contents is not None
    return _drawn(contents.operations)


def _drawn(operations: Sequence[Any]) -> Page:
    """What the operators of a page draw; of their state only what places and colors need is followed."""
    matrix, gray, at = np.eye(3), 0.0, np.eye(3)
    kept: list[tuple[Matrix, float]] = []
    pictures, texts = [], []
    for operands, operator in operations:
        match operator:
            case b"q":
                kept.append((matrix, gray))
            case b"Q":
                matrix, gray = kept.pop()
            case b"cm":
                matrix = _matrix(operands) @ matrix
            case b"g":
                gray = float(operands[0])
            case b"Tm":
                at = _matrix(operands)
            case b"Tj":
                x, y, _ = (at @ matrix)[2]
                texts.append(Text(str(operands[0]), float(x), float(y), gray))
            case b"INLINE IMAGE" if operands["settings"].get("/BPC") == 8:
                (width, _, _), (_, height, _), (x, y, _) = matrix
                pixels = _pixels(operands["settings"], operands["data"])
                pictures.append(Picture(pixels, float(x), float(y), float(x + width), float(y + height)))
    return Page(tuple(pictures), tuple(texts))


def _matrix(operands: Sequence[Any]) -> Matrix:
    a, b, c, d, e, f = map(float, operands)
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


def _pixels(settings: Any, data: bytes) -> Gray:
    """An inline image: deflated, each row predicted by PNG's rules."""
    from pypdf.filters import FlateDecode

    raw = FlateDecode.decode(data, settings["/DP"])
    return np.frombuffer(raw, np.uint8).reshape(settings["/H"], settings["/W"])


# --- the figures ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class States:
    """A network at work, in gray levels as displayed: an input and the states of layers, top map first."""

    input: Gray
    """Shape (height, width)."""
    layers: dict[str, Gray]
    """By layer: C1 to S4 of shape (maps, height, width), C5 (120, windows), F6 (windows, 12, 7)."""
    labels: tuple[tuple[int, int, float], ...]
    """(window, class, gray of the label from 0, black, to 1) of the outputs drawn; light means a high penalty."""
    answer: str = ""
    """What the figure prints as the string that was read."""

    @property
    def levels(self) -> Gray:
        """All gray levels on the display, sorted."""
        return np.unique(np.concatenate([self.input.ravel(), *(maps.ravel() for maps in self.layers.values())]))


def fig4(path: Path) -> Gray:
    """The 100 digits of Fig. 4, row by row, shape (100, 32, 32)."""
    return np.stack([picture.gray for picture in read_page(path, 10).of_shape(32, 32)])


def fig7(path: Path) -> Gray:
    """Fig. 7: ten patterns, an original and nine distorted images of each; shape (10, 10, 32, 32)."""
    squares, first = read_page(path, 11).of_shape(32, 32), _first_of_fig8(path)
    above = [picture for picture in squares if picture.bottom > first]
    return np.stack([picture.gray for picture in above]).reshape(10, 10, 32, 32)


def fig8(path: Path) -> tuple[Gray, list[tuple[int, int]]]:
    """The 82 errors of Fig. 8, shape (82, 32, 32), and (true class, answer) of each."""
    page, first = read_page(path, 11), _first_of_fig8(path)
    below = [picture for picture in page.of_shape(32, 32) if picture.bottom <= first]
    said = sorted((text for text in page.texts if "->" in text.words), key=lambda text: (-text.bottom, text.left))
    return np.stack([picture.gray for picture in below]), [(int(text.words[0]), int(text.words[-1])) for text in said]


def _first_of_fig8(path: Path) -> float:
    """The height of Fig. 8's first row: its labels stand below its images, Fig. 7 has no labels."""
    page = read_page(path, 11)
    highest = max(text.bottom for text in page.texts if "->" in text.words)
    return min(picture.bottom for picture in page.pictures if picture.bottom > highest)


FIG13 = {"C1": (28, 28), "S2": (14, 14), "C3": (10, 10), "S4": (5, 5), "C5": (120, 1), "F6": (12, 7)}
"""Rows and columns of the images of each layer in Fig. 13."""


def fig13(path: Path) -> list[States]:
    """The nine networks of Fig. 13, row by row."""
    page = read_page(path, 17)
    inputs = page.of_shape(32, 32)
    images = {layer: _by_panel(page.of_shape(*shape), inputs) for layer, shape in FIG13.items()}
    digits = [Text(t.words, t.left, t.bottom, t.gray) for t in page.texts if t.words.isdigit() and t.gray > 0]
    named = _by_panel([Picture(np.empty((0, 0), np.uint8), t.left, t.bottom, t.left, t.bottom) for t in digits], inputs)
    label = {(t.left, t.bottom): (0, int(t.words), t.gray) for t in digits}
    return [
        States(
            panel.gray,
            {
                layer: maps[i][0] if layer == "C5" else np.stack(maps[i])
                for layer, maps in ((name, [[p.gray for p in of] for of in found]) for name, found in images.items())
            },
            tuple(label[p.left, p.bottom] for p in named[i]),
        )
        for i, panel in enumerate(inputs)
    ]


def _by_panel(pictures: Sequence[Picture], inputs: Sequence[Picture]) -> list[list[Picture]]:
    """The pictures of each panel: of a panel, the input reaches farthest right and down."""
    found: list[list[Picture]] = [[] for _ in inputs]
    for picture in pictures:
        reach = [
            (one.right - picture.right) + (picture.bottom - one.bottom)
            if one.right > picture.right - 1 and one.bottom < picture.bottom + 1
            else np.inf
            for one in inputs
        ]
        found[int(np.argmin(reach))].append(picture)
    return found


def fig25(path: Path) -> States:
    """The replicated network of Fig. 25 on "2345": input 32x52 (of a field of 64 columns), C1, C3, C5 and F6."""
    page = read_page(path, 28)
    (field,) = page.of_shape(32, 52)
    (c5,) = page.of_shape(120, 9)
    layers = {
        "C1": np.stack([picture.gray for picture in page.of_shape(28, 60)]),
        "C3": np.stack([picture.gray for picture in page.of_shape(10, 26)]),
        "C5": c5.gray,
    }
    return _string(field, layers, page.of_shape(12, 7), page.texts)


def fig26(path: Path) -> list[States]:
    """The four strings of Fig. 26, row by row: input 32x52 and F6."""
    page = read_page(path, 29)
    fields = page.of_shape(32, 52)
    windows = _by_panel(page.of_shape(12, 7), fields)
    return [_string(field, {}, windows[i], page.texts) for i, field in enumerate(fields)]


def _string(field: Picture, layers: dict[str, Gray], windows: Sequence[Picture], texts: Iterable[Text]) -> States:
    """A string's states; its labels stand above the images of F6, and the answer, in black, above these."""
    windows = sorted(windows, key=lambda picture: picture.left)
    pitch = windows[1].left - windows[0].left
    near = [t for t in texts if t.words.isdigit() and -1 < t.bottom - windows[0].bottom < 5 * pitch + 15]
    near = [t for t in near if field.left - 1 < t.left < field.right]
    labels = [
        (round((t.left - windows[0].left) / pitch), int(t.words), t.gray)
        for t in near
        if t.gray > 0 and len(t.words) == 1
    ]
    (answer,) = (t.words for t in near if t.gray == 0 and len(t.words) > 1)
    return States(field.gray, {**layers, "F6": np.stack([w.gray for w in windows])}, tuple(sorted(labels)), answer)


FIGURES: dict[str, Callable[[Path], Any]] = {
    "fig4": fig4, "fig7": fig7, "fig8": fig8, "fig13": fig13, "fig25": fig25, "fig26": fig26,
}  # fmt: skip
"""What can be taken from the paper, by figure."""


def figures(path: Path | str | None = None) -> Iterator[tuple[str, Any]]:
    """Each figure's name and what it holds; the PDF is found as by `paper_pdf`, which may raise PaperError."""
    found = paper_pdf(path)
    for name, take in FIGURES.items():
        yield name, take(found)
