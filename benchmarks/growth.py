"""How the time of the engine grows with the network's width and with the number of patterns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.contenders import RATE, READING
from benchmarks.machine import products
from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST
from lenet98.networks import LENET1, LENET4, LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.specs import Convolution, Spec

WIDTHS = 300
"""Patterns by which a network is timed."""
MEASURED, EXTRAPOLATED = (15_000, 30_000, 60_000), 600_000
"""Patterns of a pass."""
STYLE: dict[str, Any] = {"tablefmt": "github", "disable_numparse": True}


@dataclass(frozen=True)
class Growth:
    """What was measured."""

    width: dict[str, tuple[int, float]]
    """Multiply-adds and microseconds of an update, by network."""
    patterns: dict[int, float]
    """Seconds of a pass's updates, by number of patterns."""


def widened(factor: int) -> Spec:
    """LeNet-5 with that many times the maps in C1, C3 and C5, and Table I repeated over them; F6 stays."""
    layers = []
    for layer in LENET5.layers:
        if isinstance(layer, Convolution):
            layer = replace(layer, maps=factor * layer.maps, table=_repeated(layer.table, factor))
        layers.append(layer)
    return replace(LENET5, name=f"{factor}x lenet5", layers=tuple(layers))


def _repeated(table: tuple[tuple[int, ...], ...] | None, factor: int) -> tuple[tuple[int, ...], ...] | None:
    """Each output map `factor` times, reading all `factor` copies of its input maps."""
    if table is None:
        return None
    maps = 1 + max(source for row in table for source in row)
    return factor * tuple(tuple(copy * maps + source for copy in range(factor) for source in row) for row in table)


def update_us(specs: Sequence[Spec], data: MNIST, repetitions: int = 7) -> list[float]:
    """Microseconds of an update by each network, in turns, the median."""
    sweeps = [_sweep(spec, data, WIDTHS) for spec in specs]
    times = [[1e6 * sweep() / WIDTHS for sweep in sweeps] for _ in range(repetitions)]
    return [median(column) for column in zip(*times, strict=True)]


def _sweep(spec: Spec, data: MNIST, patterns: int) -> Callable[[], float]:
    """What makes a pass of updates from the same start and returns its seconds; compiled."""
    images = pad_and_scale(data.train_images[:patterns], spec.input_shape[1])
    labels = data.train_labels[:patterns].astype(np.int64)
    start = initial_parameters(spec, READING, generator(0, "init"))
    rates, engine = np.full_like(start, RATE / 10), Engine(spec, READING)
    engine.sweep(start.copy(), rates, images[:1], labels[:1])

    def sweep() -> float:
        parameters = start.copy()
        began = time.process_time()
        engine.sweep(parameters, rates, images, labels)
        return time.process_time() - began

    return sweep


def measure(data: MNIST) -> Growth:
    """About ten seconds."""
    specs = (LENET1, LENET4, LENET5, widened(2), widened(4))
    width = {spec.name: (products(spec), round(us, 1)) for spec, us in zip(specs, update_us(specs, data), strict=True)}
    return Growth(width, {patterns: round(_sweep(LENET5, data, patterns)(), 2) for patterns in MEASURED})


def tables(growth: Growth) -> list[str]:
    """Both for people."""
    narrow = [(name, f"{count:,}", us, f"{1e3 * us / count:.3f}") for name, (count, us) in growth.width.items()]
    passes = [
        (f"{patterns:,}", f"{took} s", f"{1e6 * took / patterns:.1f} us") for patterns, took in growth.patterns.items()
    ]
    longest = max(growth.patterns)
    passes.append((f"{EXTRAPOLATED:,}", f"{growth.patterns[longest] * EXTRAPOLATED / longest:.0f} s", "extrapolated"))
    headers = [
        ["network", "multiply-adds", "us an update", "ns a multiply-add"],
        ["patterns of a pass", "its updates", "each"],
    ]
    return [tabulate(narrow, headers=headers[0], **STYLE), tabulate(passes, headers=headers[1], **STYLE)]
