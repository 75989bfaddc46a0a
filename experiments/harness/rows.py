"""The rows of any experiments in one table, and how results made here stand beside the published ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import mean, stdev

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from experiments.harness.tables import Table

# --- a table of any experiments ---------------------------------------------------------------------------------------


def table(names: Sequence[str], load: Loader) -> Table:
    """Test error of the experiments that `names`, globs and groups stand for, beside the paper's where it has them.

    Raises ValueError for a name that stands for nothing, and NoResults if none of them has results.
    """
    experiments = list({e.name: e for name in names for e in registry.members(name, tables.TABLES)}.values())
    used = [(experiment, runs) for experiment in experiments for runs in load.every(experiment.name)]
    if not used:
        load(experiments[0].name)  # raises, with the remedy
    rows = [tables.test_row(runs, experiment.title, experiment.paper_error) for experiment, runs in used]
    lacking = tables.lacking([e.name for e in experiments], [experiment.name for experiment, _ in used])
    made = tables.comparison(shlex.join(names), "Test error.", rows, [runs for _, runs in used], *lacking)
    records = [
        {"experiment": experiment.name, **record} for (experiment, _), record in zip(used, made.records, strict=True)
    ]
    return replace(made, records=records)


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
