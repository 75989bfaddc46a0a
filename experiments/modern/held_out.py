"""Rates and shares of the modern networks, chosen on training patterns held out (docs/modern.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.tables import Table
from experiments.modern.ladder import (
    DROPOUT,
    LADDER,
    LAST,
    PASSES,
    RATES,
    SLOWER,
    STRENGTH,
    by_adamw,
    by_sgd,
    online,
    register_training,
    with_network,
)
from lenet98 import training
from lenet98.catalog import named
from lenet98.modern import ladder, minibatch
from lenet98.modern.elastic import Elastic
from lenet98.networks import LENET5
from lenet98.specs import Spec

TRIED: Mapping[tuple[str, str], tuple[float, ...]] = {
    (LAST.name, "sgd"): (0.01, 0.03, 0.1, 0.3),
    (LAST.name, "adamw"): (0.001, 0.003, 0.01),
    (LENET5.name, "sgd"): (0.001, 0.002, 0.004),
    (LENET5.name, "adamw"): (0.001, 0.003, 0.01),
}

DROPOUTS = (0.1, DROPOUT, 0.5)
"""Shares of dropout that are tried likewise."""
STRENGTHS = (STRENGTH, 17.0, 34.0)
"""Values of alpha that are tried likewise, the last that of the paper of 2003."""
SHARES = (0.125, SLOWER, 0.5, 1.0)
"""Shares of eta that are tried on `FEW` patterns, in `SHORT`."""
FEW = 15_000
SHORT = (5e-4, 5e-4, 2e-4, 1e-4)

AROUND = (0.25, 0.5, 1.0, 2.0)
"""Shares of eta that are tried beside the paper's own, with which SDLM learns both networks of the reverse."""

BY: Mapping[str, Callable[[Spec, float], minibatch.Config]] = {"sgd": by_sgd, "adamw": by_adamw}


OfRun = TypeVar("OfRun", minibatch.Config, training.Config)


@dataclass(frozen=True)
class Choice:
    """Values of one setting that are compared on held-out patterns, by experiment."""

    title: str
    experiments: Mapping[str, tuple[float, minibatch.Config | training.Config]]
    used: float
    why: str = "chosen"
    """Why that value is the one in use."""


def _held_out(config: OfRun) -> OfRun:
    return replace(config, train_size=50_000, held_out=10_000)


def _in_batches(experiment: str) -> minibatch.Config:
    """The training of a rung that is trained in mini-batches."""
    (config,) = (variant.config for variant in LADDER if variant.experiment == experiment)
    assert isinstance(config, minibatch.Config)
    return config


ROOM = "modern/held-out"


def _choices() -> tuple[Choice, ...]:
    words = {LAST.name: "ladder", LENET5.name: "1998"}
    shown = {"sgd": "SGD", "adamw": "AdamW"}
    of_rates = [
        Choice(
            f"{'the ladder' if network == LAST.name else '1998'}: rate of {shown[method]}",
            {
                f"{ROOM}/{words[network]}-{method}-rate{rate:g}": (rate, _held_out(BY[method](named(network), rate)))
                for rate in tried
            },
            RATES[network, method],
        )
        for (network, method), tried in TRIED.items()
    ]
    dropped, distorted = (_in_batches(name) for name in ("modern/ladder/dropout", "modern/ladder/elastic-distortions"))
    shares = {
        f"{ROOM}/ladder-dropout{share:g}": (share, _held_out(with_network(dropped, dropout=share)))
        for share in DROPOUTS
    }
    strengths = {
        f"{ROOM}/ladder-elastic-alpha{alpha:g}": (alpha, _held_out(replace(distorted, elastic=Elastic(alpha))))
        for alpha in STRENGTHS
    }
    slower = {
        f"{ROOM}/1998-wider-deeper-sdlm-eta{share:g}": (
            share,
            replace(
                online(ladder.WIDER),
                etas=tuple(share * eta for eta in SHORT),
                train_size=FEW,
                held_out=60_000 - FEW,
            ),
        )
        for share in SHARES
    }
    around = [
        Choice(
            f"{words}: share of eta",
            {f"{ROOM}/{name}-sdlm-eta{share:g}": (share, _held_out(online(network, share))) for share in AROUND},
            1.0,
            "the paper's",
        )
        for name, network, words in (("1998", LENET5, "1998 by SDLM"), ("today", ladder.TODAY, "today by SDLM"))
    ]
    return (
        *of_rates,
        Choice("the ladder: share of dropout", shares, DROPOUT),
        Choice("the ladder: alpha of elastic distortions", strengths, STRENGTH),
        Choice(f"1998, wider, deeper: share of eta, {FEW:,} patterns", slower, SLOWER),
        *around,
    )


CHOICES = _choices()

for choice in CHOICES:
    for name, (value, config) in choice.experiments.items():
        register_training(name, f"{choice.title} {value:g}, held out", config, 2.5, (0,))


@tables.table("held-rates")
def held_rates(load: Loader) -> Table:
    """Rates and shares of dropout on the training patterns that were not learned."""
    names = [name for choice in CHOICES for name in choice.experiments]
    used = load.there(names)
    rows = {name: tables.test_row(runs, "", None) for name, runs in used.items()}
    in_use = {name: _in_use(choice) for choice in CHOICES for name in choice.experiments}
    changes = statistics.compare_with(used, in_use)
    records: list[Json] = [
        {"setting": choice.title, "value": value, "in_use": value == choice.used, "why": choice.why, "experiment": name}
        | replace(rows[name], row=choice.title).as_json()
        | statistics.as_json(changes.get(name))
        for choice in CHOICES
        for name, (value, _) in choice.experiments.items()
        if name in used
    ]
    body = [
        [
            str(record["setting"]),
            f"{record['value']:g}" + (f" ({record['why']})" if record["in_use"] else ""),
            *tables.cells(rows[record["experiment"]])[1:-1],
            *tables.change_cells(changes.get(record["experiment"])),
        ]
        for record in records
    ]
    remark = (
        f"Learned are the first 50,000 training patterns in {PASSES} passes, errors are of the last 10,000; by the "
        f"wider, deeper network the first {FEW:,} in {len(SHORT)} passes, errors are of the others. The test set has "
        f"no part in it. {tables.COVER} {tables.CHANGES}"
    )
    verdicts = map(_verdict, _decided(records))
    notes = tables.notes("held-rates", list(used.values()), remark, *verdicts, *tables.lacking(names, used))
    caption = "Settings of the mini-batch rungs: error on held-out training patterns."
    header = ["", "value", "held-out error, %", "sd", "n", *tables.INTERVALS, *tables.change_header("less that in use")]
    return Table("held-rates", caption, header, body, records, notes)


def _in_use(choice: Choice) -> str:
    """The experiment with the value in use."""
    return next(name for name, (value, _) in choice.experiments.items() if value == choice.used)


def _decided(records: Sequence[Json]) -> list[tuple[Json, Json]]:
    """Of every setting whose values all have results, the best value and the one in use."""
    pairs = []
    for choice in CHOICES:
        of_choice = [record for record in records if record["setting"] == choice.title and record["mean"] is not None]
        used = [record for record in of_choice if record["in_use"]]
        if len(of_choice) > 1 and used:
            pairs.append((min(of_choice, key=lambda record: record["mean"]), used[0]))
    return pairs


def _verdict(pair: tuple[Json, Json]) -> str:
    best, used = pair
    if best["mean"] == used["mean"]:
        return f"{used['setting']}: {used['value']:g}, in use, has the fewest errors."
    return f"{used['setting']}: {best['value']:g} has fewer errors than {used['value']:g}, which is in use."
