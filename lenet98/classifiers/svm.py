"""Support vector machines with polynomial kernels, one class against the rest (Section III.C.11).

The regular machines are those of Cortes and Vapnik (1995) and of Burges and Schoelkopf (1997); the latter also are the
source of virtual support vectors: the machine is trained again on its support vectors and on these shifted by a pixel.
scikit-learn-intelex (oneDAL) solves the quadratic program where it is installed, several times faster than scikit-learn
(libsvm), which solves it elsewhere (`solver`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet98.classifiers.checks import classes_of, vectors
from lenet98.classifiers.decisions import Decisions, greatest
from lenet98.data.mnist import CLASSES

Array = NDArray[np.float64]

BLOCK = 500
"""Patterns whose kernel values are held at a time when a machine is used."""
CACHE = 2000
"""Megabytes of kernel values that the fit of one machine may keep."""
HEARTBEAT = 0.5
"""Seconds between two reports of a fit that goes on."""
DIRECTIONS = {
    0: (),
    4: ((0, 1), (0, -1), (1, 0), (-1, 0)),
    8: ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)),
}
"""Shifts (down, right) in pixels, by their number."""


def normalized(images: NDArray[np.uint8], like: tuple[int, int] | None = None) -> Array:
    """Patterns of Euclidean norm 1, shape (n, pixels), of images of shape (n, height, width); a blank one stays 0.

    `like` is the height and width that they must have, if any; ValueError for others.
    """
    patterns = vectors(images, like).astype(np.float64)
    norms = np.linalg.norm(patterns, axis=1, keepdims=True)
    return np.divide(patterns, norms, out=patterns, where=norms > 0)


def shifted(images: NDArray[np.uint8], directions: int) -> NDArray[np.uint8]:
    """Images, and after them those shifted by one pixel in each of 0, 4 or 8 directions, background filling in.

    Shape ((1 + directions) * n, height, width).  Raises ValueError for other numbers of directions.
    """
    if directions not in DIRECTIONS:
        raise ValueError(f"images can be shifted in 0, 4 or 8 directions, not {directions}")
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    moved = [
        padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width] for down, right in DIRECTIONS[directions]
    ]
    return np.concatenate([images, *moved])


@dataclass(frozen=True)
class Polynomial:
    """The kernel ((x.z + coef0) / (1 + coef0))^degree, which is 1 for two equal patterns of norm 1."""

    degree: int
    coef0: float = 1.0

    def __post_init__(self) -> None:
        if self.degree < 1 or self.coef0 < 0:
            raise ValueError(f"degree must be at least 1 and coef0 at least 0, got {self.degree} and {self.coef0}")

    def __call__(self, x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
        """Values for all pairs of rows, shape (len(x), len(z))."""
        return self._base(x, z) ** self.degree

    def slope(self, x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
        """Derivatives by x.z for all pairs of rows, shape (len(x), len(z))."""
        return self.degree / (1 + self.coef0) * self._base(x, z) ** (self.degree - 1)

    def _base(self, x: NDArray[Any], z: NDArray[Any]) -> NDArray[Any]:
        base = x @ z.T
        base += base.dtype.type(self.coef0)
        base /= base.dtype.type(1 + self.coef0)
        return base


@dataclass(frozen=True)
class Machine:
    """f(x) = sum_k coefficients_k K(vectors_k, x) + bias, positive for its class."""

    vectors: NDArray[np.float32]
    """Shape (m, pixels)."""
    coefficients: Array
    """Shape (m,); of a support vector its multiplier, negative for one of the rest."""
    bias: float

    def decision_values(self, kernel: Polynomial, patterns: NDArray[np.float32]) -> Array:
        """f of normalized patterns, shape (n, pixels); shape (n,)."""
        blocks = (patterns[start : start + BLOCK] for start in range(0, len(patterns), BLOCK))
        return np.concatenate([kernel(block, self.vectors) @ self.coefficients for block in blocks]) + self.bias


@dataclass(frozen=True)
class OneAgainstRest:
    """A machine for each class; a pattern is given the class whose machine says most."""

    kernel: Polynomial
    machines: tuple[Machine, ...]
    size: tuple[int, int]
    """Height and width of the images."""

    def decision_values(self, images: NDArray[np.uint8], beat: Callable[[], None] = lambda: None) -> Array:
        """What each machine says of images of shape (n, height, width), shape (n, classes)."""
        patterns = normalized(images, self.size).astype(np.float32)
        values = []
        for machine in self.machines:
            beat()
            values.append(machine.decision_values(self.kernel, patterns))
        return np.stack(values, axis=1)

    def decide(self, images: NDArray[np.uint8], beat: Callable[[], None] = lambda: None) -> Decisions:
        """Classify images of shape (n, height, width)."""
        return greatest(self.decision_values(images, beat))

    @property
    def vectors(self) -> int:
        """Number of vectors of all machines; one that two machines share counts twice."""
        return sum(len(machine.vectors) for machine in self.machines)

    @property
    def multiply_accumulates(self) -> int:
        """For one pattern: each machine's inner products, and one for each coefficient; the powers are not counted."""
        return self.vectors * (self.machines[0].vectors.shape[1] + 1)

    @property
    def stored(self) -> int:
        """Variables: the vectors and coefficients of each machine and its bias."""
        return self.multiply_accumulates + len(self.machines)


@cache
def solver() -> tuple[str, Callable[..., Any]]:
    """The name of this installation's solver, and what makes one as scikit-learn's SVC is made.

    Both stop at the same tolerance: multipliers differ a little, and so do the answers to a few of 10,000 patterns
    (docs/deviations.md).  oneDAL's sums depend on the number of its threads, so that it has one.
    """
    try:
        from sklearnex.svm import SVC
    except ImportError:
        from sklearn.svm import SVC

        return "libsvm", SVC
    return "oneDAL", partial(SVC, n_jobs=1)


def fit_machine(
    kernel: Polynomial, C: float, patterns: NDArray[np.float32], positive: NDArray[np.bool_]
) -> tuple[Machine, NDArray[np.intp]]:
    """The soft-margin machine that tells `positive` patterns from the others, and which patterns support it.

    Parameters
    ----------
    kernel, C
        C is the bound of the multipliers.
    patterns
        Normalized, float32 as the machine keeps them, shape (n, pixels), C-ordered.
    positive
        Shape (n,), both kinds present.
    """
    if C <= 0:
        raise ValueError(f"C must be positive, got {C}")
    scale = 1 / (1 + kernel.coef0)
    _, make = solver()
    svc = make(C=C, kernel="poly", degree=kernel.degree, gamma=scale, coef0=scale * kernel.coef0, cache_size=CACHE)
    svc.fit(patterns, positive)
    coefficients = svc.dual_coef_[0].astype(np.float64)
    machine = Machine(patterns[svc.support_], coefficients, float(svc.intercept_[0]))
    return machine, svc.support_


Fit = tuple[Machine, NDArray[np.intp]]
Task = Callable[[], Fit]


def regular(
    kernel: Polynomial, C: float, images: NDArray[np.uint8], labels: NDArray[np.integer[Any]]
) -> dict[int, Task]:
    """For each class the fit of its machine on all patterns; see `fit_machine`.

    Parameters
    ----------
    images, labels
        Shapes (n, height, width) and (n,), every class among them.
    """
    given, patterns = classes_of(labels, len(images)), normalized(images).astype(np.float32)
    return {c: partial(fit_machine, kernel, C, patterns, given == c) for c in range(CLASSES)}


def virtual(
    kernel: Polynomial,
    C: float,
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    support: Mapping[int, NDArray[np.intp]],
    directions: int,
) -> dict[int, Task]:
    """For each class the fit of a machine on virtual support vectors.

    Its patterns are the `support` of the class's first machine, indices into `images`, and these shifted by one pixel
    in 4 or 8 `directions`.
    """
    given = classes_of(labels, len(images))

    def task(c: int) -> Fit:
        # Made when they are needed: ten such sets are gigabytes.
        chosen = support[c]
        patterns = normalized(shifted(images[chosen], directions)).astype(np.float32)
        return fit_machine(kernel, C, patterns, np.resize(given[chosen] == c, len(patterns)))

    return {c: partial(task, c) for c in support}


def fitted(
    tasks: Mapping[int, Task], threads: int = 1, beat: Callable[[], None] = lambda: None
) -> Iterator[tuple[int, Fit]]:
    """Each class and the fit of its machine as it is done, with libsvm `threads` at a time.

    `beat` is called every half second; what it raises stops all.  oneDAL keeps the interpreter, and its number of
    threads is fixed for the main thread alone: its machines come one by one, with a `beat` before each.
    """
    if solver()[0] == "oneDAL":
        for c, task in tasks.items():
            beat()
            yield c, task()
        return
    pool = ThreadPoolExecutor(threads)
    try:
        running = {pool.submit(task): c for c, task in tasks.items()}
        while running:
            done, _ = wait(running, timeout=HEARTBEAT, return_when=FIRST_COMPLETED)
            beat()
            for future in done:
                yield running.pop(future), future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
