"""Rows of Fig. 9: fully connected networks with one and two hidden layers (Sections III.C.5 and III.C.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from experiments.paper.distortions import DISTORTED
from experiments.trainers import (
    FORMER_MEAN_SQUARED_ERROR,
    train_network,
    train_on_form,
    training,
)
from lenet98.data.distortions import FIELD, FIG7, distort
from lenet98.data.fields import WHITE
from lenet98.networks import mlp
from lenet98.recipes import MEAN_SQUARED_ERROR, longer, recipe
from lenet98.sdlm import ETAS
from lenet98.specs import Spec
from lenet98.training import Config, FormConfig


class _Row(NamedTuple):
    name: str
    spec: Spec
    minutes: float


_ROWS = (
    _Row("mlp_300", mlp(300), 1),
    _Row("mlp_1000", mlp(1000), 3),
    _Row("mlp_300_100", mlp(300, 100), 1),
    _Row("mlp_500_150", mlp(500, 150), 1.5),
)

for row in _ROWS:
    register(
        Experiment(
            f"fig9/{row.name}",
            row.spec.name,
            recipe(row.spec),
            train_network,
            row.minutes,
            paper_error=paper.TEST_ERROR[row.name],
        )
    )
    register(
        Experiment(
            f"fig9/dist_{row.name}",
            f"[dist] {row.spec.name}",
            training(Config, row.spec, distortions=DISTORTED),
            train_network,
            row.minutes + 0.5,
            paper_error=paper.TEST_ERROR[f"dist_{row.name}"],
        )
    )

register(
    Experiment(
        "fig9/deslant_20x20_mlp_300",
        "[deslant] 20x20-300-10",
        recipe(mlp(300, input_shape=(1, 20, 20))),
        train_on_form,
        minutes=1,
        paper_error=paper.TEST_ERROR["deslant_20x20_mlp_300"],
    )
)

ROOM = "fully-connected/held-out"

HELD_OUT_MU = (0.02, 0.1)
"""The paper's mu and a larger one, which lowers the rates of the first layer."""

for mu in HELD_OUT_MU:
    register(
        Experiment(
            f"{ROOM}/mlp_300-mu{mu:g}",
            f"28x28-300-10 on 50,000 patterns, mu = {mu:g}",
            training(Config, mlp(300), mu=mu, train_size=50_000, held_out=10_000),
            train_network,
            minutes=1,
            seeds=(0, 1, 2),
        )
    )

APPENDIX = replace(FORMER_MEAN_SQUARED_ERROR, init_gain=2.4, init_power=1.0)
"""FORMER with initial weights within 2.4/F_i, Appendix A to the letter."""

RANGES = {
    "mlp_300": training(FormConfig, mlp(300)),
    "mlp_300_100": training(FormConfig, mlp(300, 100)),
    "deslant_20x20_mlp_300": recipe(mlp(300, input_shape=(1, 20, 20))),
}
"""Networks whose initial weights are read both ways, by the name of their row."""

INITIAL = {
    "init-default": ("DEFAULT", MEAN_SQUARED_ERROR),
    "init-former": ("FORMER", FORMER_MEAN_SQUARED_ERROR),
    "init2.4-over-fan-in": ("FORMER, weights within 2.4/F", APPENDIX),
}
"""Readings in words, by what ends the name of an experiment."""

for name, config in RANGES.items():
    for initial, (words, reading) in INITIAL.items():
        register(
            Experiment(
                f"{ROOM}/{name}-{initial}",
                f"{paper.TITLES[name]} on 50,000 patterns, {words}",
                replace(config, reading=reading, train_size=50_000, held_out=10_000),
                train_on_form,
                minutes=1,
            )
        )


class _Longer(NamedTuple):
    """A way to train [dist] 28x28-300-10 with more passes or a larger field than its row."""

    name: str
    side: int
    """Of the input.  A distorted pattern is made in a field of 32x32, of which 28x28 inputs see the middle."""
    times: int
    """As many times the 20 passes of III.B."""

    @property
    def title(self) -> str:
        """What differs from the row."""
        return f"{self.side}x{self.side} field, {self.times * len(ETAS)} passes"


LONGER = (
    _Longer("dist_mlp_300-passes20", 28, 1),
    _Longer("dist_mlp_300-passes40", 28, 2),
    _Longer("dist_mlp_300-passes80", 28, 4),
    _Longer("dist_mlp_300-field32-passes20", 32, 1),
)
"""What was tried for [dist] 28x28-300-10, by FORMER with Fig. 7's magnitudes; the first was the row then."""

for way in LONGER:
    register(
        Experiment(
            f"{ROOM}/{way.name}",
            f"[dist] 28x28-300-10 on 50,000 patterns, {way.title}",
            training(
                Config,
                mlp(300, input_shape=(1, way.side, way.side)),
                reading=FORMER_MEAN_SQUARED_ERROR,
                distortions=FIG7,
                etas=longer(way.times),
                train_size=50_000,
                held_out=10_000,
            ),
            train_network,
            minutes=1.5 * way.times,
            seeds=(0, 1, 2),
        )
    )

NETWORKS = {row.experiment: row for row in paper.ROWS if "mlp_" in row.name}
"""The networks of Fig. 9, by experiment."""


@tables.table("mlps")
def mlps(load: Loader) -> Table:
    """The fully connected networks, and the pass in which they reach the paper's error."""
    used = load.there(NETWORKS)
    header = [
        "", "paper, %", "ours, %", "sd", "n", *tables.INTERVALS, "difference", "training, %", "reached in pass",
    ]  # fmt: skip
    body, records = [], []
    for name, runs in used.items():
        theirs = NETWORKS[name].test_error
        row = tables.test_row(runs, NETWORKS[name].title, theirs)
        learned = tables.training_error(runs)
        reached = _reached(runs, theirs)
        body.append([row.row, *tables.cells(row), tables.number(learned), "" if reached is None else str(reached)])
        records.append({**row.as_json(), "training": learned, "reached": reached})
    remark = (
        "Training error is on the fly, in the last pass. The last column is the first pass after which the mean test "
        f"error is the paper's or less. {tables.COVER}"
    )
    caption = "Fully connected networks: error after the last of 20 passes."
    notes = tables.notes("mlps", list(used.values()), remark, *tables.lacking(NETWORKS, used))
    return Table("mlps", caption, header, body, records, notes)


@tables.table("mlp-mu")
def mlp_mu(load: Loader) -> Table:
    """28x28-300-10 with a larger mu, on the training patterns that it did not learn."""
    used = [load.one(f"{ROOM}/mlp_300-mu{mu:g}") for mu in HELD_OUT_MU]
    rows = [tables.test_row(runs, f"mu = {mu:g}", None) for runs, mu in zip(used, HELD_OUT_MU, strict=True)]
    caption = "28x28-300-10 on 50,000 patterns: error on the last 10,000 training patterns."
    return tables.comparison("mlp-mu", caption, rows, used)


@tables.table("mlp-init")
def mlp_init(load: Loader) -> Table:
    """Readings of the start of a fully connected network, on the training patterns that were not learned."""
    used, rows = [], []
    for name in RANGES:
        for initial, (words, _) in INITIAL.items():
            runs = load.one(f"{ROOM}/{name}-{initial}")
            used.append(runs)
            rows.append(tables.test_row(runs, f"{paper.TITLES[name]}, {words}", paper.TEST_ERROR[name]))
    remark = (
        "Errors on the last 10,000 training patterns, with the first 50,000 learned; the paper's are of its test set."
    )
    caption = "Readings of fully connected networks, with eq. 8: error on held-out patterns."
    return tables.comparison("mlp-init", caption, rows, used, remark)


CROP_PATTERNS = 10_000
"""Patterns whose distorted copies tell how much ink the crop costs."""


def ink_lost(images: NDArray[np.uint8], side: int = 28) -> NDArray[np.float64]:
    """Share of its ink that a distorted pattern of 32x32 loses to the crop to `side` x `side`.

    Parameters
    ----------
    images
        Bytes, shape (n, 28, 28); of each the first copy of seed 0.

    Returns
    -------
    Shape (n,), 0 to 1.
    """
    every = np.arange(len(images))
    ink = distort(images, every, np.ones_like(every), seed=0)[:, 0].astype(np.float64) - np.float32(WHITE)
    margin = (FIELD - side) // 2
    inside = ink[:, margin : FIELD - margin, margin : FIELD - margin]
    return 1 - inside.sum((1, 2)) / ink.sum((1, 2))


@tables.table("mlp-distorted")
def mlp_distorted(load: Loader) -> Table:
    """[dist] 28x28-300-10 with more passes and without the crop, on the training patterns that it did not learn."""
    distorted = {f"{ROOM}/{way.name}": way.title for way in LONGER}
    tried = {f"{ROOM}/mlp_300-init-former": "no distortions, 20 passes", **distorted}
    used = load.there(tried, needed=distorted)
    header = ["", "training, %", "held-out error, %", "sd", "n", *tables.INTERVALS]
    body, records = [], []
    for name, runs in used.items():
        row = tables.test_row(runs, tried[name], None)
        learned = tables.training_error(runs)
        body.append([row.row, tables.number(learned), *tables.cells(row)[1:-1]])
        records.append({**row.as_json(), "training": learned})
    lost = ink_lost(registry.load_mnist(None).train_images[:CROP_PATTERNS])
    remark = (
        "By FORMER, with Fig. 7's magnitudes. Trained on the first 50,000 training patterns, errors on the last "
        "10,000, which are not distorted; training error is on the fly, in the last pass, on the distorted patterns. "
        f"Each eta lasts for as many times more passes. Of {CROP_PATTERNS:,} distorted patterns the crop to 28x28 "
        f"takes more than 1% of the ink from {100 * (lost > 0.01).mean():.0f}%, and more than 5% from "
        f"{100 * (lost > 0.05).mean():.0f}%."
    )
    caption = "[dist] 28x28-300-10 trained for longer and without the crop: error on held-out patterns."
    notes = tables.notes("mlp-distorted", list(used.values()), remark, *tables.lacking(tried, used))
    return Table("mlp-distorted", caption, header, body, records, notes)


def _reached(runs: Runs, percent: float) -> int | None:
    """The first pass after which the mean test error of all runs is at most `percent`; None if it never is."""
    passes = min((len(result.passes) for result in runs.finished), default=0)
    for number in range(1, passes + 1):
        errors, patterns = tables.counts(runs.finished, number=number)
        if 100 * sum(errors) / (len(errors) * patterns) <= percent:
            return number
    return None
