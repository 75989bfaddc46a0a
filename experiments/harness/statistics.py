"""Every test and interval, of some runs and of some runs against others.

What varies is the seed and the test patterns.  An interval *over seeds* is Student's: what other seeds would give on
these very patterns.  One *over seeds and patterns* is a bootstrap, which draws runs and patterns anew together: what
other seeds would give on other patterns of this kind.  Classifiers are compared by the latter, all by `compare`, on the
same patterns; p is Holm-corrected over a table (`compare_all`).

A single run says nothing of seeds.  Its interval is Wilson's, over patterns; a classifier whose seed changes nothing
has no other uncertainty.  A single run against several is compared over patterns and their seeds; a single run against
another by McNemar's exact test, whose p covers patterns alone.

**The bootstrap's spread.**  What one run does on one pattern by chance is part of the spread over runs, of that over
patterns, and a third time of their product: drawn jointly it counts three times (A. B. Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 1, 2007).  Such chance is most of the spread over seeds, so that raw joint
resamples lie about 1.4 times too far apart.  The two surplus parts are subtracted, never below the spread over patterns
alone.  Of n runs n - 1 are drawn, which makes their spread the usual s^2/n (J. N. K. Rao and C. F. J. Wu, "Resampling
inference with complex survey data", JASA 83, 1988).  That is the standard error.  Intervals and p are Student's with
it: a spread over few runs is itself uncertain, and the degrees of freedom are Satterthwaite's.  On simulated runs like
ours, three to ten of each, such 95% intervals hold the truth in 94 to 98%; raw resamples do in more than 99%.  Of three
runs one may be narrower than Student's over seeds, which knows the spread from these three numbers alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.harness import registry
from experiments.harness.identity import Json, changed
from experiments.harness.store import Result, Runs
from lenet98 import evaluation
from lenet98.evaluation import Interval

RESAMPLES = 5_000
"""Standard errors of so many are good to 1%."""

SEED = 1998
"""Of the resamples, the same for all classifiers."""

SIGNIFICANT = 0.05
"""What a corrected p must be below for two sets of runs to be told apart."""

POWER = 0.8
"""Of the comparisons for which `seeds_needed` counts seeds."""


# --- some runs --------------------------------------------------------------------------------------------------------


def unlike(rates: Sequence[float]) -> bool:
    """Whether runs of these error rates, percent, are so unlike that their mean and its interval describe none.

    So it is where some failed and others did not: the standard deviation is more than half of the mean, or of what the
    mean lacks to 100.
    """
    if len(rates) < 2:
        return False
    mean = float(np.mean(rates))
    return float(np.std(rates, ddof=1)) > min(mean, 100 - mean) / 2


def over_seeds(rates: Sequence[float]) -> Interval | None:
    """95% interval of the mean of these error rates over seeds, percent; None for a single run and `unlike` ones."""
    if len(rates) < 2 or unlike(rates):
        return None
    return _possible(Interval(*(100 * end for end in evaluation.summary([rate / 100 for rate in rates]).interval)))


def _possible(interval: Interval) -> Interval | None:
    """None if an end lies beyond 0 or 100: so few runs have no interval of this kind, and it is not cut off."""
    return interval if interval.low >= 0 and interval.high <= 100 else None


def over_patterns(runs: Runs) -> Interval | None:
    """95% interval of the mean error over seeds and test patterns, percent; of a single run over patterns.

    None without the classes of the patterns, and for runs that are `unlike`.
    """
    if len(runs.finished) == 1:
        last = runs.finished[0].last
        return _of_one(last["test_errors"], last["test_patterns"])
    wrong = _wrong(runs.finished)
    if wrong is None or unlike(_percent(runs)):
        return None
    found = _resample(wrong, "ours")
    error = standard_error(found)
    return _possible(_interval(found.mean, error, freedom(error, _percent(runs))))


def interval(errors: Sequence[int], patterns: int) -> Interval | None:
    """95%, percent, of what is known by counts alone: of several runs over seeds, of a single one over patterns."""
    if len(errors) == 1:
        return _of_one(errors[0], patterns)
    return over_seeds([100 * count / patterns for count in errors])


def _of_one(errors: int, patterns: int) -> Interval:
    return Interval(*(100 * end for end in evaluation.wilson(errors, patterns)))


def median(runs: Runs) -> Result | None:
    """The run of median error, of two middle ones the better, of equal ones that of the lowest seed."""
    ordered = sorted(runs.finished, key=lambda result: (result.last["test_errors"], result.seed))
    return ordered[(len(ordered) - 1) // 2] if ordered else None


def _percent(runs: Runs) -> list[float]:
    return [100 * result.last["test_errors"] / result.last["test_patterns"] for result in runs.finished]


# --- some runs against others -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """How much the mean error of some runs is above that of others, percentage points."""

    mean: float
    over_seeds: Interval | None = None
    """95%, on these patterns; None where either has a single run, and without any spread."""
    method: str = ""
    """Of that: "paired" by seed (`paired`) or "Welch"."""
    p_over_seeds: float | None = None
    interval: Interval | None = None
    """95%, over patterns and over the seeds of whichever has several; None for runs that are `unlike`."""
    p: float | None = None
    """Two-sided, of no difference, over the same; McNemar's where both have a single run."""
    corrected: float | None = None
    """p by Holm, over all comparisons of a table."""
    needed: float | None = None
    """Seeds of each that would tell such a difference on these patterns (`seeds_needed`); None as `over_seeds`."""

    def as_json(self) -> Json:
        """All of it, of JSON types."""
        return {
            "change": self.mean,
            "change_interval_over_seeds": list(self.over_seeds) if self.over_seeds else None,
            "change_method": self.method,
            "p_over_seeds": self.p_over_seeds,
            "change_interval": list(self.interval) if self.interval else None,
            "p": self.p,
            "p_holm": self.corrected,
            "seeds_needed": None if self.needed == inf else self.needed,
        }


def as_json(comparison: Comparison | None) -> Json:
    """`Comparison.as_json`; its fields, all None, for what is not compared."""
    return comparison.as_json() if comparison else dict.fromkeys(Comparison(0.0).as_json())


Name = TypeVar("Name", bound=Hashable)


def compare_all(pairs: Mapping[Name, tuple[Runs, Runs]]) -> dict[Name, Comparison]:
    """`compare` of every pair that can be compared, with p corrected over all of them."""
    return corrected({name: one for name, both in pairs.items() if (one := compare(*both))})


def corrected(found: Mapping[Name, Comparison]) -> dict[Name, Comparison]:
    """Comparisons with p corrected over all of them."""
    tested = {name: one.p for name, one in found.items() if one.p is not None}
    by_holm = dict(zip(tested, evaluation.holm(list(tested.values())), strict=True))
    return {name: replace(one, corrected=by_holm.get(name)) for name, one in found.items()}


def compare_with(there: Mapping[str, Runs], against: Mapping[str, str | None]) -> dict[str, Comparison]:
    """`compare_all` of experiments, each with the one that it is `against`, where both have results.

    One that is against None or itself is what others are compared with.
    """
    return compare_all({
        name: (there[name], there[other])
        for name, other in against.items()
        if other is not None and other != name and name in there and other in there
    })  # fmt: skip


def compare(runs: Runs, other: Runs) -> Comparison | None:
    """`runs` less `other`, without diverged runs; None if either has no other ones.

    Runs that are `paired` are compared over the seeds that both have, if there are two.
    """
    in_pairs = paired(runs, other)
    if in_pairs:
        runs, other = _of_seeds(runs, _seeds(other)), _of_seeds(other, _seeds(runs))
    ours, theirs = _percent(runs), _percent(other)
    if not ours or not theirs:
        return None
    wrong, wrong_of_other = _wrong(runs.finished), _wrong(other.finished)
    if wrong is None or wrong_of_other is None or not _same_patterns(runs, other):
        return _compared(ours, theirs, None, in_pairs)
    return _compared(ours, theirs, (wrong, wrong_of_other), in_pairs)


def compare_wrong(wrong: NDArray[np.bool_], wrong_of_other: NDArray[np.bool_]) -> Comparison:
    """`compare` of runs that are no pairs, by which of the same patterns each gets wrong, shape (runs, patterns)."""
    ours, theirs = (100 * some.mean(axis=1) for some in (wrong, wrong_of_other))
    return _compared(ours.tolist(), theirs.tolist(), (wrong, wrong_of_other), False)


def _compared(
    ours: Sequence[float],
    theirs: Sequence[float],
    both: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None,
    in_pairs: bool,
) -> Comparison:
    """Of error rates, percent, and of which patterns the runs of both miss, None if that is not known."""
    mean = float(np.mean(ours) - np.mean(theirs))
    if unlike(ours) or unlike(theirs):
        return Comparison(mean)
    found = Comparison(mean)
    if min(len(ours), len(theirs)) > 1:
        found = _difference_over_seeds(ours, theirs, in_pairs)
    if both is None:
        return found
    wrong, wrong_of_other = both
    difference = _resample(wrong, "ours") - _resample(wrong_of_other, "ours" if in_pairs else "theirs")
    error = standard_error(difference)
    differences = [one - another for one, another in zip(ours, theirs, strict=True)] if in_pairs else []
    degrees = freedom(error, differences) if in_pairs else freedom(error, ours, theirs)
    if len(wrong) == len(wrong_of_other) == 1:
        p = evaluation.mcnemar(wrong[0], wrong_of_other[0], np.zeros(wrong.shape[1]))
    else:
        p = 2 * float(stats.t.sf(abs(mean) / error, degrees)) if error else 1.0
    return replace(found, interval=_interval(mean, error, degrees), p=p)


FREE: Mapping[str, frozenset[str]] = {
    "online": frozenset({
        "etas", "mu", "curvature_patterns", "reading.loss", "reading.j", "reading.loss_scale",
        "reading.output_curvature", "reading.coefficient_curvature", "reading.curvature_patterns",
        "reading.final_weights",
    }),
    "curvature methods": frozenset({"curvature_method", "matched", "probes"}),
    "mini-batches": frozenset({
        "optimizer.method", "optimizer.rate", "optimizer.momentum", "optimizer.weight_decay", "optimizer.epsilon",
        "optimizer.rho", "schedule", "factors", "network.dropout",
    }),
}  # fmt: skip
"""By family, what may differ between two trainings of one seed that are still a pair: how weights are moved."""


def paired(runs: Runs, other: Runs) -> bool:
    """Whether runs of one seed are pairs: the same network with the same initial weights, shown the same patterns with
    the same distortions in the same order.

    Only these go the same way for long enough to end alike: over all published runs errors of such pairs are correlated
    over seeds by about 0.3, those of others not at all, although a seed draws their weights alike.  To pair what is not
    correlated would halve the degrees of freedom for nothing.  Fewer than two shared seeds make no pairs.
    """
    if len(_seeds(runs) & _seeds(other)) < 2:
        return False
    ours, theirs = runs.finished[0].record, other.finished[0].record
    if ours["family"] != theirs["family"]:
        return False
    return FREE.get(ours["family"], frozenset()).issuperset(changed(ours["config"], theirs["config"]))


def _seeds(runs: Runs) -> set[int]:
    return {result.seed for result in runs.finished}


def _of_seeds(runs: Runs, seeds: set[int]) -> Runs:
    """Those of these seeds that finished, by seed."""
    return replace(runs, results=tuple(result for result in runs.finished if result.seed in seeds))


def _difference_over_seeds(ours: Sequence[float], theirs: Sequence[float], in_pairs: bool) -> Comparison:
    """What seeds alone say on these patterns; runs without any spread say nothing."""
    mean = float(np.mean(ours) - np.mean(theirs))
    varying = [np.subtract(ours, theirs)] if in_pairs else [ours, theirs]
    if all(np.allclose(rates, rates[0]) for rates in varying):
        return Comparison(mean)
    if in_pairs:
        test = stats.ttest_rel(ours, theirs)
        interval, p = Interval(*map(float, test.confidence_interval(evaluation.CONFIDENCE))), float(test.pvalue)
    else:
        _, interval, p = evaluation.welch(ours, theirs)
    needed = seeds_needed(mean, *(float(np.std(rates, ddof=1)) for rates in varying))
    return Comparison(mean, interval, "paired" if in_pairs else "Welch", p, needed=needed)


def seeds_needed(difference: float, *sds: float, power: float = POWER) -> float:
    """Seeds of each of two sets of runs with which a test over seeds tells their difference, at the 5% level.

    Parameters
    ----------
    difference
        Of the means, percentage points.
    *sds
        Standard deviations over seeds: of both sets, for Welch's test; of the differences of pairs alone, for theirs.
    power
        Probability that the test finds it.

    Returns
    -------
    The least whole number, two at least, as if difference and deviations were the true ones; infinity for a
    difference of 0.  From the noncentral distribution of t^2, which is F's, with the degrees of freedom that
    Satterthwaite's formula gives for the true deviations.  ValueError where nothing varies.
    """
    variances = np.square(sds)
    if not variances.any():
        raise ValueError(f"standard deviations of {sds} need no test")
    if np.isclose(difference, 0, atol=1e-9):  # equal counts of errors, whatever their means round to
        return inf
    kept = variances.sum() ** 2 / np.square(variances).sum()  # of equal spreads 2: both sets have n - 1

    def tells(n: int) -> bool:
        freedom = kept * (n - 1)
        edge = stats.t.ppf(1 - SIGNIFICANT / 2, freedom) ** 2
        return bool(stats.ncf.sf(edge, 1, freedom, difference**2 * n / variances.sum()) >= power)

    enough = 2
    while not tells(enough):
        enough *= 2
    return enough if enough == 2 else bisect_left(range(enough), True, lo=enough // 2, key=tells)


# --- the bootstrap ----------------------------------------------------------------------------------------------------


class Resampled(NamedTuple):
    """A mean error over runs, or a difference of two, percent, and what it is in resamples, shape (RESAMPLES,)."""

    mean: float
    jointly: NDArray[np.float64]
    """With both drawn anew."""
    of_runs: NDArray[np.float64]
    """With the same runs, on these patterns."""
    of_patterns: NDArray[np.float64]
    """Of these runs, on the same patterns."""

    def __sub__(self, other: Resampled) -> Resampled:
        return Resampled(
            self.mean - other.mean,
            self.jointly - other.jointly,
            self.of_runs - other.of_runs,
            self.of_patterns - other.of_patterns,
        )


def standard_error(found: Resampled) -> float:
    """Of the mean, over runs and patterns, without what joint resamples count twice too often."""
    product = found.jointly - found.of_runs - found.of_patterns
    return max(float(np.var(found.jointly) - 2 * np.var(product)), float(np.var(found.of_patterns))) ** 0.5


def freedom(error: float, *sets: Sequence[float]) -> float:
    """Satterthwaite's degrees of freedom of a standard error, from the rates of each set of runs that is in it.

    Only what is estimated from few runs is uncertain; there are thousands of patterns.  Pairs are one set, of their
    differences.
    """
    shares = [(float(np.var(rates, ddof=1)) / len(rates)) ** 2 / (len(rates) - 1) for rates in sets if len(rates) > 1]
    return error**4 / sum(shares) if any(shares) else inf


def _interval(mean: float, error: float, degrees: float) -> Interval:
    half = float(stats.t.ppf((1 + evaluation.CONFIDENCE) / 2, degrees)) * error
    return Interval(mean - half, mean + half)


def _resample(wrong: NDArray[np.bool_], whose: str) -> Resampled:
    """Of the runs that miss these patterns, shape (runs, patterns); sets of one `whose` draw the same runs."""
    patterns = wrong.shape[1]
    missed = wrong.any(axis=0)
    rates = wrong[:, missed].astype(np.float32) @ _drawn_patterns(patterns)[missed]  # whole numbers, so exact
    rates = 100 / patterns * rates.astype(np.float64)
    shares, observed = _drawn_runs(len(wrong), whose), 100 * wrong.mean(axis=1)
    return Resampled(float(observed.mean()), (shares * rates).sum(0), observed @ shares, rates.mean(0))


@lru_cache(maxsize=1)
def _drawn_patterns(patterns: int) -> NDArray[np.uint8]:
    """How often every pattern is drawn, shape (patterns, RESAMPLES)."""
    rng = np.random.default_rng((SEED, patterns))
    counts = np.empty((RESAMPLES, patterns), np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, patterns, patterns), minlength=patterns)
    return np.ascontiguousarray(counts.T)


@lru_cache(maxsize=64)
def _drawn_runs(runs: int, whose: str) -> NDArray[np.float64]:
    """The share of every run in a resample, shape (runs, RESAMPLES); one run fewer is drawn than there are."""
    rng = np.random.default_rng((SEED, runs, *whose.encode()))
    drawn = max(runs - 1, 1)
    return np.ascontiguousarray(rng.multinomial(drawn, np.full(runs, 1 / runs), RESAMPLES).T) / drawn


def _wrong(results: Sequence[Result]) -> NDArray[np.bool_] | None:
    """Which patterns each run misses, shape (runs, patterns); None without their classes (`registry.judged`)."""
    rows = [_missed(r.path, r.record["arrays_sha256"], *_judges(r)) for r in results]
    return None if not rows or any(row is None for row in rows) else np.stack([row for row in rows if row is not None])


@lru_cache(maxsize=1024)
def _missed(path: Path, _digest: str, data: str, held_out: int) -> NDArray[np.bool_] | None:
    labels = registry.judged(data, {"held_out": held_out})
    return None if labels is None else np.asarray(Result(path, {}).arrays()["predictions"] != labels)


class Judges(NamedTuple):
    """Which patterns judge a run."""

    data: str
    held_out: int
    """How many training patterns; 0 where the test set does."""


def judges(runs: Runs) -> Judges:
    """Which patterns judge some runs, by the first of them."""
    return _judges(runs.results[0])


def _judges(result: Result) -> Judges:
    return Judges(result.record["data"], int(result.record["config"].get("held_out") or 0))


def _same_patterns(runs: Runs, other: Runs) -> bool:
    return len({_judges(result) for result in (*runs.finished, *other.finished)}) == 1
