"""One compute thread, and afterward as many as before."""

import re

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from lenet98.threads import one_thread


def counts():
    """Threads of PyTorch, of its own MKL if it has one, and of every library that threadpoolctl knows."""
    mkl = re.findall(r"mkl_get_max_threads\(\) : (\d+)", torch.__config__.parallel_info())
    return {torch.get_num_threads(), *map(int, mkl), *(library["num_threads"] for library in threadpool_info())}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    with threadpool_limits(2):
        torch.set_num_threads(2)
        yield
    torch.set_num_threads(before)


def test_one_thread_within_and_those_before_after(two_threads):
    assert counts() == {2}
    with one_thread():
        assert counts() == {1}
        with one_thread():
            assert counts() == {1}
        assert counts() == {1}
    assert counts() == {2}


def test_an_exception_ends_it_too(two_threads):
    with pytest.raises(np.exceptions.AxisError), one_thread():
        np.zeros(3).sum(axis=1)
    assert counts() == {2}


def test_it_decorates(two_threads):
    @one_thread()
    def within():
        return counts()

    assert within() == within() == {1}
    assert counts() == {2}
