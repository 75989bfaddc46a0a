"""Tangent distance: against least squares, by hand, and what a distance must be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import lstsq
from scipy.ndimage import gaussian_filter, shift
from sklearn.neighbors import NearestNeighbors

from lenet98.classifiers import tangent
from lenet98.classifiers.tangent import SPRING, Nearest, TangentDistance, planes, squared_distances
from lenet98.data.preprocessing import FORMS
from tests.strategies import few

SIGMA = 0.8


@pytest.fixture(scope="module")
def digits(mnist):
    return FORMS["16x16"](mnist.train_images[:300])


def distance(one, other):
    return float(squared_distances(one, other)[0])


def by_least_squares(x, basis, p, other):
    """The least of |x + a.T_x - p - b.T_p|^2 + SPRING (|a|^2 + |b|^2), the springs as further equations."""
    both = np.vstack([basis, -other]).T.astype(float)
    system = np.vstack([both, np.sqrt(SPRING) * np.eye(both.shape[1])])
    target = np.concatenate([(p - x).astype(float), np.zeros(both.shape[1])])
    step = lstsq(system, target)[0]
    return float(((system @ step - target) ** 2).sum())


def test_is_the_least_squares_solution(digits):
    made = planes(digits[:12], SIGMA)
    found = squared_distances(made[:1], made[1:])
    expected = [by_least_squares(made.points[0], made.bases[0], made.points[i], made.bases[i]) for i in range(1, 12)]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_springs_lengthen_no_distance_by_more_than_two_ten_thousandths(digits):
    made = planes(digits[:60], SIGMA)
    for i, found in enumerate(squared_distances(made[:1], made[1:]), start=1):
        both = np.vstack([made.bases[0], -made.bases[i]]).T.astype(float)
        apart = (made.points[i] - made.points[0]).astype(float)
        without_springs = ((both @ lstsq(both, apart)[0] - apart) ** 2).sum()
        assert -1e-5 < found / without_springs - 1 < 2e-4


def test_seven_tangent_vectors_of_a_known_image():
    """Of a wide Gaussian blob, exp(-(x^2 + 2 y^2) / 2 w^2), every derivative is known."""
    size, w = 41, 6.0
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    blob = np.exp(-(x**2 + 2 * y**2) / (2 * w**2))
    # A Gaussian filter widens a Gaussian: variances add, its height falls.
    sigma = 0.9
    wx, wy = w**2 + sigma**2, w**2 / 2 + sigma**2
    smooth = w**2 / np.sqrt(2 * wx * wy) * np.exp(-(x**2) / (2 * wx) - y**2 / (2 * wy))
    by_x, by_y = -x / wx * smooth, -y / wy * smooth
    points, vectors = tangent.tangent_vectors(blob[None], sigma)
    inside = np.s_[6:-6, 6:-6]
    np.testing.assert_allclose(points[0][inside], smooth[inside], atol=1e-3)
    expected = {
        "x translation": by_x,
        "y translation": by_y,
        "scaling": x * by_x + y * by_y,
        "rotation": y * by_x - x * by_y,
        "squeezing": x * by_x - y * by_y,
        "skewing": y * by_x + x * by_y,
        "thickness": by_x**2 + by_y**2,
    }
    assert tuple(expected) == tangent.TANGENTS
    for found, (name, vector) in zip(vectors[0], expected.items(), strict=True):
        scale = abs(vector).max()
        np.testing.assert_allclose(found[inside] / scale, vector[inside] / scale, atol=0.02, err_msg=name)


@pytest.mark.parametrize("number", [0, 1])
def test_a_small_shift_costs_nothing_to_second_order(digits, number):
    """The Euclidean distance of a shifted digit grows with the shift, the tangent distance with its square."""
    image = gaussian_filter(np.pad(digits[5], 10).astype(float), 1.5)
    image *= 255 / image.max()

    def moved(step):
        shifted = shift(image, np.eye(2)[number] * step, order=5)
        # Not in gray levels, whose rounding would be all that is seen.
        smooth, vectors = tangent.tangent_vectors(shifted[None] / 255, SIGMA)
        basis = tangent._orthonormal(vectors.reshape(1, 7, -1))
        return tangent.Planes(smooth.reshape(1, -1), basis)

    still = moved(0.0)
    euclid = [float(np.linalg.norm(moved(step).points - still.points)) for step in (0.1, 0.2, 0.4)]
    found = [distance(still, moved(step)) ** 0.5 for step in (0.1, 0.2, 0.4)]
    assert euclid[2] / euclid[0] == pytest.approx(4, rel=0.02)
    # What the springs leave of the first order: sqrt(SPRING / 2) of it.
    for tangential, plain in zip(found, euclid, strict=True):
        assert tangential < np.sqrt(SPRING / 2) * plain + 0.005 * plain**2


def test_zero_from_itself_symmetric_and_never_above_euclid(digits):
    made = planes(digits[:60], SIGMA)
    table = np.array([squared_distances(made[i : i + 1], made) for i in range(60)])
    euclid = ((made.points[:, None] - made.points) ** 2).sum(axis=2)
    np.testing.assert_allclose(np.diag(table), 0, atol=1e-5)
    np.testing.assert_allclose(table, table.T, rtol=1e-3, atol=1e-5)
    assert (table <= euclid * (1 + 1e-5) + 1e-6).all()
    apart = ~np.eye(60, dtype=bool)
    assert table[apart].mean() < 0.8 * euclid[apart].mean()


@few
@given(st.integers(0, 299), st.sampled_from(tangent.TANGENTS), st.floats(-0.3, 0.3))
def test_moving_along_a_tangent_costs_next_to_nothing(mnist, i, name, step):
    made = planes(FORMS["16x16"](mnist.train_images[i : i + 1]), SIGMA)
    smooth, vectors = tangent.tangent_vectors(FORMS["16x16"](mnist.train_images[i : i + 1]) / 255.0, SIGMA)
    along = vectors[0, tangent.TANGENTS.index(name)].ravel()
    moved = tangent.Planes((smooth.ravel() + step * along / np.linalg.norm(along))[None].astype(np.float32), made.bases)
    assert distance(made, moved) <= SPRING * step**2 + 1e-5


def test_bases_are_orthonormal_and_a_blank_image_has_none(digits):
    made = planes(np.concatenate([digits[:5], np.zeros((1, 16, 16), np.uint8)]), SIGMA)
    products = made.bases @ made.bases.transpose(0, 2, 1)
    np.testing.assert_allclose(products[:5], np.broadcast_to(np.eye(7), (5, 7, 7)), atol=1e-4)
    assert not made.bases[5].any()
    assert np.isfinite(squared_distances(made[5:], made)).all()


def test_votes_ties_and_scores():
    found = Nearest(
        np.array([[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 3, 4]], np.float32),
        np.array([[3, 5, 5, 3], [7, 7, 7, 7], [0, 1, 1, 2]]),
    )
    assert found.decide(1).classes.tolist() == [3, 7, 0]
    assert found.decide(3).classes.tolist() == [5, 7, 1]
    assert found.decide(4).classes.tolist() == [3, 7, 1]  # two votes each: the class of the nearest
    assert found.decide(3).scores.tolist() == [-1, 4, -1]
    with pytest.raises(ValueError, match="k is 5; with 4 candidates"):
        found.decide(5)


def test_nearest_are_those_of_a_search_through_all(digits, mnist):
    labels = mnist.train_labels[:300]

    def fitted(candidates):
        return TangentDistance.fit(digits[:250], labels[:250], sigma=SIGMA, candidates=candidates, k=1)

    queries, found = planes(digits[250:], SIGMA), fitted(250).nearest(digits[250:])
    for i in range(50):
        everywhere = np.sqrt(squared_distances(queries[i : i + 1], planes(digits[:250], SIGMA)))
        np.testing.assert_allclose(found.distances[i], np.sort(everywhere), rtol=1e-3, atol=1e-3)
        assert found.classes[i, 0] == labels[everywhere.argmin()]
    # The prefilter keeps those that are nearest in the Euclidean sense, as scikit-learn finds them.
    theirs = NearestNeighbors(n_neighbors=20).fit(planes(digits[:250], SIGMA).points).kneighbors(queries.points)[1]
    ours = fitted(20).nearest(digits[250:])
    assert (np.sort(ours.classes) == np.sort(labels[theirs])).all()
    assert (fitted(20).decide(digits[250:]).classes != labels[250:]).sum() <= 6


def test_costs_by_hand(digits, mnist):
    classifier = TangentDistance.fit(digits[:250], mnist.train_labels[:250], sigma=SIGMA, candidates=10, k=1)
    assert classifier.multiply_accumulates == 256 * 250 + 10 * 63 * 256
    assert classifier.stored == 250 * 8 * 256


def test_bad_input_is_refused(digits, mnist):
    labels = mnist.train_labels[:250]
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        planes(digits, 0)
    with pytest.raises(ValueError, match="labels have shape"):
        TangentDistance.fit(digits[:200], labels, sigma=SIGMA, candidates=10, k=1)
    for candidates, k in ((251, 1), (10, 11), (10, 0)):
        with pytest.raises(ValueError, match=f"k is {k} and candidates {candidates}; of 250 patterns"):
            TangentDistance.fit(digits[:250], labels, sigma=SIGMA, candidates=candidates, k=k)
    classifier = TangentDistance.fit(digits[:250], labels, sigma=SIGMA, candidates=10, k=1)
    with pytest.raises(ValueError, match="20x20"):
        classifier.decide(np.zeros((1, 20, 20), np.uint8))
