"""Tangent distance of Fig. 9, and what was chosen for it on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import replace

from experiments import tables
from experiments.registry import Experiment, register
from experiments.tables import Loader, Table
from experiments.tangent_neighbours import VOTES, Config, run_tangents

CHOSEN = Config(sigma=0.5, candidates=300, k=4)
"""With 300 candidates one recognition takes the 20 million multiply-accumulates of Fig. 11."""

register(Experiment("16x16_tangent_distance", "[16x16] Tangent Distance", CHOSEN, run_tangents, 2, deterministic=True))

_FEWER = replace(CHOSEN, train_size=50_000, evaluate_on="held out")

CHOICES: dict[str, tuple[str, Config]] = {
    "choice-16x16_tangent_distance": ("sigma 0.5, 300 candidates", _FEWER),
    "choice-16x16_tangent_distance-sigma-0.4": ("sigma 0.4", replace(_FEWER, sigma=0.4)),
    "choice-16x16_tangent_distance-sigma-0.7": ("sigma 0.7", replace(_FEWER, sigma=0.7)),
    "choice-16x16_tangent_distance-sigma-0.9": ("sigma 0.9", replace(_FEWER, sigma=0.9)),
    "choice-16x16_tangent_distance-100": ("100 candidates", replace(_FEWER, candidates=100)),
    "choice-16x16_tangent_distance-1000": ("1000 candidates", replace(_FEWER, candidates=1000)),
}
"""What is compared on patterns held out; all but what is named is as in the first."""

for name, (title, config) in CHOICES.items():
    register(Experiment(name, f"Tangent distance, {title}, held out", config, run_tangents, 2, deterministic=True))


@tables.table("tangents")
def tangents(load: Loader) -> Table:
    """What was tried for the tangent distance, by the number of neighbours; NoResults if nothing was."""
    there = load.there(CHOICES)
    body, records = [], []
    for name, runs in there.items():
        result = runs.results[0]
        found = {
            k: tables.summarise(CHOICES[name][0], None, [errors], result.last["test_patterns"], source=runs.source)
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
