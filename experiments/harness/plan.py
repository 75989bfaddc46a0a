"""What must run, and why: the jobs of some experiments and seeds whose results are not there."""

from __future__ import annotations

import dataclasses
import heapq
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from experiments.harness import store
from experiments.harness.estimates import UNKNOWN, Estimate, estimate
from experiments.harness.identity import Identity, Json, differences, of_record
from experiments.harness.records import LARGEST_SEED
from experiments.harness.registry import Experiment
from experiments.harness.shards import Shard


@dataclass(frozen=True)
class Job:
    """One run to make, with the reason why."""

    experiment: Experiment
    seed: int
    identity: Identity
    folder: Path
    estimate: Estimate = UNKNOWN
    reason: str = ""
    afresh: bool = False
    """Whether an earlier checkpoint is thrown away."""

    @property
    def label(self) -> str:
        return f"{self.experiment.name} seed {self.seed}"

    @property
    def path(self) -> Path:
        return store.result_path(self.folder, self.seed)

    @property
    def checkpoint(self) -> Path:
        return self.path.with_suffix(".checkpoint")

    @property
    def lock(self) -> Path:
        return self.path.with_suffix(".lock")

    @property
    def log(self) -> Path:
        return self.path.with_suffix(".log")

    @property
    def command(self) -> str:
        """What makes this very run anew."""
        device = getattr(self.experiment.config, "device", "cpu")
        elsewhere = "" if device == "cpu" else f" --device {device}"
        return f"{self.experiment.command} --seeds {self.seed}{elsewhere}"


@dataclass(frozen=True)
class Plan:
    """The runs to make and those that are there."""

    jobs: tuple[Job, ...]
    there: tuple[Job, ...]

    def lines(self) -> Iterator[str]:
        """What runs and why, and what does not, a line for all seeds alike."""
        for (name, folder), there in groupby(self.there, lambda job: (job.experiment.name, job.folder)):
            seeds = format_seeds(job.seed for job in there)
            yield f"{name} seeds {seeds}: there already, in {folder}; --force runs them again"
        for (name, reason), group in groupby(self.jobs, lambda job: (job.experiment.name, job.reason)):
            jobs = list(group)
            one = jobs[0].estimate
            total = dataclasses.replace(one, minutes=one.minutes * len(jobs))
            yield f"{name} seeds {format_seeds(job.seed for job in jobs)}: {reason}, {total}"

    def minutes(self, jobs: int) -> float:
        """Estimated time with that many jobs side by side, each run begun, in order, as soon as one is free."""
        free = [0.0] * max(1, jobs)
        for job in self.jobs:
            heapq.heapreplace(free, free[0] + job.estimate.minutes)
        return max(free)

    def slowest(self, number: int) -> list[tuple[str, float]]:
        """The experiments whose runs take longest in all, with their minutes on one core, first the slowest."""
        minutes: dict[str, float] = {}
        for job in self.jobs:
            minutes[job.experiment.name] = minutes.get(job.experiment.name, 0) + job.estimate.minutes
        return heapq.nlargest(number, minutes.items(), key=operator.itemgetter(1))

    def total(self, jobs: int, where: str = "") -> str:
        """How many runs, how long with that many side by side (`where`, in words), and which are the slowest."""
        where = where or f"with --jobs {jobs}"
        text = f"{len(self.jobs)} runs, about {self.minutes(jobs):.0f} minutes {where}"
        slowest = ", ".join(f"{name} ({minutes:.2g})" for name, minutes in self.slowest(3))
        return f"{text}; the slowest, in minutes: {slowest}" if slowest else text


def plan(
    experiments: Sequence[Experiment],
    seeds: Sequence[int] | None,
    results: Path,
    *,
    reference: Path | None = None,
    force: bool = False,
    first: Sequence[str] = (),
    shard: Shard | None = None,
) -> Plan:
    """Decide which runs are to be made, and in which order.

    Parameters
    ----------
    experiments, seeds
        What is asked for; `seeds` None means each experiment's own.
    results
        Folder of results.
    reference
        Folder of published results, whose times tell how long a run takes; None for no such folder.
    force
        Whether runs are made whose results are there.
    first
        Names of experiments that come before the others, in this order.  Of the others the longest come first, so that
        short ones are left to fill every core to the end.
    shard
        The share of all runs that is taken; None for all of them.
    """
    asked = [(experiment, seed) for experiment in experiments for seed in _seeds(experiment, seeds)]
    to_do, there = [], []
    for name, runs in groupby(shard.share(asked) if shard else asked, lambda run: run[0].name):
        (experiment, *_), chosen = zip(*runs, strict=True)
        identity = experiment.identity()
        every = store.every_record(results / name)
        before = [record for record in every if record["key"] != identity.key]
        published = partial(store.published_records, name, reference) if reference else list
        time = estimate(experiment, identity, every, published)
        for seed in chosen:
            job = Job(experiment, seed, identity, results / name / identity.key, time, afresh=force)
            reason = _reason(job, before)
            if reason is None:
                there.append(job)
            else:
                to_do.append(dataclasses.replace(job, reason=reason))
    order = {name: place for place, name in enumerate(first)}
    # Runs of one experiment stay together: sorting keeps the order of equals.
    to_do.sort(key=lambda job: (order.get(job.experiment.name, len(order)), -job.estimate.minutes))
    return Plan(tuple(to_do), tuple(there))


def _seeds(experiment: Experiment, seeds: Sequence[int] | None) -> Sequence[int]:
    """Those to run of an experiment."""
    return experiment.seeds if seeds is None or experiment.deterministic else seeds


def _reason(job: Job, before: Sequence[Json]) -> str | None:
    """Why `job` has to run, None if its result is there; `before` are the records under other keys."""
    there = store.load(job.path, job.experiment.name, job.identity.key)
    if there and not job.afresh:
        return None
    if there:
        return "run again: --force"
    if job.path.exists():
        return "run again: the result could not be read"
    if job.checkpoint.exists() and not job.afresh:
        return "resumes from its last completed pass"
    same_seed = [record for record in before if record["seed"] == job.seed]
    if same_seed:
        newest = max(same_seed, key=lambda record: record["finished"])
        return f"run again: {'; '.join(differences(of_record(newest), job.identity))}"
    return "no result yet"


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from "0-9", "0,3,5" or "4"; ValueError with the remedy for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text!r} are no seeds; write them as 0-9, as 0,3,5 or as 4")
        if max(int(first), int(last or 0)) > LARGEST_SEED:
            raise ValueError(f"{text!r} holds a seed above {LARGEST_SEED}, which is the largest")
        seeds += range(int(first), int(last if dash else first) + 1)
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"{text!r} names a seed twice or none at all; write seeds as 0-9, as 0,3,5 or as 4")
    return tuple(seeds)


def format_seeds(seeds: Iterable[int]) -> str:
    """The shortest text for some seeds, "0-4,7"."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
