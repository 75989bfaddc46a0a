"""Trains a network as Section III.B describes and hands the harness what came out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from experiments.registry import Context, Outcome
from lenet98.training import Config, train


def train_network(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    nearest_two = np.sort(trained.distances, axis=1)[:, :2]
    # Not taken from lenet98.evaluation: what is added there later would change the key of every training run.
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        # Fig. 10: a pattern is rejected when its two best outputs differ too little.
        scores=nearest_two[:, 1] - nearest_two[:, 0],
        weights=trained.parameters,
    )
