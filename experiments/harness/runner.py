"""Runs experiments: several runs at a time, each in its own process on one thread.

A run whose result lies under its key is not made again.  An interrupted one resumes from its checkpoint.  A process
that dies costs the run that it was making, which is tried once more.
"""

from __future__ import annotations

import errno
import math
import operator
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments import numerics
from experiments.harness import files, locks, progress, provenance, registry, store, workers
from experiments.harness.cluster import Cluster, cluster
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
    checkpoint: bytes | None = None
    """What a run elsewhere resumes from, if it was begun here before."""


@dataclass(frozen=True)
class Made:
    """A run that is made and not yet written."""

    record: Json
    arrays: Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Failure:
    """Why a run failed: one line, and the traceback for its log."""

    line: str
    traceback: str = ""


def run_job(task: Task, report: Callable[[Progress], None]) -> Ended:
    """Make one run and write its result; `report` raises `Stopped` to stop it."""
    job = task.job
    try:
        _verify_code(task.versions)
        with locks.held(job.lock, job.command), one_thread():
            if there := _begin(task):
                return there
            return _keep(job, _make(task, Context(report, job.checkpoint, task.data_dir, task.threads)))
    except Stopped:
        return Ended("stopped")
    except locks.Taken as error:
        return _taken(job, error)
    except Exception as error:
        return _failed(job, _failure(job, error))


def make_elsewhere(task: Task, report: Callable[[Progress], None], folder: Path) -> Made | Failure | Ended:
    """Make one run on another machine, in a folder of its own, and return its result; else as `run_job`."""
    checkpoint = folder / task.job.checkpoint.name
    if task.checkpoint is not None:
        checkpoint.write_bytes(task.checkpoint)
    try:
        _verify_code(task.versions)
        with one_thread():
            return _make(task, Context(report, checkpoint, task.data_dir, task.threads))
    except Stopped:
        return Ended("stopped")
    except Exception as error:
        return _failure(task.job, error)


FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system answers when no more can be written."""


def _failure(job: Job, error: Exception) -> Failure:
    if isinstance(error, OSError) and error.errno in FULL:
        return Failure(
            f"{job.label} failed: no space is left to write {error.filename or f'in {job.folder}'}; free some, and the "
            "same command resumes it from its last completed pass"
        )
    line = f"{job.label} failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return Failure(line, traceback.format_exc())


def _failed(job: Job, failure: Failure) -> Ended:
    """That a run failed; its traceback goes into the run's log, if that can be written."""
    if not failure.traceback:
        return Ended("failed", failure.line)
    try:
        store.write_text(job.log, failure.traceback)
    except OSError as unwritten:
        return Ended("failed", f"{failure.line}; its traceback could not be written ({unwritten})")
    return Ended("failed", f"{failure.line}; the traceback is in {job.log}")


def _taken(job: Job, error: locks.Taken) -> Ended:
    return Ended("failed", f"{job.label} is not made here: {error}")


_verified = False
"""Whether the code in this process was found to be the parent's."""


def _verify_code(versions: Json) -> None:
    """Once per process: RuntimeError if the code was edited after the parent took the keys of its runs."""
    global _verified
    if not _verified and provenance.sources() != versions["sources"]:
        raise RuntimeError("the code was edited while the command ran; give the command again")
    _verified = True


def _begin(task: Task) -> Ended | None:
    """Remove what must not be gone on with; how the run ended if another command made it meanwhile."""
    job = task.job
    for unfinished in job.folder.glob(f".{job.path.stem}.*"):  # what a killed process was writing
        unfinished.unlink()
    if job.afresh and not task.again:
        job.checkpoint.unlink(missing_ok=True)
    return None if job.afresh else _made_meanwhile(job)


def _make(task: Task, context: Context) -> Made:
    """The run's record and arrays."""
    job = task.job
    resumed, started = context.checkpoint.exists(), datetime.now(UTC)
    outcome = job.experiment.run(job.experiment.config, job.seed, context)
    finished, resumed = datetime.now(UTC), resumed or outcome.resumed
    passes = [_pass_record(entry) for entry in outcome.passes]
    # A resumed run's clock does not hold the passes before the interruption; their own times do, and a measurement
    # that has none of these tells its time itself.
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
    return Made(record, _arrays(job, outcome))


def _keep(job: Job, made: Made) -> Ended:
    """Write a result."""
    store.write(job.path, made.record, made.arrays)
    store.read(job.path, job.experiment.name, job.identity.key)  # a result that would be refused later fails now
    job.checkpoint.unlink(missing_ok=True)
    job.log.unlink(missing_ok=True)
    return _ended(job, made.record)


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
    if taken := store.ARRAYS & outcome.arrays.keys():
        raise ValueError(f"{job.label}: an array of its own is called {', '.join(sorted(taken))}; call it otherwise")
    arrays = {
        "predictions": None if outcome.predictions is None else np.asarray(outcome.predictions, np.uint8),
        "config": np.array(canonical_json(outcome.network or job.identity.config)),
        "scores": outcome.scores,
        "weights": outcome.weights,
        **outcome.arrays,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def _ended(job: Job, record: Json) -> Ended:
    passes = record["passes"]
    if record["status"] == "diverged":
        where = f"in pass {len(passes) + 1}"
        return Ended("diverged", f"{job.label} diverged {where}: its loss is not finite; recorded so, and in no mean")
    if not passes:
        return Ended("finished", f"{job.label}: measured, {record['seconds']:.0f} s")
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
    os.environ.update(ENVIRONMENT)  # before the workers import numpy
    threads = max(1, processes // len(jobs))  # of fewer runs than processes each has several
    tasks = _tasks(jobs, data_dir, threads)
    return _executed(lambda show: workers.pool(run_job, min(processes, len(jobs))), tasks, after)


def execute_on(
    where: str,
    jobs: Sequence[Job],
    data_dir: Path | None = None,
    *,
    after: Callable[[], str] | None = None,
    announce: Callable[[int], str] | None = None,
) -> Summary:
    """Make all runs on the Dask cluster `where`, an address or a scheduler's file; else as `execute`.

    Its workers return results, and they are written here.  ValueError, before anything runs, if a worker has other
    versions of what computes than this process.  The line that `announce` makes of the number of workers is shown.
    """
    tasks = _tasks(jobs, data_dir.resolve() if data_dir else None, 1)
    wanted = Wanted(
        tasks[0].versions,
        {name: version for job in jobs for name, version in job.identity.numerics.items()},
        files.texts(job.experiment for job in jobs),
        any(job.experiment.data == "mnist" for job in jobs),
        tasks[0].data_dir,
    )

    @contextmanager
    def pool(shown: progress.Display) -> Iterator[Cluster[Task]]:
        warn = partial(shown.say, error=True)
        with cluster(where, make_elsewhere, _held, partial(_examine, wanted), warn) as made:
            if announce:
                shown.say(announce(made.size))
            yield made

    return _executed(pool, tasks, after)


def _tasks(jobs: Sequence[Job], data_dir: Path | None, threads: int) -> list[Task]:
    """The runs for workers, once the data are here."""
    if any(job.experiment.data == "mnist" for job in jobs):
        registry.load_mnist(data_dir)
    versions = provenance.versions()
    return [Task(job, data_dir, threads, versions) for job in jobs]


def _executed(
    pool: Callable[[progress.Display], AbstractContextManager[Pool[Task] | Cluster[Task]]],
    tasks: Sequence[Task],
    after: Callable[[], str] | None,
) -> Summary:
    shown = progress.display(len(tasks))
    try:
        with pool(shown) as opened:
            return Summary(failed=_follow(opened, tasks, shown, after))
    except KeyboardInterrupt as interrupt:
        return Summary(interrupted=getattr(interrupt, "signal", signal.SIGINT))
    finally:
        shown.close()


def _follow(
    pool: Pool[Task] | Cluster[Task],
    tasks: Sequence[Task],
    shown: progress.Display,
    after: Callable[[], str] | None,
) -> int:
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
            shown.say(f"{label}: its process died ({event.how}); tried once more, {pool.again}", error=True)
            pool.submit(replace(task, again=label in begun))  # a report comes after an earlier checkpoint was removed
        else:
            ended = _outcome(event, task.job)
            shown.end(label)
            shown.say(ended.line, error=ended.how != "finished")
            failed += ended.how == "failed"
            if after and ended.how in ("finished", "diverged"):
                shown.say(after())
    return failed


def _outcome(event: Done | Died | Unbegun, job: Job) -> Ended:
    """How a run ended; a result that was made elsewhere is written."""
    match event:
        case Done(outcome=Ended() as ended):
            return ended
        case Done(outcome=Failure() as failure):
            return _failed(job, failure)
        case Done(outcome=Made() as made):
            try:
                return _keep(job, made)
            except Exception as error:
                return _failed(job, _failure(job, error))
        case Unbegun(reason=reason):
            return Ended("failed", f"{job.label} failed before it began: {reason}")
        case Died(how=how):
            return Ended("failed", f"{job.label} failed: its process died twice ({how}); the same command resumes it")
    raise TypeError(event)


# --- runs elsewhere ---------------------------------------------------------------------------------------------------


@contextmanager
def _held(task: Task) -> Iterator[bytes | Done | Unbegun]:
    """The run's lock, here, while a worker elsewhere makes it; what the worker is sent, or how the run has ended."""
    job = task.job
    with ExitStack() as held:
        try:
            held.enter_context(locks.held(job.lock, job.command))
            sent: bytes | Done | Unbegun
            if there := _begin(task):
                sent = Done(there)
            else:
                state = job.checkpoint.read_bytes() if job.checkpoint.exists() else None
                sent = pickle.dumps(replace(task, checkpoint=state))
        except locks.Taken as error:
            sent = Done(_taken(job, error))
        except OSError as error:
            sent = Done(_failed(job, _failure(job, error)))
        except Exception as error:  # it cannot be pickled
            sent = Unbegun(f"{type(error).__name__}: {error}")
        yield sent


_LOADED = provenance.sources()
"""Of the code in this process, when it was imported: a worker of a cluster lives long."""


@dataclass(frozen=True)
class Wanted:
    """What a worker must have to compute the bits that the client would."""

    versions: Json
    numerics: Mapping[str, int]
    """Versions of the families of the runs, and of all that they build on."""
    files: Mapping[str, str]
    """Texts of files that register experiments, which it gets."""
    mnist: bool
    """Whether it must have the digits."""
    data_dir: Path | None


def _examine(wanted: Wanted) -> str:
    """What this process lacks, in a line; nothing if it is as wanted, and then set to one thread a library."""
    remedy = "start it anew from the same checkout"
    for name, version in wanted.numerics.items():
        if (ours := numerics.NUMERICS.get(name, 1)) != version:
            return f"it has version {ours} of the numerics of {name!r}, the client {version}; {remedy}"
    for name, here in provenance.versions().items():
        if name not in ("git", "sources") and here != wanted.versions[name]:
            return f"it has {name} {here}, the client {wanted.versions[name]}; {remedy}"
    if not _LOADED == provenance.sources() == wanted.versions["sources"]:
        return f"it has other code than the client; {remedy}"
    if problem := files.receive(wanted.files):
        return f"{problem}; {remedy}"
    if wanted.mnist:
        try:
            registry.load_mnist(wanted.data_dir)
        except ValueError as error:
            return str(error)
    os.environ.update(ENVIRONMENT)
    return ""
