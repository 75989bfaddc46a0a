"""Updates of LeNet-5 a second against the number of networks that are trained at once: `python -m benchmarks.replicas`.

Replicas (`lenet98.replicas`) on the GPU, if there is one, or on one core, beside the compiled engine, which trains one
network on one core.  Within a run they take turns, and the median of each counts.  The last line is JSON:
`cores` is how many cores with the engine a device with replicas is worth, and `pays_from` the least number of replicas,
of those measured, that is worth more than one core; null if none is.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
import torch
from tabulate import tabulate

from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST, load
from lenet98.devices import Device, devices
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.replicas.engine import Replicas
from lenet98.threads import one_thread

COUNTS: dict[Device, tuple[int, ...]] = {"cpu": (1, 4, 16, 64), "cuda": (1, 4, 16, 64, 256, 1024)}
UPDATES: dict[Device, int] = {"cpu": 1000, "cuda": 50_000}
"""In one turn, of all networks together; each makes at least `LEAST` of them."""
LEAST = 20
REPETITIONS = 7
PATTERNS = 1000
RATE = 1e-3

Turn = Callable[[], float]
"""Makes some updates; seconds for each."""


@dataclass(frozen=True)
class Results:
    """Medians over the repetitions; replicas by their number."""

    device: str
    engine_us: float
    """One update of one network by the engine on one core."""
    replicas_us: dict[int, float]
    """One update of one of the networks: the time of a step divided by their number."""
    cores: dict[int, float]
    pays_from: int | None


def engine_turn(data: MNIST) -> Turn:
    """Updates of one network on one core."""
    start = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    images, labels = pad_and_scale(data.train_images[:PATTERNS]), data.train_labels[:PATTERNS]
    engine, rates = Engine(LENET5, DEFAULT), np.full_like(start, RATE)

    def turn() -> float:
        parameters, began = start.copy(), time.perf_counter()
        engine.sweep(parameters, rates, images, labels)
        return (time.perf_counter() - began) / len(images)

    return turn


def replicas_turn(data: MNIST, count: int, device: Device) -> Turn:
    """Updates of `count` networks at once."""
    images = torch.from_numpy(pad_and_scale(data.train_images[:PATTERNS])).to(device)
    labels = torch.from_numpy(data.train_labels[:PATTERNS].astype(np.int64)).to(device)
    starts = [initial_parameters(LENET5, DEFAULT, generator(seed, "init")) for seed in range(count)]
    start = torch.from_numpy(np.stack(starts)).to(device)
    replicas = Replicas(LENET5, [DEFAULT] * count, device)
    replicas.rates.fill_(RATE)
    steps = max(LEAST, UPDATES[device] // count)
    orders = np.stack([generator(seed, "order").integers(0, PATTERNS, steps) for seed in range(count)])
    order = torch.from_numpy(orders).to(device)

    def turn() -> float:
        replicas.parameters.copy_(start)
        began = time.perf_counter()
        errors, _ = replicas.sweep(images, labels, order)
        errors.tolist()  # waits for the device
        return (time.perf_counter() - began) / order.numel()

    return turn


@one_thread()
def measure(device: Device) -> Results:
    data = load()
    turns = {0: engine_turn(data), **{count: replicas_turn(data, count, device) for count in COUNTS[device]}}
    seconds: dict[int, list[float]] = {count: [] for count in turns}
    for turn in turns.values():
        turn()  # compiles
    for _ in range(REPETITIONS):
        for count, turn in turns.items():
            seconds[count].append(turn())
    engine, *replicas = (1e6 * median(times) for times in seconds.values())
    us = dict(zip(COUNTS[device], replicas, strict=True))
    cores = {count: engine / each for count, each in us.items()}
    name = "cpu, one core" if device == "cpu" else torch.cuda.get_device_name()
    return Results(name, engine, us, cores, next((count for count in us if cores[count] > 1), None))


def table(results: Results) -> str:
    """The results for people."""
    rows = [["engine, one core", 1, f"{results.engine_us:.1f}", f"{1e6 / results.engine_us:,.0f}", "1"]]
    rows += [
        [f"replicas, {results.device}", count, f"{us:.1f}", f"{1e6 / us:,.0f}", f"{results.cores[count]:.2f}"]
        for count, us in results.replicas_us.items()
    ]
    return tabulate(rows, ["", "networks", "us an update", "updates a second", "worth in cores"], disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=tuple(COUNTS), default=devices()[-1])
    results = measure(parser.parse_args().device)
    print(table(results))
    print(json.dumps(asdict(results)))


if __name__ == "__main__":
    main()
