"""Documents that hold results: pages made of them, and texts with tables between markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.tables import Table

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

PAGES: dict[Path, Callable[[Loader], str]] = {}
"""Pages that are generated as a whole; other modules add theirs with `page`."""


def page(path: str) -> Callable[[Callable[[Loader], str]], Callable[[Loader], str]]:
    """Register what makes the page at `path`."""

    def register(function: Callable[[Loader], str]) -> Callable[[Loader], str]:
        PAGES[Path(path)] = function
        return function

    return register


def generated(load: Loader) -> Iterator[tuple[Path, str]]:
    """Every document with what it should hold; what has no results stays as it is.

    Raises FileNotFoundError where a text of `BLOCKS` is missing, ValueError if it lacks the markers of a table.
    """
    for path, names in BLOCKS.items():
        yield path, _with_blocks(path.read_text(encoding="utf-8"), names, load)
    registry.load()  # modules of experiments may bring pages
    for path, made in PAGES.items():
        try:
            yield path, made(load)
        except NoResults:
            continue


def _with_blocks(text: str, names: tuple[str, ...], load: Loader) -> str:
    for name in names:
        try:
            text = with_block(text, name, load)
        except NoResults:
            continue
    return text


# --- tables in documents ----------------------------------------------------------------------------------------------


def block(name: str, load: Loader) -> str:
    """A table between the markers that a document holds for it."""
    return f"<!-- table {name} -->\n{for_documents(name, load).render('md')}<!-- end table -->"


def for_documents(name: str, load: Loader) -> Table:
    """The table of that name, without the remark of what has no results; NoResults if it is not to be shown yet."""
    made = tables.named(name)(load)
    if made.pending:
        raise NoResults(made.pending)
    return replace(made, notes=[note for note in made.notes if not note.startswith(tables.LACKING)])


def with_block(document: str, name: str, load: Loader) -> str:
    """`document` with the part between the markers of table `name` written anew; ValueError if it lacks them."""
    opening, closing = f"<!-- table {name} -->", "<!-- end table -->"
    before, found, rest = document.partition(opening)
    _, closed, after = rest.partition(closing)
    if not found or not closed:
        raise ValueError(f"the document has no `{opening}` ... `{closing}` to write the table between")
    return before + block(name, load) + after


@page("docs/results.md")
def results_page(load: Loader) -> str:
    """docs/results.md: every table for which there are results."""
    registry.load()
    parts = ["# Results", "Every table, generated from `reference/` by `make tables`. Do not edit."]
    for name in sorted(tables.TABLES, key=_place):  # whatever the order in which modules were imported
        try:
            made = for_documents(name, load)
        except NoResults:
            continue
        parts.append(f"## {made.caption}\n\n{made.render('md').rstrip()}")
    return "\n\n".join(parts) + "\n"


def _place(name: str) -> tuple[int, str, int]:
    """Sorts the headline before the paper's figures, "fig9" before "fig10", and these before all else."""
    letters = name.rstrip("0123456789")
    group = 0 if name == "lenet5" else 1 if letters == "fig" else 2
    return group, letters, int(name[len(letters) :] or 0)
