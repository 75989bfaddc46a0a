"""`python -m paper_figures fig05` or `--all`: draws figures of the paper from results."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path
from typing import NoReturn

import paper_figures
from experiments.harness.loader import Loader, NoResults, sources
from paper_figures._style import save


class _Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"paper_figures: {message}\n")


def modules() -> dict[str, str]:
    """Names of the figures' modules by the figure's number: "fig05" gives "fig05_learning_curve"."""
    names = (module.name for module in pkgutil.iter_modules(paper_figures.__path__))
    return {name.partition("_")[0]: name for name in names if not name.startswith("_")}


def main(arguments: list[str] | None = None) -> int:
    """The command line; exit status 0 if all that is asked for is drawn, 2 if not."""
    parser = _Parser(prog="python -m paper_figures", description="Draws figures of the paper from results.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(modules())}")
    parser.add_argument("--all", action="store_true", help="every figure for which there are results")
    parser.add_argument("--source", choices=("reference", "results"), default="reference")
    parser.add_argument("--output", type=Path, default=Path("results/figures"), metavar="DIR")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--reference", type=Path, default=Path("reference"))
    chosen = parser.parse_args(arguments)
    available = modules()
    if unknown := [name for name in chosen.names if name not in available]:
        parser.error(f"no figure called {unknown[0]!r}; there are {', '.join(available)}")
    if bool(chosen.names) == chosen.all:
        parser.error(f"name figures ({', '.join(available)}) or give --all")
    load = Loader(sources(chosen.source), chosen.results, chosen.reference)
    missing = 0
    for name in chosen.names or available:
        module = available[name]
        try:
            drawn = importlib.import_module(f"paper_figures.{module}").figure(load)
            print(*save(drawn, chosen.output, module))
        except (NoResults, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            missing += 1
    none_drawn = missing == len(chosen.names or available)
    return 2 if none_drawn or (missing and not chosen.all) else 0


if __name__ == "__main__":
    sys.exit(main())
