"""Every network by its name: the paper's, and those of today that `lenet98.modern.ladder` builds from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lenet98 import networks
from lenet98.modern import ladder
from lenet98.specs import Spec

SPECS = {spec.name: spec for spec in (*networks.PAPER, *ladder.NETWORKS)}
"""The specs by their names."""


def named(name: str) -> Spec:
    """The spec of that name; ValueError lists what exists."""
    try:
        return SPECS[name]
    except KeyError:
        raise ValueError(f"no network called {name!r}; there are {', '.join(SPECS)}") from None


def resolved(spec: Spec | str) -> Spec:
    """The spec, or the one that has that name; ValueError if there is none or its layers do not fit together."""
    found = named(spec) if isinstance(spec, str) else spec
    _ = found.geometry
    return found


def from_json(content: Mapping[str, Any] | str) -> Spec:
    """The spec that a record or a file of weights holds: by value (`Spec.as_json`), or by name as older ones do.

    A known network comes under its own name.  Raises ValueError, KeyError or TypeError if it holds none.
    """
    if isinstance(content, str):
        return named(content)
    found = Spec.from_json(content)
    return next((spec for spec in SPECS.values() if spec == found), found)
