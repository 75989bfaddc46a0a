"""Runs of several seeds of one experiment at once, on one device, in this process (`--replicas`).

They are computed together and then recorded one by one, as `runner` records a run.
"""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from experiments.harness import locks, progress, provenance, registry
from experiments.harness.identity import Json
from experiments.harness.plan import Job, format_seeds
from experiments.harness.registry import Context, Outcome
from experiments.harness.runner import Ended, Summary, Task, run_job
from lenet98.loop import Progress

Run = Callable[[object, int, Context], Outcome]


def execute(jobs: Sequence[Job], data_dir: Path | None = None) -> Summary:
    """Make all runs, those of one experiment at once, and show how they go.

    Experiments come one after the other; one that fails does not stop the next.  Ctrl-C stops all, and the same command
    resumes from the last completed pass.
    """
    if any(job.experiment.data == "mnist" for job in jobs):
        registry.load_mnist(data_dir)
    groups = [list(group) for _, group in groupby(jobs, lambda job: job.folder)]
    shown, versions, failed = progress.display(len(groups)), provenance.versions(), 0
    try:
        for group in groups:
            label = f"{group[0].experiment.name} seeds {format_seeds(job.seed for job in group)}"
            for ended in _make(group, data_dir, versions, partial(shown.report, label)):
                shown.say(ended.line, error=ended.how != "finished")
                failed += ended.how == "failed"
            shown.end(label)
    except KeyboardInterrupt as interrupt:
        return Summary(failed, getattr(interrupt, "signal", signal.SIGINT))
    finally:
        shown.close()
    return Summary(failed)


def _make(
    group: Sequence[Job], data_dir: Path | None, versions: Json, report: Callable[[Progress], None]
) -> list[Ended]:
    """Make the runs of one experiment and write their results."""
    first, seeds = group[0], [job.seed for job in group]
    lock = first.folder / "replicas.lock"  # which seeds others would put together cannot be known
    checkpoint = first.folder / f"seeds-{format_seeds(seeds)}.checkpoint"
    try:
        with locks.held(lock, first.experiment.command):
            if first.afresh:
                checkpoint.unlink(missing_ok=True)
            runs = _computed(group, Context(report, checkpoint, data_dir))
            ended = [_recorded(job, run, data_dir, versions) for job, run in zip(group, runs, strict=True)]
            if all(one.how != "failed" for one in ended):
                checkpoint.unlink(missing_ok=True)
            return ended
    except locks.Taken as error:
        return [Ended("failed", f"{first.experiment.name} is not made here: {error}")]


def _computed(group: Sequence[Job], context: Context) -> list[Run]:
    """For each job what gives its outcome, computed with the others, or raises the error that stopped them all."""
    experiment = group[0].experiment
    assert experiment.together is not None, f"{experiment.name} is not computed as replicas"
    resumed = context.checkpoint.exists()
    try:
        outcomes = experiment.together(experiment.config, [job.seed for job in group], context)
    except Exception as error:
        return [partial(_raise, error)] * len(group)
    return [partial(_give, _with_its_share(outcome, resumed)) for outcome in outcomes]


def _with_its_share(outcome: Outcome, resumed: bool) -> Outcome:
    seconds = sum(entry["seconds"] for entry in outcome.passes)
    return dataclasses.replace(outcome, seconds=seconds, resumed=resumed)


def _give(outcome: Outcome, config: object, seed: int, context: Context) -> Outcome:
    return outcome


def _raise(error: Exception, config: object, seed: int, context: Context) -> NoReturn:
    raise error


def _recorded(job: Job, run: Run, data_dir: Path | None, versions: Json) -> Ended:
    """Record a run that is computed already, by all of `runner`'s rules."""
    given = dataclasses.replace(job, experiment=dataclasses.replace(job.experiment, run=run))
    return run_job(Task(given, data_dir, threads=1, versions=versions), lambda report: None)
