"""A network of one's own beside the paper's, by one call (docs/your-own-variant.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from experiments.harness.registry import Experiment, register
from experiments.trainers import TRAINERS, train_module
from lenet98 import training
from lenet98.data.fields import BLACK, WHITE
from lenet98.modern import minibatch
from lenet98.modern.minibatch import BySDLM
from lenet98.modern.own import ModuleNet
from lenet98.sdlm import ETAS
from lenet98.specs import Spec

PASSES = len(ETAS)

MINUTES = {training.Config: 2.0, minibatch.Config: 30.0}
"""Of a run of LeNet-5's size on one core, one pattern per update."""


def variant(
    name: str,
    network: Spec | Callable[[], nn.Module],
    *,
    title: str = "",
    seeds: Sequence[int] = tuple(range(5)),
    minutes: float | None = None,
    **settings: Any,
) -> Experiment:
    """Register a network of one's own, trained as the paper's LeNet-5 is where `settings` do not say otherwise.

    Parameters
    ----------
    name
        Of the experiment: a path such as "mine/wide", in lower case.
    network
        A `Spec`, trained by the compiled online engine; or a function without arguments, at the top of a file, that
        makes a `torch.nn.Module` from images (n, 1, 32, 32) to ten linear outputs.  A module is trained on the
        cross-entropy by SDLM, one pattern per update, in PyTorch.
    title
        Its row in tables; the last part of its name unless given.
    seeds
        That are run unless the command names others.
    minutes
        Of one run on one core, for the plan.
    settings
        Fields of `lenet98.Config` for a spec, such as `reading` and `etas`.  For a module `size`, height and width of
        its input, and fields of `lenet98.modern.minibatch.Config`, such as `batch`, `passes` and `optimizer`.

    Raises
    ------
    ValueError
        If the name is taken or is none, or no run can have the network or the settings.
    TypeError
        For a setting that does not exist.
    """
    config = training.Config(spec=network, **settings) if isinstance(network, Spec) else _in_torch(network, **settings)
    by_sdlm = isinstance(config, minibatch.Config) and isinstance(config.optimizer, BySDLM)
    return register(
        Experiment(
            name=name,
            title=title or name.rpartition("/")[2],
            config=config,
            run=train_module if by_sdlm else TRAINERS[type(config)],
            minutes=MINUTES[type(config)] if minutes is None else minutes,
            seeds=tuple(seeds),
        )
    )


def _in_torch(make: Callable[[], nn.Module], size: int = 32, **settings: Any) -> minibatch.Config:
    """The paper's recipe for a module, with other settings."""
    chosen: dict[str, Any] = {
        "optimizer": BySDLM(), "batch": 1, "passes": PASSES, "levels": (WHITE, BLACK), **settings
    }  # fmt: skip
    if isinstance(chosen["optimizer"], BySDLM):
        chosen.setdefault("factors", tuple(eta / ETAS[0] for eta in ETAS[: chosen["passes"]]))
    return minibatch.Config(network=ModuleNet(make, size), **chosen)
