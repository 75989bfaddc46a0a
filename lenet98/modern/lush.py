"""LeNet-5 as its authors' own later code, Lush, has it and trains it: the protocol of the QMNIST paper (2019).

`lenet5.lsh` of Lush, with the patch in making_qmnist/ of facebookresearch/qmnist, has no RBF units and no F6: C5 feeds
ten squashed outputs, whose targets are +1 for the class and -1 for the others, under the mean squared error.  Input is
the gray level times 0.01 on a 32x32 field of zeros.  Weights start uniform in +-1/sqrt(F); as the layers are written in
EBLearn, the same author's translation of that library, biases start at 0 and the coefficients of the subsampling, which
adds its inputs, at 1/sqrt(4).  There are three stages of ten passes, each of one eta; the diagonal Hessian is estimated
on the first 1,000 patterns when a stage begins, and only then.  Patterns come in the order of the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lenet98 import accounting, loop
from lenet98.accounting import Cost
from lenet98.curvature import diagonal
from lenet98.data.mnist import MNIST
from lenet98.data.splits import Split, split
from lenet98.loop import Progress, SDLMPass, State, Trained
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import Reading, initial_parameters
from lenet98.sdlm import MU, rates
from lenet98.specs import RBF, Full, Spec
from lenet98.threads import one_thread
from lenet98.training import CHUNK

SPEC = Spec(
    "lush",
    (1, 32, 32),
    (*LENET5.layers[:-2], Full("output", 10), RBF("places", "places")),
)
"""51,046 parameters: LeNet-5's without F6's 10,164, and 1,210 of the outputs."""

READING = Reading(
    init_gain=1.0,
    init_power=0.5,
    fan_in_counts_bias=False,
    bias_init="zero",
    coefficient_init=0.5,
    subsampling="sum",
    loss="eq8",
    loss_scale=0.5,
    curvature_patterns="first",
)
"""Lush's answers where the paper leaves points open; its order is the database's."""

FIELD = 32


@dataclass(frozen=True)
class Config:
    """All that decides a run besides its seed, which draws the initial weights.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    reading: Reading = READING
    etas: tuple[float, ...] = (1e-4, 1e-5, 1e-6)
    """eta of each stage; its length is the number of stages."""
    passes: int = 10
    """Of each stage."""
    mu: float = MU
    curvature_patterns: int = 1000
    """The first so many patterns, on which h_kk is estimated when a stage begins."""
    scale: float = 0.01
    """Input value of a gray level of 1; the background's is 0."""
    train_size: int = 60_000
    """The first so many training patterns are learned, in their order."""

    def __post_init__(self) -> None:
        if not self.etas or not all(0 < eta < float("inf") for eta in self.etas):
            raise ValueError(f"Config.etas is {self.etas}; it needs one positive eta per stage")
        if self.passes < 1:
            raise ValueError(f"Config.passes is {self.passes}; it must be at least 1")
        for name in ("mu", "scale"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"Config.{name} is {getattr(self, name)!r}; it must be positive and finite")
        if not 0 < self.curvature_patterns <= self.train_size:
            raise ValueError(f"Config.curvature_patterns is {self.curvature_patterns}; it must be 1..train_size")

    @property
    def cost(self) -> Cost:
        """Of the network and its training."""
        return accounting.cost(SPEC, len(self.etas) * self.passes)


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

    Parameters, reports and resumption are those of `lenet98.training.train`.

    Raises
    ------
    ValueError
        If the data do not have `config.train_size` training patterns.
    """
    part = split(data, config.train_size)
    engine = Engine(SPEC, config.reading)
    parameters = initial_parameters(SPEC, config.reading, generator(seed, "init"))
    state, diverged = loop.run_passes(
        lambda number, before: _one_pass(config, engine, part, number, before, progress),
        State({"parameters": parameters, "curvature": np.zeros_like(parameters)}, []),
        len(config.etas) * config.passes,
        SDLMPass,
        (config, seed),
        checkpoint,
    )
    parameters = state.arrays["parameters"]
    return Trained(parameters, state.history, distances(config, engine, parameters, part.images), diverged)


def inputs(images: NDArray[np.uint8], scale: float) -> NDArray[np.float32]:
    """Digits (n, height, width) as the network sees them: in the middle of a field of zeros, shape (n, 1, 32, 32)."""
    margins = [((FIELD - side) // 2, -(-(FIELD - side) // 2)) for side in images.shape[1:]]
    return np.pad(images, [(0, 0), *margins])[:, None] * np.float32(scale)


def distances(
    config: Config, engine: Engine, parameters: NDArray[np.float32], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Squared distance of the outputs to the code of each class, shape (n, classes)."""
    chunks = [inputs(images[n : n + CHUNK], config.scale) for n in range(0, len(images), CHUNK)]
    return np.concatenate([engine.distances(parameters, chunk) for chunk in chunks])


def _one_pass(
    config: Config,
    engine: Engine,
    data: Split,
    number: int,
    before: State[SDLMPass],
    progress: Callable[[Progress], None],
) -> State[SDLMPass] | None:
    """The state after a pass, h_kk of its stage beside the parameters; None if its loss was not finite."""
    began = time.perf_counter()
    stage, pass_of_stage = divmod(number - 1, config.passes)
    parameters, h = before.arrays["parameters"].copy(), before.arrays["curvature"]
    if pass_of_stage == 0:
        first = inputs(data.train_images[: config.curvature_patterns], config.scale)
        h = diagonal(SPEC, config.reading, parameters, first)
    eps = rates(h, config.etas[stage], config.mu)
    errors, losses, total = 0, 0.0, config.train_size
    for start in range(0, total, CHUNK):
        part = slice(start, min(start + CHUNK, total))
        images = inputs(data.train_images[part], config.scale)
        part_errors, part_losses = engine.sweep(parameters, eps, images, data.train_labels[part])
        errors, losses = errors + part_errors, losses + part_losses
        if not np.isfinite(losses):
            return None
        progress(Progress(number, len(config.etas) * config.passes, part.stop, total, errors))
    test = distances(config, engine, parameters, data.images)
    entry = SDLMPass(
        number=number,
        eta=config.etas[stage],
        rate_min=float(eps.min()),
        rate_max=float(eps.max()),
        curvature={
            layer.name: float(np.median(h[layer.weight_slice.start : layer.bias_slice.stop]))
            for layer in SPEC.trainable
        },
        train_patterns=total,
        train_errors=errors,
        train_loss=losses / total,
        test_patterns=len(data.labels),
        test_errors=int((test.argmin(1) != data.labels).sum()),
        seconds=time.perf_counter() - began,
    )
    return State({"parameters": parameters, "curvature": h}, [*before.history, entry])
