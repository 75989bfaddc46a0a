"""The classical classifiers of Section III.C against other libraries, cases by hand and the paper's counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import PolynomialFeatures

from lenet98.classifiers.checks import vectors
from lenet98.classifiers.decisions import greatest
from lenet98.classifiers.distances import squared_distances
from lenet98.classifiers.linear import PAIRS, SIGNS, Layer, Linear, PairwiseLinear, place_code
from lenet98.classifiers.neighbours import KNearest, majority
from lenet98.classifiers.quadratic import Quadratic, products
from lenet98.classifiers.rbf import RBFNetwork, gaussians
from lenet98.data.preprocessing import FORMS
from tests.strategies import few

FITS = {
    "linear": lambda images, labels: Linear.fit(images, labels, ridge=1e-2),
    "pairwise": lambda images, labels: PairwiseLinear.fit(images, labels, ridge=1e-2, gain=8),
    "k-nearest": lambda images, labels: KNearest.fit(images, labels),
    "quadratic": lambda images, labels: Quadratic.fit(images, labels, components=10, ridge=1e-2),
    "rbf": lambda images, labels: RBFNetwork.fit(images, labels, per_class=5, spread=1.0, ridge=1e-4),
}
LEARNED = 1500


@pytest.fixture(scope="module")
def fitted(mnist):
    """Every classifier on the first few patterns, reduced to 20x20."""
    images, labels = FORMS["deslanted"](mnist.train_images[:LEARNED]), mnist.train_labels[:LEARNED]
    return {name: fit(images, labels) for name, fit in FITS.items()}


@pytest.fixture(scope="module")
def judged(mnist):
    return FORMS["deslanted"](mnist.test_images[:600]), mnist.test_labels[:600]


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "most"), {"linear": 20, "pairwise": 14, "k-nearest": 12, "quadratic": 25, "rbf": 14}.items()
)
def test_each_learns_and_its_rejections_are_its_doubts(fitted, judged, name, most):
    images, labels = judged
    classes, scores = fitted[name].decide(images)
    wrong = classes != labels
    assert 100 * wrong.mean() < most
    np.testing.assert_array_equal(fitted[name].predict(images), classes)
    surest = np.argsort(scores)[len(scores) // 2 :]
    assert wrong[surest].mean() < 0.7 * wrong.mean()


@pytest.mark.parametrize("name", FITS)
def test_patterns_are_decided_one_by_one(fitted, judged, name):
    images = judged[0][:300]
    together, alone = fitted[name].decide(images), fitted[name].decide(images[250:251])
    assert together.classes[250] == alone.classes[0]
    assert together.scores[250] == pytest.approx(alone.scores[0], abs=1e-3)
    assert len(fitted[name].predict(images[:0])) == 0


@pytest.mark.parametrize("name", FITS)
def test_wrong_input_is_refused(fitted, mnist, name):
    images, labels = mnist.train_images[:100], mnist.train_labels[:100]
    with pytest.raises(ValueError, match="images are 28x28, the classifier was fitted on 20x20"):
        fitted[name].predict(images)
    with pytest.raises(ValueError, match="must be uint8"):
        FITS[name](images / 255, labels)
    with pytest.raises(ValueError, match="labels have shape"):
        FITS[name](images, labels[:99])
    with pytest.raises(ValueError, match="no pattern of class 7"):
        FITS[name](images[labels != 7], labels[labels != 7])


@pytest.mark.parametrize(
    ("fit", "parameters", "message"),
    [
        (Linear.fit, {"ridge": -1.0}, "ridge is -1.0"),
        (Linear.fit, {"ridge": float("nan")}, "ridge is nan"),
        (PairwiseLinear.fit, {"ridge": 1.0, "gain": 0}, "gain is 0"),
        (KNearest.fit, {"k": 0}, "k is 0; with 300 training patterns it must be 1 to 300"),
        (Quadratic.fit, {"components": 301, "ridge": 1.0}, "components is 301; 300 images of 784 pixels"),
        (RBFNetwork.fit, {"spread": 1.0, "ridge": 1.0}, "per_class is 100; the smallest class has"),
        (RBFNetwork.fit, {"spread": 0.0, "ridge": 1.0, "per_class": 2}, "spread is 0.0"),
    ],
)
def test_wrong_parameters_are_refused(mnist, fit, parameters, message):
    with pytest.raises(ValueError, match=message):
        fit(mnist.train_images[:300], mnist.train_labels[:300], **parameters)


def test_the_greatest_output_and_its_lead():
    classes, scores = greatest(np.array([[0.1, 0.7, 0.4], [2.0, -1.0, 2.0]]))
    assert classes.tolist() == [1, 0]
    assert scores == pytest.approx([0.3, 0])


# --- linear -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "parameters"), [("28x28", 7_850), ("deslanted", 4_010)])
def test_linear_has_the_papers_parameters(mnist, form, parameters):
    made = Linear.fit(FORMS[form](mnist.train_images[:200]), mnist.train_labels[:200], ridge=0.1)
    assert made.stored == parameters
    assert made.multiply_accumulates == parameters - 10


@few
@given(st.integers(0, 1000), st.floats(0.01, 1))
def test_a_layer_solves_the_regularized_system(seed, ridge):
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(30, 4)).astype(np.float32), rng.normal(size=(30, 3)).astype(np.float32)
    # The penalty as further patterns: sqrt(n ridge) e_i with target 0, which have no bias.
    rows = np.vstack([np.hstack([x, np.ones((30, 1))]), np.hstack([np.sqrt(30 * ridge) * np.eye(4), np.zeros((4, 1))])])
    solution = np.linalg.lstsq(rows, np.vstack([t, np.zeros((4, 3))]), rcond=None)[0]
    layer = Layer.fit(x, t, ridge)
    np.testing.assert_allclose(layer.weights.T, solution[:-1], atol=1e-5)
    np.testing.assert_allclose(layer.biases, solution[-1], atol=1e-5)
    np.testing.assert_allclose(layer(x), x @ solution[:-1] + solution[-1], atol=1e-4)


def test_place_code():
    assert place_code(np.array([2, 0]), 3).tolist() == [[-1, -1, 1], [1, -1, -1]]


# --- pairwise ---------------------------------------------------------------------------------------------------------


def test_scores_are_the_papers_sums(fitted, judged):
    pairwise = fitted["pairwise"]
    assert len(PAIRS) == 45
    assert (pairwise.multiply_accumulates, pairwise.stored) == (45 * 400, 45 * 401)
    images = judged[0][:5]
    units = np.tanh(8 * (vectors(images) @ pairwise.layer.weights.T + pairwise.layer.biases))
    for c in range(10):
        score = sum(units[:, n] for n, (i, j) in enumerate(PAIRS) if i == c)
        score = score - sum(units[:, n] for n, (i, j) in enumerate(PAIRS) if j == c)
        np.testing.assert_allclose(pairwise.outputs(images)[:, c], score, atol=1e-4)
    assert np.abs(SIGNS).sum(axis=0).tolist() == [9] * 10


def test_a_unit_sees_its_two_classes_only(fitted, mnist):
    images, labels = FORMS["deslanted"](mnist.train_images[:LEARNED]), mnist.train_labels[:LEARNED]
    unit = PAIRS.index((3, 8))
    chosen = (labels == 3) | (labels == 8)
    alone = Layer.fit(vectors(images[chosen]), np.where(labels[chosen] == 3, 1.0, -1.0)[:, None], 1e-2)
    np.testing.assert_allclose(fitted["pairwise"].layer.weights[unit], alone.weights[0], atol=1e-6)


def test_outputs_not_squashed(mnist):
    images, labels = mnist.train_images[:300], mnist.train_labels[:300]
    made = PairwiseLinear.fit(images, labels, ridge=1.0, gain=None)
    np.testing.assert_allclose(made.outputs(images), made.layer(vectors(images)) @ SIGNS, rtol=1e-5)


# --- nearest neighbors -----------------------------------------------------------------------------------------------


def test_distances_are_scipys(mnist):
    a, b = vectors(mnist.test_images[:20]), vectors(mnist.train_images[:30])
    np.testing.assert_allclose(squared_distances(a, b), cdist(a, b, "sqeuclidean"), rtol=1e-4)
    assert squared_distances(a, a).min() == 0


@pytest.mark.parametrize("k", [1, 3, 5])
def test_neighbors_are_scikit_learns(mnist, judged, k):
    learned, labels = FORMS["deslanted"](mnist.train_images[:LEARNED]), mnist.train_labels[:LEARNED]
    theirs = KNeighborsClassifier(k, algorithm="brute").fit(vectors(learned), labels)
    near = labels[theirs.kneighbors(vectors(judged[0]), return_distance=False)]
    ours = KNearest.fit(learned, labels, k=k)
    found = ours.neighbours(judged[0])
    np.testing.assert_array_equal(found.classes, near)
    every = cdist(vectors(judged[0]), vectors(learned))
    for c in range(10):
        np.testing.assert_allclose(found.nearest[:, c], every[:, labels == c].min(axis=1), rtol=1e-3)
    most = np.array([np.bincount(row, minlength=10).max() for row in near])
    votes = (near == ours.predict(judged[0])[:, None]).sum(axis=1)
    np.testing.assert_array_equal(votes, most)


def test_votes_and_ties_by_hand():
    rows = [[4, 7, 7], [4, 7, 9], [2, 2, 5], [1, 1, 1]]
    assert majority(np.array(rows)).tolist() == [7, 4, 2, 1]
    assert majority(np.array([[3, 8, 8, 3, 5]])).tolist() == [3]
    assert majority(np.array([[9, 4, 7], [9, 1, 9]])).tolist() == [9, 9]  # the nearest's class, not the lowest
    assert majority(np.array([[8, 3, 3, 8, 5]])).tolist() == [8]


def test_the_score_is_the_lead_in_distance():
    images = np.zeros((12, 1, 12), np.uint8)
    images[np.arange(12), 0, np.arange(12)] = 255
    labels = [*range(10), 1, 1]
    knn = KNearest.fit(images, labels)
    query = np.zeros((1, 1, 12), np.uint8)
    query[0, 0, [1, 10, 0]] = 204, 102, 51  # nearest to 1 and to 10, both of class 1; then to 0
    x = np.array([0.8, 0.4, 0.2])
    own, other = (np.sqrt((x**2).sum() + 1 - 2 * value) for value in (0.8, 0.2))
    classes, scores = knn.decide(query)
    assert classes.tolist() == [1]
    assert scores == pytest.approx([other - own], rel=1e-5)
    # The nearest is of class 0, the two next of class 1: the vote overrules it.
    query[0, 0] = 0
    query[0, 0, [0, 1, 10]] = 255, 200, 190
    assert knn.decide(query).classes.tolist() == [1]
    assert knn.decide(query).scores[0] < 0


def test_nearest_neighbors_cost_the_papers_24_million(mnist):
    images = np.broadcast_to(FORMS["deslanted"](mnist.train_images[:10]), (6, 10, 20, 20)).reshape(-1, 20, 20)
    small = KNearest.fit(images[:60], np.arange(60) % 10)
    assert small.stored * 1000 == small.multiply_accumulates * 1000 == 24_000_000


# --- principal components ---------------------------------------------------------------------------------------------


def test_products_are_the_papers_820(mnist):
    rng = np.random.default_rng(0)
    components = rng.normal(size=(7, 40)).astype(np.float32)
    made = products(components)
    assert made.shape == (7, 820)
    # scikit-learn's have the constant and the 40 linear terms first, then the same products in the same order.
    np.testing.assert_allclose(made, PolynomialFeatures(2).fit_transform(components)[:, 41:], rtol=1e-5)


def test_principal_components_are_the_covariances_eigenvectors(fitted, mnist):
    inputs = vectors(FORMS["deslanted"](mnist.train_images[:LEARNED])).astype(float)
    quadratic = fitted["quadratic"]
    assert quadratic.mean is None
    features = (inputs @ quadratic.axes.T)[:20]
    expected = PolynomialFeatures(2).fit_transform(features)[:, 11:] @ quadratic.layer.weights.T
    outputs = quadratic.outputs(FORMS["deslanted"](mnist.train_images[:20]))
    np.testing.assert_allclose(outputs, expected + quadratic.layer.biases, atol=1e-3)
    _, axes = np.linalg.eigh(np.cov(inputs.T))
    likeness = abs(np.sum(axes[:, ::-1][:, :10].T * quadratic.axes, axis=1))
    np.testing.assert_allclose(likeness, 1, atol=1e-4)


def test_quadratic_costs(mnist):
    made = Quadratic.fit(mnist.train_images[:1000], mnist.train_labels[:1000], ridge=0.1)
    assert made.layer.weights.shape == (10, 820)  # with the bias 821 inputs
    assert made.multiply_accumulates == 40 * 784 + 820 + 8_200
    assert made.stored == 40 * 784 + 8_210
    assert round(made.stored, -3) == 40_000  # Fig. 12


def test_centered_components_have_the_mean_taken_away(mnist):
    images, labels = mnist.train_images[:400], mnist.train_labels[:400]
    made = Quadratic.fit(images, labels, components=5, centred=True, ridge=0.1)
    inputs = vectors(images)
    np.testing.assert_allclose(made.mean, inputs.mean(axis=0), atol=1e-6)
    features = PolynomialFeatures(2).fit_transform((inputs - inputs.mean(axis=0)) @ made.axes.T)[:, 6:]
    np.testing.assert_allclose(made.outputs(images), features @ made.layer.weights.T + made.layer.biases, atol=1e-3)
    assert made.stored == 784 + 5 * 784 + 10 * 16


# --- radial basis functions -------------------------------------------------------------------------------------------


def test_gaussians_by_hand():
    inputs, centers = np.float32([[0, 0], [3, 4]]), np.float32([[0, 0], [0, 4]])
    expected = np.exp(-np.array([[0, 16], [25, 9]]) / 8)
    np.testing.assert_allclose(gaussians(inputs, centers, 2.0), expected, rtol=1e-5)


def test_centers_are_means_of_their_class(fitted, mnist):
    images, labels = FORMS["deslanted"](mnist.train_images[:LEARNED]), mnist.train_labels[:LEARNED]
    rbf, inputs = fitted["rbf"], vectors(images)
    squares = 0.0
    for c in range(10):
        own, centers = inputs[labels == c], rbf.centers[5 * c : 5 * c + 5]
        distances = cdist(own, centers, "sqeuclidean")
        squares += distances.min(axis=1).sum()
        for n in range(5):
            np.testing.assert_allclose(centers[n], own[distances.argmin(axis=1) == n].mean(axis=0), atol=0.02)
    assert rbf.width == pytest.approx(np.sqrt(squares / LEARNED), rel=1e-2)
    hidden = np.exp(-cdist(inputs[:50], rbf.centers, "sqeuclidean") / (2 * rbf.width**2))
    expected = hidden @ rbf.layer.weights.T + rbf.layer.biases
    np.testing.assert_allclose(rbf.outputs(images[:50]), expected, atol=1e-3)


def test_rbf_depends_on_its_seed_and_reports(mnist):
    told = []

    def fit(seed):
        return RBFNetwork.fit(
            mnist.train_images[:300], mnist.train_labels[:300], per_class=3, spread=1.0, ridge=1e-3, seed=seed,
            report=lambda done, total: told.append((done, total)),
        )  # fmt: skip

    one, again, other = fit(1), fit(1), fit(2)
    assert told[:10] == [(c, 10) for c in range(1, 11)]
    np.testing.assert_array_equal(one.centers, again.centers)
    assert not np.array_equal(one.centers, other.centers)
    # Of 1,000 units on 784 pixels both are the 794 thousand of Figs. 11 and 12, as with one width for all.
    assert (one.multiply_accumulates, one.stored) == (30 * 784 + 300, 30 * 784 + 1 + 310)
    assert round((1000 * 784 + 1 + 10_010) / 1000) == round((1000 * 784 + 10_000) / 1000) == 794
