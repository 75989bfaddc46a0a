"""Support vector machines: against scikit-learn, by hand, and the conditions of the quadratic program."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import SVC

from lenet98.classifiers import svm
from lenet98.classifiers.svm import Machine, OneAgainstRest, Polynomial, fit_machine, normalized, shifted
from tests.strategies import few

KERNEL = Polynomial(4)
C = 10.0


@pytest.fixture(scope="module")
def some(mnist):
    """400 digits to learn and 200 others."""
    return mnist.train_images[:400], mnist.train_labels[:400], mnist.train_images[400:600]


@pytest.fixture(scope="module")
def fits(some):
    images, labels, _ = some
    return dict(svm.fitted(svm.regular(KERNEL, C, images, labels)))


@pytest.fixture(scope="module")
def classifier(fits):
    return OneAgainstRest(KERNEL, tuple(fits[c][0] for c in range(10)), (28, 28))


def test_kernel_by_hand():
    x, z = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    np.testing.assert_allclose(Polynomial(4)(x, z), [[1, 0.8**4, 0.5**4]])
    np.testing.assert_allclose(Polynomial(3, coef0=0)(x, z), [[1, 0.6**3, 0]])
    np.testing.assert_allclose(Polynomial(4).slope(x, z), [[2, 2 * 0.8**3, 2 * 0.5**3]])
    for degree, coef0 in ((0, 1.0), (4, -1.0)):
        with pytest.raises(ValueError, match="degree must be at least 1 and coef0 at least 0"):
            Polynomial(degree, coef0)


def test_decision_values_are_scikit_learns(some, classifier):
    images, labels, others = some
    for c in (0, 8):
        theirs = SVC(C=C, kernel="poly", degree=4, gamma=0.5, coef0=0.5).fit(normalized(images), labels == c)
        ours = classifier.decision_values(others)[:, c]
        np.testing.assert_allclose(ours, theirs.decision_function(normalized(others)), atol=1e-3)


def test_machines_are_optimal(some, fits):
    """Karush, Kuhn and Tucker: who supports lies on the margin or, at the bound, within; all others lie outside."""
    images, labels, _ = some
    patterns = normalized(images).astype(np.float32)
    for c, (machine, support) in fits.items():
        sign = np.where(labels == c, 1, -1)
        margin = sign * machine.decision_values(KERNEL, patterns)
        multipliers = np.zeros(400)
        multipliers[support] = machine.coefficients * sign[support]
        assert multipliers.min() >= 0
        assert multipliers.max() <= C + 1e-9
        assert machine.coefficients.sum() == pytest.approx(0, abs=1e-5)
        assert (margin[multipliers == 0] > 1 - 5e-3).all()
        free = (multipliers > 1e-6) & (multipliers < C - 1e-6)
        np.testing.assert_allclose(margin[free], 1, atol=5e-3)
        assert (margin[multipliers >= C - 1e-6] < 1 + 5e-3).all()


def test_learns_digits(some, classifier, mnist):
    images, labels, others = some
    assert (classifier.decide(images).classes == labels).all()
    assert (classifier.decide(others).classes != mnist.train_labels[400:600]).sum() < 30


@pytest.fixture
def libsvm(monkeypatch):
    """Without scikit-learn-intelex."""
    monkeypatch.setitem(sys.modules, "sklearnex.svm", None)
    svm.solver.cache_clear()
    yield svm.solver()[0]
    svm.solver.cache_clear()


def test_both_solvers_give_the_same_answers_to_all_but_a_few_test_patterns(mnist, request):
    pytest.importorskip("sklearnex", reason="scikit-learn-intelex is not installed")
    answers = []
    for fallback in (False, True):
        name = request.getfixturevalue("libsvm") if fallback else svm.solver()[0]
        tasks = svm.regular(KERNEL, C, mnist.train_images[:1000], mnist.train_labels[:1000])
        fits = dict(svm.fitted(tasks))
        machines = tuple(fits[c][0] for c in range(10))
        answers.append((name, OneAgainstRest(KERNEL, machines, (28, 28)).decide(mnist.test_images).classes))
    (one, ours), (other, theirs) = answers
    assert (one, other) == ("oneDAL", "libsvm")
    assert np.count_nonzero(ours != theirs) <= 10


def test_threads_change_nothing_of_libsvms_machines(some, libsvm):
    images, labels, _ = some
    tasks = {c: task for c, task in svm.regular(KERNEL, C, images, labels).items() if c in (1, 4)}
    alone = dict(svm.fitted(tasks))
    for c, (machine, support) in svm.fitted(tasks, threads=2):
        assert (support == alone[c][1]).all()
        np.testing.assert_array_equal(machine.coefficients, alone[c][0].coefficients)


def test_costs_are_the_papers_count_of_kernels():
    """Fig. 11 has 14 million for machines of about 1,780 vectors a class: each 784 products and one coefficient."""
    machine = Machine(np.zeros((1780, 784), np.float32), np.zeros(1780), 0.0)
    classifier = OneAgainstRest(KERNEL, (machine,) * 10, (28, 28))
    assert classifier.multiply_accumulates == 10 * 1780 * 785 == 13_973_000
    assert classifier.stored == 13_973_010


@pytest.mark.parametrize("directions", [4, 8])
def test_shifts_by_one_pixel(directions, mnist):
    images = mnist.train_images[:5]
    made = shifted(images, directions).reshape(1 + directions, 5, 28, 28)
    np.testing.assert_array_equal(made[0], images)
    moves = {(1, 0), (-1, 0), (0, 1), (0, -1)} | ({(1, 1), (1, -1), (-1, 1), (-1, -1)} if directions == 8 else set())
    found = {
        move for some in made[1:] for move in moves if (np.roll(images, move, axis=(1, 2)) == some).all()
    }  # these digits do not touch the border
    assert found == moves


def test_shift_loses_what_leaves_the_field():
    image = np.zeros((1, 3, 3), np.uint8)
    image[0, 0, 1] = 9
    made = shifted(image, 4)
    assert [np.argwhere(one).tolist() for one in made] == [[[0, 1]], [[0, 2]], [[0, 0]], [[1, 1]], []]
    with pytest.raises(ValueError, match="0, 4 or 8 directions, not 3"):
        shifted(image, 3)


def test_virtual_machines_know_shifts(some, fits):
    """Trained on its support vectors and their shifts, a machine errs less on shifted training digits."""
    images, labels, _ = some
    support = {c: fits[c][1] for c in range(10)}
    again = dict(svm.fitted(svm.virtual(KERNEL, C, images, labels, support, 4)))
    virtual = OneAgainstRest(KERNEL, tuple(again[c][0] for c in range(10)), (28, 28))
    regular = OneAgainstRest(KERNEL, tuple(fits[c][0] for c in range(10)), (28, 28))
    moved, truth = shifted(images, 4)[400:], np.tile(labels, 4)
    assert (virtual.decide(moved).classes != truth).sum() < (regular.decide(moved).classes != truth).sum() / 2
    # All patterns of the second training are the supports of the first and their shifts.
    vectors, kept = again[3]
    assert kept.max() < 5 * len(support[3])
    np.testing.assert_array_equal(vectors.vectors, normalized(shifted(images[support[3]], 4)[kept]).astype(np.float32))


@few
@given(st.integers(0, 399), st.floats(0.1, 1))
def test_norms_do_not_depend_on_the_strength_of_the_ink(mnist, i, share):
    image = mnist.train_images[i : i + 1]
    fainter = (image * share).astype(np.uint8)
    np.testing.assert_allclose(np.linalg.norm(normalized(fainter)), 1)
    np.testing.assert_allclose(normalized(fainter), normalized(image), atol=0.02)


def test_scores_are_how_far_the_best_machine_is_ahead(some, classifier):
    values = np.sort(classifier.decision_values(some[2]), axis=1)
    np.testing.assert_allclose(classifier.decide(some[2]).scores, values[:, -1] - values[:, -2], rtol=1e-5)


def test_blank_image_has_a_class(classifier):
    blank = np.zeros((1, 28, 28), np.uint8)
    assert not normalized(blank).any()
    assert np.isfinite(classifier.decision_values(blank)).all()


def test_what_a_report_raises_stops_the_fits(some):
    images, labels, _ = some

    def beat():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(svm.fitted(svm.regular(KERNEL, C, images, labels), beat=beat))


def test_bad_input_is_refused(some, classifier):
    images, labels, _ = some
    with pytest.raises(ValueError, match="labels have shape"):
        svm.regular(KERNEL, C, images, labels[:3])
    with pytest.raises(ValueError, match="no pattern of class 9"):
        svm.regular(KERNEL, C, images[labels != 9], labels[labels != 9])
    with pytest.raises(ValueError, match="C must be positive, got 0"):
        fit_machine(KERNEL, 0, normalized(images), labels == 3)
    with pytest.raises(ValueError, match="20x20, the classifier was fitted on 28x28"):
        classifier.decide(np.zeros((1, 20, 20), np.uint8))
    with pytest.raises(ValueError, match="uint8"):
        normalized(images.astype(float))
