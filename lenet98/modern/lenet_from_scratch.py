"""LeNet-5 as LeNet-from-Scratch has it and trains it: RBF units on the bitmaps, but one SDLM rate a layer.

Of what is published as LeNet-5 this NumPy code (github.com/mattwang44/LeNet-from-Scratch) is nearest to the paper's:
Table I, A tanh(S a), the bitmaps of Fig. 3 and eq. 8 are there, and averages stand for the subsampling.  What it makes
of Appendix C is not the paper's.  Where eq. 21 has a rate for each parameter, here all of a layer share

    eps = eta / (mu + sum_k h_kk),    k over the weights of the layer,

so that eta is a hundred times the paper's.  Second derivatives go through an average of four unsquared, times 1/4 and
not 1/16, which makes h_kk four times as great for each pooling above.  A batch of 256 adds the gradients of 1/2 y_D of
its patterns, and there is momentum:

    v <- 0.9 v - eps sum_p dE^p/dw,    w <- w + v.

Weights start normal, biases at 0.01.  The biases of F6 are never added to its sums; here they stay at 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lenet98 import accounting, loop
from lenet98.accounting import Cost
from lenet98.curvature import diagonal
from lenet98.data.mnist import MNIST
from lenet98.data.splits import Split, split
from lenet98.loop import Progress, SDLMPass, State, Trained
from lenet98.losses import loss
from lenet98.modern.ladder import pooled
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import Reading
from lenet98.sdlm import CURVATURE_PATTERNS, ETAS, MU, rates
from lenet98.specs import Geometry
from lenet98.threads import one_thread
from lenet98.training import CHUNK, distances, inputs

SPEC = pooled(LENET5, "average")
READING = Reading(loss="eq8", loss_scale=0.5)
"""The loss; the initial weights are not those of a reading."""
WITHOUT_BIAS = "F6"
"""The layer whose biases the units do not add."""
UNUSED = next(layer.biases for layer in SPEC.geometry if layer.name == WITHOUT_BIAS)
"""The biases that the network is described with and has no use for."""
PARAMETERS = SPEC.parameters - UNUSED


@dataclass(frozen=True)
class Config:
    """All that decides a run besides its seed; the defaults are those of the published code.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    etas: tuple[float, ...] = tuple(100 * eta for eta in ETAS)
    """eta of each pass; its length is the number of passes."""
    mu: float = MU
    momentum: float = 0.9
    batch: int = 256
    """Patterns per update; the last batch of a pass may be smaller."""
    curvature_patterns: int = CURVATURE_PATTERNS
    """Patterns, drawn anew, on which h_kk is estimated before each pass."""
    deviation: float = 0.1
    """Standard deviation of the initial weights."""
    bias: float = 0.01
    """Initial value of every bias but F6's."""
    train_size: int = 60_000
    """The first so many training patterns are learned."""

    def __post_init__(self) -> None:
        if not self.etas or not all(0 < eta < float("inf") for eta in self.etas):
            raise ValueError(f"Config.etas is {self.etas}; it needs one positive eta per pass")
        for name in ("mu", "deviation"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"Config.{name} is {getattr(self, name)!r}; it must be positive and finite")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"Config.momentum is {self.momentum!r}; it must be at least 0 and below 1")
        if self.batch < 1:
            raise ValueError(f"Config.batch is {self.batch}; it must be at least 1")
        if not 0 < self.curvature_patterns <= self.train_size:
            raise ValueError(f"Config.curvature_patterns is {self.curvature_patterns}; it must be 1..train_size")

    @property
    def cost(self) -> Cost:
        """Of the network and its training; biases that its units do not add are not counted."""
        return replace(accounting.cost(SPEC, len(self.etas)), parameters=PARAMETERS)


class _Run(NamedTuple):
    config: Config
    seed: int
    data: Split
    net: Net
    engine: Engine


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
    run = _Run(config, seed, part, Net(SPEC, READING), Engine(SPEC, READING))
    parameters = initial_parameters(config, seed)
    state, diverged = loop.run_passes(
        lambda number, before: _one_pass(run, number, before, progress),
        State({"parameters": parameters, "velocity": np.zeros_like(parameters)}, []),
        len(config.etas),
        SDLMPass,
        (config, seed),
        checkpoint,
    )
    parameters = state.arrays["parameters"]
    return Trained(parameters, state.history, distances(run.engine, parameters, part.images), diverged)


def initial_parameters(config: Config, seed: int) -> NDArray[np.float32]:
    """The flat parameter vector before training, shape (SPEC.parameters,)."""
    rng = generator(seed, "init")
    parameters = np.zeros(SPEC.parameters, np.float32)
    for layer in SPEC.trainable:
        parameters[layer.weight_slice] = rng.normal(0, config.deviation, layer.weights)
        if layer.name != WITHOUT_BIAS:
            parameters[layer.bias_slice] = config.bias
    return parameters


def curvature(parameters: NDArray[np.float32], images: NDArray[np.float32]) -> dict[str, float]:
    """What stands in the place of h_kk for all parameters of a layer: the sum over its weights, by layer.

    `images` are preprocessed patterns, shape (n, 1, 32, 32), over which the mean is taken.
    """
    h = diagonal(SPEC, READING, parameters, images)
    return {layer.name: float(4 ** _poolings_above(layer) * h[layer.weight_slice].sum()) for layer in SPEC.trainable}


def _poolings_above(layer: Geometry) -> int:
    place = SPEC.geometry.index(layer)
    return sum(above.pools for above in SPEC.geometry[place:])


def _per_parameter(of_layer: dict[str, float]) -> NDArray[np.float32]:
    """The value of its layer for every parameter; infinite, which makes a rate of 0, for the biases left out."""
    values = np.zeros(SPEC.parameters, np.float32)
    for layer in SPEC.trainable:
        values[layer.weight_slice] = of_layer[layer.name]
        values[layer.bias_slice] = np.inf if layer.name == WITHOUT_BIAS else of_layer[layer.name]
    return values


def _one_pass(
    run: _Run, number: int, before: State[SDLMPass], progress: Callable[[Progress], None]
) -> State[SDLMPass] | None:
    """The state after a pass, the velocity beside the parameters; None if its loss was not finite."""
    began = time.perf_counter()
    config, data, total = run.config, run.data, run.config.train_size
    parameters, velocity = before.arrays["parameters"].copy(), before.arrays["velocity"].copy()
    chosen = generator(run.seed, "hessian", number).choice(total, config.curvature_patterns, replace=False)
    h = curvature(parameters, inputs(SPEC, data.train_images[chosen]))
    eta = config.etas[number - 1]
    eps = rates(_per_parameter(h), eta, config.mu)
    order = generator(run.seed, "order", number).permutation(total)
    errors, losses, reported = 0, 0.0, 0
    for start in range(0, total, config.batch):
        patterns = order[start : start + config.batch]
        images, labels = inputs(SPEC, data.train_images[patterns]), data.train_labels[patterns]
        gradient, batch_errors, batch_loss = _summed(run.net, parameters, images, labels)
        velocity *= config.momentum
        velocity -= eps * gradient
        parameters += velocity
        errors, losses, done = errors + batch_errors, losses + batch_loss, start + len(patterns)
        if not np.isfinite(losses):
            return None
        if done - reported >= CHUNK or done == total:
            reported = done
            progress(Progress(number, len(config.etas), done, total, errors))
    test = distances(run.engine, parameters, data.images)
    if not np.isfinite(test).all():
        return None
    entry = SDLMPass(
        number=number,
        eta=eta,
        rate_min=float(eps[eps > 0].min()),
        rate_max=float(eps.max()),
        curvature=h,
        train_patterns=total,
        train_errors=errors,
        train_loss=losses / total,
        test_patterns=len(data.labels),
        test_errors=int((test.argmin(1) != data.labels).sum()),
        seconds=time.perf_counter() - began,
    )
    return State({"parameters": parameters, "velocity": velocity}, [*before.history, entry])


def _summed(
    net: Net, parameters: NDArray[np.float32], images: NDArray[np.float32], labels: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], int, float]:
    """The flat gradient, the errors and the loss of a batch, summed over its patterns."""
    net.load_flat(parameters)
    net.zero_grad()
    y = net(torch.from_numpy(images))
    summed = len(images) * loss(y, torch.from_numpy(labels), READING)
    summed.backward()
    gradient = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None]).numpy()
    return gradient, int((y.detach().numpy().argmin(1) != labels).sum()), float(summed.detach())
