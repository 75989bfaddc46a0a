"""Strings read by a network of today: connectionist temporal classification (Graves et al., ICML 2006).

Not of the paper.  The space displacement network of Section VII learns single digits between others, and a decoder of
its own reads its outputs.  Here a convolutional network of the same size and step learns whole strings: the loss sums
over all ways to put a string's digits and blanks on the outputs, so that no digit's place is told.  It is close to what
Section VII.C proposes, a network and its character model trained together to tell the right string from all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lenet98 import loop
from lenet98.data import rows
from lenet98.data.distortions import Magnitudes, Pool
from lenet98.data.mnist import CLASSES, MNIST
from lenet98.data.splits import split
from lenet98.data.strings import distorted_ink
from lenet98.devices import drawing_from
from lenet98.loop import Pass, Progress, State
from lenet98.modern.minibatch import arrays_of, cosine, restore, set_rate
from lenet98.randomness import generator
from lenet98.threads import one_thread

BLANK = CLASSES
"""The output that says that no digit is here."""


@dataclass(frozen=True)
class Config:
    """All that decides a training run besides its seed.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    rate: float = 3e-3
    """Of Adam at the start; it falls to zero along half a cosine, update by update."""
    passes: int = 20
    """In each, every training digit stands in one string, but for a few at the end."""
    batch: int = 16
    """Strings per update, all of as many digits."""
    digits: tuple[int, int] = (2, 10)
    """Least and greatest length of the strings, all in between equally likely."""
    gap: tuple[int, int] = (-1, 4)
    """Columns between two boxes, as VII.B has them."""
    inverted: float = 0.1
    """Probability with which each pixel is inverted, as VII.B has it."""
    distortions: Magnitudes | None = None
    """Each digit of a string is any of the ten members of III.B's pool, so distorted; none is if None."""
    train_size: int = 60_000
    """The first so many training digits are learned."""
    held_out: int = 0
    """The last so many training digits are those of which the strings that judge are made; the test digits if 0."""

    def __post_init__(self) -> None:
        for name in ("digits", "gap"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"Config.rate is {self.rate!r}; it must be positive and finite")
        for name in ("passes", "batch", "train_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"Config.{name} is {getattr(self, name)!r}; it must be at least 1")
        if len(self.digits) != 2 or not 1 <= self.digits[0] <= self.digits[1]:
            raise ValueError(f"Config.digits is {self.digits}; it must be two lengths, the least first")
        rows.Rows(self.digits[0], self.gap, 1, self.inverted)  # names what no row can have


@dataclass(frozen=True)
class Trained:
    """A run that has ended."""

    model: nn.Sequential
    history: list[Pass]
    diverged: bool


def build(seed: int) -> nn.Sequential:
    """LeNet-5's maps and units as they are written today, 61,791 parameters; fields (n, 1, 32, width) to logits.

    Logits have the shape (n, 11, 1, outputs): ten digits and `BLANK`.
    """
    with drawing_from(int(generator(seed, "init").integers(2**63))):
        return nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 120, 5), nn.ReLU(),
            nn.Conv2d(120, 84, 1), nn.ReLU(),
            nn.Conv2d(84, CLASSES + 1, 1),
        )  # fmt: skip


def log_shares(model: nn.Module, fields: NDArray[np.float32]) -> Tensor:
    """Logarithm of each class's share at each output, shape (n, outputs, 11), for input values (n, 32, width)."""
    shares: Tensor = model(torch.from_numpy(fields)[:, None])[:, :, 0].log_softmax(1).transpose(1, 2)
    return shares


def best_path(shares: NDArray[np.float32], outputs: NDArray[np.integer]) -> list[tuple[int, ...]]:
    """The strings of the likeliest class at each output: equal successive ones are one, and blanks fall out.

    `shares` has the shape (n, outputs, 11) or any increasing function of that; row i has only its first `outputs[i]`.
    """
    classes = shares.argmax(2)
    classes[rows.beyond(outputs, classes.shape[1])] = BLANK
    before = np.pad(classes[:, :-1], ((0, 0), (1, 0)), constant_values=BLANK)
    starts = (classes != BLANK) & (classes != before)
    return [tuple(row[first].tolist()) for row, first in zip(classes, starts, strict=True)]


@torch.no_grad()
def read(model: nn.Module, fields: rows.Fields, several: int = 100) -> list[tuple[int, ...]]:
    """The strings in some fields, `several` at once."""
    found: list[tuple[int, ...]] = []
    for start in range(0, len(fields.ink), several):
        part = rows.Fields(fields.ink[start : start + several], fields.width[start : start + several])
        found += best_path(log_shares(model, part.values).numpy(), part.outputs)
    return found


@one_thread()
def train(
    config: Config,
    seed: int,
    data: MNIST,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train one network, on one thread.

    The parameters are those of `lenet98.modern.minibatch.train`.  A pass counts strings, and those that judge are not
    read: its `test_patterns` are 0.
    """
    part = split(data, config.train_size, config.held_out)
    model = build(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.rate)
    updates = [len(_lengths(config, seed, number)) for number in range(1, config.passes + 1)]

    def one_pass(number: int, before: State[Pass]) -> State[Pass] | None:
        began = perf_counter()
        restore(model, optimizer, before.arrays)
        strings, errors, total = 0, 0, 0.0
        first, done, rate = sum(updates[: number - 1]), 0, config.rate
        for update, (chosen, fields) in enumerate(_batches(config, seed, number, part.train_images), first):
            rate = config.rate * cosine(update, sum(updates))
            set_rate(optimizer, rate)
            shares = log_shares(model, fields.values)
            right = part.train_labels[chosen]
            loss = _loss(shares, fields.outputs, right)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found = best_path(shares.detach().numpy(), fields.outputs)
            errors += sum(string != tuple(row) for string, row in zip(found, right.tolist(), strict=True))
            strings, done, total = strings + len(chosen), done + chosen.size, total + loss.item() * len(chosen)
            if not np.isfinite(total):
                return None
            progress(Progress(number, config.passes, done, config.train_size, None))
        least, greatest = sorted((rate, config.rate * cosine(first, sum(updates))))
        seconds = perf_counter() - began
        entry = Pass(number, least, greatest, strings, errors, total / max(strings, 1), 0, 0, seconds)
        return State(arrays_of(model, optimizer), [*before.history, entry])

    start = State[Pass](arrays_of(model, optimizer), [])
    state, diverged = loop.run_passes(one_pass, start, config.passes, Pass, (config, seed), checkpoint)
    restore(model, optimizer, state.arrays)
    return Trained(model.eval(), state.history, diverged)


def _lengths(config: Config, seed: int, number: int) -> list[int]:
    """Digits a string in each batch of a pass, as many batches as the digits fill."""
    rng = generator(seed, "rows", number)
    found, used = [], 0
    while used + config.batch * (length := int(rng.integers(*config.digits, endpoint=True))) <= config.train_size:
        found.append(length)
        used += config.batch * length
    return found or [max(1, min(config.digits[1], config.train_size // config.batch))]


def _batches(
    config: Config, seed: int, number: int, images: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.int64], rows.Fields]]:
    """Which images stand in the strings of each batch of a pass, shape (strings, digits), and their fields."""
    order = generator(seed, "order", number).permutation(config.train_size)
    rng = generator(seed, "rows", number, 1)
    for length in _lengths(config, seed, number):
        size = config.batch * length
        chosen, order = order[:size], order[size:]
        chosen = chosen[: len(chosen) // length * length].reshape(-1, length)
        gap = rng.integers(*config.gap, (len(chosen), length - 1), endpoint=True)
        noise = int(rng.integers(2**63))
        shown, of = images, chosen
        if config.distortions:
            copies = rng.integers(0, Pool().copies, chosen.size)
            shown = distorted_ink(images, chosen.ravel(), copies, seed, config.distortions)
            of = np.arange(chosen.size).reshape(chosen.shape)
        yield chosen, rows.compose(shown, of, gap, inverted=config.inverted, seed=noise)


def _loss(shares: Tensor, outputs: NDArray[np.integer], right: NDArray[np.uint8]) -> Tensor:
    """Mean over the strings of -log p of the right string; of one that fits no path, nothing."""
    return F.ctc_loss(
        shares.transpose(0, 1), torch.from_numpy(right.astype(np.int64)), torch.from_numpy(outputs),
        torch.full((len(right),), right.shape[1]), blank=BLANK, reduction="sum", zero_infinity=True,
    ) / len(right)  # fmt: skip
