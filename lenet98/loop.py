"""The loop of passes (Section III.B): from one state to the next, saved after each, and what passes and runs report.

An interrupted run goes on after the last pass that was saved.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenet98.files import atomic


@dataclass(frozen=True)
class Pass:
    """What one pass did."""

    number: int
    eta: float
    rate_min: float
    rate_max: float
    """Least and greatest effective rate eps_k of the pass."""
    curvature: dict[str, float]
    """Median h_kk of each layer's parameters."""
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
class Progress:
    """Where a run stands: `done` of `total` patterns of the pass, `errors` among them so far."""

    pass_number: int
    passes: int
    done: int
    total: int
    errors: int


@dataclass(frozen=True)
class Trained:
    """A run that has ended."""

    parameters: NDArray[np.float32]
    history: list[Pass]
    distances: NDArray[np.float32]
    """y_i of every evaluated pattern after the last pass, shape (n, classes)."""
    diverged: bool
    """Whether the loss stopped being finite; the history then ends with the last pass before that."""


class State(NamedTuple):
    """A run after some finished passes."""

    parameters: NDArray[np.float32]
    beside: NDArray[np.float32]
    """What else the next pass goes on from, of the shape of the parameters: h_kk, or a velocity."""
    history: list[Pass]


def finished(
    one_pass: Callable[[int, State], State | None], start: State, passes: int, run: object, checkpoint: Path | None
) -> tuple[State, bool]:
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
    run
        What is trained; its `repr` tells it from other runs.
    checkpoint
        File to which the state is saved after every pass, and from which the same run goes on.

    Raises
    ------
    ValueError
        If the file is of another run.
    """
    state = _load(checkpoint, run) if checkpoint and checkpoint.exists() else None
    state = state or start
    for number in range(len(state.history) + 1, passes + 1):
        after = one_pass(number, state)
        if after is None:
            return state, True
        state = after
        if checkpoint:
            _save(checkpoint, state, run)
    return state, False


def _save(path: Path, state: State, run: object) -> None:
    history = json.dumps([asdict(entry) for entry in state.history])
    with atomic(path) as file:
        np.savez(
            file,
            parameters=state.parameters,
            beside=state.beside,
            history=np.array(history),
            run=np.array(repr(run)),
        )


def _load(path: Path, run: object) -> State | None:
    """The state in `path`; None, so that the run starts afresh, if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            written = str(file["run"])
            history = [Pass(**entry) for entry in json.loads(str(file["history"]))]
            state = State(file["parameters"], file["beside"], history)
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):
        return None
    if written != repr(run):
        raise ValueError(f"{path} is the state of another run; delete it, or save this run elsewhere")
    return state
