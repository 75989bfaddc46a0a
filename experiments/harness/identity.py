"""A result's key: a digest of everything that changes the outcome of a run besides its seed.

That is its configuration, its data, and the family and version of the arithmetic (`experiments.numerics`).  Code is no
part of it: what code a result was made by is provenance, recorded beside it, and golden cases tell whether a change of
code changes a bit (`experiments.harness.golden`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.numerics import vouched
from lenet98.readings import BEFORE

Json = dict[str, Any]


def plain(value: Any) -> Any:
    """`value` as JSON types: dataclasses become objects, tuples lists, a network what it is without its name.

    A field that came after the first results is left out while it has the value that says what was done before
    (`lenet98.readings.BEFORE`), so that it changes no key.

    Raises TypeError for what JSON cannot hold and ValueError for NaN and infinities.
    """
    if hasattr(value, "as_json"):
        return plain(value.as_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if BEFORE not in f.metadata or getattr(value, f.name) != f.metadata[BEFORE]
        }
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be part of a configuration")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be part of a configuration")


def canonical_json(value: Any) -> str:
    """One text for equal values: fields sorted, 1.0 written as 1."""

    def whole(item: Any) -> Any:
        if isinstance(item, dict):
            return {name: whole(part) for name, part in item.items()}
        if isinstance(item, list):
            return [whole(part) for part in item]
        return int(item) if isinstance(item, float) and item.is_integer() else item

    return json.dumps(whole(plain(value)), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(text: str) -> str:
    """The first 16 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Identity:
    """What changes the outcome of a run besides its seed."""

    config: Json
    data: str
    family: str
    """The way in which it is computed, a name of `experiments.numerics`."""
    numerics: dict[str, int]
    """Versions of the arithmetic of the family and of what it builds on."""

    @property
    def key(self) -> str:
        """16 hexadecimal digits."""
        return digest(canonical_json(dataclasses.asdict(self)))


def of_record(record: Json) -> Identity:
    """The identity that a record of a run states."""
    return Identity(record["config"], record["data"], record["family"], record["numerics"])


def counts_as(before: Identity, now: Identity) -> bool:
    """Whether a result of `before` counts as one of `now`: the same, or by earlier numerics that are vouched for."""
    return dataclasses.replace(before, numerics=now.numerics) == now and vouched(before.numerics, now.numerics)


def differences(before: Identity, now: Identity) -> list[str]:
    """Why a run of `now` is not the run of `before`, in words."""
    old, new = dict(_leaves(before.config)), dict(_leaves(now.config))
    words = [
        f"config {name} changed from {json.dumps(old.get(name))} to {json.dumps(new.get(name))}"
        for name in changed(before.config, now.config)
    ]
    if before.data != now.data:
        words.append(f"data changed from {before.data} to {now.data}")
    if before.family != now.family:
        words.append(f"family changed from {before.family} to {now.family}")
    words += [
        f"numerics of {name} changed from {before.numerics.get(name)} to {version}"
        for name, version in now.numerics.items()
        if before.numerics.get(name) != version and before.family == now.family
    ]
    return words


def changed(before: Json, now: Json) -> list[str]:
    """The dotted names of the fields in which two configurations differ."""
    old, new = dict(_leaves(before)), dict(_leaves(now))
    return [name for name in {**old, **new} if old.get(name) != new.get(name)]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of nested objects with their dotted names; lists are fields."""
    if isinstance(value, dict):
        for part, item in value.items():
            yield from _leaves(item, f"{name}.{part}" if name else part)
    else:
        yield name, value
