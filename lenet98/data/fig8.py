"""The 82 errors of the 1998 network (Fig. 8), and who wrote each MNIST digit.

Fig. 8 shows all test patterns that LeNet-5 misclassified.  82 of 10,000 is the error of the network trained with
distortions (Fig. 6), so it is that network's.  `fig8_errors.csv` tells how they were found in the test set.

`writers.npz` holds, for every MNIST pattern, the NIST HSF series and the writer from the extended labels of QMNIST
(Yadav and Bottou, NeurIPS 2019; files qmnist-train-labels-idx2-int and the first 10,000 rows of
qmnist-test-labels-idx2-int, columns 1 and 2; license in LICENSE-QMNIST.txt).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Integer = TypeVar("Integer", bound=np.integer)

SD1_SERIES = 4
"""HSF series of NIST's SD-1, written by high-school students; series 0 to 3, by census employees, are SD-3."""


@dataclass(frozen=True)
class Fig8:
    """The errors of the 1998 network in the order of Fig. 8, which is that of the test set; arrays of shape (82,)."""

    test_index: NDArray[np.uint16]
    """Position in the MNIST test set, from 0."""
    true: NDArray[np.uint8]
    predicted_1998: NDArray[np.uint8]
    """The answer of the 1998 network."""

    def __len__(self) -> int:
        return len(self.test_index)

    def predictions(self, labels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The 1998 network's answers to the whole test set, given its 10,000 labels.

        Raises ValueError if the labels at the 82 are not those of the figure: they are not the MNIST test set's.
        """
        if len(labels) != 10_000 or not np.array_equal(labels[self.test_index], self.true):
            raise ValueError(f"these {len(labels)} labels are not those of the MNIST test set in its order")
        answers = labels.astype(np.uint8)
        answers[self.test_index] = self.predicted_1998
        return answers


@dataclass(frozen=True)
class Writers:
    """NIST series and writer of each MNIST pattern."""

    train_series: NDArray[np.uint8]
    """HSF series, shape (60000,)."""
    train_writer: NDArray[np.uint16]
    """NIST's number of the writer, shape (60000,)."""
    test_series: NDArray[np.uint8]
    """Shape (10000,)."""
    test_writer: NDArray[np.uint16]
    """Shape (10000,)."""

    @property
    def test_sd1(self) -> NDArray[np.bool_]:
        """Which test patterns come from SD-1, shape (10000,): the first 5,001."""
        return self.test_series == SD1_SERIES


@cache
def fig8() -> Fig8:
    """The 82 errors of Fig. 8."""
    with (files("lenet98.data") / "fig8_errors.csv").open() as lines:
        rows = np.loadtxt(lines, np.uint16, delimiter=",", skiprows=5)
    index, true, predicted = rows.T
    return Fig8(_fixed(index, np.uint16), _fixed(true, np.uint8), _fixed(predicted, np.uint8))


@cache
def writers() -> Writers:
    """Series and writer of every MNIST pattern."""
    with (files("lenet98.data") / "writers.npz").open("rb") as file, np.load(file) as arrays:
        return Writers(
            train_series=_fixed(arrays["train_series"], np.uint8),
            train_writer=_fixed(arrays["train_writer"], np.uint16),
            test_series=_fixed(arrays["test_series"], np.uint8),
            test_writer=_fixed(arrays["test_writer"], np.uint16),
        )


def _fixed(array: NDArray[Any], dtype: type[Integer]) -> NDArray[Integer]:
    """The array, read-only, since every caller gets the same one."""
    fixed = array.astype(dtype)
    fixed.flags.writeable = False
    return fixed
