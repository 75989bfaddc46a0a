"""Which of the readings nearest to III.B becomes the one recipe: every printed fact of training, and the first layers.

Each fact is a distance in units of its spread over seeds, and no test error is one of them.  What the paper prints of
test errors is then compared with what each reading predicts for one more run.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import fingerprint, trials
from experiments.paper import numbers as paper
from experiments.paper.candidates import CHOSEN, FINALISTS, ROUND
from experiments.paper.posterior import LEGEND, SHORT
from experiments.paper.trials import Tried

Array = NDArray[np.float64]

FACTS = ("least rate", "greatest rate", "curve", "15,000", "30,000", "first layers")
"""What a reading is judged by: both first rates, Fig. 5, Fig. 6's training errors, and C1 to S4 beside 1998's."""

TRIALS = {"former": "former", "default": CHOSEN} | {name: name for name in FINALISTS}
"""Readings by the name that they have in `fingerprint`, and that of their trial."""


def predictive(values: ArrayLike, theirs: float) -> float:
    """Two-sided p that one more run is as far from the mean of these as `theirs`: Student's t, two runs at least."""
    ours = np.asarray(values, float)
    scale = ours.std(ddof=1) * sqrt(1 + 1 / len(ours))
    return float(2 * stats.t.sf(abs(theirs - ours.mean()) / scale, len(ours) - 1))


def first_layers(load: Loader) -> tuple[dict[str, tuple[str, float]], list[Runs]]:
    """By reading: what its networks learned, VII.B's strings or noise alone, and how far C1 to S4 are from 1998's."""
    there = load.there(fingerprint.EXPERIMENTS)
    groups = {name.removeprefix("fingerprint/"): fingerprint.fingerprints(runs) for name, runs in there.items()}
    units, _ = fingerprint.spread(list(groups.values()))
    found = {}
    for reading in TRIALS:
        for patterns in ("strings", "noise"):
            if group := groups.get(f"{reading}-{patterns}"):
                found[reading] = patterns, fingerprint.distance(group, fingerprint.OF_1998, units)
                break
    return found, list(there.values())


@tables.table("recipe")
def recipe(load: Loader) -> Table:
    """The readings nearest to III.B, beside everything that is printed of training and 1998's first layers."""
    tried, (layers, used) = trials.results(load), first_layers(load)
    units, unit = trials.spread(tried), trials.curve_spread(tried)
    records = []
    for name, trial in TRIALS.items():
        runs = tried.get(f"{trials.ROOM}/{trial}")
        if runs is not None and name in layers and len(runs.rates) > 1:
            records.append(_record(name, runs, units, unit, *layers[name]))
            used.append(runs.runs)
    records.sort(key=lambda record: record["distance"])
    body = [
        [
            record["reading"],
            str(record["n"]),
            *(record[column] for column in SHORT),
            *(f"{record[fact]:.2f}" for fact in FACTS[:-1]),
            f"{record['first layers']:.2f}{'' if record['patterns'] == 'strings' else ' (noise)'}",
            f"{record['distance']:.2f}",
            ", ".join(f"{error:.2f}" for error in record["test"]),
            ", ".join(f"{p:.2f}" for p in record["p of each"]),
            f"{record['p of all']:.2f}",
        ]
        for record in records
    ]
    remark = (
        "Each fact in units of its spread over seeds, the sign that of ours less the paper's: both rates of the first "
        "pass, the training curve of Fig. 5, the training errors of Fig. 6's smaller sets, and d of "
        "`table fingerprint` of networks that learned VII.B's strings, or noise alone where eq. 8 has no class for "
        "blanks. Distance: their root mean square. Test errors, of 15,000, 30,000 and 60,000 patterns, have no part in "
        "it: p is how often one more run of the reading would be as far from its mean as the paper's "
        f"{trials.listed(paper.FIG6_TEST)}, by Student's t, and the last column all three together, by Fisher's method."
    )
    header = ["reading", "n", *SHORT, *FACTS, "distance", "test, %", "p of each", "p of all"]
    caption = "One recipe: the readings nearest to III.B, by everything printed of training and by 1998's first layers."
    return Table("recipe", caption, header, body, records, tables.notes("recipe", used, remark, LEGEND))


def _record(name: str, runs: Tried, units: Array, unit: float, patterns: str, layers: float) -> Json:
    z = [*(runs.facts.mean(axis=0) / units), runs.curve / unit]
    distances = dict(zip(FACTS, [z[0], z[1], z[4], z[2], z[3], layers], strict=True))
    errors = [runs.test[size][:, -1] for size in paper.FIG6_TRAIN_SIZES]
    p = [predictive(ours, theirs) for ours, theirs in zip(errors, paper.FIG6_TEST, strict=True)]
    return {
        "reading": name,
        "n": len(runs.rates),
        **{column: word(ROUND[TRIALS[name]]) for column, word in SHORT.items()},
        **{fact: float(value) for fact, value in distances.items()},
        "patterns": patterns,
        "distance": fingerprint.root_mean_square(list(distances.values())),
        "test": [float(ours.mean()) for ours in errors],
        "p of each": p,
        "p of all": float(stats.combine_pvalues(p).pvalue),
    }
