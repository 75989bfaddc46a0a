"""The classifiers of Fig. 9 that are solved or kept rather than trained (Sections III.C.1 to III.C.4).

What the paper leaves open of them is chosen on held-out training patterns: the first 50,000 are learned and the last
10,000 judge.  The candidates are experiments too, and the table `choices` shows them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from lenet98.classifiers.decisions import Classifier, Report
from lenet98.classifiers.linear import Linear, PairwiseLinear
from lenet98.classifiers.neighbours import KNearest
from lenet98.classifiers.quadratic import Quadratic
from lenet98.classifiers.rbf import RBFNetwork
from lenet98.data.mnist import MNIST
from lenet98.data.preprocessing import BOX, FORMS, crop, deslant
from lenet98.data.splits import Split, split
from lenet98.loop import Progress

# --- what is run ------------------------------------------------------------------------------------------------------


CHUNK = 500
"""Patterns classified between two reports of progress."""

Images = NDArray[np.uint8]


def binary(images: Images) -> Images:
    """Each pixel background or full ink, whichever is nearer."""
    return np.where(images > 127, np.uint8(255), np.uint8(0))


def corner(images: Images) -> Images:
    """Cut out 20x20 pixels, the first line and the first column with ink in front: digits in no register.

    Parameters
    ----------
    images
        Shape (n, height, width), 0 = background.

    Returns
    -------
    Shape (n, 20, 20); of larger digits the rest is lost.
    """
    cut = np.pad(images, ((0, 0), (0, BOX), (0, BOX)))
    for axis in (1, 2):
        first = (cut > 0).any(axis=3 - axis).argmax(axis=1)
        cut = np.take_along_axis(cut, np.expand_dims(first[:, None] + np.arange(BOX), 3 - axis), axis)
    return cut


OTHER_FORMS: dict[str, Callable[[Images], Images]] = {
    "deslanted box": lambda images: crop(deslant(images)),
    "binary 28x28": binary,
    "binary 20x20": lambda images: binary(crop(images)),
    "binary corner": lambda images: corner(binary(images)),
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
    """The first so many training patterns are learned."""
    held_out: int = 0
    """The last so many training patterns are those on which errors are counted; the test set if 0."""

    def __post_init__(self) -> None:
        known = {**FORMS, **OTHER_FORMS}
        if self.form not in known:
            raise ValueError(f"Config.form is {self.form!r}; there are {', '.join(known)}")
        if self.train_size < 1:
            raise ValueError(f"Config.train_size is {self.train_size}; it must be at least 1")
        if self.held_out < 0:
            raise ValueError(f"Config.held_out is {self.held_out}; it must be at least 0")


def patterns(config: Config, data: MNIST) -> Split:
    """The patterns that `config` names, in its form."""
    transform = {**FORMS, **OTHER_FORMS}[config.form]
    part = split(data, config.train_size, config.held_out)
    return part._replace(train_images=transform(part.train_images), images=transform(part.images))


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


@family("fitted")
def fit_and_test(config: Config, seed: int, context: Context) -> Outcome:
    """One fit, its decisions on the patterns that it is judged by, and its costs."""
    there = patterns(config, context.mnist)

    def report(done: int, total: int) -> None:
        context.progress(Progress(done, total + 1, done=0, total=1))

    report(1, 1)
    classifier = fit(config, seed, there.train_images, there.train_labels, report)
    total, errors, classes, scores = len(there.labels), 0, [], []
    for start in range(0, total, CHUNK):
        chunk = slice(start, start + CHUNK)
        decisions = classifier.decide(there.images[chunk])
        classes.append(decisions.classes)
        scores.append(decisions.scores)
        errors += int((decisions.classes != there.labels[chunk]).sum())
        context.progress(Progress(1, 1, min(start + CHUNK, total), total, errors))
    return Outcome(
        passes=[{"number": 1, "test_errors": errors, "test_patterns": total}],
        predictions=np.concatenate(classes),
        scores=np.concatenate(scores),
        extra={"multiply_accumulates": classifier.multiply_accumulates, "stored": classifier.stored},
    )


# --- the experiments --------------------------------------------------------------------------------------------------


RIDGE = 1e-3
PAIRWISE = {"ridge": 1e-2, "gain": 8}
GAUSSIANS = {"per_class": 100, "spread": 1.0, "ridge": 1e-6}
QUADRATIC = {"components": 40, "centred": False, "ridge": RIDGE}

ROWS = {
    "pairwise_linear": Config("pairwise", "28x28", PAIRWISE),
    "knn": Config("k-nearest", "28x28", {"k": 3}),
    "deslant_knn": Config("k-nearest", "deslanted", {"k": 3}),
    "pca40_quadratic": Config("quadratic", "28x28", QUADRATIC),
    "rbf1000_linear": Config("rbf", "28x28", GAUSSIANS),
}
"""The rows of Fig. 9, by name."""

LEAST_SQUARES = {
    "linear-least-squares": Config("linear", "28x28", {"ridge": RIDGE}),
    "deslant_linear-least-squares": Config("linear", "deslanted", {"ridge": RIDGE}),
}
"""Linear units that are solved, by the row of Fig. 9 and what differs: the rows themselves are trained (`linear`)."""

CLASSIFIERS = {**LEAST_SQUARES, **ROWS}

MINUTES = {"linear": 0.2, "pairwise": 0.5, "k-nearest": 0.7, "quadratic": 0.4, "rbf": 0.8}
"""Of one run on one core, by classifier."""


def title(name: str) -> str:
    """Of one of `CLASSIFIERS`, as tables have it."""
    row, dash, how = name.partition("-")
    return paper.TITLES[row] + (f", {how.replace('-', ' ')}" if dash else "")


for name, config in CLASSIFIERS.items():
    register(
        Experiment(
            f"{'fig9' if name in ROWS else 'classical'}/{name}",
            title(name),
            config,
            fit_and_test,
            minutes=MINUTES[config.classifier],
            deterministic=config.classifier != "rbf",
            paper_error=paper.TEST_ERROR[name.partition("-")[0]],
        )
    )


# --- what was chosen on held-out patterns -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A classifier fitted with something otherwise, or as it is, and judged by held-out training patterns."""

    classifier: str
    """Its name in `CLASSIFIERS`."""
    name: str
    """What is compared; ends the name of the experiment, after the classifier's."""
    title: str
    config: Config

    @property
    def experiment(self) -> str:
        return f"classical/held-out/{self.classifier}-{self.name}"


def _choice(
    classifier: str, name: str, title: str, *, form: str = "", train_size: int = 50_000, **parameters: float | None
) -> Choice:
    """The classifier with another form, size of the training set or parameters."""
    config = CLASSIFIERS[classifier]
    changed = replace(
        config,
        form=form or config.form,
        parameters={**config.parameters, **parameters},
        train_size=train_size,
        held_out=10_000,
    )
    return Choice(classifier, name, title, changed)


CHOICES = (
    _choice("linear-least-squares", "ridge1e-3", "ridge 0.001"),
    _choice("linear-least-squares", "ridge1e-5", "ridge 0.00001", ridge=1e-5),
    _choice("linear-least-squares", "ridge0.1", "ridge 0.1", ridge=0.1),
    _choice("deslant_linear-least-squares", "middle-of-field", "middle of the field"),
    _choice("deslant_linear-least-squares", "window-of-most-ink", "window of most ink", form="deslanted box"),
    _choice("pairwise_linear", "gain8-ridge0.01", "gain 8, ridge 0.01"),
    _choice("pairwise_linear", "not-squashed", "not squashed", gain=None),
    _choice("pairwise_linear", "gain2", "gain 2", gain=2),
    _choice("pairwise_linear", "gain32", "gain 32", gain=32),
    _choice("pairwise_linear", "ridge0.1", "ridge 0.1", ridge=0.1),
    _choice("knn", "k3", "k = 3"),
    _choice("knn", "k1", "k = 1", k=1),
    _choice("knn", "k5", "k = 5", k=5),
    _choice("knn", "20x20-box", "20x20 box", form="20x20"),
    _choice("knn", "black-and-white", "black and white", form="binary 28x28"),
    _choice("knn", "black-and-white-20x20-box", "black and white 20x20 box", form="binary 20x20"),
    _choice("knn", "black-and-white-corner", "black and white in the corner", form="binary corner"),
    _choice("knn", "prototypes10000", "10,000 prototypes", train_size=10_000),
    _choice("deslant_knn", "middle-of-field-k3", "middle of the field, k = 3"),
    _choice("deslant_knn", "window-of-most-ink", "window of most ink", form="deslanted box"),
    _choice("deslant_knn", "k1", "k = 1", k=1),
    _choice("deslant_knn", "k5", "k = 5", k=5),
    _choice("pca40_quadratic", "not-centered-ridge1e-3", "mean not taken away, ridge 0.001"),
    _choice("pca40_quadratic", "centered", "mean taken away", centred=True),
    _choice("pca40_quadratic", "ridge1e-5", "ridge 0.00001", ridge=1e-5),
    _choice("pca40_quadratic", "ridge0.1", "ridge 0.1", ridge=0.1),
    _choice("pca40_quadratic", "20x20-box", "20x20 box", form="20x20"),
    _choice("rbf1000_linear", "spread1-ridge1e-6", "spread 1, ridge 0.000001"),
    _choice("rbf1000_linear", "spread0.7", "spread 0.7", spread=0.7),
    _choice("rbf1000_linear", "spread1.4", "spread 1.4", spread=1.4),
    _choice("rbf1000_linear", "spread2", "spread 2", spread=2.0),
    _choice("rbf1000_linear", "ridge1e-8", "ridge 0.00000001", ridge=1e-8),
    _choice("rbf1000_linear", "ridge1e-4", "ridge 0.0001", ridge=1e-4),
)
"""What was tried; the first of each classifier is what it has on the test set."""

for choice in CHOICES:
    register(
        Experiment(
            choice.experiment,
            f"{title(choice.classifier)}, {choice.title}, held out",
            choice.config,
            fit_and_test,
            minutes=MINUTES[choice.config.classifier],
            seeds=(0,),
        )
    )

CORNER = "classical/knn-black-and-white-corner"
"""A hypothesis about the paper's K-NN, on the test set."""

register(
    Experiment(
        CORNER,
        "K-NN Euclidean, black and white in the corner",
        replace(ROWS["knn"], form="binary corner"),
        fit_and_test,
        minutes=MINUTES["k-nearest"],
        deterministic=True,
        paper_error=paper.TEST_ERROR["knn"],
    )
)

REMARK = (
    "The first 50,000 training patterns (10,000 where the table says so) are learned; errors are those on the last "
    "10,000 training patterns. The first line of each classifier is what it has on the test set; each other line "
    "differs from it in what is named."
)


@tables.table("choices")
def choices(load: Loader) -> Table:
    """What was tried on held-out training patterns; NoResults if nothing was."""
    used = load.there(choice.experiment for choice in CHOICES)
    there = [choice for choice in CHOICES if choice.experiment in used]
    first = {choice.classifier: choice for choice in reversed(there)}
    rows = [
        tables.test_row(used[choice.experiment], f"{title(choice.classifier)}, {choice.title}", None)
        for choice in there
    ]
    body = [
        [title(choice.classifier) if choice is first[choice.classifier] else "", choice.title, cells[1], cells[5]]
        for choice, cells in zip(there, map(tables.cells, rows), strict=True)
    ]
    corner_alone = load.there([CORNER], needed=[])
    remarks = [REMARK, *tables.lacking((choice.experiment for choice in CHOICES), used)]
    for runs in corner_alone.values():
        found = tables.test_row(runs, "", paper.TEST_ERROR["knn"])
        remarks.append(
            f"On the test set, K-NN of black and white pixels in the corner errs on {tables.number(found.mean)}%; the "
            f"paper's K-NN on {tables.number(found.paper)}%."
        )
    header = ["", "choice", "held out, %", "95%, patterns"]
    records = [row.as_json() for row in rows]
    caption = "Classical classifiers: choices on held-out training patterns."
    return Table(
        "choices",
        caption,
        header,
        body,
        records,
        tables.notes("choices", [*used.values(), *corner_alone.values()], *remarks),
    )
