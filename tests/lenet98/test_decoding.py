"""Strings out of penalties: the paper's five, and Viterbi against every path there is."""

import time
from itertools import pairwise, product

import numpy as np
import pytest

from lenet98.decoding import BLANK, decode, decode_many

INFINITE = float("inf")

# Figs. 25 and 26: labels that are drawn under the nine outputs of each string, with the gray of each as its penalty.
FIGURES = {
    "2345": [(0, 2, 0.157), (3, 3, 0.110), (4, 3, 0.110), (6, 4, 0.157), (8, 5, 0.125)],
    "540": [(0, 5, 0.255), (1, 5, 0.843), (5, 4, 0.188), (7, 0, 0.380)],
    "1114": [(0, 1, 0.110), (2, 1, 0.094), (4, 1, 0.173), (6, 4, 0.188), (7, 4, 0.396), (8, 1, 0.475)],
    "678": [(0, 6, 0.063), (2, 7, 0.588), (3, 7, 0.302), (4, 7, 0.906), (7, 8, 0.188), (8, 8, 0.063)],
    "3514": [(0, 3, 0.188), (2, 5, 0.475), (3, 5, 0.188), (5, 1, 0.475), (6, 1, 0.510), (7, 4, 0.220)],
}


def penalties(labels):
    costs = np.full((9, 10), INFINITE)
    for output, digit, gray in labels:
        costs[output, digit] = gray
    return costs


@pytest.mark.parametrize("blank", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("string", FIGURES)
def test_the_five_strings_of_the_paper(string, blank):
    assert "".join(map(str, decode(penalties(FIGURES[string]), blank).digits)) == string


def test_a_cheap_blank_loses_digits():
    found = {string: "".join(map(str, decode(penalties(FIGURES[string]), 0.3).digits)) for string in FIGURES}
    assert any(string != read for string, read in found.items())


def allowed(path):
    return all(here == after or BLANK in (here, after) for here, after in pairwise(path))


def test_no_path_is_cheaper():
    rng = np.random.default_rng(0)
    for _ in range(30):
        costs, blank = rng.exponential(1, (5, 3)), rng.exponential(1)
        found = decode(costs, blank)
        cost = {
            path: sum(blank if state == BLANK else row[state] for state, row in zip(path, costs, strict=True))
            for path in product((BLANK, 0, 1, 2), repeat=5)
            if allowed(path)
        }
        assert found.path == min(cost, key=lambda path: cost[path])
        assert found.penalty == pytest.approx(cost[found.path])


def test_equal_neighbors_are_one_digit_and_a_blank_parts_them():
    one = [[0.0, 9.0]] * 3
    assert decode(one, 5).digits == (0,)
    assert decode([one[0], [9.0, 9.0], one[0]], 5).digits == (0, 0)
    assert decode(np.full((4, 10), 9.0), 5) == ((), (BLANK,) * 4, 20.0)


@pytest.mark.parametrize(
    ("costs", "blank"), [([], 1), ([1.0], 1), ([[np.nan]], 1), ([[-np.inf]], 1), ([[1.0]], np.inf)]
)
def test_what_is_no_penalty_is_refused(costs, blank):
    with pytest.raises(ValueError, match="penalties must"):
        decode(costs, blank)


def one_by_one(costs, blank):
    """Viterbi's path as the paper writes eq. 10, state by state."""
    states = [*range(costs.shape[1]), BLANK]
    least = [{state: (blank if state == BLANK else costs[0, state], (state,)) for state in states}]
    for row in costs[1:]:
        least.append(
            {
                state: min(
                    (cost + (blank if state == BLANK else row[state]), (*path, state))
                    for cost, path in least[-1].values()
                    if allowed((path[-1], state))
                )
                for state in states
            }
        )
    return min(least[-1].values())


def test_many_are_decoded_as_each_alone():
    costs = np.random.default_rng(1).exponential(4, (40, 9, 10))
    costs[::3, 5:, 2] = INFINITE
    many = decode_many(costs, 2.0)
    assert many == [decode(one, 2.0) for one in costs]
    for one, found in zip(costs, many, strict=True):
        cost, path = one_by_one(one, 2.0)
        assert found.path == path
        assert found.penalty == pytest.approx(cost)


def test_no_strings_are_decoded_to_none():
    assert decode_many(np.zeros((0, 3, 10)), 1.0) == []


def test_ten_thousand_strings_take_seconds():
    costs = np.random.default_rng(0).exponential(4, (10_000, 27, 10))
    began = time.process_time()
    assert len(decode_many(costs, 2.0)) == 10_000
    assert time.process_time() - began < 5
