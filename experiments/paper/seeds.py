"""What a seed is worth: the distribution of LeNet-5's test error over seeds, plain and with distortions.

The paper has one run of each, 0.95% and 0.82% (the 82 errors of Fig. 8).  Many runs of ours tell how likely such a pair
is, how much of the spread is chance on single patterns and how much is that some networks are better, what a vote
gains, and how many seeds a comparison needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.statistics import POWER, seeds_needed
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.paper import numbers as paper
from lenet98 import evaluation

VOTERS = 10
"""Networks of a vote."""
HALVES = 500
"""Random halvings of the test patterns, for the correlation between them."""
DIFFERENCE = 0.1
"""Percentage points that a comparison is to find."""

THEIRS = {paper.LENET5: paper.TEST_ERROR["lenet5"], paper.DIST_LENET5: paper.FIG6_TEST_DISTORTED}
"""The paper's errors in percent: of its plain run, and of its run with distortions."""

TITLES = {paper.LENET5: "LeNet-5", paper.DIST_LENET5: "[dist] LeNet-5"}


class Share(NamedTuple):
    """A share of runs with Wilson's 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Seeds:
    """Runs of one experiment that differ by their seed alone."""

    predictions: NDArray[np.uint8]
    """Shape (runs, patterns)."""
    labels: NDArray[np.uint8]
    runs: Runs | None = None
    """Where they come from."""

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Shape (runs, patterns)."""
        return np.asarray(self.predictions != self.labels)

    @cached_property
    def percent(self) -> NDArray[np.float64]:
        """Test error of each run."""
        return np.asarray(100 * self.wrong.mean(axis=1))

    @property
    def sd(self) -> float:
        """Standard deviation of the test error over seeds, percentage points."""
        return float(self.percent.std(ddof=1))

    @property
    def sd_by_chance(self) -> float:
        """What it would be if every run missed every pattern by chance, as often as all runs together do.

        sqrt(sum_i p_i (1 - p_i)) over the patterns, p_i the share of runs that miss pattern i, without bias.
        """
        runs, patterns = self.wrong.shape
        p = self.wrong.mean(axis=0)
        return float(100 * sqrt((p * (1 - p)).sum() * runs / (runs - 1)) / patterns)

    @property
    def sd_of_equal_patterns(self) -> float:
        """The same if all patterns were equally hard: the binomial distribution."""
        p = self.percent.mean() / 100
        return float(100 * sqrt(p * (1 - p) / self.wrong.shape[1]))

    @property
    def p_of_chance(self) -> float:
        """Probability of a spread at least as large, were it chance alone; from the normal distribution."""
        freedom = len(self.percent) - 1
        return float(stats.chi2.sf(freedom * (self.sd / self.sd_by_chance) ** 2, freedom))

    @cached_property
    def halves(self) -> float | None:
        """Correlation over seeds of the errors on two halves of the patterns, mean of `HALVES` random halvings.

        None for runs that err equally often on a half.
        """
        halves = np.random.default_rng(0).random((self.wrong.shape[1], HALVES)) < 0.5
        first = self.wrong.astype(np.float32) @ halves.astype(np.float32)
        second = self.wrong.sum(axis=1, keepdims=True) - first
        apart = [half - half.mean(axis=0) for half in (first, second)]
        spreads = np.sqrt((apart[0] ** 2).sum(axis=0) * (apart[1] ** 2).sum(axis=0))
        return float(((apart[0] * apart[1]).sum(axis=0) / spreads).mean()) if (spreads > 0).all() else None

    def at_most(self, percent: float) -> Share:
        """Share of runs that err as little."""
        count, runs = int((self.percent <= percent + 1e-9).sum()), len(self.percent)
        return Share(count / runs, *evaluation.wilson(count, runs))

    @cached_property
    def votes(self) -> NDArray[np.float64]:
        """Test error in percent of each `VOTERS` runs by vote; of classes with equal votes the first run's is taken."""
        groups = self.predictions[: len(self.predictions) // VOTERS * VOTERS].reshape(-1, VOTERS, len(self.labels))
        return np.array([100 * float(np.mean(vote(group) != self.labels)) for group in groups])

    @property
    def central(self) -> tuple[float, float]:
        """The central 95% of the runs, percent."""
        low, high = np.quantile(self.percent, [0.025, 0.975])
        return float(low), float(high)


def vote(predictions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The class that most of the runs give each pattern, from shape (runs, patterns); of equals the earliest run's."""
    counts = (predictions[:, :, None] == np.arange(10)).sum(axis=0)
    most = counts.max(axis=1)
    leading = counts[np.arange(predictions.shape[1]), predictions] == most  # for each run, whether its answer leads
    return np.asarray(predictions[leading.argmax(axis=0), np.arange(predictions.shape[1])])


def apart(plain: Seeds, distorted: Seeds, points: float) -> float:
    """Probability that a plain run and one with distortions, of any seeds, differ by at least so many points."""
    return float(np.mean(plain.percent[:, None] - distorted.percent >= points - 1e-9))


def seeds(runs: Runs) -> Seeds:
    """The finished runs of an experiment on the test set."""
    labels = registry.load_mnist(None).test_labels
    return Seeds(np.array([result.arrays()["predictions"] for result in runs.finished]), labels, runs)


def both(load: Loader) -> dict[str, Seeds]:
    """The runs without and with distortions, by experiment; NoResults where there are not at least two of each."""
    used = [load.one(name) for name in THEIRS]
    few = [runs.experiment for runs in used if len(runs.finished) < 2]
    if few:
        raise NoResults(f"{few[0]} has fewer than two runs, which have no distribution")
    return {runs.experiment: seeds(runs) for runs in used}


@tables.table("seeds")
def table(load: Loader) -> Table:
    """What a seed is worth."""
    plain, distorted = both(load).values()
    used = [one.runs for one in (plain, distorted) if one.runs]
    records = [
        {"quantity": quantity, **dict(zip(TITLES.values(), values, strict=True))}
        for quantity, *values in _quantities(plain, distorted)
    ]
    header = ["", *TITLES.values()]
    body = [[str(record["quantity"]), *(_cell(record[title]) for title in TITLES.values())] for record in records]
    theirs = THEIRS[paper.LENET5] - THEIRS[paper.DIST_LENET5]
    gain = stats.ttest_ind(plain.percent, distorted.percent, equal_var=False)
    low, high = gain.confidence_interval()
    remark = (
        "Errors in percent after the last pass. Distortions gain "
        f"{plain.percent.mean() - distorted.percent.mean():.3f} points on average "
        f"(95% over seeds, Welch: {low:.3f} to {high:.3f}); in 1998 it was {theirs:.2f}. A plain run "
        f"and one with distortions, of any seeds, differ by that much or more with probability "
        f"{apart(plain, distorted, theirs):.2f}, and the one with distortions errs less with probability "
        f"{float(np.mean(plain.percent[:, None] > distorted.percent)):.2f}. "
        "Spread by chance: the standard deviation if every run missed every pattern by chance, as often as all runs "
        "together do. Halves: correlation over seeds of the errors on one half of the test patterns with those on the "
        "other; zero if no seed is better than another. Brackets: Wilson's 95% interval over seeds."
    )
    caption = "What a seed is worth: the test error of LeNet-5 over seeds."
    return Table("seeds", caption, header, body, records, tables.notes("seeds", used, remark))


def _quantities(*of: Seeds) -> Iterator[tuple[object, ...]]:
    """Rows of the table: what it is, and its value of each."""
    yield "runs", *(len(one.percent) for one in of)
    yield "1998, one run", *THEIRS.values()
    yield "mean", *(float(one.percent.mean()) for one in of)
    yield "standard deviation", *(one.sd for one in of)
    yield "the same by chance on each pattern", *(one.sd_by_chance for one in of)
    yield "the same were all patterns equally hard", *(one.sd_of_equal_patterns for one in of)
    yield "p of a spread so large by chance", *(one.p_of_chance for one in of)
    yield "least", *(float(one.percent.min()) for one in of)
    for name, q in (("5%", 0.05), ("median", 0.5), ("95%", 0.95)):
        yield name, *(float(np.quantile(one.percent, q)) for one in of)
    yield "greatest", *(float(one.percent.max()) for one in of)
    yield "central 95% of runs", *(one.central for one in of)
    yield "share of runs as good as 1998's", *(one.at_most(v) for one, v in zip(of, THEIRS.values(), strict=True))
    yield "share of runs at most 0.80", *(one.at_most(0.8) for one in of)
    yield "correlation of halves", *(one.halves for one in of)
    yield f"vote of {VOTERS}, mean", *(float(one.votes.mean()) if len(one.votes) else None for one in of)
    yield (
        f"seeds to find {DIFFERENCE:g} points, power {POWER:g}",
        *(seeds_needed(DIFFERENCE, one.sd, one.sd) for one in of),
    )


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case Share():
            return f"{value.value:.3f} ({value.low:.3f}–{value.high:.3f})"
        case (low, high):
            return f"{low:.2f}–{high:.2f}"
        case float():
            return f"{value:.3f}"
    return str(value)
