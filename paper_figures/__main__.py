"""`python -m paper_figures fig05` or `--all`: draws figures of the paper from results."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys
from pathlib import Path

from matplotlib.figure import Figure

import paper_figures
from experiments.harness.loader import Loader, NoResults, sources
from lenet98.command import Parser
from lenet98.trunk1998.pictures import PaperError, paper_pdf
from paper_figures._style import save


def modules() -> dict[str, str]:
    """Names of the figures' modules by the figure's number: "fig05" gives "fig05_learning_curve"."""
    names = (module.name for module in pkgutil.iter_modules(paper_figures.__path__))
    return {name.partition("_")[0]: name for name in names if not name.startswith("_")}


def _drawn(module: str, load: Loader, pdf: Path | None, folder: Path) -> tuple[Figure, Path, str]:
    """A figure, and where it goes; one with pictures of the PDF has a name that git ignores."""
    figure = importlib.import_module(f"paper_figures.{module}").figure
    if pdf and "pdf" in inspect.signature(figure).parameters:
        return figure(load, pdf), folder, f"{module}_1998"
    return figure(load), folder, module


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 if all that is asked for is drawn, 2 if not."""
    about = "Draws figures of the paper from results."
    parser = Parser("python -m paper_figures", description=about, speaker="paper_figures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(modules())}")
    parser.add_argument("--all", action="store_true", help="every figure for which there are results")
    parser.add_argument("--source", choices=("reference", "results"), default="reference")
    parser.add_argument("--output", type=Path, default=Path("results/figures"), metavar="DIR")
    parser.add_argument(
        "--pdf", type=Path, help="the authors' PDF, from which Figs. 13, 25 and 26 show the network of 1998 beside ours"
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="instead, every table and figure in one HTML and one PDF"
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--reference", type=Path, default=Path("reference"))
    chosen = parser.parse_args(arguments)
    available = modules()
    if unknown := [name for name in chosen.names if name not in available]:
        parser.error(f"no figure called {unknown[0]!r}; there are {', '.join(available)}")
    if chosen.report:
        return _report(parser, chosen, available)
    if bool(chosen.names) == chosen.all:
        parser.error(f"name figures ({', '.join(available)}) or give --all")
    try:
        pdf = paper_pdf(chosen.pdf) if chosen.pdf else None
    except PaperError as error:
        parser.error(str(error))
    load = Loader(sources(chosen.source), chosen.results, chosen.reference)
    missing = 0
    for name in chosen.names or available:
        module = available[name]
        try:
            print(*save(*_drawn(module, load, pdf, chosen.output)))
        except (NoResults, PaperError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            missing += 1
    none_drawn = missing == len(chosen.names or available)
    return 2 if none_drawn or (missing and not chosen.all) else 0


def _report(parser: Parser, chosen: argparse.Namespace, available: dict[str, str]) -> int:
    if chosen.names or chosen.all or chosen.pdf:
        parser.error("--report has every figure; leave names, --all and --pdf out")
    try:
        from paper_figures import _report as report
    except ImportError as error:
        parser.error(f"the report needs the extra `report`: {error}")
    print(*report.write(Loader(sources(chosen.source), chosen.results, chosen.reference), available, chosen.report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
