"""What a classifier refuses."""

import numpy as np
import pytest

from lenet98.classifiers.checks import classes_of, vectors

LABELS = np.arange(10, dtype=np.uint8)


def test_pixels_in_rows_from_0_to_1():
    images = np.array([[[0, 51], [255, 102]]], np.uint8)
    made = vectors(images, (2, 2))
    assert made.dtype == np.float32
    assert made.tolist() == [pytest.approx([0, 0.2, 1, 0.4])]
    assert made.max() == 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((5, 28, 28)), "must be uint8"),
        (np.zeros((5, 784), np.uint8), "must be uint8"),
        (np.zeros((5, 28, 28), np.uint8), "images are 28x28, the classifier was fitted on 20x20"),
    ],
)
def test_wrong_images(images, message):
    with pytest.raises(ValueError, match=message):
        vectors(images, (20, 20))


def test_classes():
    assert classes_of(LABELS, 10).dtype == np.intp
    assert classes_of([1, 0, 1], 3, classes=2).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:9], r"shape \(9,\); 10 images need shape \(10,\)"),
        (np.eye(10, dtype=int), r"shape \(10, 10\)"),
        (LABELS + 1, "a label is 10; classes are 0 to 9"),
        (LABELS.astype(int) - 1, "a label is -1"),
        (LABELS.astype(float), "labels are float64"),
        ([*"0123456789"], "must be whole numbers"),
        (LABELS % 8, "no pattern of class 8, 9"),
    ],
)
def test_wrong_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        classes_of(labels, 10)
