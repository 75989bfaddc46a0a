"""Trained networks for the figures that show one at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from experiments.harness import registry
from experiments.harness.loader import Loader, NoResults
from experiments.harness.store import Runs
from experiments.paper import numbers as paper
from experiments.paper.strings import SDNN
from lenet98 import weights
from lenet98.modules import Net, network
from lenet98.published import BLANK_PENALTY, blank_penalty
from lenet98.training import Config

NOISE = ("fingerprint/default-noise", paper.LENET5)
"""The network of Fig. 13, trained with a tenth of the pixels inverted (III.E), and what stands in for it."""
STRINGS = (SDNN, "fingerprint/default-strings", paper.LENET5)
"""The network of Figs. 24 to 26, trained on rows of digits (VII.B), and what stands in for it."""


@dataclass(frozen=True)
class Trained:
    """Networks that differ by their seed."""

    experiment: str
    title: str
    """Of the experiment."""
    nets: dict[int, Net]
    """By seed."""
    wanted: str
    """The experiment in whose place it stands, or itself."""
    blank: float = BLANK_PENALTY
    """The decoder's penalty of a blank."""

    @property
    def described(self) -> str:
        instead = "" if self.experiment == self.wanted else f" in place of {self.wanted}"
        return f"{self.title} ({self.experiment}{instead})"


def trained(load: Loader, experiments: Sequence[str], most: int) -> Trained:
    """The first networks, by seed, of the first of `experiments` whose weights are there: at most `most`.

    Raises NoResults, with the remedy for the first experiment, if there are weights of none.
    """
    for name in experiments:
        for runs in load.every(name):
            if found := _loaded(runs, most):
                nets = {seed: network(config.spec, parameters, config.reading) for seed, (parameters, config) in found}
                _, (_, config) = found[0]
                return Trained(name, registry.named(name).title, nets, experiments[0], blank_penalty(config))
    raise NoResults(
        f"no weights of {experiments[0]} are here; `python -m experiments run {experiments[0]}` makes them: "
        "ask for --source results then"
    )


def _loaded(runs: Runs, most: int) -> list[tuple[int, tuple[NDArray[np.float32], Config]]]:
    """Seed, parameters and configuration of the first runs of which there are weights."""
    there = (result for result in runs.finished if "weights" in result.arrays())
    return [(result.seed, weights.load(result.path.with_suffix(".npz"))) for result in islice(there, most)]
