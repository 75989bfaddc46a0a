"""Workers of a Dask cluster: the same work as by `workers.Pool`, and the same events.

Each worker has one task at a time, whatever number of threads it offers, since a run has its process to itself.  So we
choose the worker of each task ourselves.  A worker that dies costs the task that it was working on, and no other.
Nobody but the client writes a result: nothing that a lost worker may still do is kept.
"""

from __future__ import annotations

import ctypes
import logging
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from experiments.harness.workers import Died, Done, Event, Report, Stopped, Unbegun

if TYPE_CHECKING:
    from distributed import Client, Future

LOOK = 1.0
"""Seconds after which we look at which workers are there."""

ANSWER = 10
"""Seconds in which a scheduler must answer."""

FIRST = 60
"""Seconds in which the first worker must be there."""

Task = TypeVar("Task")
Work = Callable[[Any, Callable[[Any], None], Path], Any]
"""Takes a task, a function that reports on it and a folder for what it writes meanwhile to the outcome."""

Hold = Callable[[Task], AbstractContextManager[bytes | Done | Unbegun]]
"""What the client holds while a task is out; gives what is sent, or how the task has ended already."""

Examine = Callable[[], str]
"""Says in a worker why it cannot work for this client; nothing if it can."""


# --- in a worker ------------------------------------------------------------------------------------------------------

_alone = threading.Lock()
"""Held by the task that this process works on: another client's waits."""


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed, as it does in any other process.

    Dask's nanny has it hand back every page.  Getting them again takes training in mini-batches 40% of its time.
    """
    with suppress(OSError, AttributeError):  # where the C library is not glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, 128 << 20)
        mallopt(M_MMAP_THRESHOLD, 32 << 20)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def _serve(work: Work, sent: bytes, key: str, topic: str) -> Event:
    """Work on a task; the event of its end."""
    from distributed import get_worker

    worker = get_worker()

    def report(state: Any) -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state != "executing":  # cancelled, or the client is gone
            raise Stopped
        worker.log_event(topic, {"key": key, "state": pickle.dumps(state)})

    _keep_freed_memory()
    with _alone, TemporaryDirectory(dir=worker.local_directory) as folder:
        try:
            task = pickle.loads(sent)
        except Exception as error:
            return Unbegun(f"{type(error).__name__}: {error}")
        return Done(work(task, report, Path(folder)))


# --- in the client ----------------------------------------------------------------------------------------------------


def _by_value() -> Callable[[bytes], Any]:
    """A function that makes a pickled call.

    It goes over as code, not as a name: a scheduler reads what it hands on, and need not have this package.
    """

    def call(pickled: bytes) -> Any:
        import pickle

        function, *arguments = pickle.loads(pickled)
        return function(*arguments)

    return call


@dataclass
class _Out(Generic[Task]):
    """A task that a worker works on."""

    task: Task
    worker: str
    future: Future
    held: ExitStack


class Cluster(Generic[Task]):
    """The workers of a cluster that can `work` on tasks."""

    again = "by another worker, from its start"
    """How a task goes on whose worker died."""

    def __init__(self, client: Client, work: Work, hold: Hold[Task], examine: Examine, warn: Callable[[str], None]):
        self._client, self._work, self._hold, self._examine, self._warn = client, work, hold, examine, warn
        self._topic = f"lenet98-{uuid4().hex}"
        self._news: SimpleQueue[tuple[str, bytes | None]] = SimpleQueue()
        """Keys of tasks that have ended, and of those that report, with what."""
        self._waiting: deque[Task] = deque()
        self._out: dict[str, _Out[Task]] = {}
        self._fit: dict[str, bool] = {}
        """Whether a worker can work for us, by its address."""
        self._looked = 0.0
        client.subscribe_topic(self._topic, lambda event: self._news.put((event[1]["key"], event[1]["state"])))

    @property
    def size(self) -> int:
        """The number of workers that are fit."""
        return sum(self._fit.values())

    def admit(self) -> None:
        """Examine the workers that are there before anything runs; ValueError if there are none, or one is not fit."""
        try:
            self._client.wait_for_workers(1, timeout=FIRST)
        except TimeoutError:
            raise ValueError("the cluster has no workers; start some, then give the command again") from None
        if problems := self._look():
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise ValueError(f"{problems[0]}{more}")

    def submit(self, task: Task) -> None:
        """Let a task wait for a worker that is free."""
        self._waiting.append(task)

    def events(self) -> Iterator[tuple[Task, Event]]:
        """What happens to the tasks, each with its task, until all have ended; more may be submitted meanwhile."""
        while self._waiting or self._out:
            if time.monotonic() > self._looked + LOOK or (self._waiting and self._free()):
                before = self.size
                for problem in self._look():
                    self._warn(f"{problem}; it gets no runs")
                if before and not self.size:
                    self._warn("the cluster has no workers left; runs wait for one")
            yield from self._deaths()
            yield from self._hand_out()
            if self._waiting or self._out:
                yield from self._received()

    def close(self) -> None:
        """Stop every task at its next report, and let go of what is held for it."""
        with suppress(Exception):  # the scheduler may be gone
            self._client.cancel([out.future for out in self._out.values()])
        for out in self._out.values():
            out.held.close()
        self._out.clear()

    def _look(self) -> list[str]:
        """See who is there; why workers that are new are not fit."""
        try:
            there = self._client.nthreads()
            new = [address for address in there if address not in self._fit]
            answers: Mapping[str, Any] = self._client.run(self._examine, workers=new, on_error="return") if new else {}
        except OSError as error:
            raise ConnectionError(f"the Dask scheduler is gone; the same command makes the others ({error})") from None
        self._looked = time.monotonic()
        self._fit = {address: fit for address, fit in self._fit.items() if address in there}
        problems = []
        for address, answer in answers.items():
            if isinstance(answer, OSError):  # it left meanwhile
                continue
            if isinstance(answer, Exception):
                answer = f"it cannot import what runs need ({answer})"
            self._fit[address] = not answer
            if answer:
                problems.append(f"worker {address} is refused: {answer}")
        return problems

    def _free(self) -> list[str]:
        """The workers that have nothing to do."""
        busy = {out.worker for out in self._out.values()}
        return [address for address, fit in self._fit.items() if fit and address not in busy]

    def _deaths(self) -> Iterator[tuple[Task, Event]]:
        """The tasks whose workers are gone."""
        for key, out in list(self._out.items()):
            if out.worker not in self._fit:
                del self._out[key]
                out.future.cancel()
                with out.held:
                    yield out.task, Died(f"worker {out.worker} is gone")

    def _hand_out(self) -> Iterator[tuple[Task, Event]]:
        """Give tasks to workers as long as there are both."""
        for address in self._free():
            while self._waiting and address not in {out.worker for out in self._out.values()}:
                task = self._waiting.popleft()
                with ExitStack() as held:
                    sent = held.enter_context(self._hold(task))
                    if not isinstance(sent, bytes):
                        yield task, sent
                        continue
                    key = f"{self._topic}-{uuid4().hex}"
                    call = pickle.dumps((_serve, self._work, sent, key, self._topic))
                    future = self._client.submit(_by_value(), call, key=key, workers=[address], pure=False)
                    self._out[key] = _Out(task, address, future, held.pop_all())
                future.add_done_callback(lambda future: self._news.put((future.key, None)))

    def _received(self) -> Iterator[tuple[Task, Event]]:
        """What comes next, if something does within the time until the next look."""
        try:
            key, state = self._news.get(timeout=LOOK)
        except Empty:
            return
        if key not in self._out:  # it was given up
            return
        out = self._out[key]
        if state is not None:
            yield out.task, Report(pickle.loads(state))
        elif event := self._ended(out):
            del self._out[key]
            with out.held:
                yield out.task, event
        else:
            self._news.put((key, None))

    def _ended(self, out: _Out[Task]) -> Event | None:
        """How a task ended; None if its worker gave no answer yet, for it may be gone."""
        from distributed import KilledWorker

        if out.future.cancelled():
            return Died("the cluster cancelled it")
        try:
            event: Event = out.future.result(timeout=LOOK)
            return event
        except TimeoutError:
            return None
        except KilledWorker:
            return Died(f"worker {out.worker} is gone")
        except Exception as error:  # work itself raises nothing
            return Unbegun(f"{type(error).__name__}: {str(error).splitlines()[0]}")


@contextmanager
def cluster(
    where: str, work: Work, hold: Hold[Task], examine: Examine, warn: Callable[[str], None]
) -> Iterator[Cluster[Task]]:
    """A cluster whose tasks are stopped in the end, however that comes.

    Parameters
    ----------
    where
        The address of its scheduler, or the file that it has written.
    work, examine
        Functions at the top of a module, or partials of them.
    hold
        Entered in the client before a task goes out, left when it is back.
    warn
        Shows a line.

    Raises
    ------
    ValueError
        If there is no such cluster, or a worker is not fit.
    """
    with _client(where) as client:
        made = Cluster(client, work, hold, examine, warn)
        try:
            made.admit()
            yield made
        finally:
            made.close()


def _client(where: str) -> Client:
    """A client of the scheduler; ValueError if it does not answer."""
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ValueError(f"--dask needs Dask ({error}); install it: pip install 'lenet98[dask]'") from None
    if where.endswith(".json"):
        if not Path(where).is_file():
            raise ValueError(f"{where}: no such file; a scheduler writes it with --scheduler-file")
        place = {"scheduler_file": where}
    else:
        place = {"address": where}
    for logger in ("distributed", "distributed.client"):  # what befalls a cluster is said here, in one line
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        return Client(**place, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ValueError(f"no Dask scheduler answers at {where}: {str(error).splitlines()[0]}") from None
