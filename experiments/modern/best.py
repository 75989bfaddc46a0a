"""How few errors the network of 1998 makes if it is trained as well as is known today.

The network is the paper's, with its 60,000 parameters, Table I, trained subsampling and bitmaps.  Its training is not:
AdamW in mini-batches along a cosine, sums normalized over the batch, distortions that are new in every pass.  What
normalization adds is folded into the weights at the end, and the network that is judged is what then remains, computed
by the engine that computes all of 1998's.

Held-out training patterns choose, in two stages: first by one change at a time, then by how long the changes together
are learned, and from which digits the means and variances are.  The last pass is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.swa_utils import update_bn

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.modern.ladder import RATES, STRENGTH, by_adamw
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.paper.distortions import DISTORTED
from experiments.paper.seeds import VOTERS, seeds
from experiments.trainers import answers, computed_on
from lenet98.data.distortions import FIG7
from lenet98.data.splits import split
from lenet98.modern import minibatch
from lenet98.modern.elastic import Elastic
from lenet98.modern.minibatch import Optimizer
from lenet98.modern.networks import Scoring, SpecNet, field
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.readings import DEFAULT
from lenet98.threads import one_thread
from lenet98.training import distances

# --- what is run ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config(minibatch.Config):
    """A training run whose normalization is folded into the weights.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    normalized_anew: bool = False
    """Whether the means and variances that are folded are those of all digits that were learned, as they are; else the
    running ones, which are of the last distorted batches."""


@family("mini-batches, folded")
def train_and_fold(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST; its weights, scores and answers are those of the network of 1998 that remains."""
    trained = minibatch.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    assert isinstance(config.network, SpecNet)
    assert isinstance(trained.model, Scoring)
    spec, reading = config.network.spec, config.network.reading
    judges = split(context.mnist, config.train_size, config.held_out)
    if config.normalized_anew:
        normalize(trained.model, config, judges.train_images)
    parameters = trained.model.folded()
    predictions, scores = answers(distances(Engine(spec, reading), parameters, judges.images))
    history = list(trained.history)
    if history:  # sums are rounded otherwise than in batches, which may decide on a pattern between two classes
        history[-1] = replace(history[-1], test_errors=int((predictions != judges.labels).sum()))
    return Outcome(
        passes=[asdict(entry) for entry in history],
        predictions=predictions,
        diverged=trained.diverged,
        scores=scores,
        weights=parameters,
        network={"spec": spec, "reading": reading},
        extra=computed_on(config.device),
    )


@one_thread()
def normalize(model: Scoring, config: minibatch.Config, images: NDArray[np.uint8]) -> None:
    """Take the means and variances of batch normalization from these images, without learning anything of them.

    They are means over parts of about `minibatch.CHUNK` images, in each of which the layers below are normalized by
    its own.
    """
    parts = torch.from_numpy(images).tensor_split(-(-len(images) // minibatch.CHUNK))
    update_bn((field(part, config.network.size, config.levels) for part in parts), model)


@dataclass(frozen=True)
class Way:
    """One way to train."""

    title: str
    config: Config


ADAMW = by_adamw(LENET5, RATES[LENET5.name, "adamw"])
"""As the ladder trains 1998's network by AdamW."""

FIRST = Config(
    **{each.name: getattr(ADAMW, each.name) for each in fields(ADAMW)}
    | {
        "network": SpecNet(LENET5, DEFAULT, batch_norm=True),
        "passes": 30,
        "affine": DISTORTED,
        "elastic": Elastic(STRENGTH),
    }
)
"""AdamW with normalization and distortions, affine ones as of [dist] LeNet-5."""

ALONE: Mapping[str, Way] = {
    "first": Way("the first way", FIRST),
    "no-norm": Way("no normalization", replace(FIRST, network=SpecNet(LENET5, DEFAULT))),
    "no-affine": Way("no affine distortions", replace(FIRST, affine=None)),
    "fig7": Way("Fig. 7's own magnitudes", replace(FIRST, affine=FIG7)),
    "no-elastic": Way("no elastic distortions", replace(FIRST, elastic=None)),
    "alpha17": Way("elastic distortions of twice the strength", replace(FIRST, elastic=Elastic(2 * STRENGTH))),
    "rate0.001": Way("a third of the rate", replace(FIRST, optimizer=replace(FIRST.optimizer, rate=0.001))),
    "rate0.01": Way("three times the rate", replace(FIRST, optimizer=replace(FIRST.optimizer, rate=0.01))),
    "decay0.1": Way(
        "ten times the weight decay",
        replace(FIRST, optimizer=Optimizer("adamw", RATES[LENET5.name, "adamw"], weight_decay=0.1)),
    ),
    "batch256": Way("batches of 256", replace(FIRST, batch=256)),
}
"""Stage one, by the end of the experiment's name: the first, and one change to it each."""

COMBINED = FIRST
"""The changes together that stage one speaks for; the first way until it has results."""

TOGETHER: Mapping[str, Way] = {
    name: Way(f"together, {title}", config)
    for name, title, config in (
        *((f"passes{n}", f"{n} passes", replace(COMBINED, passes=n)) for n in (30, 60, 120)),
        ("anew", "30 passes, normalized anew", replace(COMBINED, normalized_anew=True)),
    )
    if config != FIRST
}
"""Stage two; what is the first way itself is not trained again."""

CHOSEN: str | None = None
"""Of both stages, the way of `modern/best-1998`; None, and no such experiment, until the held-out runs decide."""

BEST = "modern/best-1998"
HELD_OUT = "modern/held-out/best-"
WAYS: Mapping[str, Way] = {**ALONE, **TOGETHER}
TRIED = {HELD_OUT + name: each for name, each in WAYS.items()}
AGAINST = {
    HELD_OUT + name: HELD_OUT + ("passes30" if name in TOGETHER and "passes30" in TOGETHER else "first")
    for name in WAYS
}
"""What each is compared with: the way that it is the one change to."""
MINUTES = 0.25
"""Of one pass on one core."""


def _register() -> None:
    for name, each in TRIED.items():
        config = replace(each.config, train_size=50_000, held_out=10_000)
        title = f"1998's network trained today, {each.title}, held out"
        register(Experiment(name, title, config, train_and_fold, MINUTES * config.passes, seeds=(0,)))
    if CHOSEN is not None:
        config, title = WAYS[CHOSEN].config, "LeNet-5 (1998), trained as well as today"
        register(Experiment(BEST, title, config, train_and_fold, MINUTES * config.passes, seeds=tuple(range(20))))


_register()

# --- tables -----------------------------------------------------------------------------------------------------------

ROWS = {paper.LENET5: "as in 1998", paper.DIST_LENET5: "as in 1998, distorted", BEST: "as today"}


@tables.table("best-1998")
def best(load: Loader) -> Table:
    """The network of 1998 trained as in 1998 and as well as today, alone and by vote."""
    if CHOSEN is None:
        raise NoResults(
            f"there is no {BEST} before held-out patterns choose its training; `python -m experiments run "
            f"'{HELD_OUT}*'` makes what they choose by"
        )
    used = load.there(ROWS, needed=[BEST])
    changes = statistics.compare_with(used, {BEST: paper.DIST_LENET5})
    header = [
        "trained", "parameters", "seconds", "error, %", "sd", "n", *tables.INTERVALS, f"vote of {VOTERS}, %",
        *tables.change_header("less [dist] LeNet-5"),
    ]  # fmt: skip
    body, records = [], []
    for name, runs in used.items():
        if not runs.finished:
            raise NoResults(f"every run in {runs.folder} diverged")
        row = tables.test_row(runs, ROWS[name], None)
        votes = seeds(runs).votes
        record: Json = {
            "experiment": name,
            "parameters": _parameters(runs),
            "seconds": tables.seconds(runs),
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
                *tables.change_cells(changes.get(name)),
            ]
        )
        records.append(row.as_json() | record | statistics.as_json(changes.get(name)))
    remark = (
        f"The same network, after the last pass. As today: {WAYS[CHOSEN].config.passes} passes by AdamW, what "
        "normalization adds folded into the weights. Parameters are counted in the weights that were kept. The vote is "
        f"the mean over groups of {VOTERS} seeds. {tables.COVER} {tables.CHANGES}"
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
    changes = statistics.compare_with(used, AGAINST)
    header = [
        "training", "training, %", "held-out error, %", "sd", "n", *tables.INTERVALS, *tables.change_header(),
    ]  # fmt: skip
    body, records = [], []
    for name, runs in used.items():
        row, change = tables.test_row(runs, TRIED[name].title, None), changes.get(name)
        learned, in_use = tables.training_error(runs), name == f"{HELD_OUT}{CHOSEN}"
        body.append(
            [
                f"{row.row}{' (chosen)' if in_use else ''}",
                tables.number(learned),
                *tables.cells(row)[1:-1],
                *tables.change_cells(change),
            ]
        )
        records.append(
            row.as_json() | {"experiment": name, "training": learned, "in_use": in_use} | statistics.as_json(change)
        )
    remark = (
        f"The first way is {FIRST.passes} passes by AdamW with normalization, affine and elastic distortions. Stage "
        "one changes one thing each. Stage two takes together what stage one speaks for, for longer, or normalized "
        "anew: with means and variances of all digits that were learned, undistorted. Its changes are against the same "
        "30 passes. Learned are the first 50,000 training patterns, errors are of the last 10,000, which are not "
        "distorted; training error is on the fly, on distorted patterns, in the last pass. The test set has no part in "
        f"it. {tables.COVER} {tables.CHANGES}"
    )
    notes = tables.notes("best-1998-held-out", list(used.values()), remark, *tables.lacking(TRIED, used))
    caption = "LeNet-5 of 1998 trained today: error on held-out patterns."
    return Table("best-1998-held-out", caption, header, body, records, notes)
