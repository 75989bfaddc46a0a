"""Tables: results joined with the paper's numbers, as Markdown, CSV, LaTeX or JSON.

A table is a function from a `Loader` to a `Table`, registered under its name.  The headline is the last pass of a run,
never its best one.  An error over several seeds has its mean, standard deviation and two 95% intervals, over seeds and
over seeds and patterns; that of a single run has Wilson's interval, over patterns.  Where some runs failed and others
did not there is no mean to speak of, and the error of each is listed.  Diverged runs are counted beside the mean, never
in it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Literal

from tabulate import tabulate

from experiments.harness import provenance, registry, statistics
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.plan import format_seeds
from experiments.harness.store import Result, Runs
from lenet98 import evaluation

Format = Literal["md", "csv", "latex", "json"]
FORMATS: tuple[Format, ...] = ("md", "csv", "latex", "json")


def made_from(*used: Runs) -> str:
    """From which files, seeds, code and machine the numbers of some runs come; experiments alike in that together."""
    machines = {runs.folder: _distinct(map(machine, runs.results)) for runs in used}
    one = len(set(machines.values())) == 1
    alike: dict[tuple[str, Path], list[str]] = {}
    for runs in used:
        made = _made_by(runs) + ("" if one else f", on {machines[runs.folder]}")
        alike.setdefault((made, runs.folder.parent), []).append(runs.folder.name)
    origins = [
        f"`{folder.as_posix()}/{names[0] if len(names) == 1 else '{' + ','.join(names) + '}'}`, {made}"
        for (made, folder), names in alike.items()
    ]
    everywhere = f"{'; all on ' if len(origins) > 1 else ', on '}{next(iter(machines.values()))}" if one else ""
    return "; ".join(origins) + everywhere


def _made_by(runs: Runs) -> str:
    """Seeds and code of some runs, and how many of them diverged."""
    seeds = format_seeds({result.seed for result in runs.results})
    code = _distinct(provenance.written(result.record) for result in runs.results)
    diverged = f", {len(runs.diverged)} diverged and left out of the mean" if runs.diverged else ""
    return f"seeds {seeds}, {code}{diverged}"


def machine(result: Result) -> str:
    """Its processor, another device where that computed it, and how many runs it was computed together with."""
    device, together = (result.extra.get(name) for name in ("device", "together"))
    beside = f", {device}" if device not in (None, "cpu") else ""
    at_once = f", {len(together)} seeds at once" if together else ""
    return f"{result.record['machine']['cpu']}, {result.record['machine']['cores']} cores{beside}{at_once}"


def patterns(runs: Runs) -> str:
    """What judges some runs, in words."""
    held_out = statistics.judges(runs).held_out
    return f"the last {held_out:,} training patterns, held out" if held_out else "the test set"


def _distinct(texts: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(texts))


# --- numbers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One quantity in percent over the seeds of an experiment, beside the paper's.

    `errors` are the counts, one a run; `mean`, `sd`, intervals and `paper` are in percent, None where undefined.
    """

    row: str
    paper: float | None
    mean: float | None
    sd: float | None
    n: int
    interval: tuple[float, float] | None
    """95%: of several runs over seeds (Student's), of a single one over patterns (Wilson's)."""
    errors: tuple[int, ...]
    patterns: int
    diverged: int = 0
    source: str = ""
    joint: tuple[float, float] | None = None
    """95%, of several runs over seeds and patterns (`statistics.over_patterns`), of a single one Wilson's."""

    @property
    def covers(self) -> str:
        """What varies in `interval`."""
        return "" if self.interval is None else "seeds" if self.n > 1 else "patterns"

    @property
    def drawn(self) -> tuple[float, float] | None:
        """What figures draw: `joint`, or `interval` where the classes of the patterns are not known."""
        return self.joint or self.interval

    @property
    def by_seed(self) -> tuple[float, ...]:
        """The error of every run, percent, where they are too unlike for a mean; else nothing."""
        rates = tuple(100 * count / self.patterns for count in self.errors)
        return rates if statistics.unlike(rates) else ()

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, percentage points."""
        return None if self.mean is None or self.paper is None else self.mean - self.paper

    def as_json(self) -> Json:
        """All of it, of JSON types."""
        return {
            "row": self.row,
            "paper": self.paper,
            "mean": self.mean,
            "sd": self.sd,
            "n": self.n,
            "interval": None if self.interval is None else list(self.interval),
            "interval_covers": self.covers,
            "interval_over_seeds_and_patterns": None if self.joint is None or self.n < 2 else list(self.joint),
            "by_seed": list(self.by_seed),
            "errors": list(self.errors),
            "patterns": self.patterns,
            "difference": self.difference,
            "diverged": self.diverged,
            "source": self.source,
        }


def summarize(
    title: str, theirs: float | None, errors: Sequence[int], patterns: int, *, diverged: int = 0, source: str = ""
) -> Row:
    """The row of some error counts, one a run, each on `patterns` patterns."""
    mean = sd = interval = None
    if errors:
        found = evaluation.summary([count / patterns for count in errors], patterns)
        mean, sd = 100 * found.mean, 100 * found.sd if len(errors) > 1 else None
        interval = statistics.interval(errors, patterns)
    joint = interval if len(errors) == 1 else None
    return Row(title, theirs, mean, sd, len(errors), interval, tuple(errors), patterns, diverged, source, joint)


def counts(results: Sequence[Result], part: str = "test", number: int | None = None) -> tuple[list[int], int]:
    """Errors of every run on the `part` ("test" or "train") patterns and the number of those.

    Of the last pass, or of pass `number`, 1 for the first.  Raises ValueError if the runs differ in their patterns.
    """
    passes = [result.last if number is None else result.passes[number - 1] for result in results]
    patterns = {entry[f"{part}_patterns"] for entry in passes}
    if len(patterns) > 1:
        raise ValueError(f"runs on {sorted(patterns)} {part} patterns cannot share a row")
    return [entry[f"{part}_errors"] for entry in passes], patterns.pop() if patterns else 0


def test_row(runs: Runs, title: str, theirs: float | None) -> Row:
    """Test error after the last pass."""
    errors, patterns = counts(runs.finished)
    row = summarize(title, theirs, errors, patterns, diverged=len(runs.diverged), source=runs.source)
    return replace(row, joint=statistics.over_patterns(runs)) if row.n else row


def training_error(runs: Runs) -> float | None:
    """Training error on the fly in the last pass, percent, mean over runs that did not diverge; None without any."""
    errors, patterns = counts(runs.finished, "train")
    return summarize("", None, errors, patterns).mean if errors else None


def seconds(runs: Runs) -> float | None:
    """Median time of the runs that did not diverge, None without any: what else the machine did slows some of them."""
    return median(float(result.record["seconds"]) for result in runs.finished) if runs.finished else None


# --- tables -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """`header` and `body` are what is read, `records` the same numbers for machines, `notes` go below."""

    name: str
    caption: str
    header: Sequence[str]
    body: Sequence[Sequence[str]]
    records: Sequence[Json]
    notes: Sequence[str]
    pending: str = ""
    """Why documents do not show it yet, if they do not."""

    def render(self, form: Format) -> str:
        """The table as text that ends in a newline."""
        match form:
            case "md":
                table = tabulate(self.body, self.header, tablefmt="github", disable_numparse=True)
                return "\n\n".join([table, *self.notes]) + "\n"
            case "latex":
                table = tabulate(
                    [[_latex(cell) for cell in row] for row in self.body],
                    [_latex(cell) for cell in self.header],
                    tablefmt="latex_booktabs",
                    disable_numparse=True,
                )
                # tabulate escapes what LaTeX reads specially, and would escape our own commands too.
                return "".join(f"% {note}\n" for note in [self.caption, *self.notes]) + table + "\n"
            case "csv":
                return _csv(self.records)
            case "json":
                return json.dumps(list(self.records), indent=1, allow_nan=False) + "\n"


def _latex(cell: str) -> str:
    """Signs that LaTeX's default fonts lack."""
    return cell.replace("–", "--").replace("−", "-").replace("±", "+-")


def _csv(records: Sequence[Json]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in record.items()})
    return text.getvalue()


TABLES: dict[str, Callable[[Loader], Table]] = {}
"""Every table by name; other modules add theirs with `table`."""


def table(name: str) -> Callable[[Callable[[Loader], Table]], Callable[[Loader], Table]]:
    """Register a table under `name`."""

    def register(function: Callable[[Loader], Table]) -> Callable[[Loader], Table]:
        TABLES[name] = function
        return function

    return register


def named(name: str) -> Callable[[Loader], Table]:
    """The table of that name; ValueError names those that are most like it."""
    registry.load()  # modules of experiments may bring tables
    if name not in TABLES:
        raise ValueError(f"no table called {name!r}; {registry.nearest(name, TABLES)}{registry.SHOW_ALL}")
    return TABLES[name]


def comparison(name: str, caption: str, rows: Sequence[Row], used: Sequence[Runs], *remarks: str) -> Table:
    """The usual table: test error of each row beside the paper's."""
    header = ["", "paper, %", "ours, %", "sd", "n", *INTERVALS, "difference"]
    body = [
        [
            f"{row.row} ({row.source})" if len({other.source for other in rows}) > 1 else row.row,
            *cells(row),
        ]
        for row in rows
    ]
    return Table(name, caption, header, body, [row.as_json() for row in rows], notes(name, used, COVER, *remarks))


def cells(row: Row) -> list[str]:
    """Paper, mean, sd, n, both `INTERVALS` and difference of a row, as they are read.

    For runs that are too unlike for a mean, the error of each stands in its place, and nothing for what is made of it.
    """
    n = str(row.n) + (f" (+{row.diverged} diverged)" if row.diverged else "")
    if not row.n and not row.diverged:
        return [number(row.paper), *[""] * 6]
    if row.by_seed:
        return [number(row.paper), listed(row.by_seed), "", n, "", "", ""]
    return [
        number(row.paper),
        number(row.mean),
        number(row.sd),
        n,
        between(row.interval if row.n > 1 else None),
        between(row.joint),
        number(row.difference, signed=True),
    ]


def cells_over_seeds(row: Row) -> list[str]:
    """`cells` without the interval over patterns, for what has none."""
    found = cells(row)
    return [*found[:5], *found[6:]]


def compared_cells(found: statistics.Comparison | None) -> list[str]:
    """Difference, its interval and corrected p, as they are read; blank where there is no comparison of means."""
    if found is None or found.interval is None:
        return ["", "", ""]
    return [number(found.mean, signed=True), span(found.interval), probability(found.corrected)]


def change_header(title: str = "change") -> list[str]:
    """Heads of the columns of `change_cells`; `CHANGES` says what they are."""
    return [title, "its 95%, seeds", INTERVALS[1], "p", "seeds to tell"]


def change_cells(found: statistics.Comparison | None) -> list[str]:
    """All of a comparison, as it is read: `compared_cells`, the interval over seeds, and how many seeds would tell."""
    mean, interval, p = compared_cells(found)
    if found is None or found.interval is None:
        return [mean, "", interval, p, ""]
    return [mean, span(found.over_seeds), interval, p, seeds(found.needed)]


def seeds(needed: float | None) -> str:
    """A number of seeds, blank for None; beyond `MOST_SEEDS` only that it is."""
    if needed is None:
        return ""
    return f"{needed:,}" if needed <= MOST_SEEDS else f"more than {MOST_SEEDS:,}"


INTERVALS = ("95%, seeds", "95%, seeds and patterns")
"""Heads of the columns of a row's intervals; `COVER` says what they are."""

COVER = (
    "95% intervals of the mean. Seeds: what other seeds would give on these patterns (Student's t). Seeds and "
    "patterns: other seeds on other patterns, both resampled. A single run has Wilson's interval, over patterns."
)

COMPARED = (
    "Differences are in percentage points. Their 95% intervals and p cover seeds and patterns, both resampled; p of "
    "two single runs is McNemar's exact one. p is two-sided, with Holm's correction over the table. Each interval "
    "stands by itself."
)


MOST_SEEDS = 1000
"""More than these nobody would run to tell one change."""

CHANGES = (
    f"A change below zero is for the better. {COMPARED} Over seeds alone, on these patterns, changes are paired where "
    "runs of one seed are the same network shown the same patterns in the same order, else they are Welch's. Seeds to "
    f"tell: how many seeds of each network that test over seeds needs to find the change at the "
    f"{statistics.SIGNIFICANT:.0%} level with power {statistics.POWER:g}, if the change and the standard deviations "
    "over seeds are what these runs show. Few runs show them roughly, and so it is rough. The same patterns judge all: "
    "it is about the difference on these, and no number of seeds makes it one on others."
)
"""What the columns of `change_header` are."""


def listed(rates: Iterable[float]) -> str:
    """The error of every run, percent."""
    return f"{', '.join(map(number, rates))} (by seed)"


def between(interval: tuple[float, float] | None) -> str:
    """An interval of percentages, blank for None."""
    return "" if interval is None else f"{number(interval[0])}–{number(interval[1])}"


def number(value: float | None, *, signed: bool = False, decimals: int = 2) -> str:
    """A percentage to two decimals, blank for None, with a true minus; what rounds to nothing has no sign."""
    if value is None:
        return ""
    rounded = round(value, decimals) + 0.0  # adding zero takes the sign off a zero
    return f"{rounded:{'+' if signed and rounded else ''}.{decimals}f}".replace("-", "−")


def span(interval: tuple[float, float] | None) -> str:
    """An interval of differences, with signs, blank for None.

    It has as many decimals as show on which side of zero its ends are, two at least.
    """
    if interval is None:
        return ""
    decimals = next(d for d in range(2, 17) if d == 16 or all(round(end, d) for end in interval if end))
    return " to ".join(number(end, signed=True, decimals=decimals) for end in interval)


def probability(p: float | None) -> str:
    """A p to two digits, blank for None; with as many as show on which side of 5% it is."""
    if p is None:
        return ""
    if p < 0.001:
        return "<0.001"
    shown = (f"{p:.{digits}g}" for digits in range(2, 18))
    return next(text for text in shown if (float(text) < statistics.SIGNIFICANT) == (p < statistics.SIGNIFICANT))


def notes(name: str, used: Sequence[Runs], *remarks: str) -> list[str]:
    """The lines below a table: remarks, and what it was generated from and by."""
    places = {runs.source for runs in used}
    source = f" --source {'both' if len(places) > 1 else 'results'}" if "results" in places else ""
    return [*remarks, f"Generated by `python -m experiments table {name}{source}{_way(used)}` from {made_from(*used)}."]


def _way(used: Sequence[Runs]) -> str:
    """The options by which a table reads these runs and not those of another way or device."""
    results = [result for runs in used for result in runs.results]
    replicas = any("together" in result.extra for result in results)
    on_gpu = any(result.record["config"].get("device") == "cuda" for result in results)
    device = " --device cuda" if on_gpu else " --device cpu" if replicas else ""
    return f"{' --replicas' if replicas else ''}{device}"


LACKING = "Without results yet"
"""How the remark of `lacking` begins."""


def lacking(experiments: Iterable[str], there: Container[str]) -> list[str]:
    """The remark that some experiments of a table have no results yet; none if all have."""
    names = [name for name in experiments if name not in there]
    return [f"{LACKING}: {', '.join(names)}."] if names else []
