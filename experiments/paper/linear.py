"""Rows of Fig. 9: the linear classifier, a unit a class on the pixels (Section III.C.1).

The paper tried "various combinations of sigmoid units, linear units, gradient descent learning, and learning by
directly solving linear systems".  Two of them are compared on held-out training patterns: sigmoid units that learn as
all its networks do, and linear units that are solved by least squares (`classical`).  The sigmoid units err less there
on both forms of the database, so they are the rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from experiments.paper.fully_connected import ROOM
from experiments.trainers import train_on_form
from lenet98.networks import mlp
from lenet98.recipes import recipe

ROWS = {
    "linear": recipe(mlp()),
    "deslant_linear": recipe(mlp(input_shape=(1, 20, 20))),
}
"""Sigmoid units that learn by gradient descent, by the name of the row."""

for name, config in ROWS.items():
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
    register(
        Experiment(
            f"fig9/{name}",
            paper.TITLES[name],
            config,
            train_on_form,
            minutes=0.2,
            paper_error=paper.TEST_ERROR[name],
        )
    )


class _Way(NamedTuple):
    """One way to make the classifier of a row."""

    row: str
    title: str
    test: str
    """Experiment that is judged on the test set."""
    held_out: str
    """The same with the first 50,000 training patterns, judged on the last 10,000."""


WAYS = (
    _Way("linear", "sigmoid units, gradient descent", "fig9/linear", f"{ROOM}/linear-sigmoid-units"),
    _Way(
        "linear",
        "linear units, least squares",
        "classical/linear-least-squares",
        "classical/held-out/linear-least-squares-ridge1e-3",
    ),
    _Way(
        "deslant_linear",
        "sigmoid units, gradient descent",
        "fig9/deslant_linear",
        f"{ROOM}/deslant_linear-sigmoid-units",
    ),
    _Way(
        "deslant_linear",
        "linear units, least squares",
        "classical/deslant_linear-least-squares",
        "classical/held-out/deslant_linear-least-squares-middle-of-field",
    ),
)


@tables.table("linear")
def linear(load: Loader) -> Table:
    """The linear classifier made in two ways: held-out patterns choose."""
    used, body, records = [], [], []
    for way in WAYS:
        held_out, test = load.one(way.held_out), load.one(way.test)
        used += [held_out, test]
        chosen = tables.test_row(held_out, f"{paper.TITLES[way.row]}, {way.title}", None)
        shown = tables.test_row(test, chosen.row, paper.TEST_ERROR[way.row])
        body.append([chosen.row, *tables.cells(chosen)[1:4], *tables.cells(shown)[:4]])
        records.append({**shown.as_json(), "held_out": chosen.mean, "held_out_errors": list(chosen.errors)})
    header = ["", "held out, %", "sd", "n", "paper, %", "test set, %", "sd", "n"]
    remark = (
        "Held out: the first 50,000 training patterns are learned, the last 10,000 judge. Least squares has no seeds."
    )
    caption = "Linear classifiers: sigmoid units that learn and linear units that are solved."
    return Table("linear", caption, header, body, records, tables.notes("linear", used, remark))
