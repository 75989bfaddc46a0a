"""Where PyTorch can compute: the CPU, and a GPU where there is one."""

from __future__ import annotations

from typing import Literal

import torch

Device = Literal["cpu", "cuda"]


def devices() -> tuple[Device, ...]:
    """The devices that this machine has."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
