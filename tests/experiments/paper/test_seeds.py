"""What a seed is worth, on runs whose distribution is known."""

import numpy as np
import pytest
from scipy import stats

from experiments.harness import tables
from experiments.harness.loader import Loader, NoResults
from experiments.paper import numbers as paper
from experiments.paper.seeds import Seeds, apart, vote
from tests import fakes

PATTERNS, RUNS = 2000, 100


def drawn(probabilities, seed=0):
    """Runs that miss each pattern by chance; `probabilities` is (patterns,) or (runs, patterns)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 9, PATTERNS).astype(np.uint8)
    wrong = rng.random((RUNS, PATTERNS)) < probabilities
    return Seeds(np.where(wrong, labels + 1, labels).astype(np.uint8), labels)


def test_a_spread_by_chance_is_told_from_seeds_that_are_better():
    """Most patterns are easy and few are hard: the spread is less than the binomial one of equal patterns."""
    difficulty = np.where(np.arange(PATTERNS) < 100, 0.4, 0.001)
    chance = drawn(difficulty)
    expected = 100 * np.sqrt((difficulty * (1 - difficulty)).sum()) / PATTERNS
    assert chance.sd_by_chance == pytest.approx(expected, rel=0.03)
    assert chance.sd == pytest.approx(expected, rel=0.2)
    assert chance.sd_by_chance < 0.85 * chance.sd_of_equal_patterns
    assert chance.p_of_chance > 0.05
    assert abs(chance.halves) < 0.25

    skill = np.random.default_rng(1).uniform(0.5, 1.5, (RUNS, 1))
    better = drawn(difficulty * skill)
    assert better.sd > 1.4 * better.sd_by_chance
    assert better.p_of_chance < 0.001
    assert better.halves > 0.5


def test_the_vote_takes_the_class_of_most_and_of_equals_that_of_the_earliest_run():
    predictions = np.array([[1, 2, 3, 5], [1, 4, 4, 6], [2, 4, 5, 7]], np.uint8)
    assert vote(predictions).tolist() == [1, 4, 3, 5]


def test_votes_are_of_groups_of_ten_and_a_rest_is_left_out():
    labels = np.zeros(3, np.uint8)
    predictions = np.zeros((25, 3), np.uint8)
    predictions[:6, 0] = 1  # most of the first ten are wrong about the first pattern
    predictions[20:, 1] = 1
    assert Seeds(predictions, labels).votes.tolist() == pytest.approx([100 / 3, 0])


def test_shares_count_runs_at_the_limit():
    labels = np.zeros(10_000, np.uint8)
    predictions = np.zeros((4, 10_000), np.uint8)
    for run, errors in enumerate((94, 95, 96, 97)):
        predictions[run, :errors] = 1
    runs = Seeds(predictions, labels)
    assert runs.at_most(0.95).value == 0.5
    low, high = runs.at_most(0.95)[1:]
    assert (low, high) == pytest.approx(stats.binomtest(2, 4).proportion_ci(method="wilson"))
    assert apart(runs, runs, 0.02) == 3 / 16


def test_the_table_has_both_rows_and_says_what_distortions_gain(tmp_path, mnist):
    labels = mnist.test_labels
    for name, errors in ((paper.LENET5, (94, 100, 106)), (paper.DIST_LENET5, (80, 84, 88))):
        for seed, count in enumerate(errors):
            predictions = labels.copy()
            predictions[100 * seed : 100 * seed + count] = (labels[100 * seed : 100 * seed + count] + 1) % 10
            fakes.publish(tmp_path, name, seed, test=count, predictions=predictions, identity=fakes.JUDGED)
    found = tables.named("seeds")(Loader(reference=tmp_path))
    rows = {record["quantity"]: (record["LeNet-5"], record["[dist] LeNet-5"]) for record in found.records}
    assert rows["1998, one run"] == (0.95, 0.82)
    assert rows["mean"] == pytest.approx((1.0, 0.84))
    assert [share.value for share in rows["share of runs as good as 1998's"]] == pytest.approx([1 / 3, 1 / 3])
    assert rows["vote of 10, mean"] == (None, None)
    assert rows["seeds to find 0.1 points, power 0.8"] == (7, 4)  # of deviations of 0.06 and 0.04
    assert "Distortions gain 0.160 points on average" in found.notes[0]


def test_a_single_run_has_no_distribution(tmp_path):
    for name in (paper.LENET5, paper.DIST_LENET5):
        fakes.publish(tmp_path, name, 0)
    with pytest.raises(NoResults, match="fig9/lenet5 has fewer than two runs"):
        tables.named("seeds")(Loader(reference=tmp_path))
