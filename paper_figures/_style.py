"""The look that all figures share, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from experiments.harness import store

# Legible in print: text no smaller than 8 points in a single column, colors that differ in gray too.
TEST, TRAIN, PAPER = "#0b3d91", "#d1660f", "black"
COLUMN = (3.5, 2.8)
"""Width and height of a figure of one column, inches."""

_SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the shared look."""
    with mpl.rc_context(_SETTINGS):
        yield


def rendered(figure: Figure, form: str) -> bytes:
    """A figure as a file of that form, "pdf" or "png": the same bytes for the same figure."""
    metadata: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {"Software": None}}
    drawn = io.BytesIO()
    with style():
        figure.savefig(drawn, format=form, metadata=metadata[form], bbox_inches="tight")
    return few_colors(drawn) if form == "png" else drawn.getvalue()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write `name`.pdf and `name`.png, the same bytes for the same figure, and return their paths."""
    paths = []
    for form in ("pdf", "png"):
        with store.atomic(folder / f"{name}.{form}") as file:
            file.write(rendered(figure, form))
        paths.append(folder / f"{name}.{form}")
    return paths


def few_colors(png: io.BytesIO) -> bytes:
    """The picture with a palette of 256 colors, which looks the same and takes less than half."""
    picture, small = Image.open(png).convert("RGB"), io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(
        small, "png", optimize=True, dpi=(_SETTINGS["savefig.dpi"],) * 2
    )
    return small.getvalue()
