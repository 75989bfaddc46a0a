"""Tests and intervals of what some runs gave against others."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import mean

from scipy.stats import ttest_rel

from experiments.harness import tables
from experiments.harness.store import Result, Runs
from lenet98 import evaluation


@dataclass(frozen=True)
class Difference:
    """How much the last error of an experiment is above another's, over the seeds of both, percentage points."""

    seeds: tuple[int, ...]
    mean: float
    interval: tuple[float, float]
    """Student's 95% interval."""
    p: float
    """Paired t test, two-sided."""


def difference(runs: Runs, other: Runs) -> Difference | None:
    """`runs` less `other`, without diverged runs; None if they share fewer than two seeds.

    Paired by seed, since networks of one seed start alike.
    """
    ours, theirs = (
        {result.seed: float(result.last["test_error_percent"]) for result in some.finished} for some in (runs, other)
    )
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if len(seeds) < 2:
        return None
    test = ttest_rel([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])
    low, high = test.confidence_interval(0.95)
    mean = sum(ours[seed] - theirs[seed] for seed in seeds) / len(seeds)
    return Difference(seeds, mean, (float(low), float(high)), float(test.pvalue))


def span(interval: tuple[float, float]) -> str:
    """An interval of differences, with signs."""
    return " to ".join(tables.number(end, signed=True) for end in interval)


@dataclass(frozen=True)
class Change:
    """How much the error of some runs is above that of others, percentage points; None where runs are too few."""

    mean: float
    interval: tuple[float, float] | None = None
    """95%."""
    method: str = ""
    """"paired" by seed, or "Welch" where fewer than two seeds are shared."""


def change(runs: Runs, other: Runs) -> Change | None:
    """`runs` less `other` without diverged runs; None if either has none."""
    ours, theirs = ([float(r.last["test_error_percent"]) for r in some.finished] for some in (runs, other))
    if not ours or not theirs:
        return None
    if paired := difference(runs, other):
        return _finite(paired.mean, paired.interval, "paired")
    if min(len(ours), len(theirs)) > 1:
        found = evaluation.welch(ours, theirs)
        return _finite(found.mean, found.interval, "Welch")
    return Change(mean(ours) - mean(theirs))


def _finite(mean: float, interval: tuple[float, float], method: str) -> Change:
    """Without the interval that runs of no spread do not have."""
    low, high = interval
    return Change(mean, (low, high), method) if isfinite(low) and isfinite(high) else Change(mean)


def median(runs: Runs) -> Result | None:
    """The run of median error, of two middle ones the better, of equal ones that of the lowest seed."""
    ordered = sorted(runs.finished, key=lambda result: (result.last["test_errors"], result.seed))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


@dataclass(frozen=True)
class Against:
    """Exact McNemar test of one classifier's median run against LeNet-5's."""

    p: float
    corrected: float
    """By Holm, over all classifiers of the table from that source."""


def written_p(p: float | None) -> str:
    """A probability to two digits, blank for None."""
    if p is None:
        return ""
    return f"{p:.2g}" if p >= 0.001 else "<0.001"
