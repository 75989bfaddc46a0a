"""Trains LeNet-5 with one SDLM rate a layer and hands the harness what came out."""

from __future__ import annotations

from experiments.registry import Context, Outcome
from experiments.trained import outcome
from lenet98.modern.lenet_from_scratch import Config, train


def train_by_layer_rates(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    return outcome(train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint))
