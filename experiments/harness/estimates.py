"""How long a run takes: as the last ones on this machine, else as published ones of a like machine, else a guess."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from experiments.harness import provenance
from experiments.harness.identity import Identity, Json
from experiments.harness.registry import Experiment

LAST = 3
"""Runs whose median counts."""


@dataclass(frozen=True)
class Estimate:
    """The time of one run on one core."""

    minutes: float
    source: str
    """Where it comes from, in few words."""

    def __str__(self) -> str:
        return f"about {self.minutes:.2g} minutes, {self.source}"


UNKNOWN = Estimate(0, "unknown")
"""Of a run that is not planned."""


def estimate(
    experiment: Experiment, identity: Identity, here: Sequence[Json], published: Callable[[], Sequence[Json]]
) -> Estimate:
    """The estimate for a run.

    Parameters
    ----------
    experiment, identity
        What is run.
    here
        Records of its runs in `results/`, whatever their key.
    published
        Gives those of `reference/`; called only if no run here tells.
    """
    for records, source in ((lambda: here, "as last here"), (published, "as published")):
        if telling := [record for record in records() if _tells(record, identity)]:
            last = sorted(telling, key=lambda record: record["finished"])[-LAST:]
            return Estimate(median(record["seconds"] for record in last) / 60, source)
    return Estimate(experiment.minutes, "a guess")


def _tells(record: Json, identity: Identity) -> bool:
    """Whether it is a whole run of the same key, on one core of a machine like this one."""
    theirs, ours = {"threads": 1, **record["machine"]}, provenance.machine(threads=1)
    like = all(theirs[part] == ours[part] for part in ("cpu", "cores", "threads"))
    return like and record["key"] == identity.key and record["status"] == "finished" and not record["resumed"]
