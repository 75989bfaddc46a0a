"""Elastic distortions: the field's size by theory, displacements by hand."""

import numpy as np
import pytest

from lenet98.modern.elastic import Elastic, displacements, distort

PATTERNS = np.arange(40)


def test_fields_have_the_deviation_that_smoothing_leaves():
    """Uniform in +-1 has deviation 1/sqrt 3, of which a Gaussian leaves the share 1/(2 sigma sqrt pi)."""
    fields = displacements(0, PATTERNS, 1, 32, Elastic(34, 4))
    inside = fields[:, :, 12:20, 12:20]  # farther from the border than the Gaussian reaches
    assert inside.std() == pytest.approx(34 / 3**0.5 / (2 * 4 * np.pi**0.5), rel=0.1)
    assert abs(inside.mean()) < 0.2


def test_a_field_follows_from_seed_pattern_and_copy_alone():
    together = displacements(3, PATTERNS, 2, 32, Elastic())
    np.testing.assert_array_equal(displacements(3, PATTERNS[7:8], 2, 32, Elastic())[0], together[7])
    for other in (displacements(4, PATTERNS, 2, 32, Elastic()), displacements(3, PATTERNS, 3, 32, Elastic())):
        assert not np.allclose(other, together)
    assert not np.allclose(together[0], together[1])


def test_displacements_by_hand(mnist):
    digits = np.pad(mnist.train_images[:3], [(0, 0), (2, 2), (2, 2)])[:, None] / np.float32(255)
    nowhere = np.zeros((3, 2, 32, 32), np.float32)
    np.testing.assert_allclose(distort(digits, nowhere), digits, atol=1e-5)
    right = nowhere.copy()
    right[:, 0] = 1  # every pixel takes what is on its right
    np.testing.assert_allclose(distort(digits, right)[..., :-1], digits[..., 1:], atol=1e-4)
    half_down = nowhere.copy()
    half_down[:, 1] = 0.5
    between = (digits[:, :, :-1] + digits[:, :, 1:]) / 2
    np.testing.assert_allclose(distort(digits, half_down)[:, :, :-1], between, atol=1e-4)


@pytest.mark.parametrize("fields", [{"alpha": 0.0}, {"sigma": float("nan")}])
def test_bad_strengths_are_named(fields):
    with pytest.raises(ValueError, match=f"Elastic.{next(iter(fields))}"):
        Elastic(**fields)
