"""One seed a run, spawned by purpose, so that no draw depends on how many draws another purpose made."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Purpose = Literal["init", "order", "hessian", "distortion", "strings", "reading", "rows"]


def generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """The generator of run `seed` for `purpose`, and, for example, for one pass of it.

    The same arguments give the same stream in every process; different ones give independent streams.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(get_args(Purpose).index(purpose), *counters)))
