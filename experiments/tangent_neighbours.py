"""Classifies by tangent distance and hands the harness what came out (Section III.C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.registry import Context, Outcome, Step
from lenet98.classifiers.tangent import TangentDistance
from lenet98.data.preprocessing import in_form

HELD_OUT = 10_000
"""Last patterns of the training set, on which choices are made."""


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


VOTES = (1, 2, 3, 4, 5, 7)
"""Numbers of neighbours whose errors are recorded beside those of the configured one."""


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
    classifier = TangentDistance.fit(data.train_images[learnt], data.train_labels[learnt], config.sigma)
    found = classifier.nearest(images, config.candidates, lambda done: context.progress(Step(done, len(labels))))
    given = found.predict(config.k)
    return Outcome(
        passes=[{"test_errors": int((given != labels).sum()), "test_patterns": len(labels)}],
        predictions=given,
        scores=found.scores(given),
        extra={
            "multiply_accumulates": classifier.multiply_accumulates(config.candidates),
            "stored": classifier.stored,
            "errors_by_k": {str(k): int((found.predict(k) != labels).sum()) for k in VOTES},
        },
    )
