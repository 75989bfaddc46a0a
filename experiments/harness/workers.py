"""Processes that work on tasks, one at a time each, every one with a pipe of its own.

A process that dies is known by the end of its pipe.  It costs the task that it was working on, and no other: nothing is
shared that a killed process could leave locked.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

GRACE = 5.0
"""Seconds in which a stopped task may reach its next report before its process ends."""

Task = TypeVar("Task")
Work = Callable[[Any, Callable[[Any], None]], Any]
"""Takes a task and a function that reports on it to the outcome."""


class Stopped(BaseException):
    """Raised out of a report to stop a task; not an Exception, so that no experiment catches it."""


@dataclass(frozen=True)
class Report:
    """What a task reported."""

    state: Any


@dataclass(frozen=True)
class Done:
    """A task has ended."""

    outcome: Any


@dataclass(frozen=True)
class Unbegun:
    """A task could not be handed to a process."""

    reason: str


@dataclass(frozen=True)
class Died:
    """The process died that worked on a task."""

    how: str


Event = Report | Done | Unbegun | Died


# --- in a worker ------------------------------------------------------------------------------------------------------


def _serve(work: Work, pipe: Connection, stop: Any) -> None:
    """Work on what comes through the pipe until it ends."""
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()

    def report(state: Any) -> None:
        if stop.value:
            raise Stopped
        try:
            pipe.send(Report(state))
        except OSError:  # the parent is gone
            raise Stopped from None

    with suppress(EOFError, OSError):
        while True:
            try:
                task = pipe.recv()
            except (EOFError, OSError):
                return
            except Exception as error:  # it cannot be unpickled here
                pipe.send(Unbegun(f"{type(error).__name__}: {error}"))
            else:
                pipe.send(Done(work(task, report)))


def _end_with_parent(stop: Any) -> None:
    """End this process when the parent is dead, or some time after it called to stop; files are written atomically."""
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive() and not stop.value:
        time.sleep(0.5)
    if parent is not None and parent.is_alive():
        time.sleep(GRACE)
    os._exit(1)


# --- in the parent ----------------------------------------------------------------------------------------------------


@dataclass
class _Worker(Generic[Task]):
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    """What it works on."""


class Pool(Generic[Task]):
    """Up to `size` processes that `work` on tasks; they start with the tasks."""

    again = "from its last completed pass"
    """How a task goes on whose process died."""

    def __init__(self, work: Work, size: int) -> None:
        self._work, self._size = work, size
        self._spawn = multiprocessing.get_context("spawn")
        self._stop: Any = self._spawn.RawValue("b", 0)
        self._waiting: deque[Task] = deque()
        self._workers: list[_Worker[Task]] = []

    def submit(self, task: Task) -> None:
        """Let a task wait for a process that is free."""
        self._waiting.append(task)

    def events(self) -> Iterator[tuple[Task, Event]]:
        """What happens to the tasks, each with its task, until all have ended; more may be submitted meanwhile."""
        while True:
            yield from self._hand_out()
            busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
            if not busy:
                return
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                yield self._received(busy[pipe])

    def close(self) -> None:
        """Stop every task at its next report, and wait until the processes have ended."""
        self._stop.value = 1
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join()

    def _hand_out(self) -> Iterator[tuple[Task, Event]]:
        """Give tasks to processes as long as there are both."""
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.task is None), None)
            if worker is None and len(self._workers) == self._size:
                return
            worker = worker or self._start()
            task = self._waiting.popleft()
            try:
                worker.pipe.send(task)
                worker.task = task
            except OSError:  # it died since its last task
                self._waiting.appendleft(task)
                self._end(worker)
            except Exception as error:  # it cannot be pickled
                yield task, Unbegun(f"{type(error).__name__}: {error}")

    def _received(self, worker: _Worker[Task]) -> tuple[Task, Event]:
        task = worker.task
        assert task is not None
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            return task, Died(_death(self._end(worker)))
        if not isinstance(event, Report):
            worker.task = None
        return task, event

    def _start(self) -> _Worker[Task]:
        pipe, theirs = self._spawn.Pipe()
        process = self._spawn.Process(target=_serve, args=(self._work, theirs, self._stop))
        with _deaf_to_ctrl_c():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, pipe))
        return self._workers[-1]

    def _end(self, worker: _Worker[Task]) -> int | None:
        """Forget a dead process; its exit status."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        return worker.process.exitcode


def _death(code: int | None) -> str:
    """How a process died, by its exit status: the negative of a signal that ended it."""
    if code == -signal.SIGKILL:
        return "killed by SIGKILL; out of memory?"
    return f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"status {code}"


@contextmanager
def pool(work: Work, size: int) -> Iterator[Pool[Any]]:
    """A pool that is closed in the end, however that comes."""
    made: Pool[Any] = Pool(work, size)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes that start in here are deaf to Ctrl-C, which reaches them all: the parent decides.

    To the parent it comes when this is over.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
