"""Classifies by tangent distance and hands the harness what came out (Section III.C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from experiments.registry import Context, Outcome, Step
from lenet98.classifiers.tangent import TangentDistance
from lenet98.data.preprocessing import in_form

HELD_OUT = 10_000
"""Last patterns of the training set, on which choices are made."""
CHUNK = 100
"""Patterns classified between two reports of progress."""
VOTES = (1, 2, 3, 4, 5, 7)
"""Numbers of neighbours whose errors are recorded beside those of the configured one."""


@dataclass(frozen=True)
class Config:
    """All that the outcome depends on."""

    sigma: float
    """Of the smoothing, pixels of the 16x16 images."""
    candidates: int
    """Prototypes that are near enough in the Euclidean sense to be measured."""
    k: int
    """Nearest prototypes that vote."""
    train_size: int = 60_000
    """The first so many training patterns are prototypes."""
    evaluate_on: Literal["test", "held out"] = "test"
    """The test set, or the last `HELD_OUT` training patterns."""


def run_tangents(config: Config, seed: int, context: Context) -> Outcome:
    """Find the nearest prototypes of every pattern.  The seed changes nothing."""
    data = in_form(context.mnist, "16x16")
    if config.evaluate_on == "test":
        images, labels = data.test_images, data.test_labels
    else:
        images, labels = data.train_images[-HELD_OUT:], data.train_labels[-HELD_OUT:]
    available = len(data.train_labels) - (HELD_OUT if config.evaluate_on == "held out" else 0)
    if config.train_size > available:
        raise ValueError(f"Config.train_size is {config.train_size}; there are {available} patterns to learn")
    context.progress(Step(0, len(labels)))
    learnt = slice(config.train_size)
    classifier = TangentDistance.fit(
        data.train_images[learnt],
        data.train_labels[learnt],
        sigma=config.sigma,
        candidates=config.candidates,
        k=config.k,
    )
    classes, scores = [], []
    wrong = dict.fromkeys(VOTES, 0)
    for start in range(0, len(labels), CHUNK):
        found, truth = classifier.nearest(images[start : start + CHUNK]), labels[start : start + CHUNK]
        decisions = found.decide(config.k)
        classes.append(decisions.classes)
        scores.append(decisions.scores)
        for k in VOTES:
            wrong[k] += int((found.decide(k).classes != truth).sum())
        errors = int((np.concatenate(classes) != labels[: start + CHUNK]).sum())
        context.progress(Step(start + len(truth), len(labels), errors))
    return Outcome(
        passes=[{"number": 1, "test_errors": errors, "test_patterns": len(labels)}],
        predictions=np.concatenate(classes),
        scores=np.concatenate(scores),
        extra={
            "multiply_accumulates": classifier.multiply_accumulates,
            "stored": classifier.stored,
            "errors_by_k": {str(k): errors for k, errors in wrong.items()},
        },
    )
