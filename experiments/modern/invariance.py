"""Today's network on the test digits that `experiments.paper.invariance` changes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.modern.ladder import LADDER
from experiments.numerics import family
from experiments.paper.invariance import TITLES, TODAY, with_errors
from experiments.trainers import outcome_in_batches
from lenet98.data.changes import Fields
from lenet98.data.distortions import FIELD
from lenet98.modern import minibatch


@family("invariance, mini-batches")
def train_and_change(config: minibatch.Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST, and the errors on changed test digits."""
    data = context.mnist
    trained = minibatch.train(config, seed, data, progress=context.progress, checkpoint=context.checkpoint)
    found = outcome_in_batches(trained, config.device)
    return with_errors(found, partial(answers, trained.model, config.network.size), data)


@torch.no_grad()
def answers(model: nn.Module, size: int, fields: Fields) -> NDArray[np.integer[Any]]:
    """The classes that a model gives fields of 32x32, of which it sees the middle `size` x `size`."""
    seen = torch.from_numpy(minibatch.inside(fields, (FIELD - size) // 2))
    return torch.cat([model(part).argmax(dim=1) for part in seen.split(minibatch.EVALUATED)]).numpy()


register(
    Experiment(
        TODAY,
        f"{TITLES[TODAY]}, test digits changed",
        LADDER[-1].config,
        train_and_change,
        minutes=8,
        seeds=tuple(range(5)),
    )
)
