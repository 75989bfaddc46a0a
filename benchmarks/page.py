"""Blocks of benchmarks/README.md that the benchmarks write."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"


def put(name: str, block: str) -> None:
    """Put `block` between the markers of that name; ValueError if there is not one pair of them."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
    text, count = re.subn(pattern, lambda found: f"{found[1]}{block}\n{found[2]}", PAGE.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} pairs of markers of {name}; it needs one")
    PAGE.write_text(text)
