"""Trains a network in mini-batches and hands the harness what came out."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch

from experiments.registry import Context, Outcome
from lenet98.modern.minibatch import Config, flat, train


def train_in_batches(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    best_two = np.sort(trained.outputs, axis=1)[:, -2:]
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.outputs.argmax(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        # Of the linear outputs, the logarithm of the ratio of the two best probabilities: these round to 1 and 0.
        scores=best_two[:, 1] - best_two[:, 0],
        weights=flat(trained.model),
        # The harness records the processor, which says little of a run on another device.
        extra={} if config.device == "cpu" else {"device": torch.cuda.get_device_name()},
    )
