"""Where an online update of LeNet-5 spends its time, by layer and phase: `python -m benchmarks.profile`.

Each kernel of the engine is run again and again on the states and derivatives of one digit.  `--write` puts the table
into README.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numba
import numpy as np
from tabulate import tabulate

from benchmarks import contenders
from benchmarks.contenders import READING
from benchmarks.machine import LANES, clock, forward_products, machine
from benchmarks.page import command
from lenet98.data.mnist import load
from lenet98.networks import LENET5
from lenet98.online import kernels
from lenet98.online.engine import Engine
from lenet98.online.plan import parameter_vector
from lenet98.specs import Geometry

CALLS, REPETITIONS = 100, 31


@dataclass(frozen=True)
class Phase:
    """One phase of one layer."""

    layer: str
    name: str
    products: int
    """Multiply-adds."""
    bytes: int
    """What it reads and what it writes, each array once."""
    once: Callable[[], float]
    """Runs it and returns its microseconds."""


@numba.njit(nogil=True)
def repeat(times: int, kernel: Any, arguments: Any) -> None:
    """Call a compiled kernel that many times."""
    for _ in range(times):
        kernel(*arguments)


def microseconds(kernel: Any, *arguments: Any) -> Callable[[], float]:
    """What measures a call of a kernel once, compiled."""
    repeat(1, kernel, arguments)

    def once() -> float:
        began = time.process_time()
        repeat(CALLS, kernel, arguments)
        return 1e6 * (time.process_time() - began) / CALLS

    return once


def phases() -> Iterator[Phase]:
    """All phases of an update, from the input to the output and back."""
    work = contenders.work(load())
    engine = Engine(LENET5, READING)
    engine.gradient(work.start, work.images[0], int(work.labels[0]))  # states and derivatives that are like others
    room, parameters, still = engine._work, parameter_vector(LENET5), parameter_vector(LENET5)
    np.copyto(parameters, work.start)
    # Derivatives pass f' again and again and must not vanish: f' is 1, by the same operations.
    plan = engine._plan._replace(slope_at_zero=np.float32(1), slope_decline=np.float32(0))
    rows = plan.layers.view(np.recarray)
    for layer, row in zip(LENET5.hidden, rows, strict=True):
        count, size = forward_products(layer), 4 * (layer.inputs + layer.units + layer.parameters)
        if layer.full:
            once = microseconds(kernels.full_forward, row, parameters, room)
        elif layer.kind == "convolution":
            once = microseconds(kernels.convolution_forward, plan, row, parameters, room)
        else:
            once = microseconds(kernels.subsampling_forward, plan, row, parameters, room)
        yield Phase(layer.name, "forward", count, size, once)
        states = room.states[row.output : row.output + row.units].copy()
        once = microseconds(kernels.squash, states, plan.amplitude, plan.slope)
        yield Phase(layer.name, "squashing", 0, 8 * layer.units, once)
    count, size = forward_products(LENET5.geometry[-1]), plan.prototypes.nbytes
    once = microseconds(kernels.rbf_distances, plan, room, room.distances)
    yield Phase("output", "forward", count, size, once)
    yield Phase("output", "loss and to states", count, size, microseconds(kernels.loss, plan, 3, room))
    for number in reversed(range(len(rows))):
        yield from backward(LENET5.hidden[number], plan, number, parameters, still, room)


def backward(
    layer: Geometry, plan: kernels.Plan, number: int, parameters: Any, rates: Any, room: kernels.Workspace
) -> Iterator[Phase]:
    """The phases of one layer on the way back; `rates` are zero, so that it does not learn."""
    row, first = plan.layers.view(np.recarray)[number], plan.layers.copy().view(np.recarray)[number]
    first.input = 0  # as if it were the first layer, which works out no dE/dx
    count, size = forward_products(layer), 4 * (layer.inputs + layer.units + layer.parameters)
    once = microseconds(kernels.layer_through_squash, plan, row, room)
    yield Phase(layer.name, "f'", 0, 12 * layer.units, once)
    if layer.full:
        once = microseconds(kernels.full_update, row, parameters, rates, room)
        size += 4 * (layer.inputs + 2 * layer.parameters)
        yield Phase(layer.name, "to states, to weights, update", 2 * count + layer.parameters, size, once)
        return
    both = microseconds(kernels.layer_backward, plan, row, parameters, room)
    if layer.kind == "subsampling":
        size += 4 * (layer.inputs + layer.units + layer.parameters)
        yield Phase(layer.name, "to states, to weights", 2 * count, size, both)
    else:
        alone = microseconds(kernels.layer_backward, plan, first, parameters, room)
        yield Phase(layer.name, "to weights", count, size, alone)
        if number > 0:
            yield Phase(layer.name, "to states", count, size, lambda: both() - alone())
    own = slice(layer.weight_slice.start, layer.bias_slice.stop)
    once = microseconds(kernels.descend, parameters[own], rates[own], room.gradient[own])
    yield Phase(layer.name, "update", layer.parameters, 16 * layer.parameters, once)


def measure() -> list[tuple[Phase, float]]:
    """Every phase in turns, with its median; half a minute, most of it for compiling."""
    measured = list(phases())
    times = [[phase.once() for phase in measured] for _ in range(REPETITIONS)]
    return [(phase, median(column)) for phase, column in zip(measured, zip(*times, strict=True), strict=True)]


def table(measured: list[tuple[Phase, float]], ghz: float) -> str:
    """For people, with the share of the floor: what the multiply-adds would take with every lane busy."""

    def cells(layer: str, name: str, products: int, size: int, us: float) -> tuple[str, ...]:
        floor = products / LANES / ghz / 1e3
        return layer, name, f"{products:,}", f"{size:,}", f"{us:.2f}", f"{floor / us:.0%}" if products else ""

    rows = [cells(phase.layer, phase.name, phase.products, phase.bytes, us) for phase, us in measured]
    every = [phase for phase, _ in measured]
    us = sum(us for _, us in measured)
    rows.append(cells("sum", "", sum(p.products for p in every), sum(p.bytes for p in every), us))
    headers = ["layer", "phase", "multiply-adds", "bytes", "us", f"floor at {ghz:.2f} GHz / time"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    command(__doc__, "profile", lambda: f"{table(measure(), clock())}\n\n{machine()}")


if __name__ == "__main__":
    main()
