"""Digits changed by one factor: an unchanged one is as it was, and each factor changes what it says."""

import numpy as np
import pytest

from lenet98.data.changes import inverted, moved, specked, widened
from lenet98.data.fields import BLACK, WHITE, pad_and_scale


@pytest.fixture
def digits(mnist):
    return mnist.test_images[:50]


def ink(fields):
    """Of each pattern, in pixels that are black."""
    return (fields.astype(float) - WHITE).sum(axis=(1, 2, 3)) / (BLACK - WHITE)


@pytest.mark.parametrize(
    "same", [moved, lambda images: widened(images, 0), lambda images: inverted(images, 0), lambda i: specked(i, 0)]
)
def test_a_digit_that_is_not_changed_is_as_it_was(digits, same):
    np.testing.assert_allclose(same(digits), pad_and_scale(digits), atol=1e-6)


def test_shifts_move_right_and_down_and_out_of_the_field(digits):
    fields = pad_and_scale(digits)
    np.testing.assert_allclose(moved(digits, right=3, down=2)[:, :, 2:, 3:], fields[:, :, :-2, :-3], atol=1e-6)
    np.testing.assert_allclose(moved(digits, down=-10)[:, :, :-10], fields[:, :, 10:], atol=1e-6)
    assert (moved(digits, down=32) == WHITE).all()


def test_a_quarter_turn_is_clockwise(digits):
    np.testing.assert_allclose(moved(digits, degrees=90), np.rot90(pad_and_scale(digits), -1, axes=(2, 3)), atol=1e-5)


def test_twice_the_size_is_four_times_the_ink():
    square = np.zeros((1, 28, 28), np.uint8)
    square[:, 9:19, 9:19] = 255
    for scale in (0.5, 0.71, 1.41, 2.0):
        assert ink(moved(square, scale=scale))[0] == pytest.approx(100 * scale**2, rel=0.02)
    with pytest.raises(ValueError, match="scale is 0; it must be positive"):
        moved(square, scale=0)


@pytest.mark.parametrize("scale", [0.35, 0.42, 0.5, 0.71, 0.9])
def test_no_ink_is_skipped_where_a_digit_shrinks(digits, scale):
    """Nor is any counted twice, wherever it lies: single pixels, and whole digits."""
    dots = np.zeros((36, 28, 28), np.uint8)
    dots[np.arange(36), 11 + np.arange(36) // 6, 11 + np.arange(36) % 6] = 255
    assert ink(moved(dots, scale=scale)) == pytest.approx(scale**2, rel=0.03)
    assert ink(moved(digits, scale=scale)) == pytest.approx(ink(pad_and_scale(digits)) * scale**2, rel=0.01)


def test_strokes_widen_by_half_on_each_side():
    line = np.zeros((1, 28, 28), np.uint8)
    line[:, :, 12:15] = 255
    for pixels, width in ((-2, 1), (-1, 2), (1, 4), (2, 5), (4, 7)):
        assert ink(widened(line, pixels))[0] == pytest.approx(28 * width, rel=0.01)
    dot = np.zeros((1, 28, 28), np.uint8)
    dot[:, 14, 14] = 255
    # A disk, not a square: of radius 3 around a dot of side 1.
    assert np.pi * 3**2 < ink(widened(dot, 6))[0] < 7 * 7 - 4


def test_a_share_of_the_pixels_is_inverted(digits):
    middle = (WHITE + BLACK) / 2
    plain = pad_and_scale(digits)
    changed = (inverted(digits, 0.1) > middle) != (plain > middle)
    assert changed.mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(inverted(digits, 0.1), inverted(digits, 0.1))


def test_a_speck_is_four_black_pixels_somewhere():
    empty = np.zeros((200, 28, 28), np.uint8)
    one = specked(empty, 1)
    assert ((one == BLACK).sum(axis=(1, 2, 3)) == 4).all()
    assert (one.max(axis=0) == BLACK).mean() > 0.4
    assert (specked(empty, 8) == BLACK).sum(axis=(1, 2, 3)).mean() == pytest.approx(8 * 4, rel=0.05)
