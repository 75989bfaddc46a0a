"""Support vector machines of Fig. 9, and what was chosen for them on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import replace

from experiments.registry import Experiment, register
from experiments.support_vectors import Config, run_machines

REDUCED = 83
"""Vectors a class, which make the 650,000 multiply-accumulates of Fig. 11: 10 x 83 x 785 = 651,550."""

POLY4 = Config(degree=4, coef0=0.0)
RS_POLY5 = Config(degree=5, coef0=0.3, directions=4, reduced=REDUCED)
VSVM_POLY9 = Config(degree=9, coef0=1.0, directions=8)

register(Experiment("svm_poly4", "SVM poly 4", POLY4, run_machines, minutes=10, deterministic=True))
register(Experiment("rs_svm_poly5", "RS-SVM poly 5", RS_POLY5, run_machines, minutes=20, deterministic=True))
register(Experiment("dist_vsvm_poly9", "[dist] V-SVM poly 9", VSVM_POLY9, run_machines, minutes=20, deterministic=True))

_POLY4, _POLY5, _POLY9 = (Config(degree, train_size=10_000, evaluate_on="held out") for degree in (4, 5, 9))

HELD_OUT: dict[str, tuple[str, Config]] = {
    "held-svm4": ("poly 4, coef0 1, C 10", _POLY4),
    "held-svm4-c1": ("poly 4, coef0 1, C 1", replace(_POLY4, C=1.0)),
    "held-svm4-c100": ("poly 4, coef0 1, C 100", replace(_POLY4, C=100.0)),
    "held-svm4-0.3": ("poly 4, coef0 0.3", replace(_POLY4, coef0=0.3)),
    "held-svm4-0": ("poly 4, coef0 0", replace(_POLY4, coef0=0.0)),
    "held-svm4-0-deslanted": ("poly 4, coef0 0, deslanted", replace(_POLY4, coef0=0.0, form="deslanted")),
    "held-svm5": ("poly 5, coef0 1", _POLY5),
    "held-svm5-0.3": ("poly 5, coef0 0.3", replace(_POLY5, coef0=0.3)),
    "held-svm9": ("poly 9, coef0 1", _POLY9),
    "held-svm9-0.3": ("poly 9, coef0 0.3", replace(_POLY9, coef0=0.3)),
    "held-vsvm9-4": ("poly 9, V-SVM, 4 shifts", replace(_POLY9, directions=4)),
    "held-vsvm9-8": ("poly 9, V-SVM, 8 shifts", replace(_POLY9, directions=8)),
    "held-rs-svm5": ("poly 5, coef0 0.3, reduced", replace(_POLY5, coef0=0.3, reduced=REDUCED)),
    "held-rs-vsvm5": (
        "poly 5, coef0 0.3, V-SVM, 4 shifts, reduced",
        replace(_POLY5, coef0=0.3, directions=4, reduced=REDUCED),
    ),
}
"""What is compared on patterns held out: machines of 10,000 patterns."""

for name, (title, config) in HELD_OUT.items():
    register(Experiment(name, f"10,000 patterns, SVM {title}", config, run_machines, minutes=1, deterministic=True))
