"""One process at a time makes a run: a locked file beside the result, which says who works.

The system drops the lock of a process that dies, however it dies, so no lock is ever stale.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO


class Taken(Exception):
    """Another process holds the lock; says which."""


@contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold the lock in the file `path` while doing `what`, and remove the file; Taken if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(path)
    try:
        file.truncate(0)
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        file.write(f"process {os.getpid()} on {platform.node()} has worked on it since {now}: {what}\n")
        file.flush()
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked: nobody else's can be there
        file.close()


def _locked(path: Path) -> TextIO:
    """The file, open and locked."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError:
            file.seek(0)
            who = file.readline().strip() or "another process works on it"
            file.close()
            raise Taken(who) from None
        except BaseException:
            file.close()
            raise
        file.close()  # its holder removed it between our two steps: it locks nothing anymore
