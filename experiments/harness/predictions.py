"""Predictions made elsewhere, by any program, beside the published runs of an experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.harness import registry, statistics, tables
from experiments.harness.loader import Loader
from experiments.harness.store import Runs
from lenet98 import evaluation
from lenet98.command import rate

WANTED = "give a .npy file of whole numbers 0 to 9, or a text file with one digit a line, in the order of the patterns"


def read(path: Path) -> NDArray[np.uint8]:
    """The classes in a .npy file, or in a text file of one digit a line, shape (n,).

    Raises ValueError, naming the file, for one that cannot be read or holds something else.
    """
    try:
        found = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _of_text(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, OverflowError, EOFError) as error:
        raise ValueError(f"{path}: holds no digits; {WANTED}") from error
    if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu":
        raise ValueError(f"{path}: holds no row of whole numbers; {WANTED}")
    if found.size and not 0 <= found.min() <= found.max() <= 9:
        raise ValueError(f"{path}: holds numbers from {found.min()} to {found.max()}; {WANTED}")
    return found.astype(np.uint8)


def _of_text(text: str) -> NDArray[np.int64]:
    return np.array([int(word) for word in text.split()], np.int64)


def compared(path: Path, against: str, load: Loader) -> list[str]:
    """How the predictions in a file compare with the runs of an experiment, in lines to print.

    They are counted beside all runs, and tested against the one of median error, by McNemar's exact test.  Both are
    single runs: p says nothing of other seeds.

    Raises ValueError for another number of predictions than of patterns, and NoResults if the experiment has none.
    """
    given, runs = read(path), load.one(registry.named(against).name)
    middle = statistics.median(runs)
    if middle is None or not middle.passes:
        raise ValueError(f"{runs.experiment} has no run that ended with predictions")
    labels = registry.judged(middle.record["data"], middle.record["config"])
    if labels is None:
        raise ValueError("the digits are not here, or of another version; `lenet98 data` fetches them")
    judges = tables.patterns(runs)
    if len(given) != len(labels):
        raise ValueError(
            f"{path}: holds {len(given):,} predictions; {runs.experiment} has {len(labels):,} patterns, {judges}"
        )
    theirs = middle.arrays()["predictions"]
    wrong, missed = given != labels, theirs != labels
    p = tables.probability(evaluation.mcnemar(given, theirs, labels))
    return [
        f"{path}: error {rate(int(wrong.sum()), len(labels))}, {judges}",
        f"{runs.experiment}: {_counted(runs, int(wrong.sum()))}",
        f"seed {middle.seed}, the run of median error: {missed.sum():,} errors; both miss {(wrong & missed).sum():,} "
        f"patterns, only the file {(wrong & ~missed).sum():,}, only the run {(missed & ~wrong).sum():,}",
        f"McNemar's exact test against that run: p = {p}".replace("= <", "< "),
    ]


def _counted(runs: Runs, errors: int) -> str:
    """How many runs there are, their errors, and how many have fewer or more than `errors`."""
    counts = [int(result.last["test_errors"]) for result in runs.finished]
    fewer, more = sum(count < errors for count in counts), sum(count > errors for count in counts)
    span = f"{min(counts):,} to {max(counts):,}"
    return f"runs: {len(counts)}; errors: {span}; {fewer} have fewer than the file, {more} have more"
