"""Eq. 8 and eq. 9 on numbers worked by hand, at the limits of float32, and what the paper says of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lenet98.losses import cross_entropy, eq8, eq9, loss
from lenet98.readings import DEFAULT, LITERAL, Reading
from tests.strategies import few

DISTANCES = torch.tensor([[1.0, 2.0], [4.0, 3.0]], dtype=torch.float64)
LABELS = torch.tensor([0, 0])


def gradient(function, distances, *arguments):
    distances = distances.clone().requires_grad_()
    function(distances, *arguments).backward()
    return distances.grad


def test_eq8_is_the_mean_distance_of_the_right_class():
    assert eq8(DISTANCES, LABELS).item() == 2.5


def test_eq9_adds_the_log_of_all_classes_and_the_rubbish():
    first = 1 + math.log(math.exp(-0.5) + math.exp(-1) + math.exp(-2))
    second = 4 + math.log(math.exp(-0.5) + math.exp(-4) + math.exp(-3))
    assert eq9(DISTANCES, LABELS, 0.5).item() == pytest.approx((first + second) / 2, abs=1e-12)


def test_eq9_holds_where_the_exponentials_vanish():
    distances, labels = torch.full((1, 10), 300.0), torch.tensor([4])
    assert eq9(distances, labels, 1000).item() == pytest.approx(math.log(10), abs=1e-3)
    assert gradient(eq9, distances, labels, 1000).tolist()[0] == pytest.approx(
        [-0.1] * 4 + [0.9] + [-0.1] * 5, rel=1e-5
    )


@few
@given(st.lists(st.floats(0, 500), min_size=10, max_size=10), st.integers(0, 9), st.floats(0.1, 50))
def test_eq9_is_positive_and_its_gradient_is_the_posterior(distances, label, j):
    y, labels = torch.tensor([distances], dtype=torch.float64), torch.tensor([label])
    assert eq9(y, labels, j).item() >= 0
    partition = math.exp(-j) + sum(math.exp(-value) for value in distances)
    expected = [(i == label) - math.exp(-value) / partition for i, value in enumerate(distances)]
    assert gradient(eq9, y, labels, j).tolist()[0] == pytest.approx(expected, abs=1e-9)


def test_eq9_leaves_classes_alone_that_are_much_farther_than_j():
    distances = torch.tensor([[2.0, 48.0, 120.0]], dtype=torch.float64)
    wrong = gradient(eq9, distances, torch.tensor([0]), 1.0)[0, 1:]
    assert wrong.abs().max() < 1e-19
    near = gradient(eq9, torch.tensor([[2.0, 3.0]]), torch.tensor([0]), 1.0)[0, 1]
    assert near < -0.05


def test_eq9_is_eq8_but_for_a_constant_where_every_class_is_farther_than_j():
    distances = torch.tensor([[40.0, 70.0, 90.0]], dtype=torch.float64)
    labels = torch.tensor([1])
    assert eq9(distances, labels, 3.0).item() == pytest.approx(eq8(distances, labels).item() - 3, abs=1e-12)
    torch.testing.assert_close(gradient(eq9, distances, labels, 3.0), gradient(eq8, distances, labels))


def test_only_eq9_notices_that_all_classes_are_equally_near():
    """The collapse of Section II.C: eq. 8 is content with equal prototypes, eq. 9 is not."""
    collapsed, labels = torch.zeros(1, 10), torch.tensor([0])
    assert eq8(collapsed, labels).item() == 0
    assert eq9(collapsed, labels, 1.0).item() > math.log(10)


def test_eq9_of_a_pattern_of_none_of_the_classes_is_minus_log_of_the_share_of_the_rubbish():
    distances, rubbish = torch.tensor([[1.0, 2.0]], dtype=torch.float64), torch.tensor([2])
    partition = math.exp(-0.5) + math.exp(-1) + math.exp(-2)
    assert eq9(distances, rubbish, 0.5).item() == pytest.approx(-math.log(math.exp(-0.5) / partition), abs=1e-12)
    pushed = [-math.exp(-1) / partition, -math.exp(-2) / partition]  # both classes away
    assert gradient(eq9, distances, rubbish, 0.5).tolist()[0] == pytest.approx(pushed, abs=1e-12)
    both = eq9(torch.cat([distances, DISTANCES]), torch.tensor([2, 0, 0]), 0.5)
    assert both.item() == pytest.approx((eq9(distances, rubbish, 0.5) + 2 * eq9(DISTANCES, LABELS, 0.5)).item() / 3)


def test_no_other_loss_has_a_class_for_such_a_pattern():
    for reading, output in ((Reading(loss="eq8"), "rbf"), (DEFAULT, "softmax")):
        with pytest.raises(ValueError, match="a label is 2, but there are 2 penalties"):
            loss(DISTANCES, torch.tensor([0, 2]), reading, output)
    with pytest.raises(ValueError, match="a label is 3, but there are 3 penalties"):
        loss(DISTANCES, torch.tensor([0, 3]), DEFAULT)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_reading_chooses_the_loss_and_its_scale(scale):
    assert loss(DISTANCES, LABELS, Reading(loss="eq8", loss_scale=scale)).item() == scale * 2.5
    reading = Reading(loss="eq9", j=7.0, loss_scale=scale)
    assert loss(DISTANCES, LABELS, reading).item() == scale * eq9(DISTANCES, LABELS, 7.0).item()


def test_the_published_loss_is_half_of_eq9_with_j_one_and_the_literal_one_eq8():
    first = 1 + math.log(math.exp(-1) + math.exp(-1) + math.exp(-2))
    second = 4 + math.log(math.exp(-1) + math.exp(-4) + math.exp(-3))
    assert loss(DISTANCES, LABELS, DEFAULT).item() == pytest.approx((first + second) / 2 / 2, abs=1e-12)
    assert loss(DISTANCES, LABELS, LITERAL).item() == 2.5


def test_labels_may_be_the_bytes_of_the_data():
    assert eq8(DISTANCES, LABELS.to(torch.uint8)).item() == 2.5


@few
@given(st.lists(st.floats(-50, 50), min_size=10, max_size=10), st.integers(0, 9), st.sampled_from([0.5, 1.0]))
def test_cross_entropy_is_torchs_whatever_the_reading_says_of_rbf_units(outputs, label, scale):
    a, labels = torch.tensor([outputs], dtype=torch.float64), torch.tensor([label])
    expected = F.cross_entropy(a, labels)
    y = -torch.log_softmax(a, 1)
    torch.testing.assert_close(cross_entropy(y, labels), expected)
    for reading in (Reading(loss="eq8", loss_scale=scale), Reading(loss="eq9", loss_scale=scale)):
        torch.testing.assert_close(loss(y, labels, reading, "softmax"), scale * expected)
