"""Tangent distance of Fig. 9, and what was chosen for it on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from lenet98.classifiers.tangent import TangentDistance
from lenet98.data.preprocessing import in_form
from lenet98.data.splits import split
from lenet98.loop import Progress

# --- what is run ------------------------------------------------------------------------------------------------------


CHUNK = 100
"""Patterns classified between two reports of progress."""
VOTES = (1, 2, 3, 4, 5, 7)
"""Numbers of neighbors whose errors are recorded beside those of the configured one."""


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
    held_out: int = 0
    """The last so many training patterns are those on which errors are counted; the test set if 0."""


@family("tangent distance")
def run_tangents(config: Config, seed: int, context: Context) -> Outcome:
    """Find the nearest prototypes of every pattern.  The seed changes nothing."""
    part = split(in_form(context.mnist, "16x16"), config.train_size, config.held_out)
    images, labels = part.images, part.labels
    context.progress(Progress(1, 1, 0, len(labels)))
    classifier = TangentDistance.fit(
        part.train_images,
        part.train_labels,
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
        context.progress(Progress(1, 1, start + len(truth), len(labels), errors))
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


# --- the experiments --------------------------------------------------------------------------------------------------


CHOSEN = Config(sigma=0.5, candidates=300, k=4)
"""With 300 candidates one recognition takes the 20 million multiply-accumulates of Fig. 11."""

register(
    Experiment(
        "fig9/16x16_tangent_distance",
        "[16x16] Tangent Distance",
        CHOSEN,
        run_tangents,
        2,
        deterministic=True,
        paper_error=paper.TEST_ERROR["16x16_tangent_distance"],
    )
)

_FEWER = replace(CHOSEN, train_size=50_000, held_out=10_000)

ROOM = "tangent-distance/held-out"

CHOICES: dict[str, tuple[str, Config]] = {
    f"{ROOM}/sigma0.5-candidates300": ("sigma 0.5, 300 candidates", _FEWER),
    f"{ROOM}/sigma0.4": ("sigma 0.4", replace(_FEWER, sigma=0.4)),
    f"{ROOM}/sigma0.7": ("sigma 0.7", replace(_FEWER, sigma=0.7)),
    f"{ROOM}/sigma0.9": ("sigma 0.9", replace(_FEWER, sigma=0.9)),
    f"{ROOM}/candidates100": ("100 candidates", replace(_FEWER, candidates=100)),
    f"{ROOM}/candidates1000": ("1000 candidates", replace(_FEWER, candidates=1000)),
}
"""What is compared on patterns held out; all but what is named is as in the first."""

for name, (title, config) in CHOICES.items():
    register(Experiment(name, f"Tangent distance, {title}, held out", config, run_tangents, 2, deterministic=True))


@tables.table("tangents")
def tangents(load: Loader) -> Table:
    """What was tried for the tangent distance, by the number of neighbors; NoResults if nothing was."""
    there = load.there(CHOICES)
    body, records = [], []
    for name, runs in there.items():
        result = runs.results[0]
        found = {
            k: tables.summarize(CHOICES[name][0], None, [errors], result.last["test_patterns"], source=runs.source)
            for k, errors in result.extra["errors_by_k"].items()
        }
        body.append([CHOICES[name][0], *(tables.cells(row)[1] for row in found.values())])
        records += [{**row.as_json(), "experiment": name, "k": int(k)} for k, row in found.items()]
    header = ["tangent distance", *(f"k = {k}, %" for k in VOTES)]
    remark = (
        "The first 50,000 training patterns are prototypes; errors are those on the last 10,000 training patterns. The "
        f"first line with k = {CHOSEN.k} is what the row of Fig. 9 has; the others differ from it in what is named."
    )
    caption = "Tangent distance: choices on held-out training patterns."
    notes = tables.notes("tangents", list(there.values()), remark, *tables.lacking(CHOICES, there))
    return Table("tangents", caption, header, body, records, notes)
