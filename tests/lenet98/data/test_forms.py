"""The forms of the database (Section III.A)."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from lenet98.data.preprocessing import FORMS, _moments, crop, deslant, in_form, middle, reduce
from tests.strategies import few


def widened(images):
    """With columns of background on both sides, so that no ink is shifted out of the field."""
    return np.pad(images, ((0, 0), (0, 0), (14, 14)))


def slants(images):
    return _moments(images)[1]


def moments(image):
    """Mass, center of mass (y, x) and the central moments mu_yy and mu_xy, per unit of mass, pixel by pixel."""
    mass = image.sum(dtype=float)
    cy, cx = ndimage.center_of_mass(image)
    points = [(y - cy, x - cx, image[y, x]) for y, x in np.argwhere(image)]
    mu_yy, mu_xy = (sum(m * y * b for y, x, m in points for b in [(y, x)[k]]) / mass for k in (0, 1))
    return mass, (cy, cx), mu_yy, mu_xy


# --- deslanted --------------------------------------------------------------------------------------------------------


def test_principal_axis_becomes_vertical_about_the_center_of_mass(mnist):
    for image in widened(mnist.train_images[:40]):
        made = deslant(image[None])[0]
        mass, center, mu_yy, mu_xy = moments(image)
        made_mass, made_center, made_yy, made_xy = moments(made)
        assert slants(image[None])[0] == pytest.approx(mu_xy / mu_yy, abs=1e-9)
        assert made_mass == pytest.approx(mass, rel=1e-3)  # whole gray levels
        assert made_center == pytest.approx(center, abs=0.02)
        assert made_yy == pytest.approx(mu_yy, rel=5e-3)
        assert abs(made_xy / made_yy) < 0.005


def test_a_bar_of_known_slant_by_hand():
    # 3 lines; the upper one a pixel to the left, the lower one a pixel to the right: mu_xy / mu_yy = 1.
    image = np.zeros((1, 5, 7), np.uint8)
    image[0, 1, 2], image[0, 2, 3], image[0, 3, 4] = 100, 100, 100
    upright = np.zeros_like(image)
    upright[0, 1:4, 3] = 100
    assert slants(image) == pytest.approx([1])
    np.testing.assert_array_equal(deslant(image), upright)
    # Half a pixel a line: the ink is shared by two pixels.
    image[0, :, :], image[0, 0, 2], image[0, 2, 3], image[0, 4, 4] = 0, 100, 100, 100
    image[0, 1, 2:4], image[0, 3, 3:5] = 50, 50
    upright[0], upright[0, :, 3] = 0, [100, 50, 100, 50, 100]
    upright[0, 1, 2] = upright[0, 1, 4] = upright[0, 3, 2] = upright[0, 3, 4] = 25
    np.testing.assert_array_equal(deslant(image), upright)


@few
@given(st.integers(-8, 8), st.integers(0, 10_000))
def test_a_known_shear_is_found_and_undone(eighths, seed):
    """Lines of an upright, smooth shape, shifted by scipy in proportion to their height, come back."""
    rng = np.random.default_rng(seed)
    shape = ndimage.gaussian_filter(np.pad(rng.random((16, 5)), ((6, 6), (12, 11))), 1.5)
    upright = deslant(np.rint(255 * shape / shape.max()).astype(np.uint8)[None])
    height = np.arange(28) - ndimage.center_of_mass(upright[0])[0]
    lines = [
        ndimage.shift(line.astype(float), eighths / 8 * h, order=1) for line, h in zip(upright[0], height, strict=True)
    ]
    sheared = np.rint(lines).astype(np.uint8)[None]
    assert slants(sheared) == pytest.approx([eighths / 8], abs=0.01)
    back = deslant(sheared)
    assert ndimage.center_of_mass(back[0]) == pytest.approx(ndimage.center_of_mass(upright[0]), abs=0.05)
    assert np.corrcoef(back.ravel(), upright.ravel())[0, 1] > 0.99


def test_twice_changes_nothing(mnist):
    once = deslant(widened(mnist.train_images[:3000]))
    assert abs(deslant(once).astype(int) - once).max() <= 1  # of 255 gray levels, from the rounding


def test_an_upright_digit_is_left_alone(mnist):
    one = mnist.train_images[mnist.train_labels == 1][:1]
    upright = np.maximum(one, one[:, :, ::-1])  # a figure that is its own mirror image
    assert slants(upright) == pytest.approx([0], abs=1e-12)
    np.testing.assert_array_equal(deslant(upright), upright)


def test_blank_images_and_single_lines_stay():
    images = np.zeros((2, 28, 28), np.uint8)
    images[1, 9, 3:20] = np.arange(17)
    np.testing.assert_array_equal(deslant(images), images)
    assert slants(images).tolist() == [0, 0]
    assert len(deslant(images[:0])) == 0


# --- cropped and reduced ----------------------------------------------------------------------------------------------


def test_the_window_is_the_box_and_loses_no_ink(mnist):
    images = mnist.test_images[:2000]
    boxes = crop(images)
    assert boxes.shape == (2000, 20, 20)
    np.testing.assert_array_equal(boxes.sum((1, 2), dtype=int), images.sum((1, 2), dtype=int))
    middle = images[:, 4:24, 4:24]
    whole = middle.sum((1, 2), dtype=int) == images.sum((1, 2), dtype=int)
    assert 0 < whole.sum() < 2000
    np.testing.assert_array_equal(boxes[whole], middle[whole])  # moved no further than needed


def test_the_window_that_holds_most():
    image = np.zeros((1, 4, 6), np.uint8)
    image[0, 0, 0], image[0, 3, 3], image[0, 3, 4] = 9, 5, 5
    assert crop(image, 2).tolist() == [[[0, 0], [5, 5]]]
    assert crop(np.arange(24, dtype=np.uint8).reshape(1, 4, 6), 4)[0, 0].tolist() == [2, 3, 4, 5]
    blank = crop(np.zeros((1, 28, 28), np.uint8))
    assert blank.shape == (1, 20, 20)


def test_deslanted_digits_have_their_mass_in_the_middle(mnist):
    made = FORMS["deslanted"](mnist.train_images[:2000])
    np.testing.assert_array_equal(made, deslant(mnist.train_images[:2000])[:, 4:24, 4:24])
    centers = np.array([ndimage.center_of_mass(image) for image in made])
    assert np.median(abs(centers - 9.5), axis=0).max() < 0.6  # of a pixel
    kept = made.sum((1, 2)) / mnist.train_images[:2000].sum((1, 2))
    assert kept.mean() > 0.95


def test_area_means(mnist):
    boxes = crop(mnist.test_images[:50])
    # 16 pixels of 5/4: each box pixel as 4x4, each reduced one 5x5 of those.
    fine = boxes.repeat(4, 1).repeat(4, 2).reshape(50, 16, 5, 16, 5)
    np.testing.assert_array_equal(reduce(boxes), np.rint(fine.mean((2, 4))).astype(np.uint8))
    np.testing.assert_array_equal(reduce(boxes, 20), boxes)
    assert (reduce(np.full((1, 20, 20), 37, np.uint8)) == 37).all()


# --- the database and wrong input -------------------------------------------------------------------------------------


def test_a_whole_database_in_a_form(mnist):
    small = replace(mnist, train_images=mnist.train_images[:30], test_images=mnist.test_images[:20])
    for form, size in {"28x28": 28, "20x20": 20, "deslanted": 20, "16x16": 16}.items():
        made = in_form(small, form)
        assert made.train_images.shape == (30, size, size)
        assert made.test_images.dtype == np.uint8
        np.testing.assert_array_equal(made.test_images, FORMS[form](small.test_images))
        assert made.train_labels is small.train_labels
    with pytest.raises(ValueError, match="no form '32x32'; there are 28x28, 20x20"):
        in_form(small, "32x32")


@pytest.mark.parametrize("function", [crop, deslant, middle, reduce])
@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((1, 2, 2, 2), "u1")])
def test_what_is_no_image_is_refused(function, images):
    with pytest.raises(ValueError, match=r"images must be uint8 \(n, height, width\), got"):
        function(images)


@pytest.mark.parametrize("function", [crop, middle, reduce])
def test_windows_larger_than_the_image_are_refused(function):
    with pytest.raises(ValueError, match="12x20"):
        function(np.zeros((1, 12, 20), np.uint8))
