"""Runs experiments: what has to run and why, several runs at a time, each in its own process on one thread.

A run whose result lies under its key is not made again.  An interrupted one continues from its checkpoint.
"""

from __future__ import annotations

import math
import multiprocessing
import operator
import os
import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.harness import progress, provenance, registry, store
from experiments.harness.identity import Json, canonical_json, plain
from experiments.harness.plan import Job
from experiments.harness.registry import Context, Outcome
from lenet98.loop import Progress
from lenet98.threads import ENVIRONMENT, one_thread

GRACE = 5.0
"""Seconds in which an interrupted run may reach its next progress report before its process ends."""


class Stopped(BaseException):
    """Raised out of a progress report to stop a run; not an Exception, so that no experiment catches it."""


# --- one run, in a worker ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """How a run ended, and the line that says so."""

    how: Literal["finished", "diverged", "failed", "stopped"]
    line: str = ""


class _Worker:
    """What a worker process shares with the parent."""

    reports: Any = None  # queue of (label, Progress)
    stop: Any = None  # shared flag
    verified: bool = False  # whether the code here was found to be the parent's


def _start_worker(reports: Any, stop: Any) -> None:
    reports.cancel_join_thread()
    _Worker.reports, _Worker.stop = reports, stop
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _end_with_parent(stop: Any) -> None:
    """End this process when the parent is dead, or some time after it called to stop; files are written atomically."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive() and not stop.value:
        time.sleep(0.5)
    if parent is not None and parent.is_alive():
        time.sleep(GRACE)
    os._exit(1)


def _run_job(job: Job, data_dir: Path | None, threads: int, versions: Json) -> Ended:
    """Make one run, with so many threads if it can use them, and write its result."""
    if _Worker.stop.value:
        return Ended("stopped")

    def report(state: Progress) -> None:
        if _Worker.stop.value:
            raise Stopped
        _Worker.reports.put((job.label, state))

    try:
        _verify_code(versions)
        with one_thread():
            return _make(job, Context(report, job.checkpoint, data_dir, threads), versions)
    except Stopped:
        return Ended("stopped")
    except Exception as error:
        store.write_text(job.log, traceback.format_exc())
        first_line = (str(error).splitlines() or [""])[0]
        return Ended(
            "failed", f"{job.label} failed: {type(error).__name__}: {first_line}; the traceback is in {job.log}"
        )


def _verify_code(versions: Json) -> None:
    """Once per process: RuntimeError if the code was edited after the parent took the keys of its runs."""
    if not _Worker.verified and provenance.sources() != versions["sources"]:
        raise RuntimeError("the code was edited while the command ran; give the command again")
    _Worker.verified = True


def _make(job: Job, context: Context, versions: Json) -> Ended:
    job.folder.mkdir(parents=True, exist_ok=True)
    if job.afresh:
        job.checkpoint.unlink(missing_ok=True)
    resumed, started = job.checkpoint.exists(), datetime.now(UTC)
    outcome = job.experiment.run(job.experiment.config, job.seed, context)
    finished = datetime.now(UTC)
    passes = [_pass_record(entry) for entry in outcome.passes]
    # A resumed run's clock does not hold the passes before the interruption; their own times do.
    seconds = sum(entry["seconds"] for entry in passes if entry.get("seconds")) if resumed else 0
    seconds = seconds or (finished - started).total_seconds()
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
        "versions": versions,
        "command": job.command,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="microseconds"),
        "seconds": round(seconds, 2),
        "resumed": resumed,
        "passes": passes,
        "extra": _finite(outcome.extra),
    }
    store.write(job.path, record, _arrays(job, outcome))
    job.checkpoint.unlink(missing_ok=True)
    job.log.unlink(missing_ok=True)
    return _ended(job, record)


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
    interrupted: bool = False


def execute(
    jobs: Sequence[Job], processes: int, data_dir: Path | None = None, *, after: Callable[[], str] | None = None
) -> Summary:
    """Make all runs, `processes` at a time, and show how they go.

    The data are fetched and verified here, once, before any worker starts.  A run that fails does not stop the others;
    Ctrl-C stops them all, and each continues at its last finished pass next time.  `after` is called whenever a run
    has written its result; the line that it returns is shown.
    """
    if any(job.experiment.data == "mnist" for job in jobs):
        registry.load_mnist(data_dir)
    os.environ.update(ENVIRONMENT)  # before the workers import numpy
    spawn = multiprocessing.get_context("spawn")
    reports, stop = spawn.Queue(), spawn.RawValue("b", 0)
    shown, versions = progress.display(len(jobs)), provenance.versions()
    pool = ProcessPoolExecutor(min(processes, len(jobs)), spawn, _start_worker, (reports, stop))
    # Ctrl-C reaches the whole process group, and the parent decides: workers start, and stay, deaf to it.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        threads = max(1, processes // len(jobs))  # of fewer runs than processes each has several
        futures = {pool.submit(_run_job, job, data_dir, threads, versions): job for job in jobs}
        signal.signal(signal.SIGINT, before)
        return Summary(failed=_follow(futures, reports, shown, after))
    except KeyboardInterrupt:
        return Summary(interrupted=True)
    finally:
        signal.signal(signal.SIGINT, before)
        stop.value = 1
        shown.close()
        pool.shutdown(cancel_futures=True)


def _follow(
    futures: Mapping[Future[Ended], Job], reports: Any, shown: progress.Display, after: Callable[[], str] | None
) -> int:
    """Show the runs until the last has ended; the number that failed."""
    running, failed = set(futures), 0
    while running:
        ended, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
        _show_reports(reports, shown)
        for future in ended:
            outcome = _outcome(future, futures[future])
            shown.end(futures[future].label)
            shown.say(outcome.line, error=outcome.how != "finished")
            failed += outcome.how == "failed"
            if after and outcome.how in ("finished", "diverged"):
                shown.say(after())
    return failed


def _show_reports(reports: Any, shown: progress.Display) -> None:
    while True:
        try:
            shown.report(*reports.get_nowait())
        except queue.Empty:
            return


def _outcome(future: Future[Ended], job: Job) -> Ended:
    try:
        return future.result()
    except BrokenProcessPool:
        return Ended("failed", f"{job.label} failed: its process died (out of memory?); the same command resumes it")
    except Exception as error:
        return Ended("failed", f"{job.label} failed before it began: {type(error).__name__}: {error}")
