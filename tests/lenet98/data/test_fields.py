"""The input that Section II.B describes."""

import numpy as np
import pytest

from lenet98.data.fields import pad_and_scale


def test_padded_and_scaled_as_the_paper_says(mnist):
    images = mnist.test_images[:2500]
    field = pad_and_scale(images)
    assert field.shape == (2500, 1, 32, 32)
    assert field.dtype == np.float32
    np.testing.assert_array_equal(np.unique(field)[[0, -1]], np.float32([-0.1, 1.175]))  # to the last bit
    expected = np.pad(-0.1 + 1.275 * (images / 255.0), ((0, 0), (2, 2), (2, 2)), constant_values=-0.1)
    np.testing.assert_allclose(field[:, 0], expected, atol=6e-8)
    assert abs(field.mean()) < 0.05  # II.B: roughly 0


def test_other_fields():
    image = np.array([[[0, 255], [51, 0]]], np.uint8)
    assert pad_and_scale(image, 2).ravel().tolist() == pytest.approx([-0.1, 1.175, 0.155, -0.1])
    field = pad_and_scale(image, 5)
    assert np.argwhere(field[0, 0] > 1).tolist() == [[1, 2]]
    assert len(pad_and_scale(image[:0])) == 0


@pytest.mark.parametrize(
    "images", [np.zeros((2, 28, 28)), np.zeros((28, 28), np.uint8), np.zeros((1, 33, 5), np.uint8)]
)
def test_what_cannot_be_padded_is_refused(images):
    with pytest.raises(ValueError, match=r"images must be uint8|do not fit a field of 32x32"):
        pad_and_scale(images)
