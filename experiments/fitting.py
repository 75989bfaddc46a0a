"""Fits a classifier of Section III.C on MNIST and hands the harness what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.registry import Context, Outcome, Step
from lenet98.classifiers.decisions import Classifier, Report
from lenet98.classifiers.linear import Linear, PairwiseLinear
from lenet98.classifiers.neighbours import KNearest
from lenet98.classifiers.quadratic import Quadratic
from lenet98.classifiers.rbf import RBFNetwork
from lenet98.data.mnist import MNIST
from lenet98.data.preprocessing import FORMS, crop, deslant

CHUNK = 500
"""Patterns classified between two reports of progress."""

Images = NDArray[np.uint8]


def binary(images: Images) -> Images:
    """Each pixel background or full ink, whichever is nearer."""
    return np.where(images > 127, np.uint8(255), np.uint8(0))


OTHER_FORMS: dict[str, Callable[[Images], Images]] = {
    "deslanted box": lambda images: crop(deslant(images)),
    "binary 28x28": binary,
    "binary 20x20": lambda images: binary(crop(images)),
}
"""Forms that no row of the paper's figures has, which we tried."""

Name = Literal["linear", "pairwise", "k-nearest", "quadratic", "rbf"]


@dataclass(frozen=True)
class Config:
    """All that decides a fitted classifier besides the seed.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    classifier: Name
    form: str
    """Of the database: one of `FORMS` or `OTHER_FORMS`."""
    parameters: Mapping[str, float | int | None]
    """Keywords of the classifier's `fit`."""
    train_size: int = 60_000
    """The first so many training patterns are learnt."""
    evaluate_on: Literal["test", "held out"] = "test"
    """Where errors are counted: on the test set, or on the last 10,000 training patterns, which are then not learnt."""

    def __post_init__(self) -> None:
        known = {**FORMS, **OTHER_FORMS}
        if self.form not in known:
            raise ValueError(f"Config.form is {self.form!r}; there are {', '.join(known)}")
        most = 50_000 if self.evaluate_on == "held out" else 60_000
        if not 1 <= self.train_size <= most:
            raise ValueError(
                f"Config.train_size is {self.train_size}; evaluated on {self.evaluate_on}, 1 to {most} can be learnt"
            )


class Patterns(NamedTuple):
    """What a classifier learns and what it is judged by."""

    images: Images
    labels: NDArray[np.uint8]
    test_images: Images
    test_labels: NDArray[np.uint8]


def patterns(config: Config, data: MNIST) -> Patterns:
    """The patterns that `config` names, in its form."""
    transform = {**FORMS, **OTHER_FORMS}[config.form]
    learnt = slice(config.train_size)
    if config.evaluate_on == "test":
        judged = data.test_images, data.test_labels
    else:
        judged = data.train_images[-10_000:], data.train_labels[-10_000:]
    return Patterns(transform(data.train_images[learnt]), data.train_labels[learnt], transform(judged[0]), judged[1])


def fit(config: Config, seed: int, images: Images, labels: NDArray[np.uint8], report: Report) -> Classifier:
    """The classifier, fitted; ValueError if there is none of that name."""
    given: dict[str, Any] = dict(config.parameters)
    match config.classifier:
        case "linear":
            return Linear.fit(images, labels, **given)
        case "pairwise":
            return PairwiseLinear.fit(images, labels, **given, report=report)
        case "k-nearest":
            return KNearest.fit(images, labels, **given)
        case "quadratic":
            return Quadratic.fit(images, labels, **given)
        case "rbf":
            return RBFNetwork.fit(images, labels, **given, seed=seed, report=report)
    raise ValueError(f"no classifier called {config.classifier!r}")


def fit_and_test(config: Config, seed: int, context: Context) -> Outcome:
    """One fit, its decisions on the patterns that it is judged by, and its costs."""
    there = patterns(config, context.mnist)

    def report(done: int, total: int) -> None:
        context.progress(Step(0, 1, pass_number=done, passes=total + 1))

    report(1, 1)
    classifier = fit(config, seed, there.images, there.labels, report)
    total, errors, classes, scores = len(there.test_labels), 0, [], []
    for start in range(0, total, CHUNK):
        chunk = slice(start, start + CHUNK)
        decisions = classifier.decide(there.test_images[chunk])
        classes.append(decisions.classes)
        scores.append(decisions.scores)
        errors += int((decisions.classes != there.test_labels[chunk]).sum())
        context.progress(Step(min(start + CHUNK, total), total, errors))
    return Outcome(
        passes=[{"number": 1, "test_errors": errors, "test_patterns": total}],
        predictions=np.concatenate(classes),
        scores=np.concatenate(scores),
        extra={"multiply_accumulates": classifier.multiply_accumulates, "stored": classifier.stored},
    )
