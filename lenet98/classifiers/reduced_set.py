"""Reduced sets: few vectors that do the work of many support vectors (Section III.C.11).

Burges (1996), and Burges and Schoelkopf (1997): of Psi = sum_i alpha_i Phi(x_i), the normal of a machine in the space
of its kernel, vectors z_k and coefficients beta_k are sought that make |Psi - sum_k beta_k Phi(z_k)|^2 least.  For
given vectors the coefficients solve a linear system, so that only the vectors are searched for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

from lenet98.classifiers.svm import Array, Machine, Polynomial

RIDGE = 1e-6
"""Added to the diagonal of the vectors' kernel matrix, which is 1 for patterns: two vectors may come to coincide."""


@dataclass(frozen=True)
class Reduction:
    """A machine with few vectors in the place of one with many."""

    machine: Machine
    distance: float
    """|Psi - Psi'| / |Psi|, the share of the normal that the vectors leave unexplained, 0 to 1."""
    steps: int
    """Of the search."""


def reduce(
    kernel: Polynomial,
    machine: Machine,
    count: int,
    steps: int = 300,
    beat: Callable[[], None] = lambda: None,
) -> Reduction:
    """The machine of `count` vectors nearest to `machine` in the space of the kernel that is found in `steps` steps.

    The search, L-BFGS with the closed form of the gradient, begins at support vectors of largest multipliers, of both
    kinds.  The bias is kept.

    Parameters
    ----------
    beat
        Called at each evaluation; it may raise to stop.
    """
    if not 1 <= count <= len(machine.vectors):
        raise ValueError(f"a machine of {len(machine.vectors)} vectors cannot be reduced to {count}")
    x, alpha = machine.vectors.astype(np.float64), machine.coefficients
    whole = float(alpha @ kernel(x, x) @ alpha)

    def unexplained(flat: Array) -> tuple[float, Array]:
        beat()
        value, gradient = objective(kernel, flat.reshape(count, -1), x, alpha)
        return 1 + value / whole, gradient.ravel() / whole

    start = x[first(alpha, count)].ravel()
    found = optimize.minimize(
        unexplained, start, jac=True, method="L-BFGS-B", options={"maxiter": steps, "maxcor": 20, "maxfun": 2 * steps}
    )
    z = found.x.reshape(count, -1)
    reduced = replace(machine, vectors=z.astype(np.float32), coefficients=coefficients(kernel, z, x, alpha))
    return Reduction(reduced, float(np.sqrt(max(found.fun, 0))), int(found.nit))


def first(alpha: Array, count: int) -> NDArray[np.intp]:
    """Indices of `count` vectors: half those of the class, half those of the rest, of largest multipliers."""
    order = np.argsort(-abs(alpha), kind="stable")
    own, rest = order[alpha[order] > 0], order[alpha[order] <= 0]
    halves = own[: max(count - count // 2, count - len(rest))]
    return np.concatenate([halves, rest[: count - len(halves)]])


def coefficients(kernel: Polynomial, z: Array, x: Array, alpha: Array) -> Array:
    """beta that bring sum_k beta_k Phi(z_k) nearest to sum_i alpha_i Phi(x_i), shape (count,)."""
    return linalg.solve(_regularized(kernel, z), kernel(z, x) @ alpha, assume_a="pos")


def objective(kernel: Polynomial, z: Array, x: Array, alpha: Array) -> tuple[float, Array]:
    """|Psi - Psi'|^2 - |Psi|^2 with the best coefficients, and its derivatives by `z`, of the shape of `z`.

    The ridge times |beta|^2 is part of it.
    """
    target = kernel(z, x) @ alpha
    beta = linalg.solve(_regularized(kernel, z), target, assume_a="pos")
    pull = (kernel.slope(z, z) * beta) @ z - (kernel.slope(z, x) * alpha) @ x
    return -float(target @ beta), 2 * beta[:, None] * pull


def _regularized(kernel: Polynomial, z: Array) -> Array:
    values: Array = kernel(z, z)
    values[np.diag_indices_from(values)] += RIDGE
    return values
