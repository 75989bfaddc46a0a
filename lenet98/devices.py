"""Where PyTorch can compute: the CPU, and a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Device = Literal["cpu", "cuda"]


def devices() -> tuple[Device, ...]:
    """The devices that this machine has."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


@contextmanager
def drawing_from(seed: int, device: Device = "cpu") -> Iterator[None]:
    """PyTorch's own generators, which dropout draws from, started at `seed` and afterward as they were before."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(seed)
        yield
