"""Against cases worked by hand and textbook values."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import confusion_matrix

from lenet98.evaluation import (
    confusion,
    curve,
    errors,
    holm,
    least_rejected,
    mcnemar,
    predict,
    rejection_at,
    rejection_score,
    summary,
    welch,
    wilson,
)
from tests.strategies import few

# Five patterns, three classes; true classes 0 0 1 2 2, the second and the fourth are misclassified.
DISTANCES = np.array([[1, 9, 5], [4, 3, 8], [7, 2, 9], [5, 8, 7], [6, 6, 0]], np.float32)
LABELS = np.array([0, 0, 1, 2, 2], np.uint8)


def test_class_of_the_smallest_distance():
    assert predict(DISTANCES).tolist() == [0, 1, 1, 0, 2]
    assert errors(predict(DISTANCES), LABELS) == 2
    assert predict(np.array([[3.0, 1.0, 1.0]])).tolist() == [1]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_diverged_network_predicts_nothing(bad):
    with pytest.raises(ValueError, match="diverged"):
        predict(np.array([[1.0, bad], [2.0, 3.0]]))


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"one length, got \(2,\) and \(1,\)"):
        errors([1, 2], [1])
    with pytest.raises(ValueError, match=r"got \(10,\)"):
        predict(np.zeros(10))


def test_confusion_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500).astype(np.uint8)  # bytes: 10 * 29 would wrap round
    given = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 10, 500)).astype(np.uint8)
    np.testing.assert_array_equal(confusion(given, labels), confusion_matrix(labels, given))
    assert confusion([1], [0]).tolist()[0][:2] == [0, 1]  # rows are the true classes
    with pytest.raises(ValueError, match=r"must lie in 0\.\.9"):
        confusion([10], [0])


def test_rejection_by_hand():
    assert rejection_score(DISTANCES).tolist() == [4, 1, 5, 2, 6]
    rejected, rates = curve(rejection_score(DISTANCES), predict(DISTANCES) != LABELS)
    # Rejected first are the two errors (scores 1 and 2), then patterns 0, 2 and 4.
    assert rejected.tolist() == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert rates.tolist() == pytest.approx([2 / 5, 1 / 4, 0, 0, 0, 0])
    assert rejection_at(DISTANCES, LABELS) == 0.4
    assert least_rejected(np.array([4.0, 1, 5, 2, 6]), np.array([0, 1, 0, 1, 0], bool), 0.25) == 0.2
    assert rejection_at(DISTANCES, LABELS, 0.25) == 0.2
    assert rejection_at(DISTANCES, LABELS, 0.4) == 0


def test_equal_scores_are_rejected_together():
    rejected, rates = curve(np.array([2.0, 1, 2, 2]), np.array([True, False, False, False]))
    assert rejected.tolist() == [0, 0.25, 1]
    assert rates.tolist() == pytest.approx([1 / 4, 1 / 3, 0])


def test_rejecting_everything_is_the_last_resort():
    assert rejection_at(np.array([[0.0, 1], [0, 2]]), [0, 1]) == 1


def test_wilson_by_its_formula_and_a_published_case():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 0 of 20.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    z, p, n = 1.959964, 0.0095, 10_000
    center, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert wilson(95, n) == pytest.approx(((center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)))
    with pytest.raises(ValueError, match="3 errors among 2 patterns are impossible"):
        wilson(3, 2)


def test_mcnemar_by_the_binomial_tail():
    labels = np.zeros(20, int)
    a, b = np.zeros(20, int), np.zeros(20, int)
    a[:1], b[1:9] = 1, 1  # 1 against 8 discordant: 2 (C(9,0) + C(9,1)) / 2^9
    a[15:], b[15:] = 2, 3  # both wrong, which does not count
    assert mcnemar(a, b, labels) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(b, a, labels) == pytest.approx(2 * (1 + 9) / 2**9)
    assert mcnemar(a, a, labels) == 1


def test_holm_by_hand():
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, which must not fall below the third's 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"from 0 to 1, got \[0.5, 1.5\]"):
        holm([0.5, 1.5])
    with pytest.raises(ValueError, match="from 0 to 1"):
        holm([float("nan")])


@few
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_rejects_what_its_steps_reject(p, level):
    """Holm (1979): the smallest p against level/m, the next against level/(m - 1), until the first that fails."""
    rejected = set()
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[place] * (len(p) - rank) > level:
            break
        rejected.add(place)
    assert {place for place, adjusted in enumerate(holm(p)) if adjusted <= level} == rejected


def test_summary_by_hand():
    # 0.9, 1.0 and 1.1%: sd 0.1; t of 2 degrees of freedom is 4.3027, so +- 0.24842.
    found = summary([0.009, 0.010, 0.011])
    assert found.n == 3
    assert found.mean == pytest.approx(0.010)
    assert found.sd == pytest.approx(0.001)
    assert found.interval == pytest.approx((0.0075158, 0.0124842), abs=1e-6)


def test_summary_of_one_run_is_wilsons():
    found = summary([0.0095])
    assert np.isnan(found.sd)
    assert found.interval == wilson(95, 10_000)
    assert summary([0.5], patterns=20).interval == wilson(10, 20)
    assert summary([0.1, 0.9]).interval.low < 0  # not cut off: these two have no such interval


@pytest.mark.parametrize("rates", [[], [0.95, 1.02], [float("nan")]])
def test_a_summary_needs_rates(rates):
    with pytest.raises(ValueError, match="at least one error rate between 0 and 1"):
        summary(rates)


def test_welchs_interval_by_hand():
    """Means 2 and 4, variances 1 and 4 over 3 runs: standard error sqrt(5/3), (5/3)^2 / (1/18 + 16/18) = 50/17 df."""
    found = welch([1, 2, 3], [2, 4, 6])
    half = stats.t.ppf(0.975, 50 / 17) * sqrt(5 / 3)
    assert found.mean == -2
    assert found.interval == pytest.approx((-2 - half, -2 + half))
    assert found.p == pytest.approx(2 * stats.t.sf(2 / sqrt(5 / 3), 50 / 17))
    with pytest.raises(ValueError, match="two runs or more of each, got 1 and 3"):
        welch([1], [2, 4, 6])
