"""The loop of passes (Section III.B), the same for every way of training: from state to state, saved after each pass.

An interrupted run resumes from the last completed pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lenet98.checkpoint import Arrays, load, save

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class Progress:
    """Where a run stands: `done` of `total` patterns of the pass, `errors` among them so far; None if not known yet."""

    pass_number: int
    passes: int
    done: int
    total: int
    errors: int | None = 0


@dataclass(frozen=True)
class Pass:
    """What one pass did."""

    number: int
    rate_min: float
    rate_max: float
    """Least and greatest rate of the pass: effective rates eps_k, or those of an optimizer."""
    train_patterns: int
    train_errors: int
    """Patterns misclassified on the fly, just before their update."""
    train_loss: float
    """Mean loss on the fly."""
    test_patterns: int
    test_errors: int
    """Patterns misclassified after the pass, of those that judge (`lenet98.data.splits`)."""
    seconds: float


@dataclass(frozen=True)
class SDLMPass(Pass):
    """A pass with rates from the curvature (eq. 21)."""

    eta: float
    curvature: dict[str, float]
    """Median h_kk of each layer's parameters."""


@dataclass(frozen=True)
class Trained:
    """A run that has ended."""

    parameters: NDArray[np.float32]
    """After the last pass, shape (spec.parameters,), laid out as in `lenet98.specs`."""
    history: list[SDLMPass]
    """One item for each completed pass."""
    distances: NDArray[np.float32]
    """y_i of every evaluated pattern after the last pass, shape (n, classes)."""
    diverged: bool
    """Whether the loss stopped being finite; the history then ends with the last pass before that."""


P = TypeVar("P", bound="DataclassInstance")
"""What a history holds of each pass: a `Pass`, or several of networks that are trained together."""


@dataclass(frozen=True)
class State(Generic[P]):
    """A run after some completed passes."""

    arrays: Arrays
    """All that the next pass starts from; it leaves these arrays as they are."""
    history: list[P]


def run_passes(
    one_pass: Callable[[int, State[P]], State[P] | None],
    start: State[P],
    passes: int,
    kind: type[P],
    run: object,
    checkpoint: Path | None,
) -> tuple[State[P], bool]:
    """The state after all passes, and whether the run diverged; the state is then the last before that.

    Parameters
    ----------
    one_pass
        Takes the number of a pass, from 1, and the state before it to the state after it; None if its loss was not
        finite.
    start
        The state before pass 1.
    passes
        How many there are.
    kind
        The class of the history's entries.
    run
        What is trained; its `repr` tells it from other runs.
    checkpoint
        File to which the state is saved after every pass, and from which the same run resumes.

    Raises
    ------
    ValueError
        If the file is of another run.
    """
    state = start
    if checkpoint and (saved := load(checkpoint, run)):
        state = State(saved.arrays, [kind(**entry) for entry in saved.notes])
    for number in range(len(state.history) + 1, passes + 1):
        after = one_pass(number, state)
        if after is None:
            return state, True
        state = after
        if checkpoint:
            save(checkpoint, run, state.arrays, [asdict(entry) for entry in state.history])
    return state, False
