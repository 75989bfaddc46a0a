"""What is learned and what judges."""

import re
from dataclasses import replace

import numpy as np
import pytest

from lenet98.data.splits import split


@pytest.fixture(scope="module")
def digits(mnist):
    return replace(mnist, train_images=mnist.train_images[:100], train_labels=mnist.train_labels[:100])


def test_the_first_are_learned_and_the_test_set_judges(digits):
    part = split(digits, 70)
    np.testing.assert_array_equal(part.train_images, digits.train_images[:70])
    np.testing.assert_array_equal(part.train_labels, digits.train_labels[:70])
    assert part.images is digits.test_images
    assert part.labels is digits.test_labels


def test_the_last_that_are_held_out_judge(digits):
    part = split(digits, 70, 20)
    assert len(part.train_images) == len(part.train_labels) == 70
    np.testing.assert_array_equal(part.images, digits.train_images[80:])
    np.testing.assert_array_equal(part.labels, digits.train_labels[80:])


@pytest.mark.parametrize(
    ("train_size", "held_out", "message"),
    [
        (101, 0, "Config.train_size is 101; there are 100 patterns to learn"),
        (81, 20, "Config.train_size is 81; there are 80 patterns to learn besides Config.held_out, 20"),
        (0, 0, "Config.train_size is 0"),
        (50, -1, "Config.held_out is -1; it must be at least 0"),
    ],
)
def test_what_the_training_set_cannot_give_is_named(digits, train_size, held_out, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        split(digits, train_size, held_out)
