"""Rows of Fig. 9: LeNet-1, and LeNet-4 with its own last layer, K-NN or local learning (III.C.7 and III.C.8)."""

from __future__ import annotations

from dataclasses import replace

from experiments import tables
from experiments.forms import FormConfig, train_on_form
from experiments.last_layers import (
    GridConfig,
    LocalConfig,
    NeighboursConfig,
    compare_settings,
    local_learning,
    nearest_states,
)
from experiments.networks import train_network
from experiments.place_coded import training
from experiments.registry import Experiment, register
from experiments.store import Runs
from experiments.tables import Loader, Row, Table
from lenet98.sdlm import ETAS
from lenet98.training import Config


def _etas(times: int) -> tuple[float, ...]:
    """III.B's, each for as many times more passes."""
    return tuple(eta for eta in ETAS for _ in range(times))


LENET1 = training(FormConfig, "lenet1", form="16x16", etas=_etas(4))
"""For 80 passes: of those tried, the number with the fewest errors on held-out patterns; III.B's 20 are LeNet-5's."""
LENET4 = training(Config, "lenet4")
NEIGHBOURS = training(NeighboursConfig, "lenet4")
LOCAL = training(LocalConfig, "lenet4")

register(Experiment("16x16_lenet1", "[16x16] LeNet-1", LENET1, train_on_form, minutes=2.5))
register(Experiment("lenet4", "LeNet-4", LENET4, train_network, minutes=2.5))
register(Experiment("lenet4_local", "LeNet-4 / Local", LOCAL, local_learning, minutes=3))
register(Experiment("lenet4_knn", "LeNet-4 / K-NN", NEIGHBOURS, nearest_states, minutes=3))

HELD_OUT_TIMES = (1, 4)
"""How many times as many passes as LeNet-5 LeNet-1 is given, each eta for as many of them."""

for times in HELD_OUT_TIMES:
    passes = times * len(ETAS)
    register(
        Experiment(
            f"held-lenet1-{passes}",
            f"[16x16] LeNet-1 on 50,000 patterns, {passes} passes",
            replace(LENET1, etas=_etas(times), train_size=50_000, evaluate_on="held out"),
            train_on_form,
            minutes=0.6 * times,
            seeds=(0, 1, 2),
        )
    )

register(
    Experiment(
        "held-last-layers",
        "LeNet-4 on 50,000 patterns, its last layer replaced",
        training(GridConfig, "lenet4", train_size=50_000, evaluate_on="held out"),
        compare_settings,
        minutes=4,
        seeds=(0, 1, 2),
    )
)


@tables.table("lenet1-passes")
def lenet1_passes(load: Loader) -> Table:
    """LeNet-1 trained for longer, on the training patterns that it did not learn."""
    passes = [times * len(ETAS) for times in HELD_OUT_TIMES]
    used = [load.one(f"held-lenet1-{number}") for number in passes]
    header = ["passes", "training, %", "held-out error, %", "sd", "n", "95% interval"]
    body, records = [], []
    for number, runs in zip(passes, used, strict=True):
        row = tables.test_row(runs, str(number), None)
        errors, patterns = tables.counts(runs.finished, "train")
        learnt = tables.summarise("", None, errors, patterns).mean if errors else None
        body.append([row.row, tables.number(learnt), *tables.cells(row)[1:-1]])
        records.append({**row.as_json(), "training": learnt})
    remark = (
        "Trained on the first 50,000 training patterns, errors on the last 10,000; training error is on the fly, in "
        "the last pass. Each eta lasts for as many times more passes."
    )
    caption = "LeNet-1 trained for longer: error on patterns held out of the training set."
    return Table("lenet1-passes", caption, header, body, records, tables.notes("lenet1-passes", used, remark))


@tables.table("last-layers")
def last_layers(load: Loader) -> Table:
    """LeNet-4's last layer replaced, by setting, on the training patterns that it did not learn."""
    runs = load.one("held-last-layers")
    itself = tables.test_row(runs, "its own", None)
    rows = [itself, *(_setting(runs, i, itself) for i in range(len(runs.finished[0].extra["settings"])))]
    header = ["last layer", "held-out error, %", "sd", "n", "95% interval"]
    body = [[row.row, *tables.cells(row)[1:-1]] for row in rows]
    remark = (
        f"LeNet-4 trained on the first 50,000 training patterns, errors on the last 10,000. The experiments have "
        f"k = {NEIGHBOURS.neighbours}, and local learning with {LOCAL.neighbours} neighbours and decay {LOCAL.decay:g}."
    )
    caption = "LeNet-4's last layer replaced: error on patterns held out of the training set."
    notes = tables.notes("last-layers", [runs], remark)
    return Table("last-layers", caption, header, body, [row.as_json() for row in rows], notes)


def _setting(runs: Runs, number: int, itself: Row) -> Row:
    """The row of one setting, on the patterns that the network `itself` was judged on."""
    found = [result.extra["settings"][number] for result in runs.finished]
    k, decay = found[0]["neighbours"], found[0]["decay"]
    title = f"K-NN, k = {k}" if decay is None else f"Local, {k} neighbours, decay {decay:g}"
    errors = [setting["errors"] for setting in found]
    return tables.summarise(title, None, errors, itself.patterns, diverged=itself.diverged, source=runs.source)
