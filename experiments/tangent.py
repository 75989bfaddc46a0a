"""Tangent distance of Fig. 9, and what was chosen for it on patterns held out (Section III.C)."""

from __future__ import annotations

from dataclasses import replace

from experiments.registry import Experiment, register
from experiments.tangent_neighbours import Config, run_tangents

CHOSEN = Config(sigma=0.5, candidates=300, k=4)
"""With 300 candidates one recognition takes the 20 million multiply-accumulates of Fig. 11."""

register(Experiment("16x16_tangent_distance", "[16x16] Tangent Distance", CHOSEN, run_tangents, 2, deterministic=True))

_HELD_OUT = replace(CHOSEN, train_size=50_000, evaluate_on="held out")

HELD_OUT: dict[str, tuple[str, Config]] = {
    "held-tangent": ("sigma 0.5, 300 candidates", _HELD_OUT),
    "held-tangent-sigma-0.4": ("sigma 0.4", replace(_HELD_OUT, sigma=0.4)),
    "held-tangent-sigma-0.7": ("sigma 0.7", replace(_HELD_OUT, sigma=0.7)),
    "held-tangent-sigma-0.9": ("sigma 0.9", replace(_HELD_OUT, sigma=0.9)),
    "held-tangent-100": ("100 candidates", replace(_HELD_OUT, candidates=100)),
    "held-tangent-1000": ("1000 candidates", replace(_HELD_OUT, candidates=1000)),
}
"""What is compared on patterns held out; all but what is named is as in the first."""

for name, (title, config) in HELD_OUT.items():
    register(
        Experiment(name, f"Tangent distance, 50,000 patterns, {title}", config, run_tangents, 2, deterministic=True)
    )
