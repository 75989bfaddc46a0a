"""How few errors the network of 1998 makes if it is trained as well as is known today.

The network is the paper's, with its 60,000 parameters, Table I, trained subsampling and bitmaps.  Its training is not:
AdamW in mini-batches along a cosine, sums normalized over the batch, distortions that are new in every pass.  What
normalization adds is folded into the weights at the end, and the network that is judged is what then remains, computed
by the engine that computes all of 1998's.  Held-out training patterns choose; the last pass is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.modern.ladder import RATES, STRENGTH, by_adamw, seconds
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.paper.distortions import DISTORTED
from experiments.paper.seeds import VOTERS, seeds
from experiments.trainers import answers, outcome_in_batches
from lenet98.data.distortions import FIG7
from lenet98.data.splits import split
from lenet98.modern import minibatch
from lenet98.modern.elastic import Elastic
from lenet98.modern.minibatch import Config, Optimizer
from lenet98.modern.networks import Scoring, SpecNet
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.readings import DEFAULT
from lenet98.training import distances

# --- what is run ------------------------------------------------------------------------------------------------------


@family("mini-batches, folded")
def train_and_fold(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST; its weights, scores and answers are those of the network of 1998 that remains."""
    trained = minibatch.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    assert isinstance(config.network, SpecNet)
    assert isinstance(trained.model, Scoring)
    parameters = trained.model.folded()
    judges = split(context.mnist, config.train_size, config.held_out)
    engine = Engine(config.network.spec, config.network.reading)
    predictions, scores = answers(distances(engine, parameters, judges.images))
    history = list(trained.history)
    if history:  # sums are rounded otherwise than in batches, which may decide on a pattern between two classes
        history[-1] = replace(history[-1], test_errors=int((predictions != judges.labels).sum()))
    found = outcome_in_batches(replace(trained, history=history))
    return replace(found, predictions=predictions, scores=scores, weights=parameters)


@dataclass(frozen=True)
class Way:
    """One way to train."""

    title: str
    config: Config


ADAMW = by_adamw(LENET5, RATES[LENET5.name, "adamw"])
"""As the ladder trains 1998's network by AdamW."""


def way(title: str, passes: int = 30, *, batch_norm: bool = True, **changes: Any) -> Way:
    """AdamW with normalization and distortions, affine ones as of [dist] LeNet-5, with fields of `Config` changed."""
    config = replace(
        ADAMW,
        network=SpecNet(LENET5, DEFAULT, batch_norm=batch_norm),
        passes=passes,
        affine=DISTORTED,
        elastic=Elastic(STRENGTH),
    )
    return Way(title, replace(config, **changes))


WAYS: Mapping[str, Way] = {
    "passes30": way("30 passes"),
    "passes60": way("60 passes", 60),
    "passes120": way("120 passes", 120),
    "no-norm": way("no normalization", batch_norm=False),
    "no-affine": way("no affine distortions", affine=None),
    "fig7": way("Fig. 7's own magnitudes", affine=FIG7),
    "no-elastic": way("no elastic distortions", elastic=None),
    "alpha17": way("elastic distortions of twice the strength", elastic=Elastic(2 * STRENGTH)),
    "rate0.001": way("a third of the rate", optimizer=by_adamw(LENET5, 0.001).optimizer),
    "rate0.01": way("three times the rate", optimizer=by_adamw(LENET5, 0.01).optimizer),
    "decay0.1": way(
        "ten times the weight decay", optimizer=Optimizer("adamw", RATES[LENET5.name, "adamw"], weight_decay=0.1)
    ),
    "batch256": way("batches of 256", batch=256),
}
"""By the end of the experiment's name: the first, and one change to it each."""

CHOSEN = "passes60"
"""Of `WAYS`, that of `modern/best-1998`; until the held-out runs decide."""

BEST = "modern/best-1998"
ROOM = "modern/held-out"
TRIED = {f"{ROOM}/best-{name}": each for name, each in WAYS.items()}
MINUTES = 0.25
"""Of one pass on one core."""

for name, each in TRIED.items():
    config = replace(each.config, train_size=50_000, held_out=10_000)
    title = f"1998's network trained today, {each.title}, held out"
    register(Experiment(name, title, config, train_and_fold, MINUTES * config.passes, seeds=(0,)))
register(
    Experiment(
        BEST,
        "LeNet-5 (1998), trained as well as today",
        WAYS[CHOSEN].config,
        train_and_fold,
        MINUTES * WAYS[CHOSEN].config.passes,
        seeds=tuple(range(20)),
    )
)

# --- tables -----------------------------------------------------------------------------------------------------------

ROWS = {paper.LENET5: "as in 1998", paper.DIST_LENET5: "as in 1998, distorted", BEST: "as today"}


@tables.table("best-1998")
def best(load: Loader) -> Table:
    """The network of 1998 trained as in 1998 and as well as today, alone and by vote."""
    used = load.there(ROWS, needed=[BEST])
    header = ["trained", "parameters", "seconds", "error, %", "sd", "n", *tables.INTERVALS, f"vote of {VOTERS}, %"]
    body, records = [], []
    for name, runs in used.items():
        if not runs.finished:
            raise NoResults(f"every run in {runs.folder} diverged")
        row = tables.test_row(runs, ROWS[name], None)
        votes = seeds(runs).votes
        record: Json = {
            "experiment": name,
            "parameters": _parameters(runs),
            "seconds": seconds(runs),
            "vote": float(np.mean(votes)) if len(votes) else None,
            "votes": votes.tolist(),
        }
        took = record["seconds"]
        body.append(
            [
                row.row,
                "" if record["parameters"] is None else f"{record['parameters']:,}",
                "" if took is None else f"{took:.0f}",
                *tables.cells(row)[1:-1],
                tables.number(record["vote"]),
            ]
        )
        records.append(row.as_json() | record)
    remark = (
        f"The same network, after the last pass. As today: {WAYS[CHOSEN].config.passes} passes by AdamW, what "
        "normalization adds folded into the weights. Parameters are counted in the weights that were kept. The vote is "
        f"the mean over groups of {VOTERS} seeds. {tables.COVER}"
    )
    notes = tables.notes("best-1998", list(used.values()), remark, *tables.lacking(ROWS, used))
    return Table("best-1998", "LeNet-5 of 1998, trained as in 1998 and today.", header, body, records, notes)


def _parameters(runs: Runs) -> int | None:
    """How many numbers the weights hold that were kept; None if none were."""
    kept = {found["weights"].size for result in runs.finished if "weights" in (found := result.arrays())}
    return kept.pop() if len(kept) == 1 else None


@tables.table("best-1998-held-out")
def held_out(load: Loader) -> Table:
    """What the training of today was chosen by."""
    used = load.there(TRIED)
    header = ["training", "training, %", "held-out error, %", "sd", "n", *tables.INTERVALS]
    body, records = [], []
    for name, runs in used.items():
        row = tables.test_row(runs, TRIED[name].title, None)
        learned = tables.training_error(runs)
        in_use = name == f"{ROOM}/best-{CHOSEN}"
        body.append([f"{row.row}{' (chosen)' if in_use else ''}", tables.number(learned), *tables.cells(row)[1:-1]])
        records.append(row.as_json() | {"experiment": name, "training": learned, "in_use": in_use})
    remark = (
        f"The first is {WAYS['passes30'].config.passes} passes by AdamW with normalization, affine and elastic "
        "distortions; every other changes one thing. Learned are the first 50,000 training patterns, errors are of the "
        "last 10,000, which are not distorted; training error is on the fly, on distorted patterns, in the last pass. "
        "The test set has no part in it."
    )
    notes = tables.notes("best-1998-held-out", list(used.values()), remark, *tables.lacking(TRIED, used))
    caption = "LeNet-5 of 1998 trained today: error on held-out patterns."
    return Table("best-1998-held-out", caption, header, body, records, notes)
