"""Errors, rejection and their uncertainty, from distances, classes given and classes true (Sections III.B and III.C).

Nothing here knows a network: rows of `distances` are the outputs y_i of eq. 7 for one pattern, smallest for the class
chosen, and any classifier's scores serve with their signs turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval."""


class Interval(NamedTuple):
    """Its two ends, in the unit of what it is of: fractions here, percent in tables."""

    low: float
    high: float


class Summary(NamedTuple):
    """Error rates of several runs, as fractions."""

    n: int
    mean: float
    sd: float
    """Sample standard deviation (divisor n - 1); NaN for one run."""
    interval: Interval
    """95%, of the mean over seeds (Student's t); for one run, of its rate over patterns (Wilson).

    Student's may reach beyond 0 or 1: then the runs are too unlike for it, and are better listed.
    """


def predict(distances: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The class of the smallest distance, of the lowest number where two tie (II.B), shape (n,).

    Raises ValueError for distances that are not a table of numbers (n, classes), such as those of a diverged network.
    """
    if distances.ndim != 2 or distances.shape[1] < 2:
        raise ValueError(f"distances must have shape (n, classes), got {distances.shape}")
    if not np.isfinite(distances).all():
        raise ValueError("some distances are not finite: the network that gave them has diverged")
    return distances.argmin(axis=1)


def errors(predictions: ArrayLike, labels: ArrayLike) -> int:
    """Number of patterns misclassified; ValueError unless there is one label for each prediction."""
    return int(np.count_nonzero(_wrong(predictions, labels)))


def confusion(predictions: ArrayLike, labels: ArrayLike, classes: int = 10) -> NDArray[np.intp]:
    """Patterns of true class i that were given class j, shape (classes, classes).

    Raises ValueError for a class that is not below `classes`.
    """
    _wrong(predictions, labels)
    given, true = np.asarray(predictions, int), np.asarray(labels, int)
    if true.size and not 0 <= min(given.min(), true.min()) <= max(given.max(), true.max()) < classes:
        raise ValueError(f"predictions and labels must lie in 0..{classes - 1}")
    return np.bincount(classes * true + given, minlength=classes**2).reshape(classes, classes)


def _wrong(predictions: ArrayLike, labels: ArrayLike) -> NDArray[np.bool_]:
    given, true = np.asarray(predictions), np.asarray(labels)
    if given.shape != true.shape or given.ndim != 1:
        raise ValueError(f"predictions and labels must be two rows of one length, got {given.shape} and {true.shape}")
    return given != true


# --- rejection (III.C, Fig. 10) ---------------------------------------------------------------------------------------


def rejection_score(distances: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Difference of the two best outputs; the smaller, the sooner a pattern is rejected.  Shape (n,), at least 0."""
    nearest, second = np.partition(distances, 1, axis=1)[:, :2].T
    return second - nearest


def curve(
    scores: NDArray[np.floating[Any]], wrong: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fraction rejected, and error rate on the rest, for every threshold on the rejection score.

    Patterns of equal score are rejected together.

    Parameters
    ----------
    scores, wrong
        `rejection_score` of every pattern, and whether it is misclassified, shape (n,).

    Returns
    -------
    rejected, rates
        From nothing rejected up, of one length; the last point rejects all and has rate 0.

    Raises ValueError if there are no patterns, or not one outcome per score.
    """
    n = len(scores)
    if n == 0 or wrong.shape != (n,):
        raise ValueError(f"a rejection curve needs one score and one outcome a pattern, got {n} and {wrong.shape}")
    order = np.argsort(scores)
    rejected = np.append(np.flatnonzero(np.diff(scores[order], prepend=-np.inf)), n)
    remaining = np.count_nonzero(wrong) - np.concatenate(([0], np.cumsum(wrong[order])))[rejected]
    return rejected / n, remaining / np.maximum(n - rejected, 1)


def rejection_at(distances: NDArray[np.floating[Any]], labels: ArrayLike, error_rate: float = 0.005) -> float:
    """Least fraction that must be rejected for an error rate of at most `error_rate` on the rest (Fig. 10: 0.5%)."""
    return least_rejected(rejection_score(distances), _wrong(predict(distances), labels), error_rate)


def least_rejected(scores: NDArray[np.floating[Any]], wrong: NDArray[np.bool_], error_rate: float = 0.005) -> float:
    """`rejection_at` of patterns whose scores, and whether they are misclassified, are already known."""
    rejected, rates = curve(scores, wrong)
    return float(rejected[rates <= error_rate][0])


# --- uncertainty ------------------------------------------------------------------------------------------------------


def wilson(errors: int, n: int) -> Interval:
    """Wilson's 95% interval of the error rate, `errors` among `n` patterns, as fractions.

    Raises ValueError for no patterns, and for fewer errors than none or more than patterns.
    """
    if not 0 <= errors <= n or n == 0:
        raise ValueError(f"{errors} errors among {n} patterns are impossible")
    return Interval(*map(float, stats.binomtest(errors, n).proportion_ci(CONFIDENCE, method="wilson")))


def mcnemar(predictions_a: ArrayLike, predictions_b: ArrayLike, labels: ArrayLike) -> float:
    """Exact two-sided p-value of McNemar's test: whether two classifiers err equally often on the same patterns.

    All three are classes, shape (n,).  Raises ValueError unless they are of one length.
    """
    wrong_a, wrong_b = _wrong(predictions_a, labels), _wrong(predictions_b, labels)
    only_a, only_b = int(np.count_nonzero(wrong_a & ~wrong_b)), int(np.count_nonzero(wrong_b & ~wrong_a))
    if only_a + only_b == 0:
        return 1.0
    return float(stats.binomtest(only_a, only_a + only_b).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that keep the chance of any false rejection among all tests to their level.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below one that was smaller, none
    exceeds 1.  Returned in the order given; ValueError for what is no probability.
    """
    p = np.asarray(p_values, float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values must be a row of numbers from 0 to 1, got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted.tolist()


def summary(rates: Sequence[float], patterns: int = 10_000) -> Summary:
    """Mean, spread and 95% interval of the error rates (fractions) of runs that differ in their seed.

    The interval is Student's over several runs, and Wilson's for a single one.

    Parameters
    ----------
    rates
        One a run; at least one.
    patterns
        Test patterns of a run, for the interval of a single one.
    """
    n = len(rates)
    if n == 0 or not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(f"a summary needs at least one error rate between 0 and 1, got {list(rates)}")
    mean = float(np.mean(rates))
    if n == 1:
        return Summary(1, mean, float("nan"), wilson(round(mean * patterns), patterns))
    sd = float(np.std(rates, ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / n**0.5
    return Summary(n, mean, sd, Interval(mean - half, mean + half))


class Difference(NamedTuple):
    """How much one mean is above another."""

    mean: float
    interval: Interval
    """95%."""
    p: float
    """Two-sided, of no difference."""


def welch(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Mean of `first` less that of `second`, of independent runs whose spreads may differ (Welch's t).

    Raises ValueError unless both have two values or more.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"Welch's interval needs two runs or more of each, got {len(first)} and {len(second)}")
    test = stats.ttest_ind(first, second, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    return Difference(float(np.mean(first) - np.mean(second)), Interval(float(low), float(high)), float(test.pvalue))
