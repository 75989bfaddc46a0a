"""Tables: results joined with the paper's numbers, as Markdown, CSV, LaTeX or JSON.

A table is a function from a `Loader` to a `Table`, registered under its name.  The headline is the last pass of a run,
never its best one.  An error over several seeds has its mean, standard deviation and Student's 95% interval; that of a
single run has Wilson's interval.  Diverged runs are counted beside the mean, never in it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from experiments import paper, registry, store
from experiments.runner import format_seeds
from experiments.store import Json, Result, Runs, Source
from lenet98 import evaluation

Format = Literal["md", "csv", "latex", "json"]
FORMATS: tuple[Format, ...] = ("md", "csv", "latex", "json")


class NoResults(ValueError):
    """There is nothing to make a table or figure of."""


# --- results to show --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loader:
    """Where tables and figures take their results from."""

    sources: tuple[Source, ...] = ("reference",)
    results: Path = Path("results")
    reference: Path = Path("reference")
    device: str = "cpu"
    """Where experiments that know devices were computed: results of two are never read together."""

    def __call__(self, experiment: str) -> list[Runs]:
        """The runs of an experiment, one item per source that has any; NoResults, with the remedy, if none has."""
        found = list(self.every(experiment))
        if not found:
            if self.sources == ("reference",):
                raise NoResults(
                    f"nothing is published of {experiment} in {self.reference}; run "
                    f"`python -m experiments run {experiment}` and ask for --source results"
                )
            raise NoResults(f"no results of {experiment} yet; `python -m experiments run {experiment}` makes them")
        return found

    def one(self, experiment: str) -> Runs:
        """The runs of an experiment from the first source that has any."""
        return self(experiment)[0]

    def there(self, experiments: Iterable[str], needed: Iterable[str] | None = None) -> dict[str, Runs]:
        """Those of the experiments that have results, each as `one` gives it.

        NoResults, with the remedy for the first, if none of those `needed` has any: all of them unless told.
        """
        first = {name: next(self.every(name), None) for name in experiments}
        found = {name: runs for name, runs in first.items() if runs is not None}
        wanted = list(first if needed is None else needed)
        if wanted and found.keys().isdisjoint(wanted):
            self.one(wanted[0])
        return found

    def every(self, experiment: str) -> Iterator[Runs]:
        """The runs of an experiment, one item per source that has any, perhaps none."""
        for source in self.sources:
            if (runs := self._from(experiment, source)).results:
                yield runs

    def _from(self, experiment: str, source: Source) -> Runs:
        if source == "reference":
            return store.published(experiment, self.reference)
        identity = registry.on_device(registry.named(experiment), self.device).identity()
        return store.latest(experiment, identity, self.results)


def sources(choice: str) -> tuple[Source, ...]:
    """The sources that a `--source` names."""
    return ("reference", "results") if choice == "both" else ("results",) if choice == "results" else ("reference",)


def made_from(*used: Runs) -> str:
    """From which files, seeds, code and machine the numbers of some runs come; experiments alike in that together."""
    machines = {runs.folder: _distinct(map(_machine, runs.results)) for runs in used}
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
    code = _distinct(result.record["code"]["version"] for result in runs.results)
    diverged = f", {len(runs.diverged)} diverged and left out of the mean" if runs.diverged else ""
    return f"seeds {seeds}, code {code}{diverged}"


def _machine(result: Result) -> str:
    return f"{result.record['machine']['cpu']}, {result.record['machine']['cores']} cores"


def _distinct(texts: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(texts))


# --- numbers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One quantity in percent over the seeds of an experiment, beside the paper's.

    `errors` are the counts, one a run; `mean`, `sd`, `interval` and `paper` are in percent, None where undefined.
    """

    row: str
    paper: float | None
    mean: float | None
    sd: float | None
    n: int
    interval: tuple[float, float] | None
    errors: tuple[int, ...]
    patterns: int
    diverged: int = 0
    source: str = ""

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
            "errors": list(self.errors),
            "patterns": self.patterns,
            "difference": self.difference,
            "diverged": self.diverged,
            "source": self.source,
        }


def summarise(
    title: str, theirs: float | None, errors: Sequence[int], patterns: int, *, diverged: int = 0, source: str = ""
) -> Row:
    """The row of some error counts, one a run, each on `patterns` patterns."""
    mean = sd = interval = None
    if errors:
        found = evaluation.summary([count / patterns for count in errors], patterns)
        mean, interval = 100 * found.mean, (100 * found.interval.low, 100 * found.interval.high)
        sd = 100 * found.sd if len(errors) > 1 else None
    return Row(title, theirs, mean, sd, len(errors), interval, tuple(errors), patterns, diverged, source)


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
    return summarise(title, theirs, errors, patterns, diverged=len(runs.diverged), source=runs.source)


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
    """The table of that name; ValueError lists what exists."""
    registry.load()  # modules of experiments may bring tables
    if name not in TABLES:
        raise ValueError(f"no table called {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]


def comparison(name: str, caption: str, rows: Sequence[Row], used: Sequence[Runs], *remarks: str) -> Table:
    """The usual table: test error of each row beside the paper's."""
    header = ["", "paper, %", "ours, %", "sd", "n", "95% interval", "difference"]
    body = [
        [
            f"{row.row} ({row.source})" if len({other.source for other in rows}) > 1 else row.row,
            *cells(row),
        ]
        for row in rows
    ]
    return Table(name, caption, header, body, [row.as_json() for row in rows], notes(name, used, *remarks))


def cells(row: Row) -> list[str]:
    """Paper, mean, sd, n, interval and difference of a row, as they are read."""
    return [
        number(row.paper),
        number(row.mean),
        number(row.sd),
        str(row.n) + (f" (+{row.diverged} diverged)" if row.diverged else ""),
        "" if row.interval is None else f"{row.interval[0]:.2f}–{row.interval[1]:.2f}",
        number(row.difference, signed=True),
    ]


def number(value: float | None, *, signed: bool = False) -> str:
    """A percentage to two decimals, blank for None, with a true minus."""
    if value is None:
        return ""
    rounded = round(value, 2) + 0.0  # adding zero takes the sign off a zero
    return f"{rounded:{'+' if signed else ''}.2f}".replace("-", "−")


def notes(name: str, used: Sequence[Runs], *remarks: str) -> list[str]:
    """The lines below a table: remarks, and what it was generated from and by."""
    places = {runs.source for runs in used}
    source = f" --source {'both' if len(places) > 1 else 'results'}" if "results" in places else ""
    return [*remarks, f"Generated by `python -m experiments table {name}{source}` from {made_from(*used)}."]


def lacking(experiments: Iterable[str], there: Container[str]) -> list[str]:
    """The remark that some experiments of a table have no results yet; none if all have."""
    names = [name for name in experiments if name not in there]
    return [f"Without results yet: {', '.join(names)}."] if names else []


@table("lenet5")
def lenet5(load: Loader) -> Table:
    """LeNet-5 without distortions, the paper's 0.95%."""
    used = load("lenet5")
    rows = [test_row(runs, "LeNet-5", paper.TEST_ERROR["lenet5"]) for runs in used]
    return comparison("lenet5", "LeNet-5 on MNIST: test error after the last of 20 passes.", rows, used)


FIG5_REMARK = (
    "The paper's Fig. 5 has 21 markers for 20 passes; pass p stands beside the marker at x = p, and the 21st is left "
    f"out. Its values are read off the figure, to ±{paper.FIG5_TOLERANCE}. Training error is measured on the fly, "
    "during the pass. Errors in percent, standard deviation over seeds in brackets."
)


@table("fig5")
def fig5(load: Loader) -> Table:
    """Fig. 5 in numbers: test and training error pass by pass."""
    runs = load.one("lenet5")
    header = ["pass", "test: paper", "ours", "difference", "training: paper", "ours", "difference"]
    body, records = [], []
    for number_, theirs_test, theirs_train in _fig5_markers(runs):
        line = [str(number_)]
        for part, theirs in (("test", theirs_test), ("train", theirs_train)):
            errors, patterns = counts(runs.finished, part, number_)
            title = f"pass {number_}, {'test' if part == 'test' else 'training on the fly'}"
            row = summarise(title, theirs, errors, patterns, diverged=len(runs.diverged), source=runs.source)
            spread = f" ({row.sd:.2f})" if row.sd is not None else ""
            line += [number(theirs), number(row.mean) + spread, number(row.difference, signed=True)]
            records.append(row.as_json())
        body.append(line)
    return Table("fig5", "Fig. 5, pass by pass.", header, body, records, notes("fig5", [runs], FIG5_REMARK))


def _fig5_markers(runs: Runs) -> list[tuple[int, float, float]]:
    """Pass, test and training error of the paper for every pass that all finished runs have."""
    passes = min((len(result.passes) for result in runs.finished), default=0)
    if not passes:
        raise NoResults(f"every run in {runs.folder} diverged: there is no curve")
    numbers = range(1, min(passes, 20) + 1)
    return list(zip(numbers, paper.FIG5_TEST, paper.FIG5_TRAIN, strict=False))


# --- tables in documents ----------------------------------------------------------------------------------------------


def block(name: str, load: Loader) -> str:
    """A table between the markers that a document holds for it."""
    return f"<!-- table {name} -->\n{for_documents(name, load).render('md')}<!-- end table -->"


def for_documents(name: str, load: Loader) -> Table:
    """The table of that name; NoResults if it is not to be shown in documents yet."""
    made = named(name)(load)
    if made.pending:
        raise NoResults(made.pending)
    return made


def with_block(document: str, name: str, load: Loader) -> str:
    """`document` with the part between the markers of table `name` written anew; ValueError if it lacks them."""
    opening, closing = f"<!-- table {name} -->", "<!-- end table -->"
    before, found, rest = document.partition(opening)
    _, closed, after = rest.partition(closing)
    if not found or not closed:
        raise ValueError(f"the document has no `{opening}` ... `{closing}` to write the table between")
    return before + block(name, load) + after


def results_page(load: Loader) -> str:
    """docs/results.md: every table for which there are results."""
    registry.load()
    parts = ["# Results", "Every table, generated from `reference/` by `make tables`. Do not edit."]
    for name in sorted(TABLES, key=_place):  # whatever the order in which modules were imported
        try:
            made = for_documents(name, load)
        except NoResults:
            continue
        parts.append(f"## {made.caption}\n\n{made.render('md').rstrip()}")
    return "\n\n".join(parts) + "\n"


def _place(name: str) -> tuple[int, str, int]:
    """Sorts the headline before the paper's figures, "fig9" before "fig10", and these before all else."""
    letters = name.rstrip("0123456789")
    group = 0 if name == "lenet5" else 1 if letters == "fig" else 2
    return group, letters, int(name[len(letters) :] or 0)
