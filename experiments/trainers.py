"""From a configuration to an outcome: trains a network and hands the harness what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.harness import registry
from experiments.harness.registry import Context, Experiment, Outcome
from experiments.numerics import family
from lenet98.data.distortions import Sample
from lenet98.devices import Device
from lenet98.evaluation import rejection_score
from lenet98.loop import Trained
from lenet98.modern import curvatures, lenet_from_scratch, lush, minibatch
from lenet98.randomness import generator
from lenet98.readings import FORMER, Reading
from lenet98.recipes import MEAN_SQUARED_ERROR
from lenet98.replicas.training import train_replicas
from lenet98.specs import Spec
from lenet98.training import Config, FormConfig, train

# --- as Section III.B describes ---------------------------------------------------------------------------------------


def outcome(trained: Trained) -> Outcome:
    """Of a network whose least distance is the answer."""
    predictions, scores = answers(trained.distances)
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=predictions,
        diverged=trained.diverged,
        scores=scores,
        weights=trained.parameters,
    )


def answers(distances: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.floating[Any]]]:
    """The class of the least distance y_i, and how much farther the next is, from shape (n, classes)."""
    # Not by `evaluation.predict`, which refuses those of a network that has diverged.
    return distances.argmin(axis=1).astype(np.uint8), rejection_score(distances)


@family("online")
def train_network(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    return outcome(train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint))


# --- the same, several seeds at once on one device --------------------------------------------------------------------


@dataclass(frozen=True)
class ReplicaConfig(Config):
    """A training run that is computed together with others."""

    device: Device = "cpu"


def train_together(config: ReplicaConfig, seeds: Sequence[int], context: Context) -> list[Outcome]:
    """One training run on MNIST for each seed."""
    runs = train_replicas(
        config,
        seeds,
        context.mnist,
        device=config.device,
        progress=context.progress,
        checkpoint=context.checkpoint,
    )
    # The device decides how sums are rounded, and so may the number of those that are computed together.
    name = "cpu" if config.device == "cpu" else torch.cuda.get_device_name()
    extra = {"device": name, "together": list(seeds)}
    return [replace(outcome(trained), extra=extra) for trained in runs]


@family("online, replicas")
def train_one_together(config: ReplicaConfig, seed: int, context: Context) -> Outcome:
    """`train_together` with one seed."""
    return train_together(config, (seed,), context)[0]


def _together(experiment: Experiment) -> Experiment:
    config = ReplicaConfig(**{field.name: getattr(experiment.config, field.name) for field in fields(Config)})
    return replace(experiment, config=config, run=train_one_together, together=train_together)


registry.register_replicas(train_network, _together)


# --- on another form of the database than the regular one (Sections III.A and III.C) ----------------------------------


@family("online")
def train_on_form(config: FormConfig, seed: int, context: Context) -> Outcome:
    """`train_network` on MNIST in the form that `config` names; apart, because `train_together` knows no forms."""
    return train_network(config, seed, context)


# --- on distorted patterns that are never shown twice: what the paper's pool of 600,000 costs or saves ----------------


@family("online, never twice")
def train_on_fresh(config: Config, seed: int, context: Context) -> Outcome:
    """One training run in which every pass shows a new distortion of every pattern, and no original."""

    def samples(number: int) -> Sample:
        order = generator(seed, "order").permutation(config.train_size)
        return Sample(order, np.full(config.train_size, number))

    trained = train(
        config, seed, context.mnist, samples=samples, progress=context.progress, checkpoint=context.checkpoint
    )
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
    )


# --- with rates from other curvatures; not in the paper --------------------------------------------------------------


@family("curvature methods")
def train_by_curvature(config: curvatures.Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST with h_kk by the method that `config` names."""
    return outcome(
        curvatures.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    )


# --- in batches, by Lush's protocol, and with one SDLM rate a layer; not in the paper ----------------------------


@family("mini-batches")
def train_in_batches(config: minibatch.Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST."""
    trained = minibatch.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    return outcome_in_batches(trained, config.device)


def outcome_in_batches(trained: minibatch.Trained, device: Device = "cpu") -> Outcome:
    """Of a network whose greatest output is the answer."""
    best_two = np.sort(trained.outputs, axis=1)[:, -2:]
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.outputs.argmax(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        # Of the linear outputs, the logarithm of the ratio of the two best probabilities: these round to 1 and 0.
        scores=best_two[:, 1] - best_two[:, 0],
        weights=minibatch.flat(trained.model),
        extra=computed_on(device),
    )


def computed_on(device: Device) -> dict[str, str]:
    """What a record says of another device than the processor, which the harness records."""
    return {} if device == "cpu" else {"device": torch.cuda.get_device_name()}


@family("mini-batches, SDLM")
def train_module(config: minibatch.Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST by `minibatch.BySDLM`."""
    return train_in_batches(config, seed, context)


@family("lush")
def train_by_stages(config: lush.Config, seed: int, context: Context) -> Outcome:
    """One training run of Lush's LeNet-5 on MNIST."""
    return outcome(lush.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint))


@family("lenet-from-scratch")
def train_by_layer_rates(config: lenet_from_scratch.Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST with one SDLM rate a layer."""
    return outcome(
        lenet_from_scratch.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    )


TRAINERS: dict[type, Callable[[Any, int, Context], Outcome]] = {
    Config: train_network,
    FormConfig: train_on_form,
    curvatures.Config: train_by_curvature,
    minibatch.Config: train_in_batches,
    lush.Config: train_by_stages,
    lenet_from_scratch.Config: train_by_layer_rates,
}
"""What trains a network, by its kind of configuration."""


# --- the networks with ten place-coded outputs: how the paper is read for them (III.C.5 to III.C.8) -------------------


FORMER_MEAN_SQUARED_ERROR = replace(FORMER, loss="eq8")
"""`MEAN_SQUARED_ERROR` while FORMER was the default."""

C = TypeVar("C", bound=Config)


def training(kind: type[C], spec: Spec, *, reading: Reading = MEAN_SQUARED_ERROR, **more: Any) -> C:
    """The recipe of III.B for a network of place-coded outputs.

    `kind` is the class of the configuration, and `more` its further fields, distortions among them.
    """
    return kind(spec=spec, reading=reading, **more)
