"""The comparison of errors: hand-made cases, exact values, and the real labels."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from experiments.harness.loader import Loader, NoResults
from experiments.paper.fig8_errors import (
    Part,
    agreement,
    by_writer,
    coincidence,
    compare,
    errors_page,
    overlap,
    page,
    shared,
    split,
)
from lenet98.data.fig8 import Writers, fig8, writers
from tests.fakes import publish


def mask(n: int, *places: int) -> np.ndarray:
    wrong = np.zeros(n, bool)
    wrong[list(places)] = True
    return wrong


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_shared_errors_are_counted() -> None:
    labels = np.array([0, 1, 2, 3, 4])
    found = shared(np.array([0, 7, 7, 7, 7]), np.array([9, 7, 8, 3, 7]), labels)
    assert (found.first, found.second, found.both, found.same) == (4, 4, 3, 2)


def test_coincidence_is_that_of_all_ways_to_choose() -> None:
    """Three errors each among six patterns: every choice of the second's errors counted."""
    first = mask(6, 0, 1, 2)
    hits = [len({0, 1, 2} & set(choice)) for choice in combinations(range(6), 3)]
    for second in (mask(6, 0, 1, 2), mask(6, 0, 1, 5), mask(6, 3, 4, 5)):
        found = coincidence(first, second, np.zeros(6, int))
        assert found.found == (first & second).sum()
        assert found.expected == pytest.approx(np.mean(hits))
        assert found.p == pytest.approx(np.mean(np.array(hits) >= found.found))


def test_coincidence_within_classes_is_that_of_all_ways_to_choose() -> None:
    """Classes of four and three patterns, two errors and one in each: errors never leave their class."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    first, second = mask(7, 0, 1, 4), mask(7, 0, 2, 4)
    hits = [len({0, 1} & set(a)) + (b == 4) for a in combinations(range(4), 2) for b in (4, 5, 6)]
    found = coincidence(first, second, labels)
    assert (found.found, found.expected) == (2, pytest.approx(np.mean(hits)))
    assert found.p == pytest.approx(np.mean(np.array(hits) >= 2))


def test_a_class_that_explains_everything_leaves_nothing_to_explain() -> None:
    """Both miss all of class 1 and nothing else: by chance anywhere a wonder, within classes a certainty."""
    labels = np.repeat([0, 1], [90, 10])
    wrong = labels == 1
    assert coincidence(wrong, wrong, np.zeros(100, int)).p < 1e-10
    assert coincidence(wrong, wrong, labels).p == pytest.approx(1)


def test_agreement_is_that_of_all_permutations() -> None:
    labels = np.zeros(6, int)
    first, second = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 3, 1, 2, 0, 0])
    drawn = [sum(a == b != 0 for a, b in zip(order, second, strict=True)) for order in permutations(first)]
    found = agreement(first, second, labels, rng(), 20_000)
    assert found.found == 2
    assert found.expected == pytest.approx(np.mean(drawn))
    assert found.p == pytest.approx(np.mean(np.array(drawn) >= 2), abs=0.01)


def test_agreement_keeps_to_the_classes() -> None:
    """Every 4 is called a 9 and every 3 a 5 by both: their classes say so, nothing more is shared."""
    labels = np.repeat([3, 4], 5)
    answers = np.repeat([5, 9], 5)
    found = agreement(answers, answers, labels, rng(), 99)
    assert (found.found, found.expected, found.p) == (10, 10.0, 1.0)


def test_split_is_fishers_test() -> None:
    sd1 = np.arange(100) < 40
    found = split(mask(100, 0, 1, 2, 3, 4, 99), sd1)
    assert (found.sd1_errors, found.sd1_patterns, found.sd3_errors, found.sd3_patterns) == (5, 40, 1, 60)
    assert found.p == pytest.approx(fisher_exact([[5, 1], [35, 59]]).pvalue)


def hands(*sizes: int) -> Writers:
    """Writers of so many test patterns each, the first of them in SD-1."""
    writer = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint16)
    series = np.where(writer == 0, 4, 0).astype(np.uint8)
    return Writers(series, writer, series, writer)


def test_pairs_of_errors_by_one_hand() -> None:
    who = hands(10, 5, 5, 5)
    found = by_writer(mask(25, 0, 1, 10, 11, 12, 15), who, rng(), 9_999)
    # Writer 0 is all of SD-1, whose pair is certain; four errors among 15 patterns of three others.
    others = [sum(a // 5 == b // 5 for a, b in combinations(choice, 2)) for choice in combinations(range(15), 4)]
    assert found.pairs.found == 1 + 3
    assert found.pairs.expected == pytest.approx(1 + np.mean(others))
    assert found.pairs.p == pytest.approx(np.mean(np.array(others) >= 3), abs=0.02)
    assert [(w.number, w.series, w.errors, w.patterns) for w in found.worst[:2]] == [(1, 0, 3, 5), (0, 4, 2, 10)]


def test_independent_networks_are_seen_as_such(mnist) -> None:
    """p is uniform-like for two networks that err at random: not small in more than a few of 40 cases."""
    labels, draw = mnist.test_labels, rng()
    small = 0
    for _ in range(40):
        first, second = (np.where(draw.random(10_000) < 0.05, (labels + 1) % 10, labels) for _ in range(2))
        found = compare(first, second, labels, None, draw, 199)
        small += (found.by_class.p < 0.05) + (found.same_by_class.p < 0.05)
    assert small < 14


@pytest.fixture(scope="module")
def three(mnist) -> np.ndarray:
    """Three networks: that of 1998, one that misses half of its errors otherwise, one with errors of its own."""
    labels, errors = mnist.test_labels, fig8()
    same = errors.predictions(labels)
    half, own = labels.copy(), labels.copy()
    places = errors.test_index[:41]
    taken = zip(labels[places], same[places], strict=True)
    half[places] = [min(set(range(10)) - {true, answer}) for true, answer in taken]
    right = np.setdiff1d(np.arange(10_000), errors.test_index)[:90]
    own[right] = (labels[right] + 1) % 10
    return np.array([same, half, own])


def test_overlap_of_three_hand_made_networks(mnist, three) -> None:
    found = overlap(three, mnist.test_labels, draws=99)
    assert [(c.shared.both, c.shared.same) for c in found.comparisons] == [(82, 82), (41, 0), (0, 0)]
    assert found.shares_of_1998 == (1.0, 0.5, 0.0)
    assert found.comparisons[0].anywhere.expected == pytest.approx(82 * 82 / 10_000)
    assert found.comparisons[0].anywhere.p < 1e-100
    assert found.comparisons[2].anywhere.p == pytest.approx(1)
    # The others of ours miss 41 of the 82 once, 90 other digits once, and the rest never.
    assert found.comparisons[0].by_difficulty.expected == pytest.approx(41 * 41 / 131 + 41 * 41 / 9_869)
    assert found.own == ((0.5, 0.0), (1.0, 0.0), (0.0, 0.0))
    assert found.difficulty == ((10_000 - 82 - 90, 0), (41 + 90, 41), (41, 41), (0, 0))
    assert (len(found.everyone), len(found.every_ours_not_1998), len(found.only_1998)) == (0, 0, 0)


def test_digits_that_all_of_ours_or_none_miss(mnist, three) -> None:
    found = overlap(three[1:2], mnist.test_labels, draws=99)
    assert found.everyone == tuple(fig8().test_index[:41])
    assert found.only_1998 == tuple(fig8().test_index[41:])
    assert overlap(three[2:], mnist.test_labels, draws=99).every_ours_not_1998 == tuple(
        np.flatnonzero(three[2] != mnist.test_labels)
    )
    assert found.p_one_of_ours is None
    assert found.comparisons[0].by_difficulty is None


def test_rank_of_1998_among_ours(mnist) -> None:
    """Nine networks that share all of their errors, and none of the 82: as improbable as ten networks can tell."""
    labels = mnist.test_labels
    answers = np.where(np.isin(np.arange(10_000), [0, 1, 2]), (labels + 1) % 10, labels)
    assert overlap(np.array([answers] * 9), labels, draws=9).p_one_of_ours == pytest.approx(0.1)


def test_errors_of_1998_by_origin(mnist, three) -> None:
    found = overlap(three, mnist.test_labels, draws=999)
    one = found.series_1998
    assert (one.sd1_errors, one.sd1_patterns, one.sd3_errors, one.sd3_patterns) == (55, 5001, 27, 4999)
    assert one.p == pytest.approx(0.0026, abs=2e-4)
    assert found.series[0] == one
    worst = found.by_writer_1998.worst[0]
    assert (worst.errors, worst.patterns) == (5, (writers().test_writer == worst.number).sum())


def test_page_tells_what_was_found(mnist, three) -> None:
    found = overlap(three, mnist.test_labels, draws=99)
    alone = overlap(three[1:2], mnist.test_labels, draws=99)
    text = page([Part("Three", found, ["copy", "half", "own"], "By hand."), Part("One", alone, ["half"], "By it.")])
    three_part, one_part = text.split("## One")
    assert "By hand." in three_part
    assert "| copy " in three_part
    assert "| 82 " in three_part
    # Errors 82, 41 and 90; shared 82, 41 and 0; with the same answer 82, 0 and 0.
    assert "makes 71 errors and shares 41 with the 82 of 1998, 27 of them with the same wrong answer" in three_part
    assert "misses 50% of the 1998 network's errors (from 0% to 100%)" in three_part
    assert "55 (1.10%)" in three_part
    assert ", ".join(map(str, fig8().test_index[41:])) in one_part
    assert "By it." in one_part


def test_page_of_published_predictions(mnist, three, tmp_path) -> None:
    load = Loader(("reference",), tmp_path, tmp_path)
    with pytest.raises(NoResults, match="dist_lenet5"):
        errors_page(load)
    for seed, predictions in enumerate(three[:2]):
        publish(tmp_path, "fig9/dist_lenet5", seed, predictions=predictions)
    publish(tmp_path, "fig9/dist_lenet5", 2, predictions=three[2], status="diverged")
    text = errors_page(load)
    assert "shares 62 with the 82" in text  # 82 and 41; the diverged network is left out
    assert "without distortions" not in text
    publish(tmp_path, "fig9/lenet5", 4, predictions=three[2])
    text = errors_page(load)
    assert "shares 0 with the 82" in text.split("## Trained without distortions")[1]
    assert "| seed 4 " in text


def test_wrong_input(mnist, three) -> None:
    labels = mnist.test_labels
    with pytest.raises(ValueError, match=r"shape \(networks, 10000\), got \(10000,\)"):
        overlap(three[0], labels)
    with pytest.raises(ValueError, match=r"got \(0, 10000\)"):
        overlap(three[:0], labels)
    with pytest.raises(ValueError, match="not those of the MNIST test set"):
        overlap(three, labels[::-1])
    with pytest.raises(ValueError, match="network 1 makes no error"):
        overlap(np.array([three[0], labels]), labels)
