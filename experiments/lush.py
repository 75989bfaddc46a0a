"""Trains Lush's LeNet-5 by its protocol and hands the harness what came out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from experiments.registry import Context, Outcome
from lenet98.lush import Config, train


def train_by_stages(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    nearest_two = np.sort(trained.distances, axis=1)[:, :2]
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        scores=nearest_two[:, 1] - nearest_two[:, 0],
        weights=trained.parameters,
    )
