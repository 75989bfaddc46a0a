"""Intervals and comparisons against independent computations, and the rules by which they are made."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments.harness import registry, statistics, tables
from experiments.harness.identity import Identity
from experiments.harness.statistics import (
    compare,
    compare_all,
    compare_wrong,
    over_patterns,
    paired,
    seeds_needed,
    unlike,
)
from experiments.harness.store import Runs, read_folder
from lenet98 import evaluation
from tests.fakes import publish

PATTERNS = 400
REFERENCE = Path(__file__).parents[3] / "reference"


def some(folder, name, wrong, *, config=None, family="online", first=0):
    """Runs that miss the patterns `wrong`, shape (runs, patterns), of which each has class 0."""
    identity = Identity(config or {}, "zeros", family, {family: 1})
    for seed, row in enumerate(np.atleast_2d(wrong), first):
        errors, patterns = int(row.sum()), len(row)
        publish(folder, name, seed, test=errors, test_patterns=patterns, predictions=row, identity=identity)
    return Runs(name, "reference", folder / name, read_folder(folder / name))


REAL = registry.judged


@pytest.fixture(autouse=True)
def zeros(monkeypatch):
    """Patterns of class 0, so that a prediction of 1 is an error."""
    monkeypatch.setattr(
        registry,
        "judged",
        lambda data, config: np.zeros(PATTERNS, np.uint8) if data == "zeros" else REAL(data, config),
    )


def draw(rng, runs, rate=0.05, patterns=PATTERNS, spread=0.0):
    """Runs of a classifier for which some patterns are harder than others, and some seeds worse."""
    difficulty = rng.beta(0.3, 0.3 / rate, patterns)
    return draws(rng, runs, difficulty, spread)


def draws(rng, runs, difficulty, spread=0.0):
    return rng.random((runs, len(difficulty))) < difficulty * np.exp(spread * rng.normal(size=(runs, 1)))


# --- the bootstrap


def plainly(ours, theirs, rng, times=6_000, together=False):
    """The standard error that `statistics` promises, by a loop: joint, by runs and by patterns."""
    found = []
    for _ in range(times):
        patterns = rng.integers(0, ours.shape[1], ours.shape[1])
        resampled = np.zeros(3)
        drawn = None
        for sign, wrong in ((1, ours), (-1, theirs)):
            if drawn is None or not together:
                drawn = rng.integers(0, len(wrong), max(len(wrong) - 1, 1))
            resampled += sign * np.array(
                [wrong[drawn][:, patterns].mean(), wrong[drawn].mean(), wrong[:, patterns].mean()]
            )
        found.append(100 * resampled)
    jointly, of_runs, of_patterns = np.array(found).T
    surplus = np.var(jointly - of_runs - of_patterns)
    return max(np.var(jointly) - 2 * surplus, np.var(of_patterns)) ** 0.5


@pytest.mark.parametrize(("ours", "theirs", "together"), [(5, 5, False), (1, 6, False), (3, 3, True), (6, 2, False)])
def test_standard_error_of_a_difference_is_that_of_a_loop(ours, theirs, together):
    rng = np.random.default_rng(ours)
    difficulty = rng.beta(0.3, 6, PATTERNS)
    first, second = draws(rng, ours, difficulty, 0.5), draws(rng, theirs, difficulty, 0.5)
    difference = statistics._resample(first, "ours") - statistics._resample(second, "ours" if together else "theirs")
    expected = plainly(first, second, rng, together=together)
    assert statistics.standard_error(difference) == pytest.approx(expected, rel=0.06)


def test_standard_error_is_that_of_components_of_variance():
    """Patterns' spread of the mean, and what runs differ by beyond the chance of single runs on single patterns."""
    rng = np.random.default_rng(1)
    wrong = draw(rng, 6, patterns=2_000, spread=0.5)
    n, patterns = wrong.shape
    of_patterns = wrong.mean(0).var() / patterns
    of_runs = wrong.mean(1).var(ddof=1) / n
    residuals = wrong - wrong.mean(0) - wrong.mean(1)[:, None] + wrong.mean()
    chance = (residuals**2).sum() / ((n - 1) * patterns) / (n * patterns)
    expected = 100 * (of_patterns + max(of_runs - chance, 0)) ** 0.5
    assert statistics.standard_error(statistics._resample(wrong, "ours")) == pytest.approx(expected, rel=0.03)
    assert of_runs > 3 * chance  # so that runs have a part in it


def test_a_single_run_resampled_over_patterns_is_scipys_bootstrap():
    rng = np.random.default_rng(2)
    first, second = draw(rng, 1), draw(rng, 1)
    found = statistics._resample(first, "ours") - statistics._resample(second, "theirs")
    scipys = stats.bootstrap(((100.0 * first[0] - 100.0 * second[0]),), np.mean, n_resamples=5_000, rng=3)
    assert statistics.standard_error(found) == pytest.approx(scipys.standard_error, rel=0.04)


def test_resamples_are_the_same_every_time():
    wrong = draw(np.random.default_rng(4), 5)
    once = statistics._resample(wrong, "ours")
    statistics._drawn_patterns.cache_clear()
    statistics._drawn_runs.cache_clear()
    np.testing.assert_array_equal(once.jointly, statistics._resample(wrong, "ours").jointly)
    assert statistics._drawn_patterns(PATTERNS).sum(0).tolist() == [PATTERNS] * statistics.RESAMPLES


@pytest.mark.parametrize(("ours", "theirs"), [(5, 5), (3, 3), (1, 8)])
def test_what_does_not_differ_is_told_apart_in_one_comparison_of_twenty(tmp_path, ours, theirs, monkeypatch):
    """Two classifiers of one error rate that find other patterns hard."""
    rng = np.random.default_rng(5)
    told, times = 0, 300
    for _ in range(times):
        common = rng.beta(0.5, 4, PATTERNS)
        both = [draws(rng, n, common * rng.exponential(size=PATTERNS), 0.0 if n == 1 else 0.15) for n in (ours, theirs)]
        monkeypatch.setattr(statistics, "_wrong", lambda runs: runs[0].wrong)
        first, second = (held(wrong) for wrong in both)
        found = compare(first, second)
        told += found.p is not None and found.p < 0.05  # it is None where chance makes runs unlike
    assert 0.015 <= told / times <= 0.085


class Held:
    """A result whose errors are given."""

    diverged = False

    def __init__(self, seed, wrong):
        self.seed, self.wrong = seed, wrong
        self.record = {"family": "other", "data": "zeros", "config": {"wrong": id(wrong)}}
        self.last = {"test_errors": int(wrong[seed].sum()), "test_patterns": wrong.shape[1]}


def held(wrong):
    return Runs("made", "reference", Path(), tuple(Held(seed, wrong) for seed in range(len(wrong))))


# --- rows


def test_intervals_of_a_row_say_what_they_cover(tmp_path):
    wrong = draw(np.random.default_rng(6), 5)
    row = tables.test_row(some(tmp_path, "several", wrong), "row", None)
    student = stats.t.interval(0.95, 4, wrong.mean(), stats.sem(wrong.mean(1)))
    assert row.interval == pytest.approx(100 * np.array(student))
    assert row.joint[0] < row.interval[0] < row.interval[1] < row.joint[1]
    record = row.as_json()
    assert (record["interval_covers"], record["interval_over_seeds_and_patterns"]) == ("seeds", list(row.joint))
    single = tables.test_row(some(tmp_path, "single", wrong[:1]), "row", None)
    assert single.joint == pytest.approx(100 * np.array(evaluation.wilson(int(wrong[0].sum()), PATTERNS)))
    assert (single.as_json()["interval_covers"], single.drawn) == ("patterns", single.interval)
    assert single.as_json()["interval_over_seeds_and_patterns"] is None
    assert tables.cells(single)[4:6] == ["", tables.between(single.joint)]


def test_runs_on_patterns_of_unknown_class_have_no_interval_over_patterns(tmp_path):
    for seed in (0, 1):
        publish(tmp_path, "made", seed, test=90 + seed)
    runs = Runs("made", "reference", tmp_path / "made", read_folder(tmp_path / "made"))
    assert over_patterns(runs) is None
    assert tables.test_row(runs, "row", None).interval is not None
    assert compare(runs, runs).p is None


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((0.9, 1.0, 1.1), False), ((90.26, 11.99, 9.17, 3.43, 5.93), True), ((80, 82, 25, 9, 28), True),
        ((90.2, 52.5, 90.3, 63.9, 91.1), True), ((0.9, 1.1), False), ((2.4, 1.6, 1.4, 1.5, 1.8), False),
        ((5,), False), ((90, 91, 90), False),
    ],
)  # fmt: skip
def test_partly_failed_runs_are_unlike(rates, expected):
    assert unlike(rates) is expected


def test_unlike_runs_are_listed_and_neither_averaged_nor_compared(tmp_path):
    rng = np.random.default_rng(7)
    wrong = np.concatenate([draw(rng, 3), np.ones((1, PATTERNS), bool)])
    failed, fine = some(tmp_path, "failed", wrong), some(tmp_path, "fine", draw(rng, 4), family="other")
    row = tables.test_row(failed, "row", 1.0)
    rates = ", ".join(f"{100 * rate:.2f}" for rate in wrong.mean(1))
    assert tables.cells(row)[1:] == [f"{rates} (by seed)", "", "4", "", "", ""]
    assert (row.interval, row.joint) == (None, None)
    assert row.as_json()["by_seed"] == pytest.approx(100 * wrong.mean(1))
    found = compare(failed, fine)
    assert (found.interval, found.p, found.over_seeds) == (None, None, None)
    assert tables.compared_cells(found) == ["", "", ""]


def test_no_published_interval_is_cut_off():
    """Of all that several runs gave."""
    for folder in sorted({path.parent for path in REFERENCE.rglob("seed-*.json")}):
        runs = Runs("", "reference", folder, read_folder(folder))
        errors, patterns = tables.counts(
            [result for result in runs.finished if result.passes]
        )  # measurements have none
        if (row := tables.summarize("", None, errors, patterns)).interval:
            assert 0 < row.interval[0] <= row.mean <= row.interval[1] < 100


def test_two_runs_that_say_too_little_have_no_interval_rather_than_one_cut_off(tmp_path):
    # 0.9% and 1.1%: sd 0.1414, t of one degree of freedom 12.7, so -+ 1.27.
    row = tables.summarize("row", None, [90, 110], 10_000)
    assert (row.interval, row.by_seed, row.sd) == (None, (), pytest.approx(0.1414, abs=1e-4))
    wrong = draw(np.random.default_rng(18), 2, spread=0.2)
    found = compare(some(tmp_path, "one", wrong), some(tmp_path, "other", wrong, family="other"))
    assert found.interval is not None  # their differences have one all the same


# --- comparisons


ONLINE = {"spec": {"layers": []}, "reading": {"j": 1.0, "init_gain": 1.7}, "mu": 0.02, "distortions": None}
BATCHES = {"network": {"spec": {}, "batch_norm": False, "dropout": 0.0}, "optimizer": {"rate": 0.1}, "affine": None}


@pytest.mark.parametrize(
    ("family", "config", "changes", "expected"),
    [
        ("online", ONLINE, {}, True),
        ("online", ONLINE, {"mu": 0.1, "reading": {"j": 10.0, "init_gain": 1.7}}, True),
        ("online", ONLINE, {"reading": {"j": 1.0, "init_gain": 1.3}}, False),  # other initial weights
        ("online", ONLINE, {"spec": {"layers": [6]}}, False),  # another network
        ("online", ONLINE, {"distortions": {"shear": 0.14}}, False),  # other patterns
        ("online", ONLINE, {"train_size": 15_000}, False),
        ("mini-batches", BATCHES, {"optimizer": {"rate": 0.01}}, True),
        ("mini-batches", BATCHES, {"network": {"spec": {}, "batch_norm": False, "dropout": 0.25}}, True),
        ("mini-batches", BATCHES, {"network": {"spec": {}, "batch_norm": True, "dropout": 0.0}}, False),
        ("mini-batches", BATCHES, {"affine": {"shear": 0.14}}, False),
        ("mini-batches", BATCHES, {"batch": 128}, False),
        ("fitted", {"k": 3}, {"k": 5}, False),
    ],
)
def test_pairs_are_one_network_from_the_same_weights_on_the_same_patterns(tmp_path, family, config, changes, expected):
    wrong = draw(np.random.default_rng(8), 3)
    first = some(tmp_path, "first", wrong, config=config, family=family)
    second = some(tmp_path, "second", wrong, config=config | changes, family=family)
    assert paired(first, second) is expected
    assert compare(first, second).method in ("paired", "Welch", "")


def test_other_trainers_and_other_seeds_make_no_pairs(tmp_path):
    wrong = draw(np.random.default_rng(9), 3)
    first = some(tmp_path, "first", wrong)
    assert not paired(first, some(tmp_path, "trainer", wrong, family="mini-batches"))
    assert not paired(first, some(tmp_path, "seeds", wrong, first=2))  # one seed is shared


def published(name):
    return Runs(name, "reference", REFERENCE / name, read_folder(REFERENCE / name))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("readings/j3", "fig9/lenet5", True),
        ("readings/j3", "readings/former", False),  # from other initial weights
        ("distortions/former-distorted-plain", "readings/former", True),
        ("fig9/dist_lenet5", "distortions/former", False),
        ("distortions/former-distorted", "distortions/former", True),
        ("fig9/dist_lenet5", "fig9/lenet5", False),
        ("modern/ladder/adamw", "modern/ladder/sgd", True),
        ("modern/ladder/max-pooling", "modern/ladder/average-pooling", False),
        ("modern/ladder/sgd", "modern/ladder/relu", False),
    ],
)
def test_pairs_among_the_published_runs(first, second, expected):
    assert paired(published(first), published(second)) is expected


def test_a_paired_difference_is_over_the_seeds_of_both(tmp_path):
    rng = np.random.default_rng(10)
    difficulty = rng.beta(0.3, 6, PATTERNS)
    one, other = draws(rng, 4, difficulty), draws(rng, 7, difficulty)
    found = compare(some(tmp_path, "one", one, first=2), some(tmp_path, "other", other))
    differences = 100 * (one.mean(1) - other[2:6].mean(1))
    low, high = stats.t.interval(0.95, 3, differences.mean(), stats.sem(differences))
    assert (found.mean, found.method) == (pytest.approx(differences.mean()), "paired")
    assert found.over_seeds == pytest.approx((low, high))
    assert found.p_over_seeds == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_pairs_are_resampled_together(tmp_path):
    """Seeds that make both err more do not part them."""
    rng = np.random.default_rng(19)
    chance, factors = rng.random((5, PATTERNS)), np.exp(0.4 * rng.normal(size=(5, 1)))
    difficulty = rng.beta(0.3, 6, PATTERNS)
    one, other = (chance < share * difficulty * factors for share in (1.0, 1.2))
    first = some(tmp_path, "first", one)
    pairs = compare(first, some(tmp_path, "second", other))
    strangers = compare(first, some(tmp_path, "third", other, family="other"))
    assert (pairs.method, strangers.method) == ("paired", "Welch")
    widths = [found.interval[1] - found.interval[0] for found in (pairs, strangers)]
    assert widths[0] < 0.6 * widths[1]


def test_else_the_difference_is_welchs_over_all_seeds(tmp_path):
    rng = np.random.default_rng(11)
    one, other = draw(rng, 4), draw(rng, 7)
    found = compare(some(tmp_path, "one", one), some(tmp_path, "other", other, family="other"))
    test = stats.ttest_ind(100 * one.mean(1), 100 * other.mean(1), equal_var=False)
    assert (found.mean, found.method) == (pytest.approx(100 * (one.mean() - other.mean())), "Welch")
    assert found.over_seeds == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert found.p_over_seeds == pytest.approx(test.pvalue)


@pytest.mark.parametrize("runs", [1, 4])
def test_what_is_known_to_be_wrong_is_compared_as_predictions_are(tmp_path, runs):
    rng = np.random.default_rng(17)
    one, other = draw(rng, runs), draw(rng, runs)
    found = compare_wrong(one, other)
    assert found.p is not None
    assert found == compare(some(tmp_path, "one", one), some(tmp_path, "other", other, family="other"))


@pytest.mark.parametrize(
    ("effect", "of_two", "of_pairs"), [(0.2, 394, 199), (0.5, 64, 34), (0.8, 26, 15)], ids=["small", "medium", "large"]
)
def test_seeds_needed_are_those_of_tables_of_power(effect, of_two, of_pairs):
    """Cohen's small, medium and large effects: Student's test, two-sided, 5%, power 0.8."""
    assert seeds_needed(effect, 1, 1) == of_two
    assert seeds_needed(-0.07 * effect, 0.07) == of_pairs


@pytest.mark.parametrize(("sd", "other"), [(0.05, 0.05), (0.08, 0.08), (0.1, 0.005)])
def test_as_many_seeds_as_needed_tell_the_difference_with_that_power_and_fewer_do_not(sd, other):
    """Simulated, by Welch's test of SciPy."""
    n, rng = seeds_needed(0.1, sd, other), np.random.default_rng(0)

    def power(n):
        ours, theirs = rng.normal(0, sd, (20_000, n)), rng.normal(0.1, other, (20_000, n))
        return (stats.ttest_ind(ours, theirs, axis=1, equal_var=False).pvalue < 0.05).mean()

    assert power(n) > 0.79
    assert power(n - 1) < 0.81


def test_no_number_of_seeds_tells_what_does_not_differ_and_two_tell_what_differs_by_far():
    assert seeds_needed(0.1 + 0.2 - 0.3, 0.05, 0.08) == np.inf
    assert [seeds_needed(far, 0.05, 0.08) for far in (5, 500, 5e4)] == [2, 2, 2]
    with pytest.raises(ValueError, match="need no test"):
        seeds_needed(0.1, 0, 0)


def test_a_comparison_counts_the_seeds_by_its_own_test_over_seeds(tmp_path):
    rng = np.random.default_rng(20)
    difficulty = rng.beta(0.3, 6, PATTERNS)
    one, other = draws(rng, 5, 0.8 * difficulty, 0.2), draws(rng, 7, difficulty, 0.2)
    ours, theirs = 100 * one.mean(1), 100 * other.mean(1)
    runs = some(tmp_path, "one", one)
    strangers = compare(runs, some(tmp_path, "other", other, family="other"))
    assert strangers.needed == seeds_needed(strangers.mean, ours.std(ddof=1), theirs.std(ddof=1))
    pairs = compare(runs, some(tmp_path, "pair", other))
    assert pairs.needed == seeds_needed(pairs.mean, (ours - theirs[:5]).std(ddof=1))
    assert pairs.as_json()["seeds_needed"] == pairs.needed
    assert compare(runs, some(tmp_path, "single", other[:1])).needed is None
    alike = compare(runs, some(tmp_path, "mirrored", one[::-1], family="other"))
    assert (alike.needed, alike.as_json()["seeds_needed"]) == (np.inf, None)


def test_interval_and_p_of_a_difference_agree(tmp_path):
    """Student's with the bootstrap's standard error; degrees of freedom from the runs of both (Satterthwaite)."""
    rng = np.random.default_rng(12)
    one, other = draw(rng, 4, 0.08), draw(rng, 5)
    found = compare(some(tmp_path, "one", one), some(tmp_path, "other", other, family="other"))
    resampled = statistics._resample(one, "ours") - statistics._resample(other, "theirs")
    error = statistics.standard_error(resampled)
    of_one, of_other = (np.var(100 * wrong.mean(1), ddof=1) / len(wrong) for wrong in (one, other))
    degrees = error**4 / (of_one**2 / 3 + of_other**2 / 4)
    assert found.interval == pytest.approx(stats.t.interval(0.95, degrees, found.mean, error))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.mean) / error, degrees))
    half = (found.interval[1] - found.interval[0]) / 2
    assert (abs(found.mean) > half) == (found.p < 0.05)


def test_two_single_runs_are_compared_by_mcnemars_exact_test(tmp_path):
    one, other = np.zeros((2, 1, PATTERNS), bool)
    one[0, :12], other[0, 10:30] = True, True  # 10 against 18
    found = compare(some(tmp_path, "one", one), some(tmp_path, "other", other))
    assert found.p == pytest.approx(stats.binomtest(10, 28).pvalue)
    assert (found.over_seeds, found.method) == (None, "")
    assert found.interval[0] < found.mean < found.interval[1]


def test_a_single_run_against_several_takes_their_seeds_into_account(tmp_path):
    rng = np.random.default_rng(13)
    difficulty = rng.beta(0.3, 6, PATTERNS)
    one, several = draws(rng, 1, difficulty), draws(rng, 4, difficulty, 0.3)
    runs = some(tmp_path, "one", one, family="fitted")
    wide = compare(runs, some(tmp_path, "several", several))
    alike = compare(runs, some(tmp_path, "alike", np.repeat(several[:1], 4, 0)))
    assert wide.mean == pytest.approx(100 * (one.mean() - several.mean()))
    assert wide.over_seeds is None
    assert alike.p == pytest.approx(
        2 * stats.norm.sf(abs(alike.mean) / (100 * (one[0] * 1.0 - several[0]).std() / PATTERNS**0.5)), rel=0.15
    )


def test_runs_that_are_the_same_do_not_differ(tmp_path):
    wrong = draw(np.random.default_rng(14), 3)
    found = compare(some(tmp_path, "one", wrong), some(tmp_path, "other", wrong))
    assert (found.mean, found.p, found.method) == (0, 1, "")


def test_p_is_corrected_over_the_table(tmp_path):
    rng = np.random.default_rng(15)
    base = some(tmp_path, "base", draw(rng, 4), family="base")
    pairs = {
        rate: (some(tmp_path, f"of{rate}", draw(rng, 4, rate), family="other"), base) for rate in (0.05, 0.07, 0.1, 0.2)
    }
    found = compare_all(pairs)
    assert [one.corrected for one in found.values()] == evaluation.holm([one.p for one in found.values()])
    assert compare_all({}) == {}


def test_runs_that_diverged_are_not_compared(tmp_path):
    publish(tmp_path, "made", 0, status="diverged")
    runs = Runs("made", "reference", tmp_path / "made", read_folder(tmp_path / "made"))
    assert compare(runs, some(tmp_path, "other", draw(np.random.default_rng(16), 2))) is None


def test_errors_on_other_patterns_are_not_compared_pattern_by_pattern(tmp_path):
    wrong = draw(np.random.default_rng(17), 3)
    found = compare(some(tmp_path, "one", wrong), some(tmp_path, "other", wrong[::-1], config={"held_out": PATTERNS}))
    assert (found.interval, found.p) == (None, None)


def test_distortions_are_worth_something_whatever_the_seeds_and_patterns(mnist):
    """By the published runs, which 1998's distortions make err less."""
    found = compare(published("fig9/dist_lenet5"), published("fig9/lenet5"))
    assert -0.2 < found.mean < -0.05  # 0.13 in 1998
    assert found.over_seeds[1] < found.interval[1] < 0
    assert found.p < 0.01
