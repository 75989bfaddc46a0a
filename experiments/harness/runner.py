"""Runs experiments: several runs at a time, each in its own process on one thread.

A run whose result lies under its key is not made again.  An interrupted one resumes from its checkpoint.  A process
that dies costs the run that it was making, which is tried once more.
"""

from __future__ import annotations

import errno
import math
import operator
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.harness import locks, progress, provenance, registry, store, workers
from experiments.harness.identity import Json, canonical_json, plain
from experiments.harness.plan import Job
from experiments.harness.registry import Context, Outcome
from experiments.harness.workers import Died, Done, Pool, Report, Stopped, Unbegun
from lenet98.loop import Progress
from lenet98.threads import ENVIRONMENT, one_thread

# --- one run, in a worker ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a run ended, and the line that says so."""

    how: Literal["finished", "diverged", "failed", "stopped"]
    line: str = ""


@dataclass(frozen=True)
class Task:
    """A run as a worker gets it."""

    job: Job
    data_dir: Path | None
    threads: int
    """That it may use if it can."""
    versions: Json
    again: bool = False
    """Whether it was begun before: the checkpoint that is there is this command's own."""


def run_job(task: Task, report: Callable[[Progress], None]) -> Ended:
    """Make one run and write its result; `report` raises `Stopped` to stop it."""
    job = task.job
    try:
        _verify_code(task.versions)
        with locks.held(job.lock, job.command), one_thread():
            return _make(task, Context(report, job.checkpoint, task.data_dir, task.threads))
    except Stopped:
        return Ended("stopped")
    except locks.Taken as error:
        return Ended("failed", f"{job.label} is not made here: {error}")
    except Exception as error:
        return Ended("failed", _failure(job, error))


FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system answers when no more can be written."""


def _failure(job: Job, error: Exception) -> str:
    """The line that says why a run failed; its traceback goes into the run's log, if that can be written."""
    if isinstance(error, OSError) and error.errno in FULL:
        return (
            f"{job.label} failed: no space is left to write {error.filename or f'in {job.folder}'}; free some, and the "
            "same command resumes it from its last completed pass"
        )
    line = f"{job.label} failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    try:
        store.write_text(job.log, traceback.format_exc())
    except OSError as unwritten:
        return f"{line}; its traceback could not be written ({unwritten})"
    return f"{line}; the traceback is in {job.log}"


_verified = False
"""Whether the code in this process was found to be the parent's."""


def _verify_code(versions: Json) -> None:
    """Once per process: RuntimeError if the code was edited after the parent took the keys of its runs."""
    global _verified
    if not _verified and provenance.sources() != versions["sources"]:
        raise RuntimeError("the code was edited while the command ran; give the command again")
    _verified = True


def _make(task: Task, context: Context) -> Ended:
    job = task.job
    for unfinished in job.folder.glob(f".{job.path.stem}.*"):  # what a killed process was writing
        unfinished.unlink()
    if job.afresh and not task.again:
        job.checkpoint.unlink(missing_ok=True)
    if not job.afresh and (there := _made_meanwhile(job)):
        return there
    resumed, started = job.checkpoint.exists(), datetime.now(UTC)
    outcome = job.experiment.run(job.experiment.config, job.seed, context)
    finished, resumed = datetime.now(UTC), resumed or outcome.resumed
    passes = [_pass_record(entry) for entry in outcome.passes]
    # A resumed run's clock does not hold the passes before the interruption; their own times do.
    seconds = sum(entry["seconds"] for entry in passes if entry.get("seconds")) if resumed else 0
    seconds = outcome.seconds or seconds or (finished - started).total_seconds()
    record = {
        "experiment": job.experiment.name,
        "seed": job.seed,
        "key": job.identity.key,
        "status": "diverged" if outcome.diverged else "finished",
        "config": job.identity.config,
        "data": job.identity.data,
        "family": job.identity.family,
        "numerics": job.identity.numerics,
        "machine": provenance.machine(context.threads),
        "versions": task.versions,
        "command": job.command,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="microseconds"),
        "seconds": round(seconds, 2),
        "resumed": resumed,
        "passes": passes,
        "extra": _finite(outcome.extra),
    }
    store.write(job.path, record, _arrays(job, outcome))
    store.read(job.path, job.experiment.name, job.identity.key)  # a result that would be refused later fails now
    job.checkpoint.unlink(missing_ok=True)
    job.log.unlink(missing_ok=True)
    return _ended(job, record)


def _made_meanwhile(job: Job) -> Ended | None:
    """How the run ended that another command made since this one was planned; None if there is none."""
    with suppress(FileNotFoundError, store.Unreadable):
        return _ended(job, store.read(job.path, job.experiment.name, job.identity.key).record)
    return None


def _pass_record(entry: Mapping[str, Any]) -> Json:
    """A pass with its error rates in percent beside the counts; ValueError if a count cannot be one."""
    record = _finite(entry)
    for part in ("train", "test"):
        if record.get(f"{part}_errors") is not None:
            errors, patterns = (operator.index(record[f"{part}_{what}"]) for what in ("errors", "patterns"))
            if not 0 <= errors <= patterns or patterns == 0:
                raise ValueError(f"{errors} {part} errors on {patterns} patterns cannot be")
            record[f"{part}_error_percent"] = 100 * errors / patterns
    return record


def _finite(value: Any) -> Any:
    """JSON types, with null for NaN and infinities (the loss of a run that diverged)."""
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return None
    return plain(value)


def _arrays(job: Job, outcome: Outcome) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {
        "predictions": np.asarray(outcome.predictions, np.uint8),
        "config": np.array(canonical_json(job.identity.config)),
        "scores": outcome.scores,
        "weights": outcome.weights,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _ended(job: Job, record: Json) -> Ended:
    passes = record["passes"]
    if record["status"] == "diverged":
        where = f"in pass {len(passes) + 1}"
        return Ended("diverged", f"{job.label} diverged {where}: its loss is not finite; recorded so, and in no mean")
    last, theirs = passes[-1], job.experiment.paper_error
    line = f"{job.label}: {last['test_errors']} errors in {last['test_patterns']}, {last['test_error_percent']:.2f}%"
    beside = f" (the paper: {theirs:g}%)" if theirs is not None else ""
    return Ended("finished", f"{line}{beside}, {record['seconds']:.0f} s")


# --- all runs, in the parent ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """How all runs ended."""

    failed: int = 0
    interrupted: signal.Signals | None = None
    """The signal that stopped them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which end a command as Ctrl-C does."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


@contextmanager
def terminable() -> Iterator[None]:
    """In here SIGTERM and SIGHUP raise `Terminated`, unless whoever started the command had them ignored (nohup)."""

    def end(number: int, frame: object) -> None:
        raise Terminated(number)

    ours = [s for s in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(s) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def execute(
    jobs: Sequence[Job], processes: int, data_dir: Path | None = None, *, after: Callable[[], str] | None = None
) -> Summary:
    """Make all runs, `processes` at a time, and show how they go.

    The data are fetched and verified here, once, before any worker starts.  A run that fails does not stop the others;
    Ctrl-C stops them all, and each resumes from its last completed pass next time.  `after` is called whenever a run
    has written its result; the line that it returns is shown.
    """
    if any(job.experiment.data == "mnist" for job in jobs):
        registry.load_mnist(data_dir)
    os.environ.update(ENVIRONMENT)  # before the workers import numpy
    shown, versions = progress.display(len(jobs)), provenance.versions()
    threads = max(1, processes // len(jobs))  # of fewer runs than processes each has several
    tasks = [Task(job, data_dir, threads, versions) for job in jobs]
    try:
        with workers.pool(run_job, min(processes, len(jobs))) as pool:
            return Summary(failed=_follow(pool, tasks, shown, after))
    except KeyboardInterrupt as interrupt:
        return Summary(interrupted=getattr(interrupt, "signal", signal.SIGINT))
    finally:
        shown.close()


def _follow(pool: Pool[Task], tasks: Sequence[Task], shown: progress.Display, after: Callable[[], str] | None) -> int:
    """Show the runs until the last has ended; the number that failed.  One whose process dies is tried once more."""
    failed, begun, died = 0, set(), set()
    for task in tasks:
        pool.submit(task)
    for task, event in pool.events():
        label = task.job.label
        if isinstance(event, Report):
            begun.add(label)
            shown.report(label, event.state)
        elif isinstance(event, Died) and label not in died:
            died.add(label)
            shown.say(f"{label}: its process died ({event}); tried once more, from its last completed pass", error=True)
            pool.submit(replace(task, again=label in begun))  # a report comes after an earlier checkpoint was removed
        else:
            ended = _outcome(event, label)
            shown.end(label)
            shown.say(ended.line, error=ended.how != "finished")
            failed += ended.how == "failed"
            if after and ended.how in ("finished", "diverged"):
                shown.say(after())
    return failed


def _outcome(event: Done | Died | Unbegun, label: str) -> Ended:
    match event:
        case Done(outcome=Ended() as ended):
            return ended
        case Unbegun(reason=reason):
            return Ended("failed", f"{label} failed before it began: {reason}")
    return Ended("failed", f"{label} failed: its process died twice ({event}); the same command resumes it")
