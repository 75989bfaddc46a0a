"""The report: every table and every figure, with what each was made from, in one HTML page and one PDF.

Its text is Markdown, made of results alone, as the pages of docs/results are.  The page holds its pictures and asks for
no other file.  The PDF is set by fpdf2, which needs nothing that pip does not install; tools that print HTML need
libraries of the system.  Its letters are those that Matplotlib brings.
"""

from __future__ import annotations

import importlib
import io
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import matplotlib as mpl
from fpdf import FPDF
from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image
from tabulate import tabulate

from experiments.harness import documents, provenance, registry, store, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.store import Result, Runs
from paper_figures._style import rendered

NAME = "lenet98"
"""Of both files."""

T = TypeVar("T")
Pictures = Mapping[str, bytes]
"""PNG files by the name of their figure."""


def write(load: Loader, figures: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the page and the PDF into `folder` and return their paths; `figures` are modules by the figures' names."""
    text, pictures = report(load, figures)
    tokens = _parsed(text)
    paths = [folder / f"{NAME}.html", folder / f"{NAME}.pdf"]
    for path, content in zip(paths, (html(tokens, pictures).encode(), pdf(tokens, pictures)), strict=True):
        with store.atomic(path) as file:
            file.write(content)
    return paths


# --- what it says -----------------------------------------------------------------------------------------------------


def report(load: Loader, figures: Mapping[str, str]) -> tuple[str, Pictures]:
    """The report as Markdown, and the pictures that it shows by their names; what has no results is listed."""
    drawn: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    missing = []
    for name, module in figures.items():
        try:
            pictures[module], drawn[module] = _figure(name, module, load)
        except (NoResults, OSError) as error:
            missing.append(f"- Figure `{name}`: {error}")
    shown: set[str] = set()

    def in_place(found: re.Match[str]) -> str:
        shown.add(found[1])
        return drawn.get(found[1], "")

    registry.load()  # modules of experiments bring tables and pages
    parts = []
    for path, page in documents.PAGES.items():
        try:
            text, used = _recorded(load, partial(page.made, load))
        except NoResults as error:
            missing.append(f"- {path.stem}: {error}")
            continue
        text = re.sub(r"!\[[^\]]*\]\([^)]*?(\w+)\.png\)", in_place, text.replace(documents.GENERATED, ""))
        text = re.sub(r"\[[^\]]*\]\(\.\./([\w-]+\.md)[^)]*\)", r"`docs/\1`", text)  # pages that are not here
        parts += [re.sub(r"^#", "##", text, flags=re.MULTILINE), _computed(used)]
    parts += ["## Further figures", *(text for module, text in drawn.items() if module not in shown)]
    if missing:
        parts += ["## Without results", "\n".join(missing)]
    return "\n\n".join([*_summary(load), *parts]) + "\n", pictures


def _figure(name: str, module: str, load: Loader) -> tuple[bytes, str]:
    """A figure's picture, and the figure in Markdown with what it shows and what it was made from."""
    code = importlib.import_module(f"paper_figures.{module}")
    picture, used = _recorded(load, lambda: rendered(code.figure(load), "png"))
    what = " ".join((code.__doc__ or name).partition("\n\n")[0].split())
    made = f"from {tables.made_from(*used)}" if used else "from the paper's definitions and MNIST"
    return picture, f"![{what}]({module})\n\n{what} Drawn by `python -m paper_figures {name}` {made}. {_computed(used)}"


def _recorded(load: Loader, made: Callable[[], T]) -> tuple[T, list[Runs]]:
    """What a function makes, and the runs that it read for that."""
    before = len(load.read)
    found = made()
    return found, _distinct(load.read[before:])


def _distinct(read: Iterable[Runs]) -> list[Runs]:
    return list({runs.folder: runs for runs in read}.values())


def _computed(used: Sequence[Runs]) -> str:
    """How many runs these are, and how long they took."""
    results = [result for runs in used for result in runs.results]
    return f"{_runs(len(results))}, {_time(results)} of computing." if results else ""


def _runs(number: int) -> str:
    return f"{number} run" + ("s" if number != 1 else "")


def _time(results: Iterable[Result]) -> str:
    minutes = sum(result.record["seconds"] for result in results) / 60
    return f"{minutes:.1f} minutes" if minutes < 60 else f"{minutes / 60:.1f} hours"


def _summary(load: Loader) -> list[str]:
    """The title, and all runs that were read by study, machine and versions."""
    results = [(runs.experiment, result) for runs in _distinct(load.read) for result in runs.results]
    parts = [
        f"# lenet98 {metadata.version('lenet98')}: every table and figure",
        f"Made by `make report` from {_runs(len(results))} in files of results, {_time(r for _, r in results)} of "
        "computing. Numbers of the paper stand beside ours. Time is that of each run by itself, on one core unless its "
        "machine names another device.",
    ]
    for head, of in (
        ("study", lambda name, result: name.partition("/")[0]),
        ("machine", lambda name, result: tables.machine(result)),
        ("versions", lambda name, result: _versions(result)),
    ):
        groups: dict[str, list[Result]] = {}
        for name, result in results:
            groups.setdefault(of(name, result), []).append(result)
        body = [[key, str(len(found)), _time(found)] for key, found in groups.items()]
        parts.append(tabulate(body, [head, "runs", "time"], tablefmt="github", disable_numparse=True))
    return parts


def _versions(result: Result) -> str:
    found = result.record["versions"]
    named = (f"{name} {found[name]}" for name in ("python", *provenance.LIBRARIES) if found.get(name))
    return ", ".join(named)


# --- how it is shown --------------------------------------------------------------------------------------------------


def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; }
td, th { border-bottom: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top; }
p { max-width: 50em; } p:has(img) { max-width: none; } img { max-width: 100%; max-height: 60em; }
code { overflow-wrap: anywhere; }
"""


def html(tokens: Sequence[Token], pictures: Pictures) -> str:
    """The report as one page that needs no other file."""
    headings = [
        (int(token.tag[1:]), inline.content) for token, inline in pairwise(tokens) if token.type == "heading_open"
    ]
    anchors = iter(range(len(headings)))
    parts = [(number, text) for number, (level, text) in enumerate(headings) if level == 2]
    contents = "".join(f'<li><a href="#part{number}">{escape(text)}</a></li>' for number, text in parts)
    body = []
    for token in tokens:
        match token.type:
            case "heading_open":
                body.append(f'<{token.tag} id="part{next(anchors)}">')
            case "inline":
                body += [_inline_html(child, pictures) for child in token.children or ()]
            case "fence":
                body.append(f"<pre><code>{escape(token.content)}</code></pre>")
            case "html_block":  # of our own pages: what folds a long part, which paper does not
                body.append(token.content)
            case _ if token.type.endswith(("_open", "_close")):
                body.append("" if token.hidden else f"<{'/' if token.nesting < 0 else ''}{token.tag}>")
            case _:
                raise ValueError(f"the report has no way to show {token.type} of Markdown")
        if token.type == "heading_close" and token.tag == "h1":
            body.append(f"<ul>{contents}</ul>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(headings[0][1])}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n{''.join(body)}\n</body></html>\n"
    )


def _inline_html(token: Token, pictures: Pictures) -> str:
    """A part of a line; of links, which lead to pages that are not here, the words."""
    match token.type:
        case "image":
            picture = b64encode(pictures[str(token.attrs["src"])]).decode()
            return f'<img alt="{escape(token.content)}" src="data:image/png;base64,{picture}">'
        case "code_inline":
            return f"<code>{escape(token.content)}</code>"
        case "strong_open" | "strong_close" | "em_open" | "em_close":
            return f"<{'/' if token.nesting < 0 else ''}{token.tag}>"
    return escape(_words([token]))


def _words(tokens: Iterable[Token]) -> str:
    """What a line says."""
    return "".join("\n" if token.type in ("softbreak", "hardbreak") else token.content for token in tokens)


SIZES = {"h1": 16, "h2": 13, "h3": 10, "h4": 9}
"""Of headings, points."""

HIGH, A_PAGE = 110.0, 230.0
"""Height of a picture, and what as high as this is drawn as a page, mm."""

TEXT, CELL, LINE, WIDTH = 8.0, 6.0, 0.5, 0.24
"""Of text and of tables, points; a line's height, and room for a letter in bold, for each point, mm."""


def pdf(tokens: Sequence[Token], pictures: Pictures) -> bytes:
    """The report as a PDF of A4 pages, with its headings as an outline."""
    page = FPDF(format="A4")
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    for kind, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
        page.add_font("DejaVu", kind, fonts / file)
    page.add_font("DejaVu Mono", "", fonts / "DejaVuSansMono.ttf")
    page.set_margin(12)
    page.add_page()
    opened, rows = "", list[list[str]]()
    for token in tokens:
        if token.type in ("heading_open", "paragraph_open", "list_item_open"):
            opened = token.tag if opened != "li" else opened
        elif token.type == "list_item_close":
            opened = ""
        elif token.type == "table_open":
            opened, rows = "table", []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "table_close":
            _table(page, rows)
        elif token.type == "fence":
            page.set_font("DejaVu Mono", "", CELL)
            page.multi_cell(0, CELL * LINE, token.content, align="L", new_x="LMARGIN", new_y="NEXT")
            page.ln(1.5)
        elif token.type == "inline" and opened == "table":
            rows[-1].append(_words(token.children or ()))
        elif token.type == "inline":
            _line(page, opened, token.children or [], pictures)
    return bytes(page.output())


def _line(page: FPDF, tag: str, parts: Sequence[Token], pictures: Pictures) -> None:
    """A heading, a paragraph or an item of a list, and its pictures."""
    size = SIZES.get(tag, TEXT)
    page.set_font("DejaVu", "B" if tag in SIZES else "", size)
    words = _words(part for part in parts if part.type != "image").strip()
    if tag in SIZES:
        if page.get_y() > page.h - 60:  # no heading alone at the end of a page
            page.add_page()
        page.start_section(words, int(tag[1:]) - 1, strict=False)
    if words:
        page.multi_cell(0, size * LINE, ("• " if tag == "li" else "") + words, align="L", new_x="LMARGIN", new_y="NEXT")
        page.ln(1.5)
    for part in parts:
        if part.type == "image":
            picture = io.BytesIO(pictures[str(part.attrs["src"])])
            page.image(picture, w=page.epw, h=_height(picture, page.eph), keep_aspect_ratio=True)
            page.ln(1.5)


def _height(picture: io.BytesIO, most: float) -> float:
    """What a picture may have of a page, mm: one that is itself a page would not be legible in `HIGH`."""
    with Image.open(picture) as opened:
        drawn = opened.height / opened.info["dpi"][1] * 25.4
    return most if drawn > A_PAGE else HIGH


def _table(page: FPDF, rows: Sequence[Sequence[str]]) -> None:
    """A table over the page's width, in smaller letters if its longest words would not fit; a word is not divided."""
    columns = [[row[number] for row in rows] for number in range(len(rows[0]))]
    words = [max((len(word) for cell in column for word in cell.split()), default=0) + 2 for column in columns]
    whole = [min(max(map(len, column)) + 2, 40) for column in columns]
    size = min(CELL, page.epw / (WIDTH * sum(words)))
    spare = page.epw / (WIDTH * size) - sum(words)
    wanted = [max(more - least, 0) for more, least in zip(whole, words, strict=True)]
    share = min(1.0, spare / sum(wanted)) if any(wanted) else 0.0
    widths = [least + share * more for least, more in zip(words, wanted, strict=True)]
    page.set_font("DejaVu", "", size)
    with page.table(
        rows,
        col_widths=tuple(widths),
        width=min(page.epw, sum(widths) * WIDTH * size),
        align="LEFT",
        line_height=size * LINE,
        padding=size * WIDTH / 2,
        text_align="LEFT",
        borders_layout="HORIZONTAL_LINES",
    ):
        pass
    page.ln(2)
