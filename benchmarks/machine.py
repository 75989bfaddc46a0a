"""The machine: its name, its clock, and what an update's multiply-adds take at least."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import numba
import torch

from lenet98.specs import Geometry, Spec

LANES = 16
"""Multiply-adds of float32 in a cycle: two vector units of 256 bits, or one of 512."""


def on_one_core() -> None:
    """Keep this process on one core, and PyTorch on one thread."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


@numba.njit
def chain(n: int, k: int) -> int:
    """n times an exclusive or and an addition, each of which waits for the one before and takes one cycle."""
    x = 0
    for _ in range(n):
        x = (x ^ k) + k
    return x


def clock() -> float:
    """Clock of the core in GHz while it computes, from the fastest of some chains of additions."""
    n = 1_000_000
    chain(1, 1)
    times = []
    for _ in range(50):
        began = time.process_time()
        chain(n, 12345)
        times.append(time.process_time() - began)
    return 2 * n / min(times) / 1e9


def forward_products(layer: Geometry) -> int:
    """Multiply-adds of a pattern forward through one layer, biases left out."""
    if layer.kind == "rbf":
        return layer.units * layer.inputs
    return layer.weights * layer.positions


def products(spec: Spec) -> int:
    """Multiply-adds of a pattern forward and backward, its update left out: 0.87 million of LeNet-5."""
    trainable = sum(forward_products(layer) for layer in spec.trainable)
    to_states = sum(forward_products(layer) for layer in spec.geometry if layer is not spec.geometry[0])
    return sum(map(forward_products, spec.geometry)) + trainable + to_states


def floor_us(spec: Spec, ghz: float) -> float:
    """Microseconds that `products` take with every lane busy."""
    return products(spec) / LANES / ghz / 1e3


def machine() -> str:
    """CPU model and versions."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in ("numpy", "numba", "torch")]
    compiler = shutil.which("cc")
    if compiler:
        first_line = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
        versions.append(first_line)
    return f"{cpu_model()}, {platform.system()} {platform.machine()}; {', '.join(versions)}."


def cpu_model() -> str:
    """Name and clock of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or "unknown processor"
    fields = dict(re.findall(r"^(.+?)\s*:\s*(.*)$", cpuinfo.read_text(), re.MULTILINE))
    name = fields.get("model name", platform.processor() or "unknown processor")
    if {"cpu family", "model", "cpu MHz"} <= fields.keys():
        name += f" (family {fields['cpu family']}, model {fields['model']}, {float(fields['cpu MHz']):.0f} MHz)"
    return name
