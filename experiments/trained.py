"""What the harness is handed of a network that was trained one way or another."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from experiments.registry import Outcome
from lenet98.loop import Trained


def outcome(trained: Trained) -> Outcome:
    """Of a network whose least distance is the answer; scores as in `experiments.networks`."""
    nearest_two = np.sort(trained.distances, axis=1)[:, :2]
    return Outcome(
        passes=[asdict(entry) for entry in trained.history],
        predictions=trained.distances.argmin(axis=1).astype(np.uint8),
        diverged=trained.diverged,
        scores=nearest_two[:, 1] - nearest_two[:, 0],
        weights=trained.parameters,
    )
