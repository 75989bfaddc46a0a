"""Rows of characters, blanks and noise: what the paper says of them, and that a pattern is always the same."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from lenet98.data import strings as module
from lenet98.data.distortions import FIG7, distort, philox
from lenet98.data.fields import LEVELS, pad_and_scale
from lenet98.data.strings import NOISE, Layout, Strings, blank, compose, layout
from tests.strategies import few

CLEAN = Strings(inverted=0.0)
N = 1500
PATTERNS, COPIES = np.arange(N), np.full(N, 2)


@pytest.fixture(scope="module")
def digits(mnist):
    """The first training images, and no others: neighbors come from them."""
    return mnist.train_images[:N]


def made(digits, strings, **more):
    return compose(digits, PATTERNS, COPIES, 4, strings, **more)[:, 0]


def drawn(strings) -> Layout:
    return layout(4, PATTERNS, COPIES, strings, N)


def columns(ink):
    """First column with ink and the one after the last."""
    (where,) = ink.any(axis=0).nonzero()
    return int(where[0]), int(where[-1]) + 1


def alone(digits, image, left, top=0):
    """One image with its corner at a column and a row of the field from where it would be centered vertically."""
    field = np.zeros((96, 96), np.uint8)  # with room around the 32x32
    field[34 + top : 62 + top, 32 + left : 60 + left] = digits[image]
    return field[32:64, 32:64]


# --- what VII.B says


def test_the_central_character_is_where_it_always_is_between_two_others(digits):
    strings = replace(CLEAN, blanks=0.0)
    for n, (field, image, (gap_left, gap_right)) in enumerate(
        zip(made(digits, strings), drawn(strings).image, drawn(strings).gap, strict=True)
    ):
        assert image[0] == n
        assert -1 <= min(gap_left, gap_right) <= max(gap_left, gap_right) <= 4
        boxes = [columns(digits[i]) for i in image]
        start, end = 2 + boxes[0][0], 2 + boxes[0][1]
        left = start - gap_left - boxes[1][1]
        right = end + gap_right - boxes[2][0]
        parts = [alone(digits, i, at) for i, at in zip(image, (2, left, right), strict=True)]
        np.testing.assert_array_equal(field, LEVELS[np.max(parts, axis=0)])
        if n > 300:  # and seen in the image itself, where no box is cut and nothing overlaps
            break
        if gap_left > 0 and gap_right > 0:
            blanks = [not (LEVELS[0] < field[:, c]).any() for c in range(32)]
            assert all(blanks[start - gap_left : start])
            assert all(blanks[end : end + gap_right])
            assert not blanks[start]
            assert not blanks[end - 1]
            assert not blanks[start - gap_left - 1]
            assert end + gap_right > 31 or not blanks[end + gap_right]


def test_gaps_neighbors_and_blanks_are_drawn_evenly():
    many = np.arange(20_000)
    found = layout(1, many, np.ones(20_000, int), Strings(between=0.25, missing=0.1), 60_000)
    digit = ~found.blank
    for side in (0, 1):
        gaps = np.bincount(found.gap[digit, side] + 1)
        assert len(gaps) == 6
        assert chisquare(gaps).pvalue > 1e-3
        neighbor = found.image[:, 1 + side]
        assert within((neighbor < 0).sum(), len(many), 0.1)
        assert chisquare(np.histogram(neighbor[neighbor >= 0], 20, (0, 60_000))[0]).pvalue > 1e-3
    assert abs(np.corrcoef(found.gap[digit].T)[0, 1]) < 0.03
    assert (found.image[:, 1] == found.image[:, 2]).mean() < 0.02
    assert within(found.blank.sum(), len(many), 1 / 11)
    assert within(found.between.sum(), found.blank.sum(), 0.25)


def within(count, n, p):
    """Whether a count of n is one that a probability p gives, but for once in ten thousand times."""
    return binom.cdf(count, n, p) > 5e-5 and binom.sf(count - 1, n, p) > 5e-5


def test_a_tenth_of_the_pixels_is_inverted_anywhere_and_independently(digits):
    clean, noisy = made(digits, CLEAN), made(digits, Strings())
    inverted = noisy != clean
    inverse = dict(zip(LEVELS.tolist(), LEVELS[::-1].tolist(), strict=True))
    np.testing.assert_array_equal(noisy[inverted], [inverse[value] for value in clean[inverted].tolist()])
    assert within(inverted.sum(), inverted.size, 0.1)
    assert chisquare(inverted.reshape(N, 32, 32).sum((0, 2))).pvalue > 1e-4
    assert chisquare(inverted.reshape(N, 32, 32).sum((0, 1))).pvalue > 1e-4
    counts = inverted.reshape(N, -1).sum(1)
    assert counts.var() == pytest.approx(1024 * 0.1 * 0.9, rel=0.2)  # of a binomial number
    assert abs(np.corrcoef(inverted[:, :, :-1].ravel(), inverted[:, :, 1:].ravel())[0, 1]) < 5 / np.sqrt(N * 1024)
    assert inverted[drawn(Strings()).blank].mean(0).max() < 0.3  # which are blank has nothing to do with it
    np.testing.assert_array_equal(made(digits, replace(CLEAN, inverted=1.0)), LEVELS[::-1][levels(clean)])


def levels(field):
    """Gray levels, 0 background to 255, of input values."""
    return np.rint((field + 0.1) * 255 / 1.275).astype(int)


# --- blanks


def test_a_blank_has_no_ink_where_its_central_character_was(digits):
    strings = replace(CLEAN, blanks=1.0, between=0.0)
    found = drawn(strings)
    assert found.blank.all()
    assert not found.between.any()
    full = made(digits, replace(CLEAN, blanks=0.0))
    for n, (field, (left, right)) in enumerate(zip(made(digits, strings), found.gap, strict=True)):
        start, end = (2 + column for column in columns(digits[n]))
        assert (field[:, start - min(left, 0) : end + min(right, 0)] == LEVELS[0]).all()
        assert (field[:, start - max(left, 0) : start] == LEVELS[0]).all()
        assert (field[:, : start - left] == full[n][:, : start - left])[:, : start - 1].all()  # neighbors are there


def test_the_center_of_other_blanks_is_between_two_characters(digits):
    strings = replace(CLEAN, blanks=1.0, between=1.0, gap=(1, 4))
    found, middles = drawn(strings), []
    assert found.between.all()
    for field, gap in zip(made(digits, strings), found.gap[:, 0], strict=True):
        (inked,) = (field > LEVELS[0]).any(axis=0).nonzero()
        left, right = inked[inked < 16].max() + 1, inked[inked >= 16].min()
        assert right - left == gap
        middles.append((left + right) / 2)
    even = found.gap[:, 0] % 2 == 0
    assert (np.array(middles)[even] == 16).all()  # the edge between the two middle columns
    assert set(np.array(middles)[~even]) == {15.5, 16.5}
    assert within((np.array(middles)[~even] == 15.5).sum(), (~even).sum(), 0.5)


def begins_at(field, digits, left, right, gap, places):
    """Those of the places at which the gap begins, if the field has two characters and nothing else."""
    (start, _), (_, stop) = columns(digits[right]), columns(digits[left])
    rows = ((m, [alone(digits, left, m - stop), alone(digits, right, m + gap - start)]) for m in places)
    return [m for m, parts in rows if np.array_equal(field, LEVELS[np.max(parts, axis=0)])]


@pytest.mark.parametrize("clear", [3, 5, 7])
def test_gaps_lie_anywhere_that_is_clear_of_the_middles_of_both_characters(digits, clear):
    """By whole columns, whatever `shift_x` is; else a central character is taken away."""
    strings = Strings(shift_x=2, blanks=1.0, between=1.0, clear=clear, gap=(-1, 4), inverted=0.0)
    found, shares, taken = drawn(strings), [], 0
    other = made(digits, replace(strings, between=0.0))
    for n, (field, images, gap) in enumerate(zip(made(digits, strings), found.image, found.gap[:, 0], strict=True)):
        _, left, right = images
        wide_left, wide_right = (end - start for start, end in map(columns, digits[images[1:]]))
        # The middles of both boxes, if the gap begins at m, are so far left and right of the middle of the field.
        allowed = [m for m in range(50) if min(16 - (m - wide_left / 2), m + gap + wide_right / 2 - 16) >= clear]
        if allowed:
            (begins,) = begins_at(field, digits, left, right, gap, allowed)
            shares.append((begins - allowed[0] + 0.5) / len(allowed))
        else:
            np.testing.assert_array_equal(field, other[n])
            taken += 1
    assert 0 < taken < 0.15 * N
    assert 0.47 < np.mean(shares) < 0.53
    assert np.std(shares) == pytest.approx(np.sqrt(1 / 12), rel=0.1)  # uniform


def test_a_pattern_that_is_clear_is_a_function_of_its_name(digits):
    strings = Strings(shift_x=2, blanks=0.5, between=0.9, clear=5, missing=0.2)
    whole = made(digits, strings)
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_array_equal(compose(digits, PATTERNS[order], COPIES[order], 4, strings)[:, 0], whole[order])
    for seed, pattern, copy in ((5, 17, 2), (4, 18, 2), (4, 17, 3)):
        assert not np.array_equal(compose(digits, [pattern], [copy], seed, strings)[0, 0], whole[17])
    np.testing.assert_array_equal(drawn(strings).blank, drawn(replace(strings, clear=None)).blank)
    kept = ~drawn(strings).between  # all other patterns are what they are without
    np.testing.assert_array_equal(whole[kept], made(digits, replace(strings, clear=None))[kept])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_which_are_blank_is_known_without_making_them(share):
    strings = Strings(blanks=share)
    found = blank(4, PATTERNS, COPIES, strings)
    np.testing.assert_array_equal(found, drawn(strings).blank)
    assert within(found.sum(), N, share)


# --- III.E, and what the paper leaves open


def test_noise_alone_is_single_centered_digits(digits):
    assert not drawn(NOISE).blank.any()
    assert (drawn(NOISE).image[:, 1:] == -1).all()
    np.testing.assert_array_equal(made(digits, replace(NOISE, inverted=0.0)), pad_and_scale(digits)[:, 0])
    assert within((made(digits, NOISE) != pad_and_scale(digits)[:, 0]).sum(), N * 1024, 0.1)


def test_rows_and_characters_may_be_moved(digits):
    strings = replace(CLEAN, blanks=0.0, shift_x=2, shift_y=3)
    found, still = drawn(strings), made(digits, replace(CLEAN, blanks=0.0))
    assert set(found.shift) == set(range(-2, 3))
    assert {value for column in found.drop.T for value in column} == set(range(-3, 4))
    assert abs(np.corrcoef(found.drop.T)[0, 1]) < 0.1  # each by itself
    for field, before, shift, drop in zip(made(digits, strings), still, found.shift, found.drop, strict=True):
        if (drop == drop[0]).all():
            moved = field[max(drop[0], 0) : 32 + min(drop[0], 0), max(shift, 0) : 32 + min(shift, 0)]
            same = before[max(-drop[0], 0) : 32 + min(-drop[0], 0), max(-shift, 0) : 32 + min(-shift, 0)]
            np.testing.assert_array_equal(moved, same)


def test_digits_are_distorted_before_they_stand_in_a_row(digits):
    single = replace(NOISE, inverted=0.0)
    found, ours = drawn(single), made(digits, single, distortions=FIG7)
    theirs = distort(digits, PATTERNS, found.copy[:, 0], 4)[:, 0]
    assert abs(ours - theirs).max() <= 1.275 / 255 / 2 + 1e-6  # rounded to a gray level
    assert set(found.copy[:, 0]) == set(range(10))
    rows = replace(CLEAN, blanks=0.0)
    found = drawn(rows)
    for field, image, gap, copy in zip(
        made(digits, rows, distortions=FIG7), found.image, found.gap, found.copy, strict=True
    ):
        if min(gap) > 0:
            start, end = columns(distort(digits, image[:1], copy[:1], 4)[0, 0] > LEVELS[0] + 0.5 * 1.275 / 255)
            assert (field[:, max(0, start - gap[0]) : start] == LEVELS[0]).all()
            assert (field[:, end : end + gap[1]] == LEVELS[0]).all()


# --- determinism


def test_a_pattern_is_the_same_whatever_is_made_with_it_and_its_neighbors_are_of_the_first_images(mnist):
    images = mnist.train_images[:3000]
    order = np.random.default_rng(0).permutation(N)
    whole = compose(images, PATTERNS, COPIES, 4, Strings(), neighbors=N)
    np.testing.assert_array_equal(
        compose(images, PATTERNS[order], COPIES[order], 4, Strings(), neighbors=N), whole[order]
    )
    np.testing.assert_array_equal(compose(images[:N], [17], [2], 4, Strings()), whole[17:18])
    for seed, copy in ((5, 2), (4, 3)):
        assert not np.array_equal(compose(images, [17], [copy], seed, Strings(), neighbors=N), whole[17:18])


@few
@given(*(st.integers(0, 2**64 - 1) for _ in range(5)))
def test_compiled_random_words_are_philoxs(c0, c1, c2, k0, k1):
    ours = module._philox(*map(np.uint64, (c0, c1, c2, k0, k1)))
    theirs = philox(np.array([[c0], [c1], [c2], [0]], np.uint64), (k0, k1))
    assert [int(word) for word in ours] == theirs[:, 0].tolist()


# --- errors


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inverted": 1.5}, r"Strings.inverted is 1.5; it is a probability"),
        ({"blanks": float("nan")}, r"Strings.blanks is nan"),
        ({"gap": (3, 1)}, r"Strings.gap is \(3, 1\); the least must come first"),
        ({"gap": (0.5, 1)}, r"Strings.gap is \(0.5, 1\); it must be two whole numbers"),
        ({"gap": (1,)}, r"Strings.gap is \(1,\)"),
        ({"shift_y": -1}, r"Strings.shift_y is -1; it must be whole pixels, 0 to 15"),
        ({"shift_x": 16}, r"Strings.shift_x is 16"),
    ],
)
def test_wrong_fields_have_a_one_line_error(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        Strings(**wrong)
    assert "\n" not in str(error.value)


def test_wrong_patterns_and_images(digits):
    with pytest.raises(ValueError, match=r"patterns must lie in 0..1499, got 1500"):
        compose(digits, [1500], [0], 0, Strings())
    with pytest.raises(ValueError, match="cannot be negative, got -1"):
        compose(digits, [0], [-1], 0, Strings())
    with pytest.raises(ValueError, match="of one length"):
        compose(digits, [0], [1, 2], 0, Strings())
    with pytest.raises(ValueError, match="images must be uint8"):
        compose(digits / 255, [0], [1], 0, Strings())
    with pytest.raises(ValueError, match="drawn from 0 images"):
        compose(digits, [0], [1], 0, Strings(), neighbors=0)
    with pytest.raises(ValueError, match=r"neighbors are drawn from the first 1501 images"):
        compose(digits, [0], [1], 0, Strings(), neighbors=1501)
    assert compose(digits, [], [], 0, Strings()).shape == (0, 1, 32, 32)
    empty = np.zeros((3, 28, 28), np.uint8)
    assert (compose(empty, [0, 1], [0, 0], 0, CLEAN) == LEVELS[0]).all()
