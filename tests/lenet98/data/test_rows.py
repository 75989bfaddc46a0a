"""Rows of digits: what stands where, and that a seed names it."""

import numpy as np
import pytest

from lenet98.data.fields import BLACK, LEVELS, WHITE
from lenet98.data.rows import STEP, Rows, compose, draw, fields
from lenet98.displacement import step
from lenet98.networks import LENET5


def by_hand(images, gaps, end=15):
    """A row with nothing but slices, its right end cut at the last box."""
    boxes = [image[:, np.flatnonzero(image.any(0))[0] : np.flatnonzero(image.any(0))[-1] + 1] for image in images]
    field = np.zeros((32, 600), np.uint8)
    left = end
    for box, gap in zip(boxes, [*gaps, 0], strict=True):
        part = field[2:30, left : left + box.shape[1]]
        part[:] = np.maximum(part, box)
        left += box.shape[1] + gap
    return field, left


@pytest.mark.parametrize("gap", [-4, -1, 0, 4])
def test_boxes_are_as_far_apart_as_they_are_said_to_be(mnist, gap):
    chosen = np.arange(12).reshape(3, 4)
    found = compose(mnist.test_images, chosen, gap)
    for number, row in enumerate(chosen):
        field, end = by_hand(mnist.test_images[row], [gap] * 3)
        np.testing.assert_array_equal(found.ink[number], field[:, : found.ink.shape[2]])
        assert found.width[number] % 4 == 0
        assert end + 15 <= found.width[number] < end + 15 + 4
        assert found.outputs[number] == (found.width[number] - 32) // 4 + 1
    assert found.width.max() == found.ink.shape[2]


def test_each_gap_is_its_own(mnist):
    gaps = [[4, -3, 0]]
    field, _ = by_hand(mnist.test_images[:4], gaps[0])
    found = compose(mnist.test_images, [range(4)], gaps)
    np.testing.assert_array_equal(found.ink[0], field[:, : found.ink.shape[2]])
    np.testing.assert_array_equal(found.values, LEVELS[found.ink])
    assert found.values.min() == np.float32(WHITE)
    assert found.values.max() <= np.float32(BLACK)


def test_a_tenth_of_the_pixels_is_inverted(mnist):
    clean, noisy = (compose(mnist.test_images, np.arange(50).reshape(10, 5), 2, inverted=p).ink for p in (0, 0.1))
    changed = noisy != clean
    assert 0.095 < changed.mean() < 0.105
    np.testing.assert_array_equal(noisy[changed], 255 - clean[changed])


def test_a_seed_names_a_set(mnist):
    rows = Rows(3, (-1, 4), 400)
    first, again, other = draw(rows, 0, 10_000), draw(rows, 0, 10_000), draw(rows, 1, 10_000)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.gap, again.gap)
    assert (first.image != other.image).mean() > 0.99
    assert sorted(np.unique(first.gap)) == [-1, 0, 1, 2, 3, 4]
    assert first.image.shape == (400, 3)
    assert first.gap.shape == (400, 2)
    assert 9000 < first.image.max() < 10_000
    found, strings = fields(rows, 0, mnist.test_images, mnist.test_labels)
    np.testing.assert_array_equal(strings, mnist.test_labels[first.image])
    np.testing.assert_array_equal(found.ink, compose(mnist.test_images, *first).ink)


def test_no_digit_repeats_before_all_were_there():
    found = draw(Rows(5, strings=2000), 0, 10_000).image
    assert sorted(found.ravel()) == list(range(10_000))
    more = draw(Rows(5, strings=4100), 0, 10_000).image
    np.testing.assert_array_equal(more[:2000], found)
    assert sorted(more[2000:4000].ravel()) == list(range(10_000))
    assert not np.array_equal(more[2000:4000], found)


def test_all_gaps_of_one_length_show_the_same_digits():
    first, far = draw(Rows(3, (-1, 4), 400), 0, 10_000), draw(Rows(3, (2, 2), 300), 0, 10_000)
    np.testing.assert_array_equal(first.image[:300], far.image)
    assert (far.gap == 2).all()
    np.testing.assert_array_equal(first.gap, draw(Rows(3, (-1, 4), 400, inverted=0.1), 0, 10_000).gap)
    assert (draw(Rows(4, (-1, 4), 300), 0, 10_000).image.ravel() != first.image.ravel()).mean() > 0.99


def test_outputs_are_as_far_apart_as_lenet5s():
    assert step(LENET5) == STEP


def test_one_digit_is_a_row(mnist):
    found = compose(mnist.test_images, [[0]], np.zeros((1, 0)))
    assert found.ink.shape[1:] == (32, found.width[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [("digits", 0), ("strings", 0), ("gap", (4, -1)), ("gap", (1,)), ("gap", (0, 40)), ("inverted", 1.5)],
)
def test_sets_that_cannot_be(field, value):
    with pytest.raises(ValueError, match=f"Rows.{field}"):
        Rows(**{field: value})


@pytest.mark.parametrize("image", [[0, 1], [[]], [[-1]], [[10]]])
def test_images_that_are_not_there(image):
    with pytest.raises(ValueError, match="rows must"):
        compose(np.zeros((10, 28, 28), np.uint8), image, 0)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        compose(np.zeros((1, 40, 28), np.uint8), [[0]], 0)
    with pytest.raises(ValueError, match="there must be one"):
        draw(Rows(), 0, 0)
