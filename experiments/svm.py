"""Support vector machines of Fig. 9, and what was chosen for them on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import replace

from experiments.registry import Experiment, register
from experiments.support_vectors import Config, run_machines

REDUCED = 80
"""Vectors a class, which make the 650,000 multiply-accumulates of Fig. 11 (10 x 80 x 785 = 628,000)."""

ROWS = {
    "svm_poly4": ("SVM poly 4", Config(degree=4), 8.0),
    "rs_svm_poly5": ("RS-SVM poly 5", Config(degree=5, directions=4, reduced=REDUCED), 15.0),
    "dist_vsvm_poly9": ("[dist] V-SVM poly 9", Config(degree=9, directions=8), 20.0),
}

for name, (title, config, minutes) in ROWS.items():
    register(Experiment(name, title, config, run_machines, minutes, deterministic=True))

_FEW = Config(degree=4, train_size=20_000, evaluate_on="held out")

HELD_OUT: dict[str, tuple[str, Config]] = {
    "held-svm": ("poly 4, coef0 1, C 10", _FEW),
    "held-svm-c1": ("C 1", replace(_FEW, C=1.0)),
    "held-svm-c3": ("C 3", replace(_FEW, C=3.0)),
    "held-svm-c30": ("C 30", replace(_FEW, C=30.0)),
    "held-svm-coef0-0.3": ("coef0 0.3", replace(_FEW, coef0=0.3)),
    "held-svm-coef0-0": ("coef0 0", replace(_FEW, coef0=0.0)),
    "held-svm-deslanted": ("deslanted", replace(_FEW, form="deslanted")),
    "held-vsvm-4": ("poly 9, V-SVM, 4 shifts", replace(_FEW, degree=9, directions=4)),
    "held-vsvm-8": ("poly 9, V-SVM, 8 shifts", replace(_FEW, degree=9, directions=8)),
    "held-rs-svm-regular": ("poly 5, reduced", replace(_FEW, degree=5, reduced=REDUCED)),
    "held-rs-svm": ("poly 5, V-SVM, 4 shifts, reduced", replace(_FEW, degree=5, directions=4, reduced=REDUCED)),
}
"""What is compared on patterns held out; all but what is named is as in the first, each of 20,000 patterns."""

for name, (title, config) in HELD_OUT.items():
    register(Experiment(name, f"SVM, 20,000 patterns, {title}", config, run_machines, minutes=2.0, deterministic=True))
