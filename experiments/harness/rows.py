"""The rows of any experiments in one table, and how results made here stand beside the published ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import mean, stdev

from experiments.harness import registry, statistics, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Experiment
from experiments.harness.store import Runs
from experiments.harness.tables import Table

# --- a table of any experiments ---------------------------------------------------------------------------------------


def table(names: Sequence[str], load: Loader, against: str | None = None) -> Table:
    """Error of the experiments that `names`, globs and groups stand for, beside the paper's where it has them.

    Parameters
    ----------
    names
        A row that is judged on held-out training patterns is marked as such.
    load
        Where results are read.
    against
        An experiment with which all others are compared; it has the first row unless it is among them.

    Raises ValueError for a name that stands for nothing and for what is judged on other patterns than `against`, and
    NoResults if none of them has results.
    """
    experiments = list({e.name: e for name in names for e in registry.members(name, tables.TABLES)}.values())
    used = [(experiment, runs) for experiment in experiments for runs in load.every(experiment.name)]
    if not used:
        load(experiments[0].name)  # raises, with the remedy
    base = None
    if against is not None:
        other = registry.named(against)
        if other not in experiments:
            experiments.insert(0, other)
            used = [*((other, runs) for runs in load(other.name)), *used]
        base = other, next((runs for experiment, runs in used if experiment == other), None) or load.one(other.name)
    lacking = tables.lacking([e.name for e in experiments], [experiment.name for experiment, _ in used])
    option = f" --against {shlex.quote(against)}" if against else ""
    rows = [tables.test_row(runs, _title(experiment, runs), experiment.paper_error) for experiment, runs in used]
    name, made_of = f"{shlex.join(names)}{option}", [runs for _, runs in used]
    caption, marked = _judged(made_of)
    made = tables.comparison(name, caption, rows, made_of, *marked, *lacking)
    records = [
        {"experiment": experiment.name, **record} for (experiment, _), record in zip(used, made.records, strict=True)
    ]
    made = replace(made, records=records)
    return _compared(made, made_of, *base) if base else made


def _compared(made: Table, used: Sequence[Runs], base: Experiment, runs_of_base: Runs) -> Table:
    """The table with what every row's runs are against those of `base`."""
    for runs in used:
        if statistics.judges(runs) != statistics.judges(runs_of_base):
            raise ValueError(
                f"{runs.experiment} is judged on {tables.patterns(runs)}, {base.name} on "
                f"{tables.patterns(runs_of_base)}; only errors on the same patterns can be compared"
            )
    changes = statistics.compare_all(
        {number: (runs, runs_of_base) for number, runs in enumerate(used) if runs is not runs_of_base}
    )
    found = [changes.get(number) for number in range(len(used))]
    remark = f"Changes are to {base.title}, `{base.name}`. {tables.CHANGES}"
    return replace(
        made,
        header=[*made.header, *tables.change_header()],
        body=[[*cells, *tables.change_cells(change)] for cells, change in zip(made.body, found, strict=True)],
        records=[{**record, **statistics.as_json(change)} for record, change in zip(made.records, found, strict=True)],
        notes=[*made.notes[:-1], remark, made.notes[-1]],
    )


HELD_OUT = "[held out]"
"""Marks a row that is no test error."""


def _title(experiment: Experiment, runs: Runs) -> str:
    held_out = statistics.judges(runs).held_out
    return f"{experiment.title.removesuffix(', held out')} {HELD_OUT}" if held_out else experiment.title


def _judged(used: Sequence[Runs]) -> tuple[str, list[str]]:
    """The caption, and the remark on rows of held-out patterns if there are any."""
    held_out = [statistics.judges(runs).held_out > 0 for runs in used]
    if not any(held_out):
        return "Test error.", []
    remark = f"Rows marked {HELD_OUT} are no test errors: training patterns that were not learned judge them."
    if all(held_out):
        return "Error on held-out training patterns.", [remark]
    return f"Test error; of rows marked {HELD_OUT}, error on held-out training patterns.", [remark]


# --- beside the published runs ----------------------------------------------------------------------------------------

SPREAD = 3
"""Standard deviations from the mean of the published runs within which another run is expected."""


def with_spread(made: Table, load: Loader) -> Table:
    """The table, and a remark of the experiments that it shows from both sources, if there are any."""
    remark = spread(load.read)
    return replace(made, notes=[*made.notes[:-1], remark, *made.notes[-1:]]) if remark else made


def spread(read: Iterable[Runs]) -> str:
    """Whether runs made here lie within the spread of the published ones, in words; nothing if there are no two."""
    of = {source: {runs.experiment: runs for runs in read if runs.source == source} for source in _SOURCES}
    within: list[str] = []
    beyond: list[str] = []
    alone: list[str] = []
    for name, ours in of["results"].items():
        published = of["reference"].get(name)
        if published is None or not (errors := _errors(ours)) or not (theirs := _errors(published)):
            continue
        if len(theirs) == 1:
            alone.append(f"{name} ({_range(errors)} errors here, {theirs[0]} published)")
            continue
        sd = stdev(theirs)
        text = f"{name} ({_range(errors)} errors here, {_range(theirs)} in {len(theirs)} published runs, sd {sd:.1f})"
        (within if all(_expected(count, theirs) for count in errors) else beyond).append(text)
    parts = [
        f"{words}: {', '.join(found)}."
        for words, found in (
            ("Within the published spread", within),
            ("Not within the published spread", beyond),
            ("Published once, so without a spread", alone),
        )
        if found
    ]
    if not parts:
        return ""
    explained = (
        "Another processor rounds differently, so a seed gives other errors there. The published spread is the range "
        f"of the published seeds, or {SPREAD} standard deviations around their mean, whichever is wider."
    )
    return " ".join([*parts, explained])


_SOURCES = ("reference", "results")


def _errors(runs: Runs) -> list[int]:
    return [result.last["test_errors"] for result in runs.finished]


def _range(errors: Sequence[int]) -> str:
    low, high = min(errors), max(errors)
    return f"{low}" if low == high else f"{low} to {high}"


def _expected(count: int, published: Sequence[int]) -> bool:
    """Whether a count of errors lies within the spread of two or more published ones."""
    return min(published) <= count <= max(published) or abs(count - mean(published)) <= SPREAD * stdev(published)
