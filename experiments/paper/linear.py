"""Rows of Fig. 9: the linear classifier, a unit a class on the pixels (Section III.C.1).

The paper tried "various combinations of sigmoid units, linear units, gradient descent learning, and learning by
directly solving linear systems".  Two of them are compared on held-out training patterns: sigmoid units that learn as
all its networks do, and linear units that are solved by least squares (`classical`).
"""

from __future__ import annotations

from dataclasses import replace

from experiments.harness.registry import Experiment, register
from experiments.paper import numbers as paper
from experiments.paper.fully_connected import ROOM
from experiments.trainers import FormConfig, train_on_form, training
from lenet98.networks import mlp

SIGMOID_UNITS = {
    "linear": training(FormConfig, mlp()),
    "deslant_linear": training(FormConfig, mlp(input_shape=(1, 20, 20)), form="deslanted"),
}
"""Sigmoid units that learn by gradient descent, by the name of the row."""

for name, config in SIGMOID_UNITS.items():
    register(
        Experiment(
            f"{ROOM}/{name}-sigmoid-units",
            f"{paper.TITLES[name]}, sigmoid units, on 50,000 patterns",
            replace(config, train_size=50_000, held_out=10_000),
            train_on_form,
            minutes=0.2,
            seeds=tuple(range(5)),
        )
    )
