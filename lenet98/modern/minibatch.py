"""Training as it is done today: mini-batches, an optimizer of PyTorch; mostly softmax and cross-entropy.

Not of the paper, whose networks learn one pattern per update with a rate per parameter (`lenet98.training`); here so
that what is called LeNet-5 today is measured on the same bench.  A pass shows every pattern once in a new random order;
then the test set is evaluated.  The training error is measured on the fly, each batch just before its update.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import cos, isfinite, pi
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet98 import loop
from lenet98.accounting import Cost
from lenet98.checkpoint import Arrays
from lenet98.data.distortions import FIELD, Magnitudes, distort
from lenet98.data.fields import BLACK, WHITE
from lenet98.data.mnist import MNIST
from lenet98.data.splits import split
from lenet98.devices import Device, devices, drawing_from
from lenet98.loop import Pass, Progress, State
from lenet98.modern import batches
from lenet98.modern import elastic as elastically
from lenet98.modern.elastic import Elastic
from lenet98.modern.networks import PLAIN, ConvNet, SpecNet, field
from lenet98.modern.own import ModuleNet
from lenet98.randomness import generator
from lenet98.sdlm import CURVATURE_PATTERNS, ETAS, MU, SDLM, rates
from lenet98.threads import one_thread

CHUNK = 1000
"""Patterns of batches that are made at once, as many batches as hold at least so many; then progress is reported."""
EVALUATED = 400
"""Patterns that are evaluated at once: of many more, the states of a layer leave the processor's cache.  A multiple of
16, so that layers fill whole vectors: PyTorch rounds what is left over otherwise."""

Method = Literal["sgd", "adam", "adamw", "adadelta"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer of PyTorch and its settings; other settings are PyTorch's defaults.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    method: Method = "adam"
    rate: float = 1e-3
    momentum: float = 0.0
    """Of "sgd" alone."""
    weight_decay: float = 0.0
    """Added to the gradient times the weight, or with "adamw" taken from the weights directly."""
    epsilon: float = 1e-8
    """Of all but "sgd"; Keras has 1e-7."""
    rho: float = 0.9
    """Of "adadelta" alone; Keras has 0.95."""

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"Optimizer.method is {self.method!r}; it must be one of {', '.join(get_args(Method))}")
        for name in ("rate", "epsilon"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"Optimizer.{name} is {getattr(self, name)!r}; it must be positive and finite")
        for name in ("momentum", "weight_decay", "rho"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"Optimizer.{name} is {getattr(self, name)!r}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class BySDLM:
    """Stochastic diagonal Levenberg-Marquardt (App. C) with the gradient averaged over the batch, `lenet98.SDLM`.

    h_kk is estimated before every pass, on patterns drawn anew, of the loss's second derivatives at linear outputs.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    rate: float = ETAS[0]
    """eta of a factor of 1."""
    mu: float = MU
    patterns: int = CURVATURE_PATTERNS
    """On which h_kk is estimated; not distorted."""

    def __post_init__(self) -> None:
        for name in ("rate", "mu"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"BySDLM.{name} is {getattr(self, name)!r}; it must be positive and finite")
        if self.patterns < 1:
            raise ValueError(f"BySDLM.patterns is {self.patterns}; it must be at least 1")


@dataclass(frozen=True)
class Config:
    """All that decides a training run besides its seed.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    network: ConvNet | SpecNet | ModuleNet = PLAIN
    optimizer: Optimizer | BySDLM = Optimizer()
    passes: int = 10
    batch: int = 32
    """Patterns per update; the last batch of a pass may be smaller."""
    schedule: Schedule = "constant"
    """The rate stays, or falls to zero along half a cosine, update by update."""
    factors: tuple[float, ...] = ()
    """On the rate, one a pass; none for ones."""
    levels: tuple[float, float] = (0.0, 1.0)
    """Input value of background and of full ink; the paper's are -0.1 and 1.175."""
    affine: Magnitudes | None = None
    """Show every pattern distorted as the paper does (III.B), anew in every pass."""
    elastic: Elastic | None = None
    """Show every pattern distorted elastically, anew in every pass; after `affine`."""
    train_size: int = 60_000
    """The first so many training patterns are learned."""
    held_out: int = 0
    """The last so many training patterns are those on which errors are counted; the test set if 0."""
    device: Device = "cpu"
    """Where it is computed; devices differ in the last bits, so that runs on two are two experiments."""

    def __post_init__(self) -> None:
        for name in ("passes", "batch", "train_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"Config.{name} is {getattr(self, name)}; it must be at least 1")
        for name, allowed in (("schedule", get_args(Schedule)), ("device", get_args(Device))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"Config.{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}")
        if self.held_out < 0:
            raise ValueError(f"Config.held_out is {self.held_out}; it must be at least 0")
        if self.factors and len(self.factors) != self.passes:
            raise ValueError(f"Config.factors has {len(self.factors)} for {self.passes} passes; give one a pass")
        if not all(0 < factor < float("inf") for factor in self.factors):
            raise ValueError(f"Config.factors is {self.factors}; they must be positive and finite")
        if len(self.levels) != 2 or not all(map(isfinite, self.levels)):
            raise ValueError(f"Config.levels is {self.levels}; give two finite values, of background and of ink")
        if isinstance(self.optimizer, BySDLM):
            if isinstance(self.network, SpecNet):
                raise ValueError("Config.optimizer is BySDLM; train a spec by SDLM with lenet98.Config instead")
            if self.optimizer.patterns > self.train_size:
                raise ValueError(f"BySDLM.patterns is {self.optimizer.patterns}; it must be 1..train_size")
            _optimizer(self.optimizer, self.network.build(0))  # names the part of which no curvature is known
        if self.network.batch_norm and 1 in (self.batch, self.train_size % self.batch):
            raise ValueError(
                f"Config.batch is {self.batch}: the last of {self.train_size} patterns would be a batch of its own, "
                "over which nothing can be normalized; choose another size"
            )

    @property
    def updates(self) -> int:
        """Updates of one pass."""
        return -(-self.train_size // self.batch)

    @property
    def cost(self) -> Cost:
        """Of the network and its training."""
        return Cost(self.network.parameters, self.network.multiply_accumulates, self.passes)


@dataclass(frozen=True)
class Trained:
    """A run that has ended."""

    model: nn.Module
    """On the CPU, in evaluation mode."""
    history: list[Pass]
    outputs: NDArray[np.float32]
    """Outputs of every evaluated pattern, the greatest the answer, shape (n, classes): linear ones, of which the
    softmax makes probabilities, or -y_i of a network of `lenet98.networks`."""
    diverged: bool
    """Whether the loss stopped being finite; the history then ends with the last pass before that."""


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

    Parameters
    ----------
    config, seed
        What is trained; the same two give the same bits on the same machine with the same versions, if on the CPU.
    data
        Digits, bytes, at most as large as the network's input; 28x28 if they are to be distorted.
    progress
        Called every `CHUNK` patterns; an exception that it raises stops the run.
    checkpoint
        File to which the state is saved after every pass, and from which a run of the same config and seed resumes.

    Raises
    ------
    ValueError
        If the machine lacks `config.device`, the training set is smaller than `config.train_size` and
        `config.held_out` together, or the images do not fit the network.
    """
    if config.device not in devices():
        raise ValueError(f"Config.device is {config.device!r}; this machine has {', '.join(devices())}")
    # Only algorithms that give the same result every time.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        run = _start(config, seed, data)
        state, diverged = loop.run_passes(
            lambda number, before: _one_pass(run, number, before, progress),
            State(arrays_of(run.model, run.optimizer), []),
            config.passes,
            Pass,
            (config, seed),
            checkpoint,
        )
        restore(run.model, run.optimizer, state.arrays)
        outputs = evaluate(run.model, config, run.test_images)
        return Trained(run.model.eval().cpu(), state.history, outputs, diverged)


@torch.no_grad()
def evaluate(model: nn.Module, config: Config, images: Tensor) -> NDArray[np.float32]:
    """Outputs, as `Trained.outputs`, for images (bytes, shape (n, height, width)), shape (n, classes)."""
    model.eval()
    device = next(model.parameters()).device
    chunks = [
        _outputs(config, model, field(part.to(device), config.network.size, config.levels)).cpu().numpy()
        for part in images.split(EVALUATED)
    ]
    return np.concatenate(chunks)


def _outputs(config: Config, model: nn.Module, images: Tensor) -> Tensor:
    """Of `model(images)`; a module of one's own is called as it is."""
    return model(images) if isinstance(config.network, ModuleNet) else batches.forward(model, images)


def flat(model: nn.Module) -> NDArray[np.float32]:
    """All that a trained model holds as one vector, in the order of its `state_dict`: parameters and running means."""
    return np.concatenate([value.numpy(force=True).ravel().astype(np.float32) for value in model.state_dict().values()])


def rate(config: Config, update: int) -> float:
    """The optimizer's rate at an update, counted from 0 over all passes."""
    factor = config.factors[update // config.updates] if config.factors else 1.0
    if config.schedule == "cosine":
        factor *= cosine(update, config.passes * config.updates)
    return config.optimizer.rate * factor


def cosine(update: int, updates: int) -> float:
    """The factor on the rate at one of so many updates, counted from 0: half a cosine, from 1 to 0."""
    return (1 + cos(pi * update / updates)) / 2


def network_input(
    config: Config, seed: int, number: int, patterns: NDArray[np.integer], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """What a network that learns distorted patterns sees of some in pass `number`, shape (n, 1, size, size).

    The distortions of a pattern follow from (seed, pattern, pass) whatever else is in its batch.
    """
    if config.affine:
        copies = np.full(len(patterns), number)
        ink = (distort(images, patterns, copies, seed, config.affine) - WHITE) / np.float32(BLACK - WHITE)
    else:
        margins = [(0, 0), *([((FIELD - side) // 2, -(-(FIELD - side) // 2)) for side in images.shape[1:]])]
        ink = np.pad(images[patterns], margins)[:, None] / np.float32(255)
    if config.elastic:
        ink = elastically.distort(ink, elastically.displacements(seed, patterns, number, ink.shape[-1], config.elastic))
    margin = (FIELD - config.network.size) // 2
    white, black = config.levels
    return np.float32(white) + np.float32(black - white) * inside(ink, margin)


def inside(fields: NDArray[np.float32], margin: int) -> NDArray[np.float32]:
    """The fields cropped by a margin on every side, or widened by background if it is negative."""
    if margin < 0:
        return np.pad(fields, [(0, 0), (0, 0), (-margin, -margin), (-margin, -margin)])
    side = fields.shape[-1]
    return fields[..., margin : side - margin, margin : side - margin]


class _Run(NamedTuple):
    config: Config
    seed: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    data: MNIST
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: NDArray[np.uint8]


def _start(config: Config, seed: int, data: MNIST) -> _Run:
    largest = max(data.train_images.shape[1:])
    if largest > config.network.size:
        kind = type(config.network).__name__
        raise ValueError(f"{kind}.size is {config.network.size}; images of {largest} pixels do not fit it")
    model = config.network.build(seed).to(config.device)
    part = split(data, config.train_size, config.held_out)
    return _Run(
        config,
        seed,
        model,
        _optimizer(config.optimizer, model),
        data,
        torch.tensor(part.train_images, device=config.device),
        torch.tensor(part.train_labels, device=config.device, dtype=torch.int64),
        torch.tensor(part.images, device=config.device),
        part.labels,
    )


def _optimizer(chosen: Optimizer | BySDLM, model: nn.Module) -> torch.optim.Optimizer:
    if isinstance(chosen, BySDLM):
        return SDLM(model, chosen.rate, chosen.mu, "cross_entropy")
    common: dict[str, Any] = {"lr": chosen.rate, "weight_decay": chosen.weight_decay}
    match chosen.method:
        case "sgd":
            return torch.optim.SGD(model.parameters(), momentum=chosen.momentum, **common)
        case "adam":
            return torch.optim.Adam(model.parameters(), eps=chosen.epsilon, **common)
        case "adamw":
            return torch.optim.AdamW(model.parameters(), eps=chosen.epsilon, **common)
        case "adadelta":
            return torch.optim.Adadelta(model.parameters(), eps=chosen.epsilon, rho=chosen.rho, **common)


def _one_pass(run: _Run, number: int, before: State[Pass], progress: Callable[[Progress], None]) -> State[Pass] | None:
    """The state after a pass, model and optimizer; None if its loss was not finite."""
    began = time.perf_counter()
    restore(run.model, run.optimizer, before.arrays)
    config, total = run.config, run.config.train_size
    rng = generator(run.seed, "order", number)
    order = rng.permutation(total)
    errors = torch.zeros((), dtype=torch.int64, device=config.device)
    losses = torch.zeros((), dtype=torch.float64, device=config.device)
    h = _estimate(run, number)
    run.model.train()
    with drawing_from(int(rng.integers(2**63)), config.device):
        update = (number - 1) * config.updates
        several = -(-CHUNK // config.batch) * config.batch
        for start in range(0, total, several):
            images, labels = _shown(run, number, order[start : start + several])
            for batch in zip(images.split(config.batch), labels.split(config.batch), strict=True):
                set_rate(run.optimizer, rate(config, update))
                batch_errors, batch_loss = _update(run, *batch)
                errors += batch_errors
                losses += batch_loss * len(batch[1])
                update += 1
            if not isfinite(losses.item()):
                return None
            progress(Progress(number, config.passes, start + len(labels), total, int(errors)))
    outputs = evaluate(run.model, config, run.test_images)
    if not np.isfinite(outputs).all():
        return None
    first = (number - 1) * config.updates
    ends = [rate(config, first), rate(config, first + config.updates - 1)]
    if h is not None and isinstance(config.optimizer, BySDLM):
        ends = [float(of(rates(h, eta, config.optimizer.mu))) for eta in ends for of in (torch.min, torch.max)]
    entry = Pass(
        number=number,
        rate_min=min(ends),
        rate_max=max(ends),
        train_patterns=total,
        train_errors=int(errors),
        train_loss=losses.item() / total,
        test_patterns=len(run.test_labels),
        test_errors=int((outputs.argmax(1) != run.test_labels).sum()),
        seconds=time.perf_counter() - began,
    )
    return State(arrays_of(run.model, run.optimizer), [*before.history, entry])


def _estimate(run: _Run, number: int) -> Tensor | None:
    """h_kk of all parameters, flat, estimated for a pass by SDLM; None for another optimizer."""
    config = run.config
    if not isinstance(run.optimizer, SDLM) or not isinstance(config.optimizer, BySDLM):
        return None
    chosen = generator(run.seed, "hessian", number).choice(config.train_size, config.optimizer.patterns, replace=False)
    images = run.train_images[torch.from_numpy(chosen).to(config.device)]
    run.optimizer.estimate(field(images, config.network.size, config.levels))
    return torch.cat([state["h"].flatten() for state in run.optimizer.state.values()])


def _shown(run: _Run, number: int, patterns: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
    """Some patterns as the network sees them in pass `number`, and their classes."""
    config = run.config
    chosen = torch.from_numpy(patterns).to(config.device)
    if config.affine or config.elastic:
        seen = network_input(config, run.seed, number, patterns, run.data.train_images)
        images = torch.from_numpy(np.ascontiguousarray(seen)).to(config.device)
    else:
        images = field(run.train_images[chosen], config.network.size, config.levels)
    return images, run.train_labels[chosen]


def _update(run: _Run, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the optimizer; errors and mean loss of the batch before it."""
    outputs = _outputs(run.config, run.model, images)
    loss = run.config.network.loss(outputs, labels)
    run.optimizer.zero_grad()
    loss.backward()
    run.optimizer.step()
    return (outputs.detach().argmax(1) != labels).sum(), loss.detach()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give an optimizer one rate for all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


# --- states ----------------------------------------------------------------------------------------------------------


def arrays_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """Copies of all that the model holds, and of what the optimizer keeps of each parameter, counted from 0."""
    kept = optimizer.state_dict()["state"]
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"optimizer/{i}/{name}": value for i, of in kept.items() for name, value in of.items()}
    return {name: value.numpy(force=True).copy() for name, value in tensors.items()}


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Bring model and optimizer to what `arrays_of` took of them."""
    states: dict[str, Tensor] = {}
    kept: dict[int, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        match name.split("/"):
            case ["model", entry]:
                states[entry] = torch.tensor(array)
            case ["optimizer", i, entry]:
                kept.setdefault(int(i), {})[entry] = torch.tensor(array)
    model.load_state_dict(states)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": kept})
