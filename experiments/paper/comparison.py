"""Every classifier of Section III.C beside the paper's: errors, rejection, operations and memory (Figs. 9 to 12).

A table here is made as soon as one classifier has results; the others' cells stay empty and a note names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.harness import provenance, registry, statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Experiment
from experiments.harness.statistics import SIGNIFICANT, Comparison, median
from experiments.harness.store import SCORED, Result, Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from lenet98 import accounting, evaluation
from lenet98.catalog import from_json

GROUP = "fig9"
"""Name that stands for all classifiers of Fig. 9 where experiments are named."""

HEADLINE = (paper.LENET5, paper.DIST_LENET5)
"""Run first."""

STANDARD = paper.LENET5
"""The classifier that the others are tested against."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "linear": ("linear", "pairwise_linear"),
    "K-NN": ("knn",),
    "one hidden layer": ("mlp_300", "mlp_1000"),
    "quadratic and RBF": ("pca40_quadratic", "rbf1000_linear"),
    "two hidden layers": ("mlp_300_100", "mlp_500_150"),
    "LeNet-1": ("16x16_lenet1",),
    "tangent distance, SVM and LeNet-4": (
        "16x16_tangent_distance", "svm_poly4", "rs_svm_poly5", "lenet4", "lenet4_local", "lenet4_knn",
    ),
    "LeNet-5": ("lenet5",),
}  # fmt: skip
"""Classifiers trained without distortions on images that are not deslanted, from the worst in Fig. 9 to the best.

Families that Fig. 9 tells apart by no more than its uncertainty of 0.1 are one.
"""

WORSE, BETTER = "†", "‡"
"""Mark a row that is worse or better than the paper's by more than the tolerance."""

RELATIVE, ABSOLUTE = 0.2, 0.3
"""Tolerance about the paper's error: the larger of a share of it and percentage points."""

DIAGNOSIS = "docs/deviations.md"

Quantity = Literal["multiply_accumulates", "stored"]


# --- what is run ------------------------------------------------------------------------------------------------------


def registered() -> list[Experiment]:
    """The classifiers of Fig. 9 that can be run, in the paper's order."""
    return registry.members(GROUP)


registry.register_group(GROUP, (row.experiment for row in paper.ROWS))


def experiments(names: Sequence[str]) -> list[Experiment]:
    """The experiments of those names, globs and groups, each once; ValueError for a name that does not exist."""
    chosen = {experiment.name: experiment for name in names for experiment in registry.members(name)}
    return list(chosen.values())


# --- what was found ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One classifier with its results from one source; `runs` is None where there are none."""

    row: paper.Row
    runs: Runs | None

    @cached_property
    def test(self) -> tables.Row:
        """Test error after the last pass."""
        if self.runs is None:
            return tables.summarize(self.row.title, self.row.test_error, (), 0)
        return tables.test_row(self.runs, self.row.title, self.row.test_error)

    @property
    def median(self) -> Result | None:
        """That of `median`, None where there are no runs."""
        return median(self.runs) if self.runs else None


def lines(load: Loader, rows: Sequence[paper.Row] = paper.ROWS) -> list[Line]:
    """A line for every classifier, and source that has it; NoResults if there are results of none."""
    found = [line for row in rows for line in _lines(load, row)]
    if not any(line.runs for line in found):
        raise NoResults(
            f"no classifier of Fig. 9 has results; `python -m experiments run {GROUP}` makes them, and "
            "--source results shows them"
        )
    return found


def _lines(load: Loader, row: paper.Row) -> list[Line]:
    found = load.every(row.experiment) if row.experiment in registry.load() else ()
    return [Line(row, runs) for runs in found] or [Line(row, None)]


def pending(found: Sequence[Line]) -> str:
    """Why there is no comparison yet, nothing if there is one: LeNet-5 alone has tables of its own."""
    others = any(line.runs for line in found if line.row.experiment not in HEADLINE)
    return (
        "" if others else f"no classifier but LeNet-5 has results yet; `python -m experiments run {GROUP}` makes them"
    )


def compared(load: Loader, rows: Sequence[paper.Row] = paper.ROWS) -> list[Line]:
    """`lines`, for figures; NoResults if there is no comparison yet."""
    found = lines(load, rows)
    if reason := pending(found):
        raise NoResults(reason)
    return found


def labels() -> NDArray[np.integer]:
    """Classes of the test patterns."""
    return registry.load_mnist(None).test_labels


# --- Fig. 9: error rates ----------------------------------------------------------------------------------------------


def misses(row: tables.Row) -> bool:
    """Whether our mean is farther from the paper's than the tolerance, on either side."""
    if row.difference is None or row.paper is None:
        return False
    return abs(row.difference) > max(RELATIVE * row.paper, ABSOLUTE)


def mark(row: tables.Row) -> str:
    """`WORSE` or `BETTER` for a row that misses the paper's, else nothing."""
    if not misses(row) or row.difference is None:
        return ""
    return WORSE if row.difference > 0 else BETTER


def against_lenet5(found: Sequence[Line]) -> dict[tuple[str, str], Comparison]:
    """By experiment and source; a classifier is compared with LeNet-5's results of its own source."""
    return {
        (experiment, source): against
        for source in _sources(found)
        for experiment, against in _tests(found, source).items()
    }


def _sources(found: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.runs.source for line in found if line.runs))


def _tests(found: Sequence[Line], source: str) -> dict[str, Comparison]:
    runs = {line.row.experiment: line.runs for line in found if line.runs and line.runs.source == source}
    standard = runs.pop(STANDARD, None)
    return statistics.compare_all({name: (its, standard) for name, its in runs.items()}) if standard else {}


@tables.table("fig9")
def fig9(load: Loader) -> Table:
    """Fig. 9: test error of all classifiers."""
    found = lines(load)
    tests = against_lenet5(found)
    header = [
        "", "paper, %", "ours, %", "sd", "n", *tables.INTERVALS, "difference", "less LeNet-5", "its 95%", "p",
    ]  # fmt: skip
    body = [
        [
            f"{_title(line, found)} {mark(line.test)}".strip(),
            *tables.cells(line.test),
            *tables.compared_cells(_test_of(line, tests)),
        ]
        for line in found
    ]
    records = [_record(line, _test_of(line, tests)) for line in found]
    remarks = [
        "[dist]: trained with distortions; [deslant]: deslanted images; [16x16]: images reduced to 16x16. The paper's "
        "values are read off Fig. 9, whose uncertainty it gives as about 0.1.",
        tables.COVER,
        *_missing_the_paper(found),
        *(remark for source in _sources(found) for remark in _remarks(found, source, tests)),
    ]
    caption = "Fig. 9: test error of all classifiers."
    return _table("fig9", caption, header, body, records, found, *remarks)


def _test_of(line: Line, tests: Mapping[tuple[str, str], Comparison]) -> Comparison | None:
    return tests.get((line.row.experiment, line.runs.source)) if line.runs else None


def _title(line: Line, found: Sequence[Line]) -> str:
    return f"{line.row.title} ({line.runs.source})" if line.runs and len(_sources(found)) > 1 else line.row.title


def _record(line: Line, test: Comparison | None) -> Json:
    return {
        "experiment": line.row.experiment,
        **line.test.as_json(),
        "misses": misses(line.test),
        "median_seed": line.median.seed if line.median else None,
        **statistics.as_json(test),
        **_made(line),
    }


def _made(line: Line) -> Json:
    """What made the results of a line, for machines."""
    results = line.runs.results if line.runs else ()
    return {
        "seeds": [result.seed for result in results],
        "numerics": line.runs.results[0].record["numerics"] if line.runs else None,
        "code": sorted({provenance.written(result.record) for result in results}),
        "folder": line.runs.folder.as_posix() if line.runs else None,
    }


def _missing_the_paper(found: Sequence[Line]) -> list[str]:
    marks = {mark(line.test) for line in found}
    return [
        f"{sign} {word} than the paper's by more than {RELATIVE:.0%} of it and by more than {ABSOLUTE} points: "
        f"`{DIAGNOSIS}` says why, row by row."
        for sign, word in ((WORSE, "Worse"), (BETTER, "Better"))
        if sign in marks
    ]


def _remarks(found: Sequence[Line], source: str, tests: Mapping[tuple[str, str], Comparison]) -> list[str]:
    """What follows from the results of one source."""
    of_source = [line for line in found if line.runs and line.runs.source == source]
    prefix = f"{source}: " if len(_sources(found)) > 1 else ""
    remarks = (_tested(of_source, tests), order(of_source), harmed(of_source))
    return [prefix + remark for remark in remarks if remark]


def _tested(found: Sequence[Line], tests: Mapping[tuple[str, str], Comparison]) -> str:
    tested = {
        line.row.title: test.corrected
        for line in found
        if (test := _test_of(line, tests)) and test.corrected is not None
    }
    if not tested:
        return ""
    same = [title for title, p in tested.items() if p >= SIGNIFICANT]
    return f"{tables.COMPARED} Classifiers compared with LeNet-5: {len(tested)}. " + (
        f"Not told apart from LeNet-5 at {SIGNIFICANT:.0%}: {', '.join(same)}." if same else "All differ from it."
    )


def order(found: Sequence[Line]) -> str:
    """Whether the families stand in the paper's order, in words; nothing if fewer than two have all their results."""
    means = {line.row.name: line.test.mean for line in found}
    errors = {
        family: float(np.mean([means[member] for member in members]))
        for family, members in FAMILIES.items()
        if all(means.get(member) is not None for member in members)
    }
    if len(errors) < 2:
        return ""
    written = " > ".join(f"{family} ({tables.number(error)})" for family, error in errors.items())
    wrong = [
        f"{second} is not below {first}"
        for (first, higher), (second, lower) in pairwise(errors.items())
        if lower >= higher
    ]
    verdict = f"The paper's order does not hold: {'; '.join(wrong)}." if wrong else "The paper's order holds."
    paper_order = written if not wrong else written.replace(" > ", ", ")
    return (
        f"Families without distortions and deslanting, mean error in percent, in the paper's order: {paper_order}. "
        f"{verdict}"
    )


def harmed(found: Sequence[Line]) -> str:
    """Which classifiers err more with distortions, although the paper's err less, in words; nothing if none does."""
    errors = {line.row.name: line.test for line in found}
    worse = []
    for name, distorted in errors.items():
        plain = errors.get(name.removeprefix("dist_"))
        if name.startswith("dist_") and plain and plain.mean is not None and distorted.mean is not None:
            theirs = paper.TEST_ERROR[name] - paper.TEST_ERROR[name.removeprefix("dist_")]
            if theirs < 0 < distorted.mean - plain.mean:
                worse.append(f"{plain.row} ({tables.number(plain.mean)} to {tables.number(distorted.mean)})")
    if not worse:
        return ""
    return f"Against the paper, distortions raise the error of {' and '.join(worse)}: see `{DIAGNOSIS}`."


# --- Fig. 10: rejection -----------------------------------------------------------------------------------------------

REJECTION_ROWS = tuple(row for row in paper.ROWS if row.rejected is not None or row.experiment == STANDARD)
"""Classifiers of Fig. 10, and LeNet-5, which it does not show."""

REST = 0.005
"""Error rate on the patterns that are not rejected."""

NOT_SHOWN = "not in the paper's figure"


@tables.table("fig10")
def fig10(load: Loader) -> Table:
    """Fig. 10: test patterns to be rejected for 0.5% error on the rest."""
    found = lines(load, REJECTION_ROWS)
    rows = [rejected(line) for line in found]
    header = ["", "paper, % rejected", "ours, % rejected", "sd", "n", tables.INTERVALS[0], "difference"]
    body = [
        [_title(line, found) + (f" ({NOT_SHOWN})" if line.row.rejected is None else ""), *tables.cells_over_seeds(row)]
        for line, row in zip(found, rows, strict=True)
    ]
    records = [
        {"experiment": line.row.experiment, **_as_rejection(row), **_made(line)}
        for line, row in zip(found, rows, strict=True)
    ]
    remark = (
        "A pattern is rejected when its two best outputs differ by too little; patterns of equal difference are "
        f"rejected together. Scores are kept of at most {SCORED} seeds. Intervals are over seeds, on these patterns "
        "(Student's); a single run has none."
    )
    return _table("fig10", "Fig. 10: rejection for 0.5% error on the rest.", header, body, records, found, remark)


def rejected(line: Line) -> tables.Row:
    """Share of the test patterns rejected, in percent, over the runs that kept scores."""
    counts, patterns = [], 0
    for result in line.runs.finished if line.runs else ():
        if scored := _scored(result):
            patterns = len(scored[0])
            counts.append(round(evaluation.least_rejected(*scored, REST) * patterns))
    diverged, source = (len(line.runs.diverged), line.runs.source) if line.runs else (0, "")
    row = tables.summarize(line.row.title, line.row.rejected, counts, patterns, diverged=diverged, source=source)
    # What is rejected of one test set is no binomial number, so Wilson's interval is not its.
    return row if row.n > 1 else replace(row, interval=None, joint=None)


def rejection_curve(line: Line) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Fraction rejected and error rate on the rest of the median of the runs that kept scores; None if none did."""
    if line.runs is None:
        return None
    kept = tuple(result for result in line.runs.finished if "scores" in result.arrays())
    middle = median(replace(line.runs, results=kept))
    scored = _scored(middle) if middle else None
    return evaluation.curve(*scored) if scored else None


def _scored(result: Result) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]] | None:
    """Rejection score of every test pattern, and whether it is misclassified; None if the run kept no scores."""
    arrays = result.arrays()
    return (arrays["scores"], arrays["predictions"] != labels()) if "scores" in arrays else None


def _as_rejection(row: tables.Row) -> Json:
    """The row for machines; its counts are of rejected patterns, not of errors."""
    found = row.as_json()
    return {("rejected" if name == "errors" else name): value for name, value in found.items()}


# --- Figs. 11 and 12: operations and memory ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Thousands, ours and the paper's; ours is None without results."""

    line: Line
    paper: float
    ours: float | None

    @property
    def ratio(self) -> float | None:
        """Ours by the paper's."""
        return None if self.ours is None else self.ours / self.paper


def costs(found: Sequence[Line], quantity: Quantity) -> list[Cost]:
    """What every classifier of Fig. 11 or 12 needs for one recognition."""
    every = [(line, theirs_of(line.row, quantity)) for line in found]
    return [
        Cost(line, theirs, thousands_of(line.runs, quantity) if line.runs else None)
        for line, theirs in every
        if theirs is not None
    ]


def theirs_of(row: paper.Row, quantity: Quantity) -> float | None:
    """Thousands in Fig. 11 or 12."""
    return row.kilo_macs if quantity == "multiply_accumulates" else row.kilo_variables


def thousands_of(runs: Runs, quantity: Quantity) -> float | None:
    """Mean over the runs, None without any; what a run does not record is that of the network that it trained."""
    counts = [count for result in runs.finished if (count := _cost(result, quantity))]
    return float(np.mean(counts)) / 1000 if counts else None


def _cost(result: Result, quantity: Quantity) -> float | None:
    if quantity in result.extra:
        return float(result.extra[quantity])
    config: Any = result.record["config"]
    if "spec" not in config:
        return None
    return float(accounting.table(from_json(config["spec"]))[-1][quantity])


@tables.table("fig11")
def fig11(load: Loader) -> Table:
    """Fig. 11: multiply-accumulates of one recognition."""
    remark = (
        "Multiply-accumulates of one recognition; biases, squashing and comparisons are not counted. "
        "No count of operations gives the paper's 401 thousand of LeNet-5; its 340,908 connections and 60,000 "
        "parameters together do, to the thousand."
    )
    return _costs("fig11", "Fig. 11: multiply-accumulates, thousands.", "multiply_accumulates", load, remark)


@tables.table("fig12")
def fig12(load: Loader) -> Table:
    """Fig. 12: variables stored."""
    remark = (
        "Variables that must be kept to run the classifier: trained parameters, and patterns of those that keep them."
    )
    return _costs("fig12", "Fig. 12: stored variables, thousands.", "stored", load, remark)


def _costs(name: str, caption: str, quantity: Quantity, load: Loader, remark: str) -> Table:
    found = lines(load, [row for row in paper.ROWS if theirs_of(row, quantity) is not None])
    every = costs(found, quantity)
    header = ["", "paper, thousands", "ours, thousands", "ours/paper"]
    body = [[_title(one.line, found), thousands(one.paper), thousands(one.ours), _times(one.ratio)] for one in every]
    records = [
        {
            "experiment": one.line.row.experiment,
            "row": one.line.row.title,
            "paper_thousands": one.paper,
            "ours_thousands": one.ours,
            "ratio": one.ratio,
            "source": one.line.runs.source if one.line.runs else "",
            **_made(one.line),
        }
        for one in every
    ]
    return _table(name, caption, header, body, records, found, remark)


def thousands(value: float | None) -> str:
    """A number of thousands, to two digits below ten."""
    return "" if value is None else f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


# --- all of them ------------------------------------------------------------------------------------------------------


def _table(
    name: str,
    caption: str,
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    records: Sequence[Json],
    found: Sequence[Line],
    *remarks: str,
) -> Table:
    there = {line.row.experiment for line in found if line.runs}
    lacking = tables.lacking([line.row.experiment for line in found], there)
    notes = tables.notes(name, [line.runs for line in found if line.runs], *remarks, *lacking)
    return Table(name, caption, header, body, records, notes, pending(found))


def status(load: Loader) -> str:
    """How much of Fig. 9 there is, in a few words."""
    found = lines(load)
    there = {line.row.experiment for line in found if line.runs}
    return f"Fig. 9: {len(there)} of {len(paper.ROWS)} classifiers"
