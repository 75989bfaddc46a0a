"""What a string costs: the replicated network beside the network run anew at every output (Section VII).

    python -m benchmarks.displacement [--write]

Multiply-accumulates are counted; times are medians over turns of processor time on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate

from benchmarks.contenders import READING, Contender, in_turns
from benchmarks.machine import machine
from benchmarks.page import command
from lenet98.data import rows
from lenet98.data.mnist import MNIST, load
from lenet98.displacement import operations, penalties, step
from lenet98.modules import network
from lenet98.networks import LENET5
from lenet98.online.engine import Engine, WideEngine
from lenet98.randomness import generator
from lenet98.readings import initial_parameters

DIGITS = (1, 2, 5, 10)
STRINGS = 20
REPETITIONS = 7


@dataclass(frozen=True)
class Cost:
    """Of strings of so many digits; times are milliseconds a string."""

    digits: int
    width: int
    """Columns of the field."""
    torch: tuple[float, float]
    """By PyTorch, replicated and in windows, those of a string in one batch."""
    engine: tuple[float, float]
    """By the engine, replicated and window by window."""


def fields(digits: int, data: MNIST) -> NDArray[np.float32]:
    """Input values of `STRINGS` strings of test digits, boxes 1 px apart, shape (strings, 32, width)."""
    drawn = rows.draw(rows.Rows(digits, (1, 1), STRINGS), 0, len(data.test_images))
    return rows.compose(data.test_images, *drawn).values


def windows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each output sees, shape (strings x outputs, 1, 32, 32)."""
    size = LENET5.input_shape[2]
    seen = np.lib.stride_tricks.sliding_window_view(values, size, axis=2)[:, :, :: step(LENET5)]
    return np.ascontiguousarray(seen.swapaxes(1, 2)).reshape(-1, *LENET5.input_shape)


def ways(values: NDArray[np.float32]) -> list[Callable[[], NDArray[np.float32]]]:
    """Four ways to the penalties of all strings, shape (strings x outputs, 10), in the order of `Cost`."""
    parameters = initial_parameters(LENET5, READING, generator(0, "init"))
    net, engine, crops = network(LENET5, parameters, READING), Engine(LENET5, READING), windows(values)
    wide, batches = WideEngine(LENET5, READING, values.shape[2]), np.split(crops, len(values))

    @torch.no_grad()
    def by_windows() -> NDArray[np.float32]:
        return np.concatenate([net(torch.from_numpy(batch)).numpy() for batch in batches])

    def replicated() -> NDArray[np.float32]:
        return np.concatenate([penalties(net, field[None])[0] for field in values])

    def by_engine() -> NDArray[np.float32]:
        return wide.distances(parameters, values[:, None]).reshape(-1, LENET5.classes)

    return [replicated, by_windows, by_engine, lambda: engine.distances(parameters, crops)]


def measure(data: MNIST, repetitions: int = REPETITIONS) -> list[Cost]:
    """Each way in turn, after one turn that does not count."""
    found = []
    for digits in DIGITS:
        values = fields(digits, data)
        ready = {str(place): Contender(way, len(values)) for place, way in enumerate(ways(values))}
        in_turns(ready, 1)  # the first time compiles and warms up
        of_torch, of_windows, of_engine, of_crops = (us / 1000 for us in in_turns(ready, repetitions).values())
        found.append(Cost(digits, values.shape[2], (of_torch, of_windows), (of_engine, of_crops)))
    return found


def table(costs: list[Cost]) -> str:
    """Counts and times, a row for each length."""
    header = [
        "digits", "columns", "outputs", "multiply-accumulates, replicated", "multiply-accumulates, in windows", "ratio",
        "PyTorch, ms, replicated", "PyTorch, ms, in windows", "ratio", "engine, ms, replicated",
        "engine, ms, in windows", "ratio",
    ]  # fmt: skip
    body = []
    for cost in costs:
        count = operations(LENET5, cost.width)
        body.append(
            [
                *map(str, (cost.digits, cost.width, count.outputs)),
                f"{count.replicated:,}",
                f"{count.windows:,}",
                f"{count.windows / count.replicated:.1f}",
                *_pair(*cost.torch),
                *_pair(*cost.engine),
            ]
        )
    return tabulate(body, header, tablefmt="github", disable_numparse=True)


def _pair(replicated: float, in_windows: float) -> tuple[str, str, str]:
    """Both times and their ratio."""
    return f"{replicated:.2f}", f"{in_windows:.2f}", f"{in_windows / replicated:.1f}"


def main() -> None:
    command(__doc__, "displacement", lambda: f"{table(measure(load()))}\n\n{machine()}")


if __name__ == "__main__":
    main()
