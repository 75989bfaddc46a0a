"""LeNet-5 on MNIST as published, without distortions: the paper's 0.95% and Fig. 5."""

from __future__ import annotations

from experiments.harness import tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Experiment, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from experiments.trainers import train_network
from lenet98.readings import FORMER
from lenet98.training import Config

register(Experiment(paper.FORMER, "LeNet-5, FORMER", Config(reading=FORMER), train_network, minutes=1))
register(
    Experiment(paper.LENET5, "LeNet-5", Config(), train_network, minutes=2, paper_error=paper.TEST_ERROR["lenet5"])
)


@tables.table("lenet5")
def lenet5(load: Loader) -> Table:
    """LeNet-5 without distortions, the paper's 0.95%."""
    used = load(paper.LENET5)
    rows = [tables.test_row(runs, "LeNet-5", paper.TEST_ERROR["lenet5"]) for runs in used]
    return tables.comparison("lenet5", "LeNet-5 on MNIST: test error after the last of 20 passes.", rows, used)


FIG5_REMARK = (
    "The paper's Fig. 5 has 21 markers for 20 passes; pass p stands beside the marker at x = p, and the 21st is left "
    f"out. Its values are read off the figure, to ±{paper.FIG5_TOLERANCE}. Training error is measured on the fly, "
    "during the pass. Errors in percent, standard deviation over seeds in brackets."
)


@tables.table("fig5")
def fig5(load: Loader) -> Table:
    """Fig. 5 in numbers: test and training error pass by pass."""
    runs = load.one(paper.LENET5)
    header = ["pass", "test: paper", "ours", "difference", "training: paper", "ours", "difference"]
    body, records = [], []
    for number, theirs_test, theirs_train in _fig5_markers(runs):
        line = [str(number)]
        for part, theirs in (("test", theirs_test), ("train", theirs_train)):
            errors, patterns = tables.counts(runs.finished, part, number)
            title = f"pass {number}, {'test' if part == 'test' else 'training on the fly'}"
            row = tables.summarize(title, theirs, errors, patterns, diverged=len(runs.diverged), source=runs.source)
            spread = f" ({row.sd:.2f})" if row.sd is not None else ""
            line += [
                tables.number(theirs),
                tables.number(row.mean) + spread,
                tables.number(row.difference, signed=True),
            ]
            records.append(row.as_json())
        body.append(line)
    return Table("fig5", "Fig. 5, pass by pass.", header, body, records, tables.notes("fig5", [runs], FIG5_REMARK))


def _fig5_markers(runs: Runs) -> list[tuple[int, float, float]]:
    """Pass, test and training error of the paper for every pass that all finished runs have."""
    passes = min((len(result.passes) for result in runs.finished), default=0)
    if not passes:
        raise NoResults(f"every run in {runs.folder} diverged: there is no curve")
    numbers = range(1, min(passes, 20) + 1)
    return list(zip(numbers, paper.FIG5_TEST, paper.FIG5_TRAIN, strict=False))
