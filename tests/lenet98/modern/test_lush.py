"""Lush's protocol: its facts, one pass by hand, rates that stay within a stage."""

from dataclasses import replace

import numpy as np
import pytest

from lenet98 import accounting
from lenet98.curvature import diagonal
from lenet98.data.mnist import MNIST
from lenet98.modern.lush import READING, SPEC, Config, inputs, train
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import initial_parameters

SMALL = Config(etas=(5e-4, 5e-5), passes=2, curvature_patterns=50, train_size=300)


@pytest.fixture(scope="module")
def digits(mnist) -> MNIST:
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


@pytest.fixture(scope="module")
def whole(digits):
    return train(SMALL, 3, digits)


def test_protocol_is_the_published_one():
    """do-mnist of the patch: lr '(1e-4 1e-5 1e-6), doit 10, compute-diaghessian 1000 0.02, coefficient 0.01."""
    config = Config()
    assert (config.etas, config.passes, config.mu) == ((1e-4, 1e-5, 1e-6), 10, 0.02)
    assert (config.curvature_patterns, config.scale, config.train_size) == (1000, 0.01, 60_000)


def test_network_is_lenet5_without_f6_and_rbf_units():
    # 156 + 12 + 1,516 + 32 + 48,120 as in the paper, and ten outputs of 120 inputs and a bias.
    assert SPEC.parameters == 49_836 + 1_210
    assert sum(map(accounting.connections, SPEC.geometry)) == 122_304 + 5_880 + 151_600 + 2_000 + 48_120 + 1_210


def test_initial_weights_are_forgets():
    """`forget 1 2`: within one by the square root of the fan-in, 25, 75 to 150, 400 and 120."""
    parameters = initial_parameters(SPEC, READING, generator(0, "init"))
    ranges = {}
    for layer in SPEC.trainable:
        assert not parameters[layer.bias_slice].any()
        ranges[layer.name] = np.abs(parameters[layer.weight_slice]).max()
    assert ranges["C1"] == pytest.approx(1 / 5, rel=0.05)
    assert ranges["C3"] == pytest.approx(75**-0.5, rel=0.05)
    assert ranges["C5"] == pytest.approx(1 / 20, rel=1e-3)
    assert ranges["output"] == pytest.approx(120**-0.5, rel=0.01)
    assert set(parameters[SPEC.geometry[1].weight_slice]) == {0.5}


def test_inputs_are_gray_levels_by_a_hundredth_on_zeros(mnist):
    seen = inputs(mnist.test_images[:2], 0.01)
    assert seen.shape == (2, 1, 32, 32)
    assert not seen[:, :, :2].any()
    np.testing.assert_allclose(seen[:, 0, 2:30, 2:30], mnist.test_images[:2] / 100, rtol=1e-6)


def test_first_pass_by_hand(digits):
    """h_kk of the first 50 patterns, eps = eta/(mu + h), then the patterns in the order of the database."""
    run = train(replace(SMALL, etas=(5e-4,), passes=1), 3, digits)
    parameters = initial_parameters(SPEC, READING, generator(3, "init"))
    h = diagonal(SPEC, READING, parameters, inputs(digits.train_images[:50], 0.01))
    eps = np.float32(5e-4) / (np.float32(0.02) + h)
    images = inputs(digits.train_images[:300], 0.01)
    errors, losses = Engine(SPEC, READING).sweep(parameters, eps, images, digits.train_labels[:300])
    np.testing.assert_allclose(run.parameters, parameters, rtol=0, atol=1e-6)
    assert run.history[0].train_errors == errors
    assert run.history[0].train_loss == pytest.approx(losses / 300)
    assert run.history[0].test_errors == (run.distances.argmin(1) != digits.test_labels).sum()


def test_rates_are_those_of_the_stage(whole):
    first, second, third, fourth = [(entry.rate_min, entry.rate_max, entry.curvature) for entry in whole.history]
    assert first == second
    assert third == fourth
    assert first[2] != third[2]  # estimated anew when the stage begins
    assert [entry.eta for entry in whole.history] == [5e-4, 5e-4, 5e-5, 5e-5]


def test_it_learns(digits):
    run = train(replace(SMALL, etas=(5e-4,), passes=5, train_size=600), 0, digits)
    assert run.history[-1].train_errors < 0.4 * run.history[0].train_errors


def test_run_whose_loss_is_not_finite_is_diverged(digits):
    run = train(replace(SMALL, etas=(5e-4, 1e30)), 3, digits)
    assert run.diverged
    assert [entry.number for entry in run.history] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"etas": ()}, "one positive eta per stage"),
        ({"passes": 0}, "Config.passes"),
        ({"mu": 0.0}, "Config.mu"),
        ({"curvature_patterns": 301}, "Config.curvature_patterns"),
    ],
)
def test_bad_configurations_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **fields)


def test_more_patterns_than_there_are(digits):
    with pytest.raises(ValueError, match="there are 60000 patterns"):
        train(Config(train_size=60_001), 0, digits)
