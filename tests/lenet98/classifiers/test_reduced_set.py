"""Reduced sets: the distance and its gradient by independent means, and the full machine's decisions."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from lenet98.classifiers import reduced_set
from lenet98.classifiers.reduced_set import RIDGE, coefficients, objective, reduce
from lenet98.classifiers.svm import Machine, Polynomial, fit_machine, normalized

KERNEL = Polynomial(5)


@pytest.fixture(scope="module")
def machine(mnist):
    """A machine for the eights among 2,000 digits."""
    return fit_machine(KERNEL, 10, normalized(mnist.train_images[:2000]), mnist.train_labels[:2000] == 8)[0]


@pytest.fixture(scope="module")
def others(mnist):
    return normalized(mnist.train_images[2000:3000]).astype(np.float32)


@pytest.fixture(scope="module")
def reduced(machine):
    return reduce(KERNEL, machine, 40, steps=60)


def explicit_features(x):
    """Of the kernel ((x.z + 1) / 2)^2 on two pixels: 1, x1, x2 and their products, with the weights of the square."""
    a, b = x.T
    root = np.sqrt(2)
    return np.stack([np.ones_like(a), root * a, root * b, a * a, b * b, root * a * b], axis=1) / 2


def test_distance_in_explicit_features():
    """With two pixels and degree 2 the space has six dimensions and least squares gives the coefficients."""
    rng = np.random.default_rng(0)
    kernel, x, z, alpha = Polynomial(2), rng.normal(size=(9, 2)), rng.normal(size=(3, 2)), rng.normal(size=9)
    target = alpha @ explicit_features(x)
    beta, (rest,), *_ = np.linalg.lstsq(explicit_features(z).T, target)
    np.testing.assert_allclose(coefficients(kernel, z, x, alpha), beta, rtol=1e-3)
    value, _ = objective(kernel, z, x, alpha)
    assert value + target @ target == pytest.approx(rest + RIDGE * beta @ beta, rel=1e-4)


@pytest.mark.parametrize(("degree", "coef0"), [(1, 1.0), (4, 1.0), (5, 0.3), (9, 0.0)])
def test_gradient_is_that_of_differences(degree, coef0):
    rng = np.random.default_rng(degree)
    kernel, x, z, alpha = Polynomial(degree, coef0), rng.random((8, 5)), rng.random((3, 5)), rng.normal(size=8)
    error = check_grad(
        lambda flat: objective(kernel, flat.reshape(3, 5), x, alpha)[0],
        lambda flat: objective(kernel, flat.reshape(3, 5), x, alpha)[1].ravel(),
        z.ravel(),
    )
    assert error < 1e-4 * np.linalg.norm(objective(kernel, z, x, alpha)[1]) + 1e-6


def test_decisions_are_the_full_machines(machine, reduced, others):
    """A tenth of the vectors, and on new digits nearly what the full machine says."""
    assert len(machine.vectors) > 350
    full, small = (one.decision_values(KERNEL, others) for one in (machine, reduced.machine))
    assert np.corrcoef(full, small)[0, 1] > 0.98
    assert np.std(full - small) < 0.2 * np.std(full)
    assert ((full > 0) == (small > 0)).mean() > 0.97


def test_search_beats_its_start_and_more_vectors_fewer(machine, reduced):
    unsearched = reduce(KERNEL, machine, 40, steps=0)
    assert reduced.distance < 0.8 * unsearched.distance
    assert reduce(KERNEL, machine, 10, steps=60).distance > reduced.distance
    assert reduced.machine.bias == machine.bias
    assert reduced.steps <= 60


def test_all_vectors_are_the_machine_itself(machine, others):
    few = Machine(machine.vectors[:30], machine.coefficients[:30], machine.bias)
    found = reduce(KERNEL, few, 30, steps=0)
    assert found.distance < 1e-2
    np.testing.assert_allclose(
        found.machine.decision_values(KERNEL, others), few.decision_values(KERNEL, others), atol=1e-3
    )


def test_first_vectors_are_of_both_kinds():
    alpha = np.array([5.0, -1.0, 4.0, -3.0, 2.0, -2.0])
    assert sorted(reduced_set.first(alpha, 4)) == [0, 2, 3, 5]
    assert sorted(reduced_set.first(alpha, 5)) == [0, 2, 3, 4, 5]
    assert sorted(reduced_set.first(np.array([1.0, 2.0, 3.0, -6.0]), 4)) == [0, 1, 2, 3]
    assert sorted(reduced_set.first(np.array([-1.0, -2.0, -3.0, 6.0]), 4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [0, 10_000])
def test_impossible_counts_are_refused(machine, count):
    with pytest.raises(ValueError, match=f"cannot be reduced to {count}"):
        reduce(KERNEL, machine, count)
