"""Documents that hold results: pages made of them, and texts with tables between markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from experiments import tables
from experiments.overlap import errors_page
from experiments.tables import Loader, NoResults

BLOCKS = {
    Path("README.md"): ("lenet5", "fig9"),
    Path("docs/readings.md"): ("readings", "curvature", "saturation"),
    Path("docs/distortions.md"): ("dist", "held-out", "magnitudes", "fig7"),
    Path("docs/deviations.md"): (
        "choices",
        "machines",
        "tangents",
        "lenet1-passes",
        "mlp-mu",
        "mlp-init",
        "mlps",
        "last-layers",
        "boosting",
    ),
    Path("docs/modern.md"): ("ladder", "alone", "reverse", "held-rates", "popular"),
}
"""Tables that a text written by hand holds between markers."""

PAGES: dict[Path, Callable[[Loader], str]] = {
    Path("docs/results.md"): tables.results_page,
    Path("docs/errors-of-1998.md"): errors_page,
}
"""Pages that are generated as a whole."""


def generated(load: Loader) -> Iterator[tuple[Path, str]]:
    """Every document with what it should hold; what has no results stays as it is.

    Raises FileNotFoundError where a text of `BLOCKS` is missing, ValueError if it lacks the markers of a table.
    """
    for path, names in BLOCKS.items():
        yield path, _with_blocks(path.read_text(encoding="utf-8"), names, load)
    for path, page in PAGES.items():
        try:
            yield path, page(load)
        except NoResults:
            continue


def _with_blocks(text: str, names: tuple[str, ...], load: Loader) -> str:
    for name in names:
        try:
            text = tables.with_block(text, name, load)
        except NoResults:
            continue
    return text
