"""From LeNet-5 of 1998 to a network of today, one change at a time; each change alone; both trained the other way.

None of it is in the paper.  The rungs up to the rectified units are trained as LeNet-5 is, one pattern at a time with
SDLM; those from SGD on in mini-batches, the same layers from initial weights drawn alike.  docs/modern.md tells how the
rates were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from experiments.harness import registry, statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.statistics import Comparison
from experiments.harness.store import Runs
from experiments.harness.tables import Row, Table
from experiments.paper import numbers as paper
from experiments.trainers import TRAINERS
from lenet98 import training
from lenet98.accounting import Cost
from lenet98.data.distortions import FIG7
from lenet98.data.fields import BLACK, WHITE
from lenet98.modern import ladder, minibatch
from lenet98.modern.elastic import Elastic
from lenet98.modern.minibatch import Optimizer
from lenet98.modern.networks import SpecNet
from lenet98.modern.popular import POPULAR
from lenet98.networks import LENET5
from lenet98.sdlm import ETAS
from lenet98.specs import Spec

SEEDS = tuple(range(5))
GROUP = "modern"
"""Name that stands for all experiments of the tables `TABLES` where experiments are named."""

TABLES = ("ladder", "alone", "reverse", "popular")

PASSES = len(ETAS)
"""As many as the paper's, however they are trained."""
BATCH = 64
MOMENTUM = 0.9
WEIGHT_DECAY = 0.01
DROPOUT = 0.25

# --- what is run ------------------------------------------------------------------------------------------------------

LAST = ladder.LADDER[-1]
"""The network of the rung at which mini-batches begin: full C3, maximum, softmax, rectified units."""

RATES: Mapping[tuple[str, str], float] = {
    (LAST.name, "sgd"): 0.1,
    (LAST.name, "adamw"): 0.003,
    (LENET5.name, "sgd"): 0.002,
    (LENET5.name, "adamw"): 0.003,
}
"""Rate by network and method: of `held_out.TRIED`, the one with the fewest errors on held-out training patterns."""

STRENGTH = 8.5
"""alpha of the elastic distortions, pixels."""

SLOWER = 0.25
"""Share of eta for the wider, deeper network of 1998, which eta itself does not train (docs/modern.md)."""
SLOW = f", {SLOWER:g} eta"
"""What the title of an idea ends with that is trained with that share."""


def online(spec: Spec, share: float = 1.0) -> training.Config:
    """The network trained as LeNet-5 is, or with a share of its eta."""
    etas = tuple(share * eta for eta in ETAS)
    return training.Config(spec=spec, reading=ladder.reading(spec), etas=etas)


def by_sgd(spec: Spec, rate: float) -> minibatch.Config:
    """In mini-batches with momentum; the rate falls from pass to pass as the paper's eta does."""
    return minibatch.Config(
        network=SpecNet(spec, ladder.reading(spec)),
        optimizer=Optimizer("sgd", rate, momentum=MOMENTUM),
        passes=PASSES,
        batch=BATCH,
        factors=tuple(eta / ETAS[0] for eta in ETAS),
        levels=(WHITE, BLACK),
    )


def by_adamw(spec: Spec, rate: float) -> minibatch.Config:
    """In mini-batches by AdamW, whose rate falls to zero along a cosine."""
    optimizer = Optimizer("adamw", rate, weight_decay=WEIGHT_DECAY)
    return replace(by_sgd(spec, rate), optimizer=optimizer, schedule="cosine", factors=())


def with_network(config: minibatch.Config, **changes: Any) -> minibatch.Config:
    """The same training of the network with other fields."""
    return replace(config, network=replace(config.network, **changes))


@dataclass(frozen=True)
class Variant:
    """A network with its training: one change to another's."""

    experiment: str
    title: str
    idea: str
    """What changes, in one sentence."""
    config: training.Config | minibatch.Config | None = None
    """None for an experiment of another module."""
    minutes: float = 0
    """Of one run on one core."""
    against: str | None = None
    """Experiment that it is the one change to."""


def _ladder() -> tuple[Variant, ...]:
    full_c3, average, maximum, softmax, relu = ladder.LADDER
    sgd = by_sgd(relu, RATES[relu.name, "sgd"])
    adamw = by_adamw(relu, RATES[relu.name, "adamw"])
    norm = with_network(adamw, batch_norm=True)
    dropped = with_network(norm, dropout=DROPOUT)
    affine = replace(dropped, affine=FIG7)
    elastic = replace(affine, elastic=Elastic(STRENGTH))

    def rung(name: str, title: str, idea: str, config: Any, minutes: float) -> Variant:
        return Variant(f"modern/ladder/{name}", title, idea, config, minutes)

    rungs = (
        Variant(paper.FORMER, "LeNet-5 (1998)", "The paper's network and training."),
        rung("full-c3", "full C3", "Every map of C3 reads all of S2, not Table I's.", online(full_c3), 1.5),
        rung(
            "average-pooling", "average pooling",
            "Plain averages for subsampling with coefficient, bias and squashing.", online(average), 1.5,
        ),
        rung("max-pooling", "max pooling", "The maximum of a field for its average.", online(maximum), 1.5),
        rung(
            "softmax", "softmax", "A trained linear layer and cross-entropy for RBF units on bitmaps.",
            online(softmax), 1.5,
        ),
        rung("relu", "ReLU", "max(0, a) for A tanh(S a), from He's initial weights.", online(relu), 1.5),
        rung(
            "sgd", "SGD", f"Mini-batches of {BATCH} and momentum for SDLM, one rate for all weights.", sgd, 2
        ),
        rung("adamw", "AdamW", "AdamW, its rate along a cosine, for SGD.", adamw, 2),
        rung("batch-norm", "batch normalization", "Sums normalized over the batch.", norm, 2.5),
        rung("dropout", "dropout", f"{DROPOUT:.0%} of the full layers' inputs dropped.", dropped, 3),
        rung("affine-distortions", "affine distortions", "The paper's distortions, new in every pass.", affine, 3.5),
        rung("elastic-distortions", "elastic distortions", "Elastic distortions after the affine ones.", elastic, 5.5),
        rung(
            "wider-deeper", "wider, deeper", "Three convolutions of 3x3 with 12, 32 and 64 maps for LeNet-5's layers.",
            with_network(elastic, spec=ladder.TODAY), 6.5,
        ),
    )  # fmt: skip
    return (rungs[0], *(replace(variant, against=last.experiment) for last, variant in pairwise(rungs)))


LADDER = _ladder()
"""The rungs, each against the one before."""


BY_ADAMW = "modern/alone/adamw"
"""Experiment of 1998's network learned by AdamW."""


def _alone() -> tuple[Variant, ...]:
    _, average, maximum, softmax, relu = ladder.ALONE
    ideas = {rung.title: rung.idea for rung in LADDER}
    adamw = by_adamw(LENET5, RATES[LENET5.name, "adamw"])

    def single(name: str, title: str, config: Any, minutes: float, against: str = paper.FORMER) -> Variant:
        return Variant(f"modern/alone/{name}", title, ideas[title], config, minutes, against)

    return (
        LADDER[0],
        LADDER[1],
        single("average-pooling", "average pooling", online(average), 1),
        replace(
            single("max-pooling", "max pooling", online(maximum), 1.5),
            idea="Plain maxima for subsampling with coefficient, bias and squashing.",
        ),
        single("softmax", "softmax", online(softmax), 1),
        single("relu", "ReLU", online(relu), 1),
        single("sgd", "SGD", by_sgd(LENET5, RATES[LENET5.name, "sgd"]), 3),
        replace(single("adamw", "AdamW", adamw, 3), idea="AdamW in mini-batches, its rate along a cosine, for SDLM."),
        single("adamw-batch-norm", "batch normalization", with_network(adamw, batch_norm=True), 3.5, BY_ADAMW),
        single("adamw-dropout", "dropout", with_network(adamw, dropout=DROPOUT), 4.5, BY_ADAMW),
        Variant(
            "distortions/former", "affine distortions", "The paper's distortions, a tenth of its pool a pass.",
            against=paper.FORMER,
        ),
        replace(
            single(
                "adamw-elastic-distortions", "elastic distortions",
                replace(adamw, elastic=Elastic(STRENGTH)), 6, BY_ADAMW,
            ),
            idea="Elastic distortions, new in every pass.",
        ),
        replace(
            single("wider-deeper", "wider, deeper", online(ladder.WIDER), 9),
            idea="Three convolutions of 3x3 with 12, 32 and 64 maps, with subsampling, tanh and RBF units as in 1998.",
        ),
        Variant(
            f"modern/alone/wider-deeper-eta{SLOWER:g}", f"wider, deeper{SLOW}",
            f"The same with {SLOWER:g} of the paper's eta.", online(ladder.WIDER, SLOWER), 10, paper.FORMER,
        ),
    )  # fmt: skip


ALONE = _alone()
"""Each idea by itself: to 1998's network and training, or, where the online engine has no place for it, to 1998's
network trained by AdamW."""

REVERSE = (
    replace(LADDER[0], title="1998's network, SDLM"),
    replace(
        next(variant for variant in ALONE if variant.experiment == BY_ADAMW), title="1998's network, AdamW"
    ),
    Variant(
        "modern/reverse/today-adamw", "today's network, AdamW",
        "The ladder's last network without normalization and dropout.",
        by_adamw(ladder.TODAY, RATES[LAST.name, "adamw"]), 3.5,
    ),
    Variant(
        "modern/reverse/today-sdlm", "today's network, SDLM", "SDLM, one pattern at a time, as in 1998.",
        online(ladder.TODAY), 12, "modern/reverse/today-adamw",
    ),
)  # fmt: skip
"""Both networks trained both ways, on undistorted patterns; SDLM's single patterns know no batch normalization."""

VARIANTS = tuple({variant.experiment: variant for variant in (*LADDER, *ALONE, *REVERSE)}.values())


def _title(variant: Variant) -> str:
    return f"{variant.title} ({PurePosixPath(variant.experiment).parent.name})"


def register_training(name: str, title: str, config: Any, minutes: float, seeds: tuple[int, ...]) -> None:
    register(Experiment(name, title, config, TRAINERS[type(config)], minutes, seeds=seeds))


for variant in VARIANTS:
    if variant.config is not None:
        register_training(variant.experiment, _title(variant), variant.config, variant.minutes, SEEDS)

registry.register_group(
    GROUP, dict.fromkeys((*(variant.experiment for variant in VARIANTS), *(f"popular/{name}" for name in POPULAR)))
)


@dataclass(frozen=True)
class Line:
    """A variant with its results."""

    variant: Variant
    runs: Runs
    change: Comparison | None
    """To what it is against, p corrected over the table."""

    @cached_property
    def row(self) -> Row:
        """Test error after the last pass."""
        return tables.test_row(self.runs, self.variant.title, None)

    @property
    def seconds(self) -> float | None:
        """Median time of a run."""
        return tables.seconds(self.runs)


def lines(load: Loader, variants: Sequence[Variant]) -> list[Line]:
    """The variants that have results, each beside the one that it is against.

    Raises NoResults, with the remedy, if none has that is registered here.
    """
    ours = [variant.experiment for variant in variants if variant.config is not None]
    there = load.there((variant.experiment for variant in variants), needed=ours)
    changes = statistics.compare_with(there, {variant.experiment: variant.against for variant in variants})
    return [
        Line(variant, there[variant.experiment], changes.get(variant.experiment))
        for variant in variants
        if variant.experiment in there
    ]


def size(experiment: str) -> Cost:
    """Of the network that an experiment trains; ValueError for one that trains no network."""
    config = registry.named(experiment).config
    if not hasattr(config, "cost"):
        raise ValueError(f"{experiment} trains no network whose size is known")
    cost: Cost = config.cost
    return cost


# --- tables -----------------------------------------------------------------------------------------------------------

COLUMNS: Mapping[str, Callable[[Json], str]] = {
    "": lambda record: record["row"],
    "what changes": lambda record: record["idea"],
    "against": lambda record: record["against_row"] or "",
    "parameters": lambda record: f"{record['parameters']:,}",
    "multiply-accumulates": lambda record: f"{record['multiply_accumulates']:,}",
    "passes": lambda record: str(record["passes"]),
    "seconds": lambda record: "" if record["seconds"] is None else f"{record['seconds']:.0f}",
}
"""Heads of columns before those of the error, and how a record is written below each."""

REMARK = (
    f"Errors after the last pass. {tables.COVER} {tables.CHANGES} Multiply-accumulates are of one recognition; "
    "seconds are of one run on one thread with others beside it on the machine, median over the runs: no benchmark."
)


@tables.table("ladder")
def ladder_table(load: Loader) -> Table:
    """From LeNet-5 to a network of today, one change at a time."""
    remark = "Every change is against the rung before, and stays on the rungs after."
    return _table("ladder", "The ladder from 1998 to today, one change a rung.", LADDER, load, remark, {"against"})


@tables.table("alone")
def alone_table(load: Loader) -> Table:
    """Each change of the ladder by itself."""
    remark = (
        "Every idea is the one change to LeNet-5 (1998); batch normalization, dropout and elastic distortions, which "
        "the online engine has no place for, are the one change to the same network trained by AdamW."
    )
    return _table("alone", "Each idea of the ladder alone, in the network of 1998.", ALONE, load, remark)


@tables.table("reverse")
def reverse_table(load: Loader) -> Table:
    """Today's network trained as in 1998, and 1998's as today."""
    remark = "Undistorted patterns; SDLM learns one pattern at a time, for which there is no batch normalization."
    return _table("reverse", "Both networks, trained both ways.", REVERSE, load, remark)


def _table(
    name: str,
    caption: str,
    variants: Sequence[Variant],
    load: Loader,
    remark: str,
    without: frozenset[str] | set[str] = frozenset(),
) -> Table:
    found = lines(load, variants)
    records = [_record(line, variants) for line in found]
    shown = [column for column in COLUMNS if column not in without]
    header = [*shown, "error, %", "sd", "n", *tables.INTERVALS, *tables.change_header()]
    body = [
        [
            *(COLUMNS[column](record) for column in shown),
            *tables.cells(line.row)[1:-1],
            *tables.change_cells(line.change),
        ]
        for line, record in zip(found, records, strict=True)
    ]
    there = {line.variant.experiment for line in found}
    lacking = tables.lacking((variant.experiment for variant in variants), there)
    notes = tables.notes(name, [line.runs for line in found], remark, REMARK, *lacking)
    return Table(name, caption, header, body, records, notes)


def status(load: Loader) -> str:
    """How much of the ladder there is, in a few words."""
    return f"The ladder: {len(lines(load, LADDER))} of {len(LADDER)} rungs"


def _record(line: Line, variants: Sequence[Variant]) -> Json:
    variant, cost = line.variant, size(line.variant.experiment)
    titles = {other.experiment: other.title for other in variants}
    return {
        **line.row.as_json(),
        "experiment": variant.experiment,
        "idea": variant.idea,
        "against": variant.against,
        "against_row": titles[variant.against] if variant.against else None,
        "parameters": cost.parameters,
        "multiply_accumulates": cost.multiply_accumulates,
        "passes": cost.passes,
        "seconds": line.seconds,
        **statistics.as_json(line.change),
    }
