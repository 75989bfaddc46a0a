"""Documents that hold results: pages made of them, and texts with tables between markers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from os.path import relpath
from pathlib import Path

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.tables import Table

BLOCKS = {Path("README.md"): ("lenet5",)}
"""Tables that a text written by hand holds between markers."""

FOLDER = Path("docs/results")
"""Where the pages of results are."""


@dataclass(frozen=True)
class Page:
    """One page of results, which answers one question."""

    question: str
    made: Callable[[Loader], str]
    """From results to the text of the page; NoResults if there are none."""


PAGES: dict[Path, Page] = {}
"""Pages that are generated as a whole, in the order of the index; other modules add theirs with `page`."""


@dataclass(frozen=True)
class Question:
    """What a page of tables answers."""

    words: str
    tables: tuple[str, ...]
    text: str
    """Page of docs/ that says what the tables mean."""
    figures: tuple[str, ...] = ()
    """Names of figures in docs/figures."""


QUESTIONS = {
    "lenet5": Question(
        "Does LeNet-5 reach the paper's error?", ("lenet5", "fig5"), "readings", ("fig05_learning_curve",)
    ),
    "training-size": Question("Do more patterns help?", ("fig6",), "distortions", ("fig06_training_set_size",)),
    "recipe": Question("Which recipe comes nearest to III.B?", ("recipe",), "readings"),
    "readings": Question("Which reading meets the paper's training figures?", ("readings",), "readings", ("readings",)),
    "search": Question(
        "Which readings does a search leave?",
        ("search", "posterior", "trials", "near", "trials-distorted"),
        "readings",
        ("search",),
    ),
    "seeds": Question("What is a seed worth?", ("seeds",), "faq", ("seeds",)),
    "failures": Question("Why do some readings fail?", ("curvature", "saturation"), "readings"),
    "fig7": Question("Which distortions does Fig. 7 show?", ("fig7",), "distortions", ("fig07_distortions",)),
    "distortions": Question("Do distortions help?", ("dist", "magnitudes"), "distortions"),
    "fingerprint": Question("Do our first layers become those of 1998?", ("fingerprint",), "strings"),
    "invariance": Question("How far may digits be changed?", ("invariance",), "strings", ("invariance",)),
    "strings": Question("How many strings are read right?", ("strings", "strings-held-out"), "strings", ("strings",)),
    "fig9": Question("How do the paper's classifiers compare?", ("fig9",), "deviations", ("fig09_error_rates",)),
    "costs": Question(
        "What do the classifiers reject, compute and store?",
        ("fig10", "fig11", "fig12"),
        "deviations",
        ("fig10_rejection", "fig11_operations", "fig12_memory"),
    ),
    "linear": Question("How were the linear classifiers trained?", ("linear",), "deviations"),
    "classical": Question("How were the classical classifiers set?", ("choices",), "deviations"),
    "svm": Question("How were the support vector machines set?", ("machines",), "deviations"),
    "tangent-distance": Question("How was the tangent distance set?", ("tangents",), "deviations"),
    "fully-connected": Question(
        "How were the fully connected networks trained?", ("mlps", "mlp-distorted", "mlp-mu", "mlp-init"), "deviations"
    ),
    "lenet1": Question("For how long does LeNet-1 train?", ("lenet1-passes",), "deviations"),
    "lenet4": Question("What replaces LeNet-4's last layer?", ("last-layers",), "deviations"),
    "boosting": Question("What does boosting add to LeNet-4?", ("boosting",), "deviations"),
    "recovered": Question(
        "Which weights had a LeNet-5 of 1998?", ("recovered", "recovered-table1", "recovered-worth"), "recovered"
    ),
    "ladder": Question("Which changes lead from 1998 to today?", ("ladder",), "modern", ("ladder", "costs_today")),
    "ideas-alone": Question("What is each modern idea worth alone?", ("alone",), "modern"),
    "reverse": Question("Is it the network or its training?", ("reverse",), "modern"),
    "best-1998": Question("How good can the network of 1998 get?", ("best-1998", "best-1998-held-out"), "modern"),
    "curvature": Question(
        "What is the curvature worth?", ("curvature-trained", "curvature-methods", "curvature-layers"), "modern"
    ),
    "rates": Question("How were today's rates chosen?", ("held-rates",), "modern"),
    "popular": Question("How good are networks called LeNet-5 today?", ("popular",), "modern"),
}
"""Pages of `FOLDER` by name, in the order of their index.  Every table stands on one of them."""


def page(
    name: str, question: str, folder: Path = FOLDER
) -> Callable[[Callable[[Loader], str]], Callable[[Loader], str]]:
    """Register what makes the page of that name in a folder."""

    def register(function: Callable[[Loader], str]) -> Callable[[Loader], str]:
        PAGES[folder / f"{name}.md"] = Page(question, function)
        return function

    return register


def generated(load: Loader) -> Iterator[tuple[Path, str]]:
    """Every document with what it should hold; what has no results stays as it is.

    Raises FileNotFoundError where a text of `BLOCKS` is missing, ValueError if it lacks the markers of a table.
    """
    for path, names in BLOCKS.items():
        yield path, _with_blocks(path.read_text(encoding="utf-8"), names, load)
    registry.load()  # modules of experiments bring tables and pages
    unanswered = []
    for path, found in PAGES.items():
        try:
            yield path, found.made(load)
        except NoResults:
            unanswered.append(path)
    yield FOLDER / "README.md", _index(unanswered)


def _with_blocks(text: str, names: tuple[str, ...], load: Loader) -> str:
    for name in names:
        try:
            text = with_block(text, name, load)
        except NoResults:
            continue
    return text


# --- tables in documents ----------------------------------------------------------------------------------------------


def block(name: str, load: Loader) -> str:
    """A table between the markers that a document holds for it."""
    return f"<!-- table {name} -->\n{for_documents(name, load).render('md')}<!-- end table -->"


def for_documents(name: str, load: Loader) -> Table:
    """The table of that name, without the remark of what has no results; NoResults if it is not to be shown yet."""
    made = tables.named(name)(load)
    if made.pending:
        raise NoResults(made.pending)
    return replace(made, notes=[note for note in made.notes if not note.startswith(tables.LACKING)])


def with_block(document: str, name: str, load: Loader) -> str:
    """`document` with the part between the markers of table `name` written anew; ValueError if it lacks them."""
    opening, closing = f"<!-- table {name} -->", "<!-- end table -->"
    before, found, rest = document.partition(opening)
    _, closed, after = rest.partition(closing)
    if not found or not closed:
        raise ValueError(f"the document has no `{opening}` ... `{closing}` to write the table between")
    return before + block(name, load) + after


# --- pages of tables --------------------------------------------------------------------------------------------------

GENERATED = "Generated from `reference/` by `make tables`; do not edit."


UNANSWERED = " (no results yet)"
"""Behind a question of the index whose page has no table."""


def _answer(question: Question) -> Callable[[Loader], str]:
    """What makes the page of tables that answers a question; NoResults if there are results for none of its tables."""

    def made(load: Loader) -> str:
        parts = []
        for name in question.tables:
            try:
                table = for_documents(name, load)
            except NoResults:
                continue
            parts.append(f"## {table.caption}\n\n{table.render('md').rstrip()}")
        if not parts:
            raise NoResults(f"no results for {', '.join(question.tables)}")
        top = [f"# {question.words}", f"What this means: [{question.text}](../{question.text}.md). {GENERATED}"]
        top += [f"![{question.words}](../figures/{figure}.png)" for figure in question.figures]
        return "\n\n".join([*top, *parts]) + "\n"

    return made


for _name, _question in QUESTIONS.items():
    page(_name, _question.words)(_answer(_question))


def _index(unanswered: Collection[Path]) -> str:
    """The index of the pages, with a remark at those that have no table."""
    lines = [
        f"- [{found.question}]({Path(relpath(path, FOLDER)).as_posix()}){UNANSWERED if path in unanswered else ''}"
        for path, found in PAGES.items()
    ]
    return "\n".join(["# Results", "", f"One page for each question. {GENERATED}", "", *lines]) + "\n"
