"""Trained networks for the figures that show one at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.harness import registry
from experiments.harness.loader import Loader, NoResults
from experiments.harness.store import Runs
from experiments.paper import numbers as paper
from experiments.paper.strings import SDNN
from lenet98 import weights
from lenet98.demo.page import BLANK_PENALTY
from lenet98.modules import Net, network
from lenet98.published import SDNN_BLANK

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

    @property
    def blank(self) -> float:
        """The decoder's penalty of a blank."""
        return SDNN_BLANK if self.experiment == SDNN else BLANK_PENALTY

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
            if nets := _nets(runs, most):
                return Trained(name, registry.named(name).title, nets, experiments[0])
    raise NoResults(
        f"no weights of {experiments[0]} are here; `python -m experiments run {experiments[0]}` makes them: "
        "ask for --source results then"
    )


def _nets(runs: Runs, most: int) -> dict[int, Net]:
    found: dict[int, Net] = {}
    for result in runs.finished:
        if len(found) < most and "weights" in result.arrays():
            parameters, config = weights.load(result.path.with_suffix(".npz"))
            found[result.seed] = network(config.spec, parameters, config.reading)
    return found
