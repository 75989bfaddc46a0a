"""The networks with ten place-coded outputs: how the paper is read for them (Sections III.C.5 to III.C.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from lenet98.data.distortions import FIG7
from lenet98.readings import DEFAULT
from lenet98.training import Config

MEAN_SQUARED_ERROR = replace(DEFAULT, loss="eq8")
"""Eq. 8 on the place codes: the mean squared error of the ten outputs.  All else is read as for LeNet-5."""

C = TypeVar("C", bound=Config)


def training(kind: type[C], spec: str, *, distorted: bool = False, **more: Any) -> C:
    """The recipe of III.B for a network of `lenet98.specs`, with the distortions of Fig. 7 or without any.

    `kind` is the class of the configuration, and `more` its further fields.
    """
    return kind(spec=spec, reading=MEAN_SQUARED_ERROR, distortions=FIG7 if distorted else None, **more)
