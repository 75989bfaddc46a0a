"""Training on distorted patterns that are never shown twice: what the paper's pool of 600,000 costs or saves."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from experiments.registry import Context, Outcome
from lenet98.data.distortions import Showing
from lenet98.randomness import generator
from lenet98.training import Config, train


def train_on_fresh(config: Config, seed: int, context: Context) -> Outcome:
    """One training run in which every pass shows a new distortion of every pattern, and no original."""

    def shows(number: int) -> Showing:
        order = generator(seed, "order").permutation(config.train_size)
        return Showing(order, np.full(config.train_size, number))

    trained = train(config, seed, context.mnist, shows=shows, progress=context.progress, checkpoint=context.checkpoint)
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
    )
