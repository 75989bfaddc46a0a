"""LeNet-5 as people write it (`lenet98.modern.popular`), trained as its authors say, beside the network of 1998."""

from __future__ import annotations

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment, register
from experiments.harness.statistics import Comparison
from experiments.harness.store import Runs
from experiments.harness.tables import Row, Table
from experiments.paper import numbers as paper
from experiments.trainers import TRAINERS
from lenet98.evaluation import wilson
from lenet98.modern.compare import PAPER, differences, facts
from lenet98.modern.popular import POPULAR, Popular

TEST_PATTERNS = 10_000

MINUTES = {
    "keras-adam": 1,
    "caceres-adadelta": 1,
    "alake-padded": 0.7,
    "udacity-relu": 1.2,
    "d2l-sigmoid": 0.8,
    "harrypnh-numpy": 3,
    "mattwang44-layer-rates": 2,
    "lush-three-stages": 1.5,
}
"""Of one run on one core."""

NETWORKS = {f"popular/{popular.name}": popular for popular in POPULAR.values()}
"""What is trained, by experiment."""

for name, popular in NETWORKS.items():
    register(
        Experiment(
            name,
            popular.title,
            popular.config,
            TRAINERS[type(popular.config)],
            minutes=MINUTES[popular.name],
            seeds=tuple(range(5)),
        )
    )

REMARK = (
    "Trained as the authors say, with their framework's defaults where they say nothing; `lenet98 compare` shows every "
    "network beside the paper's. Errors after the last pass. The intervals overlap if that of ours, over seeds, meets "
    "Wilson's 95% interval of the author's one run on 10,000 patterns. Seconds are of one run on one thread with "
    f"others beside it on the machine, median over the runs. {tables.COVER} {tables.CHANGES}"
)


@tables.table("popular")
def popular_table(load: Loader) -> Table:
    """What is called LeNet-5, and LeNet-5."""
    used = load.there((paper.LENET5, *NETWORKS), needed=NETWORKS)
    found = statistics.compare_with(used, dict.fromkeys(used, paper.LENET5))
    rows = {name: _row(name, runs) for name, runs in used.items()}
    records = [_record(name, runs, rows[name], found.get(name)) for name, runs in used.items()]
    header = [
        "", "parameters", "connections", "passes", "seconds", "error, %", "sd", "n", *tables.INTERVALS,
        *tables.change_header("less LeNet-5 (1998)"), "author's, %", "overlap", "differs from 1998 in",
    ]  # fmt: skip
    body = [_line(record, row, found.get(name)) for record, (name, row) in zip(records, rows.items(), strict=True)]
    sources = [f"{name}: {_source(popular)}" for name, popular in NETWORKS.items() if name in used]
    notes = tables.notes("popular", list(used.values()), REMARK, *sources, *tables.lacking(NETWORKS, used))
    return Table("popular", "LeNet-5 as people write it, and as it was.", header, body, records, notes)


def overlap(row: Row, reported: float | None) -> bool | None:
    """Whether the interval of our runs meets that of the author's one; None where one of them is lacking."""
    if row.interval is None or reported is None:
        return None
    theirs = wilson(round(reported / 100 * TEST_PATTERNS), TEST_PATTERNS)
    return row.interval[0] <= 100 * theirs.high and 100 * theirs.low <= row.interval[1]


def _row(name: str, runs: Runs) -> Row:
    popular = NETWORKS.get(name)
    return (
        tables.test_row(runs, popular.title, popular.reported)
        if popular
        else tables.test_row(runs, "LeNet-5 (1998)", None)
    )


def _record(name: str, runs: Runs, row: Row, found: Comparison | None) -> Json:
    network = NETWORKS[name].name if name in NETWORKS else PAPER
    stated = facts(network)
    return {
        **row.as_json(),
        "experiment": name,
        **{point: int(stated[point].replace(",", "")) for point in ("parameters", "connections", "passes")},
        "seconds": tables.seconds(runs),
        **statistics.as_json(found),
        "overlap": overlap(row, row.paper),
        "differences": differences(network),
    }


def _line(record: Json, row: Row, found: Comparison | None) -> list[str]:
    took = record["seconds"]
    return [
        record["row"],
        f"{record['parameters']:,}",
        f"{record['connections']:,}",
        str(record["passes"]),
        "" if took is None else f"{took:.0f}",
        *tables.cells(row)[1:-1],
        *tables.change_cells(found),
        tables.number(record["paper"]),
        {None: "", True: "yes", False: "no"}[record["overlap"]],
        ", ".join(point for point in record["differences"] if point not in ("parameters", "connections")),
    ]


def _source(popular: Popular) -> str:
    reported = (
        f"reports {popular.reported:g}% {popular.report}"
        if popular.reported is not None
        else (f"no error on MNIST is reported{', ' + popular.report if popular.report else ''}")
    )
    unstated = f" Not stated: {popular.unstated}." if popular.unstated else ""
    return f"{popular.source}; {reported}.{unstated}"
