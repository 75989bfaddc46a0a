"""Fixtures that tests share."""

import os

# One compute thread, as in every run; before numpy and torch are imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from lenet98.data.mnist import MNIST, load  # noqa: E402

pytest.register_assert_rewrite("tests.resumption")

# The same cases on every run and machine: a failure is one that anybody can repeat.  `--hypothesis-profile explore`
# draws others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def mnist() -> MNIST:
    """The real digits, found or fetched as a user's are."""
    return load()
