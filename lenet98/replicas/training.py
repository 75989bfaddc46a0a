"""Training of many networks of one spec at once, each as `lenet98.training.train` trains it alone (Section III.B).

Each replica has the initial weights, the order, the distortions and the curvature patterns of its own seed.  Its
arithmetic is that of batched operations, so it equals the network trained alone to rounding, not to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lenet98 import loop
from lenet98.data.distortions import Sample
from lenet98.data.mnist import MNIST
from lenet98.data.splits import split
from lenet98.devices import Device
from lenet98.loop import Progress, SDLMPass, State, Trained
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.replicas.engine import Replicas, check_device
from lenet98.sdlm import rates
from lenet98.threads import one_thread
from lenet98.training import CHUNK, Config, curvature_sample, inputs, medians, network_input, pass_sample, targets

SHARED = ("spec", "train_size", "held_out", "curvature_patterns")
"""Fields of a configuration in which replicas may not differ; nor in the number of passes."""


@one_thread()
def train_replicas(
    configs: Config | Sequence[Config],
    seeds: Sequence[int],
    data: MNIST,
    *,
    device: Device = "cpu",
    progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Path | None = None,
) -> list[Trained]:
    """Train a network for each of `seeds`, all at once; on a CPU on one thread.

    Parameters
    ----------
    configs
        What is trained: one configuration for all, or one for each seed, with readings, etas, mu, distortions and
        strings of their own.
    seeds
        The run that each network is.
    data
        As for `lenet98.training.train`.
    device
        "cpu" or "cuda".
    progress
        Called every `CHUNK` patterns, without a count of errors: the device may still be at work on them.  An exception
        that it raises stops all.
    checkpoint
        File to which the state of all is saved after every pass, and from which the same replicas resume.

    Returns
    -------
    One for each seed, in their order.  A pass takes its `seconds` for all replicas together; each has an equal share.
    A replica whose loss stops being finite has diverged: it ends as it was before that pass, and the others go on.

    Raises
    ------
    ValueError
        If there are no seeds, as many configurations are not there, they differ in what replicas share, the training
        set is too small, there is no such device, or the checkpoint is of other replicas.
    """
    check_device(device)
    if not seeds:
        raise ValueError("there are no seeds; give one for each replica")
    each = [configs] * len(seeds) if isinstance(configs, Config) else list(configs)
    _check(each, seeds)
    run = _Run.of(each, seeds, data, device)
    start = [initial_parameters(c.spec, c.reading, generator(s, "init")) for c, s in zip(each, seeds, strict=True)]
    passes = len(each[0].etas)
    state, _ = loop.run_passes(
        lambda number, before: _one_pass(run, number, before, progress),
        State({"parameters": np.stack(start)}, []),
        passes,
        Together,
        ("replicas", device, tuple(each), tuple(seeds)),
        checkpoint,
    )
    parameters = state.arrays["parameters"]
    distances = run.replicas(range(len(seeds)), parameters).distances(run.test_images).cpu().numpy()
    histories = [[entry for entry in column if entry] for column in _columns(state, len(seeds))]
    return [
        Trained(*one, diverged=len(one[1]) < passes)
        for one in zip(parameters.copy(), histories, distances.copy(), strict=True)
    ]


@dataclass(frozen=True)
class Together:
    """One pass of all replicas; None for those that had diverged or did so in this pass."""

    replicas: tuple[SDLMPass | None, ...]

    def __post_init__(self) -> None:
        read = tuple(SDLMPass(**entry) if isinstance(entry, dict) else entry for entry in self.replicas)  # of JSON
        object.__setattr__(self, "replicas", read)


def _columns(state: State[Together], count: int) -> list[tuple[SDLMPass | None, ...]]:
    """For each replica its entries of all passes."""
    return list(zip(*(entry.replicas for entry in state.history), strict=True)) if state.history else [()] * count


def _check(configs: Sequence[Config], seeds: Sequence[int]) -> None:
    if len(configs) != len(seeds):
        raise ValueError(f"{len(configs)} configurations for {len(seeds)} seeds; give one, or one for each seed")
    first = configs[0]
    for config in configs:
        for field in SHARED:
            if (theirs := getattr(config, field)) != (ours := getattr(first, field)):
                shown = (ours.name, theirs.name) if field == "spec" else (ours, theirs)
                raise ValueError(f"replicas share {field}, but it is {shown[0]} and {shown[1]}; train them apart")
        if len(config.etas) != len(first.etas):
            raise ValueError(
                f"replicas share the number of passes, but it is {len(first.etas)} and {len(config.etas)}; train them "
                "apart"
            )


class _Run(NamedTuple):
    configs: Sequence[Config]
    seeds: Sequence[int]
    data: MNIST
    device: Device
    patterns: tuple[Tensor, Tensor] | None
    """Images and labels that all replicas learn, on the device; None if any are distorted or composed for each."""
    test_images: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, configs: Sequence[Config], seeds: Sequence[int], data: MNIST, device: Device) -> _Run:
        first = configs[0]
        judged = split(data, first.train_size, first.held_out)
        patterns = None
        if not any(config.distortions or config.strings for config in configs):
            images = inputs(first.spec, data.train_images[: first.train_size])
            patterns = _on(device, images), _on(device, data.train_labels[: first.train_size].astype(np.int64))
        test_images = _on(device, inputs(first.spec, judged.images))
        return cls(configs, seeds, data, device, patterns, test_images, _on(device, judged.labels.astype(np.int64)))

    def replicas(self, which: Sequence[int], parameters: NDArray[np.float32]) -> Replicas:
        """Those replicas, with their rows of all `parameters`."""
        blanks = any((strings := self.configs[k].strings) and strings.blanks for k in which)
        readings = [self.configs[k].reading for k in which]
        made = Replicas(self.configs[0].spec, readings, self.device, rubbish=blanks)
        made.parameters.copy_(torch.from_numpy(parameters[list(which)]))
        return made

    def learned(self, which: Sequence[int], samples: Sequence[Sample]) -> tuple[Tensor, Tensor, Tensor]:
        """Images, labels and order, for `Replicas.sweep`, of a sample for each of those replicas."""
        indices = np.stack([sample.index for sample in samples]).astype(np.int64)
        if self.patterns:
            return *self.patterns, _on(self.device, indices)
        own = [
            network_input(self.configs[k], self.seeds[k], sample, self.data.train_images)
            for k, sample in zip(which, samples, strict=True)
        ]
        labels = np.concatenate(
            [
                targets(self.configs[k], self.seeds[k], sample, self.data.train_labels).astype(np.int64)
                for k, sample in zip(which, samples, strict=True)
            ]
        )
        order = torch.arange(indices.size, device=self.device).view(indices.shape)
        return _on(self.device, np.concatenate(own)), _on(self.device, labels), order


def _on(device: Device, array: NDArray[np.generic]) -> Tensor:
    """The array on the device; to a GPU it goes while the device works on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor


def _one_pass(
    run: _Run, number: int, before: State[Together], progress: Callable[[Progress], None]
) -> State[Together] | None:
    """The state after a pass, or None if no replica's loss was finite."""
    began = time.perf_counter()
    living = [k for k in range(len(run.seeds)) if not before.history or before.history[-1].replicas[k]]
    replicas = run.replicas(living, before.arrays["parameters"])
    h = _set_rates(run, living, number, replicas)
    errors, losses = _learn(run, living, number, replicas, progress)
    wrong = (replicas.distances(run.test_images).argmin(2) != run.test_labels).sum(1)
    learned, eps, curvatures = (tensor.cpu().numpy() for tensor in (replicas.parameters, replicas.rates, h))
    counts = zip(errors.tolist(), losses.tolist(), wrong.tolist(), strict=True)  # from here on nothing is at work
    seconds = (time.perf_counter() - began) / len(living)
    parameters, entries = before.arrays["parameters"].copy(), dict[int, SDLMPass]()
    total = run.configs[0].train_size
    for n, (k, (mistaken, loss, misclassified)) in enumerate(zip(living, counts, strict=True)):
        if not np.isfinite(loss):
            continue
        parameters[k] = learned[n]
        entries[k] = SDLMPass(
            number=number,
            eta=run.configs[k].etas[number - 1],
            rate_min=float(eps[n].min()),
            rate_max=float(eps[n].max()),
            curvature=medians(run.configs[k].spec, curvatures[n]),
            train_patterns=total,
            train_errors=mistaken,
            train_loss=loss / total,
            test_patterns=len(run.test_labels),
            test_errors=misclassified,
            seconds=seconds,
        )
    if not entries:
        return None
    together = Together(tuple(entries.get(k) for k in range(len(run.seeds))))
    return State({"parameters": parameters}, [*before.history, together])


def _set_rates(run: _Run, which: Sequence[int], number: int, replicas: Replicas) -> Tensor:
    """Give replicas their rates of a pass (eq. 21); their h_kk."""
    samples = [curvature_sample(run.configs[k], run.seeds[k], number) for k in which]
    h = replicas.curvature(*run.learned(which, samples))
    for k, own, eps in zip(which, h, replicas.rates, strict=True):
        eps.copy_(rates(own, run.configs[k].etas[number - 1], run.configs[k].mu))
    return h


def _learn(
    run: _Run, which: Sequence[int], number: int, replicas: Replicas, progress: Callable[[Progress], None]
) -> tuple[Tensor, Tensor]:
    """One pass over the patterns of each of these replicas; errors and losses, as `Replicas.sweep` has them."""
    passes, total = len(run.configs[0].etas), run.configs[0].train_size
    samples = [pass_sample(run.configs[k], run.seeds[k], number) for k in which]
    errors = torch.zeros(len(which), dtype=torch.int64, device=run.device)
    losses = torch.zeros(len(which), dtype=torch.float64, device=run.device)
    mean = torch.zeros_like(replicas.parameters, dtype=torch.float64)  # of the weights after every CHUNK patterns
    for done in range(0, total, CHUNK):
        images, labels, order = run.learned(which, [sample[done : done + CHUNK] for sample in samples])
        chunk_errors, chunk_losses = replicas.sweep(images, labels, order)
        errors += chunk_errors
        losses += chunk_losses
        mean += replicas.parameters * (order.shape[1] / total)
        progress(Progress(number, passes, done + order.shape[1], total, errors=None))
    if number == passes:
        averaged = torch.tensor([run.configs[k].reading.final_weights == "average" for k in which], device=run.device)
        replicas.parameters.copy_(torch.where(averaged[:, None], mean.float(), replicas.parameters))
    return errors, losses
