"""Fixtures that tests share."""

import os

# One compute thread, as in every run; before numpy and torch are imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from lenet98.data.mnist import MNIST, load  # noqa: E402
from lenet98.trunk1998 import pictures  # noqa: E402

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


@pytest.fixture(scope="session")
def paper() -> Path:
    """The authors' PDF, where `PAPER_PDF` names it or it lies beside the checkout; it is never fetched."""
    pytest.importorskip("pypdf", reason="reading the paper needs pypdf, the extra `paper`")
    beside = Path(__file__).parents[2] / "shared" / "paper" / "lecun-01a.pdf"
    named = os.environ.get(pictures.ENVIRONMENT)
    if not named and not beside.is_file():
        pytest.skip(f"the authors' PDF is not here; name it by {pictures.ENVIRONMENT}")
    return pictures.paper_pdf(named or beside)
