"""LeNet-5 trained with distortions, the paper's 0.8%, and other magnitudes on patterns held out (Section III.B)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from experiments.harness import registry, statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.statistics import NO_COMPARISON
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import fig7_registration
from experiments.paper import numbers as paper
from experiments.trainers import train_network, train_on_fresh
from lenet98.data.distortions import FIG7, Magnitudes
from lenet98.readings import DEFAULT, Reading
from lenet98.training import Config


def competing(j: float, loss_scale: float = DEFAULT.loss_scale) -> Reading:
    """Eq. 9 with a j at which the classes compete, its curvature that of eq. 8."""
    return replace(DEFAULT, loss="eq9", j=j, output_curvature="eq8", loss_scale=loss_scale)


ROOM = "distortions/held-out"
"""Of what is learned from 54,000 patterns and judged by the other 6,000."""

READINGS: dict[str, tuple[str, Config]] = {
    f"{ROOM}/default": ("DEFAULT", Config()),
    f"{ROOM}/j10": ("eq. 9, j = 10", Config(reading=replace(DEFAULT, loss="eq9", j=10.0))),
    f"{ROOM}/j5-curvature-eq8": ("eq. 9, j = 5, curvature of eq. 8", Config(reading=competing(5.0))),
    f"{ROOM}/j10-curvature-eq8": ("eq. 9, j = 10, curvature of eq. 8", Config(reading=competing(10.0))),
    f"{ROOM}/j15-curvature-eq8": ("eq. 9, j = 15, curvature of eq. 8", Config(reading=competing(15.0))),
    f"{ROOM}/mu0.1": ("mu = 0.1", Config(mu=0.1)),
    **{
        f"{ROOM}/j10-curvature-eq8-loss{1 / part}": (
            f"eq. 9, j = 10, curvature of eq. 8, loss times 1/{part}",
            Config(reading=competing(10.0, 1 / part)),
        )
        for part in (4, 10, 20, 40)
    },
    f"{ROOM}/j10-curvature-eq8-mu0.1": (
        "eq. 9, j = 10, curvature of eq. 8, mu = 0.1",
        Config(reading=competing(10.0), mu=0.1),
    ),
}
"""What is learned on Fig. 7's distortions and judged on the last tenth of the training set, by experiment."""

CHOSEN = f"{ROOM}/j10-curvature-eq8-loss0.05"
"""What `fig9/dist_lenet5` is trained with: of those with the paper's mu, the one with the least held-out error."""

FRESH = f"{CHOSEN}-distort-fresh"
"""That with distortions that are new in every pass."""

MAGNITUDES: dict[str, tuple[str, Magnitudes | None]] = {
    f"{CHOSEN}-distort0": ("no distortions", None),
    f"{CHOSEN}-distort0.5": ("half of Fig. 7's", FIG7.scaled(0.5)),
    f"{CHOSEN}-distort0.75": ("three quarters of Fig. 7's", FIG7.scaled(0.75)),
    CHOSEN: ("Fig. 7's", FIG7),
    f"{CHOSEN}-distort1.25": ("five quarters of Fig. 7's", FIG7.scaled(1.25)),
    FRESH: ("Fig. 7's, no pattern shown twice", FIG7),
}
"""Distortions that are compared with that reading on the same patterns, by experiment."""


def _held_out(config: Config, magnitudes: Magnitudes | None) -> Config:
    return replace(config, train_size=54_000, held_out=6_000, distortions=magnitudes)


PLAIN = f"{ROOM}/default-distort0"
"""Neither distortions nor another reading."""

HELD_OUT: dict[str, tuple[str, Config]] = {
    PLAIN: ("no distortions, DEFAULT", _held_out(Config(), None)),
    **{name: (f"distortions, {title}", _held_out(config, FIG7)) for name, (title, config) in READINGS.items()},
    **{
        name: (f"{title}, {READINGS[CHOSEN][0]}", _held_out(READINGS[CHOSEN][1], magnitudes))
        for name, (title, magnitudes) in MAGNITUDES.items()
        if name != CHOSEN
    },
}
"""All of them: title and configuration."""

for name, (title, config) in HELD_OUT.items():
    register(
        Experiment(
            name,
            f"LeNet-5 on 54,000 patterns, {title}",
            config,
            train_on_fresh if name == FRESH else train_network,
            minutes=2.5 if config.distortions else 2,
            seeds=(0, 1, 2),
        )
    )

CHOSEN_ALONE = "distortions/j10-curvature-eq8-loss0.05-distort0"
"""Its reading without distortions."""

TESTED: dict[str, tuple[str, Config]] = {
    paper.DIST_LENET5: ("[dist] LeNet-5", replace(READINGS[CHOSEN][1], distortions=FIG7)),
    "distortions/default": ("[dist] LeNet-5, DEFAULT", Config(distortions=FIG7)),
    "distortions/j10-curvature-eq8": (
        "[dist] LeNet-5, eq. 9, j = 10, curvature of eq. 8",
        Config(reading=competing(10.0), distortions=FIG7),
    ),
    CHOSEN_ALONE: (f"LeNet-5, {READINGS[CHOSEN][0]}", READINGS[CHOSEN][1]),
}
"""Trained on all 60,000 patterns: the paper's row, and what its distortions and its reading do apart."""

PAPER = {paper.DIST_LENET5: paper.TEST_ERROR["dist_lenet5"]}
"""Error of the paper, by experiment."""

for name, (title, config) in TESTED.items():
    register(Experiment(name, title, config, train_network, minutes=2.5, paper_error=PAPER.get(name)))


@tables.table("dist")
def dist(load: Loader) -> Table:
    """LeNet-5 with and without distortions, the paper's 0.8% and 0.95%."""
    without, used = load.one(paper.LENET5), load.there(TESTED, needed=[paper.DIST_LENET5])
    rows = [
        tables.test_row(without, "LeNet-5", paper.TEST_ERROR["lenet5"]),
        *(tables.test_row(runs, TESTED[name][0], PAPER.get(name)) for name, runs in used.items()),
    ]
    remarks = [
        "The paper's 0.8% stands for the 82 errors of Fig. 8, 0.82%. Distortions are those of Fig. 7, recovered by "
        f"registration; the text gives no magnitudes. With them the network is trained by {READINGS[CHOSEN][0]}, which "
        "was chosen on patterns held out of the training set; without, by DEFAULT. The other rows tell the two apart."
    ]
    pairs = {(name, "LeNet-5"): (runs, without) for name, runs in used.items()}
    if CHOSEN_ALONE in used and paper.DIST_LENET5 in used:  # what the distortions do, by one reading
        pairs[paper.DIST_LENET5, TESTED[CHOSEN_ALONE][0]] = used[paper.DIST_LENET5], used[CHOSEN_ALONE]
    found = statistics.compare_all(pairs)
    remarks += [f"{TESTED[name][0]} less {other}: {_said(one)}." for (name, other), one in found.items()]
    if found:
        remarks.append(tables.COMPARED)
    caption = "LeNet-5 with and without distortions: test error after the last of 20 passes."
    return tables.comparison("dist", caption, rows, [without, *used.values()], *remarks)


def _said(found: statistics.Comparison) -> str:
    """A difference with both intervals."""
    less, interval, p = tables.compared_cells(found)
    seeds = f"; over seeds alone {tables.span(found.over_seeds)}, {found.method}" if found.over_seeds else ""
    return f"{less} ({interval}, p {p if p.startswith('<') else f'= {p}'}{seeds})" if interval else "no interval"


@tables.table("held-out")
def readings_table(load: Loader) -> Table:
    """Several readings, trained with Fig. 7's distortions, on the tenth of the training set that they did not see."""
    titles = {PLAIN: "no distortions, DEFAULT"} | {name: title for name, (title, _) in READINGS.items()}
    caption = "Readings, trained with distortions: error on patterns held out of the training set."
    return _held_out_table(load, "held-out", caption, titles, f"{ROOM}/default", "DEFAULT")


@tables.table("magnitudes")
def magnitudes_table(load: Loader) -> Table:
    """Distortions of other magnitudes, on the tenth of the training set that they did not see."""
    titles = {name: title for name, (title, _) in MAGNITUDES.items()}
    caption = f"Magnitudes of the distortions, {READINGS[CHOSEN][0]}: error on held-out patterns."
    remark = (
        "Fig. 7's magnitudes, with log scale within 0.29, are the default because Fig. 7 shows them, whatever this "
        "table says."
    )
    return _held_out_table(load, "magnitudes", caption, titles, CHOSEN, "Fig. 7's", remark)


def _held_out_table(
    load: Loader, table: str, caption: str, titles: Mapping[str, str], base: str, whose: str, *remarks: str
) -> Table:
    """Errors of some experiments on held-out patterns, and their differences from those of experiment `base`."""
    used = load.there(titles, needed=(name for name in titles if name != base))
    rows = [tables.test_row(runs, titles[name], None) for name, runs in used.items()]
    training = [_training_error(runs) for runs in used.values()]
    others = [name for name in used if name != base and base in used]
    found = statistics.compare_all({name: (used[name], used[base]) for name in others})
    header = [
        "", "training, %", "held-out error, %", "sd", "n", *tables.INTERVALS, f"less {whose}", "its 95%", "p",
    ]  # fmt: skip
    body = [
        [
            row.row,
            tables.number(learned),
            *tables.cells(row)[1:-1],
            *tables.compared_cells(found.get(name)),
        ]
        for name, row, learned in zip(used, rows, training, strict=True)
    ]
    records = [
        {
            **row.as_json(),
            "experiment": name,
            "train": learned,
            **(found[name].as_json() if name in found else NO_COMPARISON),
        }
        for name, row, learned in zip(used, rows, training, strict=True)
    ]
    remark = (
        "Trained on the first 54,000 training patterns, errors on the last 6,000. Training error is measured on "
        f"the fly in the last pass, on what is learned, distorted or not. {tables.COVER} {tables.COMPARED}"
    )
    notes = tables.notes(table, list(used.values()), remark, *remarks, *tables.lacking(titles, used))
    return Table(table, caption, header, body, records, notes)


def _training_error(runs: Runs) -> float | None:
    errors, patterns = tables.counts(runs.finished, "train")
    return 100 * float(np.mean(errors)) / patterns if errors else None


@tables.table("fig7")
def fig7(_: Loader) -> Table:
    """Fig. 7's hundred images and a hundred of our own, registered alike."""
    found = fig7_registration.table(registry.load_mnist(None).train_images)
    ranges = ("first is the original", "first is distorted")
    records = [
        {**{name: row[name] for name in ("statistic", "Fig. 7", "ours")}, **{name: _ends(row, name) for name in ranges}}
        for row in found
    ]
    header = ["statistic", "Fig. 7", "ours", *(f"95% range if the {name}" for name in ranges)]
    body = [
        [row["statistic"], f"{row['Fig. 7']:.3g}", f"{row['ours']:.3g}"]
        + ["" if row[name] is None else f"{row[name][0]:.3g} to {row[name][1]:.3g}" for name in ranges]
        for row in records
    ]
    remark = (
        "Ten patterns, ten images of each; every image registered to the first of its pattern by a free affine map. "
        "The ranges hold the statistic in 95% of such sets, were registration without error; that of rotation, which "
        "our samples do not have, is nothing but its error."
    )
    return Table("fig7", "Fig. 7: the distortions, recovered by registration.", header, body, records, [remark])


def _ends(row: Json, name: str) -> list[float] | None:
    return [float(end) for end in row[name]] if name in row else None
