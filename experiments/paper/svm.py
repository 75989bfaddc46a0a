"""Support vector machines of Fig. 9, and what was chosen for them on patterns held out (Section III.C)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from lenet98 import checkpoint
from lenet98.classifiers import reduced_set, svm
from lenet98.classifiers.svm import Machine, OneAgainstRest, Polynomial
from lenet98.data.mnist import CLASSES
from lenet98.data.preprocessing import in_form
from lenet98.data.splits import split
from lenet98.loop import Progress

# --- what is run ------------------------------------------------------------------------------------------------------


Made = dict[str, NDArray[Any]]
"""A machine, and what a later stage or the record needs of its fit, as arrays for the checkpoint."""


@dataclass(frozen=True)
class Config:
    """Machines of one kernel; all that the outcome depends on."""

    degree: int
    coef0: float = 1.0
    C: float = 10.0
    directions: int = 0
    """One-pixel shifts of the support vectors, with which the machines are trained again: 4, 8, or 0 for none."""
    reduced: int = 0
    """Vectors to which the machine of each class is reduced; 0 leaves it whole."""
    steps: int = 300
    """Of the search for the reduced vectors."""
    form: str = "28x28"
    """Of the database, a name of `lenet98.data.preprocessing.FORMS`."""
    train_size: int = 60_000
    """The first so many training patterns are learned."""
    held_out: int = 0
    """The last so many training patterns are those on which errors are counted; the test set if 0."""

    @property
    def kernel(self) -> Polynomial:
        return Polynomial(self.degree, self.coef0)

    @property
    def stages(self) -> tuple[str, ...]:
        """What is made, one after the other."""
        return ("regular", *(["virtual"] if self.directions else []), *(["reduced"] if self.reduced else []))


@family("support vectors")
def run_machines(config: Config, seed: int, context: Context) -> Outcome:
    """Make the machines of every stage; the last ones classify.  The seed changes nothing."""
    run = _Run(config, context)
    found = []
    for stage in config.stages:
        made = run.stage(stage)
        classifier = OneAgainstRest(config.kernel, tuple(map(_machine, made)), run.judged.shape[1:])
        decisions = classifier.decide(run.judged, run.report)
        found.append(_record(stage, made, classifier, int((decisions.classes != run.truth).sum())))
    return Outcome(
        passes=[{"number": 1, "test_errors": found[-1]["test_errors"], "test_patterns": len(run.truth)}],
        predictions=decisions.classes,
        scores=decisions.scores,
        extra={
            "multiply_accumulates": classifier.multiply_accumulates,
            "stored": classifier.stored,
            "vectors": classifier.vectors,
            "solver": svm.solver()[0],
            "stages": found,
        },
    )


def _record(stage: str, made: list[Made], classifier: OneAgainstRest, errors: int) -> dict[str, Any]:
    """What is known of the machines of a stage: the last one classifies, but each could."""
    record = {"stage": stage, "test_errors": errors, "vectors": [len(one.vectors) for one in classifier.machines]}
    if stage == "reduced":
        record["distance"] = [float(one["distance"]) for one in made]
    else:
        record["at_bound"] = [int((abs(one["coefficients"]) == abs(one["C"])).sum()) for one in made]
    return record


def _machine(made: Made) -> Machine:
    return Machine(made["vectors"], made["coefficients"], float(made["bias"]))


class _Run:
    """The patterns of a run and the machines that it has made so far, here and in its checkpoint."""

    def __init__(self, config: Config, context: Context) -> None:
        part = split(in_form(context.mnist, config.form), config.train_size, config.held_out)
        self.images, self.labels = part.train_images, part.train_labels
        self.judged, self.truth = part.images, part.labels
        self.config, self.context = config, context
        self.made = _load(context.checkpoint, config)

    def report(self) -> None:
        """Say how many of the machines of all stages are there: they are what the display calls passes."""
        total = CLASSES * len(self.config.stages)
        self.context.progress(Progress(len(self.made) + 1, total + 1, done=0, total=1))

    def stage(self, stage: str) -> list[Made]:
        """The machines of a stage, class by class, those made before and the others."""
        missing = [c for c in range(CLASSES) if (stage, c) not in self.made]
        for c, made in self._make(stage, missing):
            self.made[stage, c] = made
            _save(self.context.checkpoint, self.config, self.made)
        return [self.made[stage, c] for c in range(CLASSES)]

    def _make(self, stage: str, classes: list[int]) -> Iterator[tuple[int, Made]]:
        if stage == "reduced":
            yield from self._reduced(classes)
            return
        config = self.config
        if stage == "regular":
            tasks = svm.regular(config.kernel, config.C, self.images, self.labels)
        else:
            shifted = {c: self.made["regular", c]["support"] for c in classes}
            tasks = svm.virtual(config.kernel, config.C, self.images, self.labels, shifted, config.directions)
        wanted = {c: tasks[c] for c in classes}
        for c, (machine, support) in svm.fitted(wanted, self.context.threads, self.report):
            yield c, {**_arrays(machine), "support": support, "C": np.array(config.C)}

    def _reduced(self, classes: list[int]) -> Iterator[tuple[int, Made]]:
        config, before = self.config, self.config.stages[-2]
        for c in classes:
            found = reduced_set.reduce(
                config.kernel,
                _machine(self.made[before, c]),
                config.reduced,
                config.steps,
                self.report,
            )
            yield c, {**_arrays(found.machine), "distance": np.array(found.distance)}


def _arrays(machine: Machine) -> Made:
    return {
        "vectors": machine.vectors,
        "coefficients": machine.coefficients,
        "bias": np.array(machine.bias),
    }


def _save(path: Path, config: Config, made: dict[tuple[str, int], Made]) -> None:
    arrays = {f"{stage} {c} {name}": array for (stage, c), one in made.items() for name, array in one.items()}
    checkpoint.save(path, config, arrays)


def _load(path: Path, config: Config) -> dict[tuple[str, int], Made]:
    """The machines in `path`, none if it is missing or damaged; ValueError if they are those of another run."""
    made: dict[tuple[str, int], Made] = {}
    if saved := checkpoint.load(path, config):
        for key, array in saved.arrays.items():
            stage, c, name = key.split()
            made.setdefault((stage, int(c)), {})[name] = array
    return made


# --- the experiments --------------------------------------------------------------------------------------------------


REDUCED = 83
"""Vectors a class, which make the 650,000 multiply-accumulates of Fig. 11: 10 x 83 x 785 = 651,550."""

POLY4 = Config(degree=4, coef0=0.0)
RS_POLY5 = Config(degree=5, coef0=0.3, directions=4, reduced=REDUCED)
VSVM_POLY9 = Config(degree=9, coef0=1.0, directions=8)

for experiment in (
    Experiment("svm_poly4", "SVM poly 4", POLY4, run_machines, minutes=3, deterministic=True),
    Experiment("rs_svm_poly5", "RS-SVM poly 5", RS_POLY5, run_machines, minutes=8, deterministic=True),
    Experiment("dist_vsvm_poly9", "[dist] V-SVM poly 9", VSVM_POLY9, run_machines, minutes=8, deterministic=True),
):
    register(replace(experiment, name=f"fig9/{experiment.name}", paper_error=paper.TEST_ERROR[experiment.name]))

_POLY4, _POLY5, _POLY9 = (Config(degree, train_size=10_000, held_out=10_000) for degree in (4, 5, 9))
_CHOSEN5 = replace(_POLY5, coef0=0.3)

ROOM = "svm/held-out"

CHOICES: dict[str, tuple[str, Config]] = {
    f"{ROOM}/poly4-coef0-0-c10": ("poly 4, coef0 0, C 10", replace(_POLY4, coef0=0.0)),
    f"{ROOM}/poly4-coef0-0.3": ("poly 4, coef0 0.3", replace(_POLY4, coef0=0.3)),
    f"{ROOM}/poly4-coef0-1": ("poly 4, coef0 1", _POLY4),
    f"{ROOM}/poly4-coef0-0-c1": ("poly 4, coef0 0, C 1", replace(_POLY4, coef0=0.0, C=1.0)),
    f"{ROOM}/poly4-coef0-0-c100": ("poly 4, coef0 0, C 100", replace(_POLY4, coef0=0.0, C=100.0)),
    f"{ROOM}/poly4-coef0-0-deslanted": (
        "poly 4, coef0 0, deslanted 20x20",
        replace(_POLY4, coef0=0.0, form="deslanted"),
    ),
    f"{ROOM}/poly5-coef0-1": ("poly 5, coef0 1", _POLY5),
    f"{ROOM}/poly9-coef0-0.3": ("poly 9, coef0 0.3", replace(_POLY9, coef0=0.3)),
    f"{ROOM}/poly5-coef0-0.3-shifts4-reduced": (
        "poly 5, coef0 0.3, 4 shifts, reduced",
        replace(_CHOSEN5, directions=4, reduced=REDUCED),
    ),
    f"{ROOM}/poly5-coef0-0.3-reduced": ("poly 5, coef0 0.3, reduced", replace(_CHOSEN5, reduced=REDUCED)),
    f"{ROOM}/poly9-coef0-1-shifts8": ("poly 9, coef0 1, 8 shifts", replace(_POLY9, directions=8)),
    f"{ROOM}/poly9-coef0-1-shifts4": ("poly 9, coef0 1, 4 shifts", replace(_POLY9, directions=4)),
}
"""What is compared on patterns held out: machines that have learned 10,000 training patterns."""

for name, (title, config) in CHOICES.items():
    register(
        Experiment(name, f"SVM {title}, 10,000 patterns, held out", config, run_machines, minutes=1, deterministic=True)
    )

STAGES = {"regular": "support vectors", "virtual": "virtual support vectors", "reduced": "reduced set"}


@tables.table("machines")
def machines(load: Loader) -> Table:
    """What was tried for the support vector machines, with the error after every stage; NoResults if nothing was."""
    there = load.there(CHOICES)
    body, records = [], []
    for name, runs in there.items():
        result = runs.results[0]
        patterns = result.last["test_patterns"]
        for number, stage in enumerate(result.extra["stages"]):
            row = tables.summarize(CHOICES[name][0], None, [stage["test_errors"]], patterns, source=runs.source)
            vectors = sum(stage["vectors"])
            cells = tables.cells(row)
            body.append(["" if number else row.row, STAGES[stage["stage"]], cells[1], cells[5], f"{vectors:,}"])
            records.append({**row.as_json(), "experiment": name, "stage": stage["stage"], "vectors": vectors})
    remark = (
        "Machines of the first 10,000 training patterns; errors are those on the last 10,000 training patterns. Where "
        "support vectors are shifted, or reduced, the errors before are on the lines above. Vectors are those of all "
        "ten machines."
    )
    header = ["machine", "made of", "held out, %", "95%, patterns", "vectors"]
    caption = "Support vector machines: choices on held-out training patterns."
    notes = tables.notes("machines", list(there.values()), remark, *tables.lacking(CHOICES, there))
    return Table("machines", caption, header, body, records, notes)
