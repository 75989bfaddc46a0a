"""Support vector machines of Fig. 9, and what was chosen for them on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import replace

from experiments import tables
from experiments.registry import Experiment, register
from experiments.support_vectors import Config, run_machines
from experiments.tables import Loader, Table

REDUCED = 83
"""Vectors a class, which make the 650,000 multiply-accumulates of Fig. 11: 10 x 83 x 785 = 651,550."""

POLY4 = Config(degree=4, coef0=0.0)
RS_POLY5 = Config(degree=5, coef0=0.3, directions=4, reduced=REDUCED)
VSVM_POLY9 = Config(degree=9, coef0=1.0, directions=8)

register(Experiment("svm_poly4", "SVM poly 4", POLY4, run_machines, minutes=10, deterministic=True))
register(Experiment("rs_svm_poly5", "RS-SVM poly 5", RS_POLY5, run_machines, minutes=20, deterministic=True))
register(Experiment("dist_vsvm_poly9", "[dist] V-SVM poly 9", VSVM_POLY9, run_machines, minutes=60, deterministic=True))

_POLY4, _POLY5, _POLY9 = (Config(degree, train_size=10_000, evaluate_on="held out") for degree in (4, 5, 9))
_CHOSEN5 = replace(_POLY5, coef0=0.3)

CHOICES: dict[str, tuple[str, Config]] = {
    "choice-svm_poly4": ("poly 4, coef0 0, C 10", replace(_POLY4, coef0=0.0)),
    "choice-svm_poly4-coef0-0.3": ("poly 4, coef0 0.3", replace(_POLY4, coef0=0.3)),
    "choice-svm_poly4-coef0-1": ("poly 4, coef0 1", _POLY4),
    "choice-svm_poly4-c-1": ("poly 4, coef0 0, C 1", replace(_POLY4, coef0=0.0, C=1.0)),
    "choice-svm_poly4-c-100": ("poly 4, coef0 0, C 100", replace(_POLY4, coef0=0.0, C=100.0)),
    "choice-svm_poly4-deslanted": ("poly 4, coef0 0, deslanted 20x20", replace(_POLY4, coef0=0.0, form="deslanted")),
    "choice-svm_poly5-coef0-1": ("poly 5, coef0 1", _POLY5),
    "choice-svm_poly9-coef0-0.3": ("poly 9, coef0 0.3", replace(_POLY9, coef0=0.3)),
    "choice-rs_svm_poly5": (
        "poly 5, coef0 0.3, 4 shifts, reduced",
        replace(_CHOSEN5, directions=4, reduced=REDUCED),
    ),
    "choice-rs_svm_poly5-regular": ("poly 5, coef0 0.3, reduced", replace(_CHOSEN5, reduced=REDUCED)),
    "choice-dist_vsvm_poly9": ("poly 9, coef0 1, 8 shifts", replace(_POLY9, directions=8)),
    "choice-dist_vsvm_poly9-4": ("poly 9, coef0 1, 4 shifts", replace(_POLY9, directions=4)),
}
"""What is compared on patterns held out: machines that have learnt 10,000 training patterns."""

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
            row = tables.summarise(CHOICES[name][0], None, [stage["test_errors"]], patterns, source=runs.source)
            vectors = sum(stage["vectors"])
            cells = tables.cells(row)
            body.append(["" if number else row.row, STAGES[stage["stage"]], cells[1], cells[4], f"{vectors:,}"])
            records.append({**row.as_json(), "experiment": name, "stage": stage["stage"], "vectors": vectors})
    remark = (
        "Machines of the first 10,000 training patterns; errors are those on the last 10,000 training patterns. Where "
        "support vectors are shifted, or reduced, the errors before are on the lines above. Vectors are those of all "
        "ten machines."
    )
    header = ["machine", "made of", "held out, %", "95% interval", "vectors"]
    caption = "Support vector machines: choices on held-out training patterns."
    notes = tables.notes("machines", list(there.values()), remark, *tables.lacking(CHOICES, there))
    return Table("machines", caption, header, body, records, notes)
