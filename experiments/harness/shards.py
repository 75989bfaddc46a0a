"""A share of the runs for each job of an array.

A share depends on nothing but the request: not on the results that are there, nor on times that were measured.  So the
shares of all jobs are disjoint and together complete, whenever and wherever each job starts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from experiments.harness.registry import Experiment

Run = tuple[Experiment, int]
"""An experiment and a seed."""


class Shard(NamedTuple):
    """The `number`-th of `of` shares; 1 is the first."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def share(self, runs: Iterable[Run]) -> list[Run]:
        """Its runs, in their order: the longest first, each goes to the share with the least registered minutes."""
        given = list(runs)
        loads = [0.0] * self.of
        mine = set()
        for experiment, seed in sorted(given, key=lambda run: (-run[0].minutes, run[0].name, run[1])):
            least = loads.index(min(loads))
            loads[least] += experiment.minutes
            if least == self.number - 1:
                mine.add((experiment.name, seed))
        return [run for run in given if (run[0].name, run[1]) in mine]


def parse(text: str) -> Shard:
    """The share that "2/8" names; ValueError with the remedy for anything else."""
    number, _, of = text.partition("/")
    if not (
        number.isascii() and of.isascii() and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)
    ):
        raise ValueError(f"{text!r} is no share of the runs; write 1/8 for the first of eight")
    return Shard(int(number), int(of))
