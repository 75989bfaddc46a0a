"""One compute thread: how many threads share a sum decides how it is rounded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

ENVIRONMENT = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR")
}
"""For a process that has not loaded its libraries yet: each of them then starts with one thread."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep PyTorch and the BLAS and OpenMP libraries that are loaded to one thread; afterward they have theirs back.

    Also a decorator: `@one_thread()`.
    """
    torch = sys.modules.get("torch")  # what has not loaded it has no use for it
    before = torch.get_num_threads() if torch else 0
    try:
        with threadpool_limits(1):
            if torch:
                torch.set_num_threads(1)  # its own copy of MKL is hidden from threadpoolctl
            yield
    finally:
        if torch:
            torch.set_num_threads(before)
