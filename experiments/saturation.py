"""How far each layer is saturated at the start of training, after one pass and after two."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.registry import Context, Outcome
from lenet98.data.fields import pad_and_scale
from lenet98.modules import Net
from lenet98.networks import named
from lenet98.randomness import generator
from lenet98.readings import Reading, initial_parameters
from lenet98.specs import A, Spec
from lenet98.training import Config, train

PATTERNS = 500
"""The first so many of the training set are shown to the network."""

LITTLE = 0.01
"""A unit is saturated when f'(a)^2 has fallen to this share of its greatest value, at a = 0."""


def train_and_look(config: Config, seed: int, context: Context) -> Outcome:
    """Train as `config` says, and look at the network before, between and after its passes."""
    spec, images = named(config.spec), pad_and_scale(context.mnist.train_images[:PATTERNS])
    looks = [look(spec, config.reading, initial_parameters(spec, config.reading, generator(seed, "init")), images)]
    for passes in range(1, len(config.etas) + 1):
        # The first passes of a run are those of a shorter one.
        shorter = replace(config, etas=config.etas[:passes])
        trained = train(shorter, seed, context.mnist, progress=context.progress)
        looks.append(look(spec, config.reading, trained.parameters, images))
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        extra={"looks": looks},
    )


def look(
    spec: Spec, reading: Reading, parameters: NDArray[np.float32], images: NDArray[np.float32]
) -> dict[str, dict[str, float]]:
    """Of each layer, the share of states that are saturated, and the standard deviation of a unit's over the patterns.

    Parameters
    ----------
    spec, reading, parameters
        The network.
    images
        Shape (n, 1, height, width).

    Returns
    -------
    By layer: "saturated", 0 to 1, over all units and patterns, and "spread", the mean over the layer's units.
    """
    net = Net(spec, reading)
    net.load_flat(parameters)
    with torch.no_grad():
        states = [state.flatten(1).numpy() for state in net.states(torch.from_numpy(images))[1:]]
    # f' is proportional to 1 - (f/A)^2.
    edge = A * np.sqrt(1 - np.sqrt(LITTLE))
    return {
        layer.name: {"saturated": float((abs(state) > edge).mean()), "spread": float(state.std(axis=0).mean())}
        for layer, state in zip(spec.hidden, states, strict=True)
    }
