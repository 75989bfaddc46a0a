"""Blocks of benchmarks/README.md that the benchmarks write."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

from benchmarks.machine import on_one_core

PAGE = Path(__file__).parent / "README.md"


def put(name: str, block: str) -> None:
    """Put `block` between the markers of that name; ValueError if there is not one pair of them."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
    text, count = re.subn(pattern, lambda found: f"{found[1]}{block}\n{found[2]}", PAGE.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} pairs of markers of {name}; it needs one")
    PAGE.write_text(text)


def command(about: str, name: str, measured: Callable[[], str]) -> None:
    """The command line of a benchmark with one block: print what it measured on one core, with --write put it there."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    on_one_core()
    block = measured()
    print(block)
    if arguments.write:
        put(name, block)
