"""Where training in mini-batches spends its time, and what an update takes beside plain PyTorch's:
`python -m benchmarks.minibatch`.

The trainer (`lenet98.modern.minibatch`) and PyTorch with the same layers as `lenet98.modules` and `torch.nn` define
them, its optimizers as they are by default, make updates in turns.  `--write` puts the table into README.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median
from unittest import mock

import numpy as np
from tabulate import tabulate
from torch import Tensor

from benchmarks.machine import machine, on_one_core
from benchmarks.page import put
from experiments.harness import registry
from lenet98 import modules
from lenet98.data.mnist import MNIST, load
from lenet98.modern import batches, minibatch
from lenet98.modern.minibatch import Config

RUNGS = (
    "modern/alone/sgd", "modern/ladder/sgd", "modern/ladder/adamw", "modern/ladder/batch-norm",
    "modern/ladder/elastic-distortions", "modern/ladder/wider-deeper", "popular/keras-adam",
)  # fmt: skip
PATTERNS, EVALUATED, REPETITIONS = 1000, 500, 5
"""Patterns learned in a turn, patterns evaluated, and turns."""
TESTED = 10_000 / 60_000
"""Patterns evaluated in a pass for each that is learned."""
PHASES = ("patterns", "forward", "backward", "optimizer", "evaluation")


@dataclass(frozen=True)
class Times:
    """Of one experiment, microseconds for each pattern that is learned."""

    experiment: str
    trainer: dict[str, float]
    """By phase."""
    plain: float
    """Forward, backward and optimizer by plain PyTorch."""

    @property
    def update(self) -> float:
        """The same three by the trainer."""
        return sum(self.trainer[phase] for phase in ("forward", "backward", "optimizer"))


class Contender:
    """Trains one network by the trainer's operations or by plain ones."""

    def __init__(self, config: Config, data: MNIST, *, plain: bool) -> None:
        self.run, self.plain = minibatch._start(config, 0, data), plain
        if plain:
            for group in self.run.optimizer.param_groups:
                group["fused"] = None

    def turn(self) -> dict[str, float]:
        """Microseconds a pattern, by phase."""
        with mock.patch.multiple(batches, FASTER={}, SQUASHING=modules.SQUASHING) if self.plain else nullcontext():
            return self._turn()

    def _turn(self) -> dict[str, float]:
        run, config = self.run, self.run.config
        times = dict.fromkeys(PHASES, 0.0)
        last = time.process_time()

        def spent(phase: str, share: float = 1 / PATTERNS) -> None:
            nonlocal last
            now = time.process_time()
            times[phase] += 1e6 * (now - last) * share
            last = now

        images, labels = minibatch._shown(run, 1, np.arange(PATTERNS))
        spent("patterns")
        run.model.train()
        for x, classes in zip(images.split(config.batch), labels.split(config.batch), strict=True):
            loss = self._loss(x, classes)
            spent("forward")
            run.optimizer.zero_grad()
            loss.backward()
            spent("backward")
            run.optimizer.step()
            spent("optimizer")
        minibatch.evaluate(run.model, config, run.test_images[:EVALUATED])
        spent("evaluation", TESTED / EVALUATED)
        return times

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.run.config.network.loss(batches.forward(self.run.model, images), labels)


def measure(experiments: Sequence[str], data: MNIST) -> list[Times]:
    """Each experiment's two contenders in turns, medians; half a minute."""
    return [_measured(name, data) for name in experiments]


def _measured(experiment: str, data: MNIST) -> Times:
    config = registry.named(experiment).config
    contenders = [Contender(config, data, plain=plain) for plain in (False, True)]
    for contender in contenders:
        contender.turn()  # compiles
    turns = [[contender.turn() for contender in contenders] for _ in range(REPETITIONS)]
    trainer, plain = (
        {phase: median(turn[which][phase] for turn in turns) for phase in PHASES} for which in range(len(contenders))
    )
    return Times(experiment, trainer, sum(plain[phase] for phase in ("forward", "backward", "optimizer")))


def table(measured: Sequence[Times]) -> str:
    """For people."""
    rows = []
    for times in measured:
        whole = sum(times.trainer.values())
        shares = [f"{times.trainer[phase] / whole:.0%}" for phase in PHASES]
        ratio = f"{times.plain / times.update:.2f}"
        rows.append([times.experiment, f"{times.plain:.0f}", f"{times.update:.0f}", ratio, f"{whole:.0f}", *shares])
    headers = ["experiment", "update, plain PyTorch", "update", "plain / ours", "all", *PHASES]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    arguments = parser.parse_args()
    on_one_core()
    registry.load()
    block = f"{table(measure(RUNGS, load()))}\n\n{machine()}"
    print(block)
    if arguments.write:
        put("mini-batches", block)


if __name__ == "__main__":
    main()
