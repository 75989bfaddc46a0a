"""LeNet-from-Scratch: its facts, its rates by hand and as its author printed them, one update by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lenet98 import accounting
from lenet98.data.mnist import MNIST
from lenet98.modern.lenet_from_scratch import PARAMETERS, READING, SPEC, Config, curvature, initial_parameters, train
from lenet98.modules import Net
from lenet98.networks import TABLE_I
from lenet98.prototypes import prototypes
from lenet98.randomness import generator
from lenet98.training import inputs

SMALL = Config(etas=(0.01, 0.005), batch=64, curvature_patterns=50, train_size=300)
F6_BIASES = slice(SPEC.parameters - 84, SPEC.parameters)


@pytest.fixture(scope="module")
def digits(mnist) -> MNIST:
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


@pytest.fixture(scope="module")
def whole(digits):
    return train(SMALL, 3, digits)


def test_settings_are_the_authors():
    config = Config()
    assert config.etas == pytest.approx([0.05] * 2 + [0.02] * 3 + [0.01] * 3 + [0.005] * 4 + [0.001] * 8)
    assert (config.mu, config.momentum, config.batch, config.curvature_patterns) == (0.02, 0.9, 256, 500)


def test_network_is_lenet5_with_averages_and_without_f6s_biases():
    # 156 + 1,516 + 48,120 as in the paper, and 84 x 120 of F6; no coefficients and biases of S2 and S4.
    assert PARAMETERS == 156 + 1_516 + 48_120 + 10_080
    assert SPEC.geometry[2].table == TABLE_I
    # S2's and S4's units have four inputs and no bias.
    connections = 122_304 + 4 * 1_176 + 151_600 + 4 * 400 + 48_120 + 10_164 + 840
    assert sum(map(accounting.connections, SPEC.geometry)) == connections


def test_initial_weights_are_normal_and_biases_a_hundredth_but_f6s():
    parameters = initial_parameters(Config(), 0)
    for layer in SPEC.trainable:
        weights, biases = parameters[layer.weight_slice], parameters[layer.bias_slice]
        assert weights.std() == pytest.approx(0.1, rel=0.1)
        assert set(biases) == ({0.0} if layer.name == "F6" else {np.float32(0.01)})


def published_curvature(parameters, images):
    """The sums over the layers as the published code has them, by autograd in float64.

    With all factors squared a layer is still linear, so that autograd's gradients are the second derivatives; an
    average hands down a quarter, as it does of first derivatives.
    """
    net = Net(SPEC, READING).double()
    net.load_flat(parameters.astype(np.float64))
    states = [state.detach() for state in net.states(torch.from_numpy(images).double())]
    found, second = {}, torch.ones_like(states[-1])
    layers = zip(net.layers, SPEC.hidden, states[:-1], states[1:], strict=True)
    for layer, geometry, x, state in reversed(list(layers)):
        if geometry.pools:
            second = F.interpolate(second, scale_factor=2) / 4
            continue
        weight = (layer.dense() if geometry.kind == "convolution" else layer.weight).detach()
        squares, x2 = weight.square().requires_grad_(), x.square().requires_grad_()
        slope = 2 / 3 * (1.7159 - state.square() / 1.7159)
        (F.conv2d(x2, squares) * slope.square() * second).sum().backward()
        found[geometry.name] = squares.grad[weight != 0].sum().item() / len(images)
        second = x2.grad
    return found


def test_curvature_is_the_sum_over_the_layer_with_averages_not_squared(digits):
    parameters = initial_parameters(Config(), 1)
    images = inputs(SPEC, digits.train_images[:7])
    expected = published_curvature(parameters, images)
    assert curvature(parameters, images) == pytest.approx(expected, rel=1e-4)


def test_first_rates_are_of_the_size_that_the_author_printed(mnist):
    """C1 1.35e-5, C3 1.18e-5, C5 1.65e-5, F6 1.78e-5 before the first pass; they vary with the initial weights."""
    images = inputs(SPEC, mnist.train_images[:100])
    h = np.array([[*curvature(initial_parameters(Config(), seed), images).values()] for seed in range(20)])
    ratios = 0.05 / (0.02 + h) / [1.35e-5, 1.18e-5, 1.65e-5, 1.78e-5]
    assert (ratios.min(0) < 1.1).all()
    # With quarters squared, as in eq. 27, C1's would be 16 times and C3's 4 times as great.
    assert (np.median(ratios, 0) < 2).all()


def test_two_updates_by_hand(digits):
    """Batches of 64 and 36 of 100 patterns: v <- 0.9 v - eps sum dE/dw, E = 1/2 sum_j (x_j - w_Dj)^2, w <- w + v."""
    reports = []
    config = replace(SMALL, etas=(0.01,), train_size=100)
    run = train(config, 3, digits, progress=reports.append)
    parameters = initial_parameters(config, 3)
    net = Net(SPEC, READING)
    chosen = generator(3, "hessian", 1).choice(100, 50, replace=False)
    h = curvature(parameters, inputs(SPEC, digits.train_images[chosen]))
    net.load_flat(parameters)
    weights = list(net.parameters())
    eps = [0.01 / (0.02 + h[layer.name]) for layer in SPEC.trainable for _ in ("weights", "biases")]
    eps[-1] = 0.0
    velocities = [torch.zeros_like(weight) for weight in weights]
    order = generator(3, "order", 1).permutation(100)
    bitmaps = torch.from_numpy(prototypes("bitmaps", 10))
    for patterns in (order[:64], order[64:]):
        x = net.states(torch.from_numpy(inputs(SPEC, digits.train_images[patterns])))[-1].flatten(1)
        right = bitmaps[torch.from_numpy(digits.train_labels[patterns].astype(int))]
        gradients = torch.autograd.grad((x - right).square().sum() / 2, weights)
        with torch.no_grad():
            for weight, velocity, gradient, rate in zip(weights, velocities, gradients, eps, strict=True):
                velocity.mul_(0.9).sub_(gradient, alpha=rate)
                weight += velocity
    np.testing.assert_allclose(run.parameters, net.flat(), rtol=0, atol=2e-6)
    assert np.abs(run.parameters - parameters).max() > 1e-3
    assert not run.parameters[F6_BIASES].any()
    assert [(report.done, report.total, report.passes) for report in reports] == [(100, 100, 1)]


def test_history_tells_the_rates(whole):
    first = whole.history[0]
    rates = [0.01 / (0.02 + h) for h in first.curvature.values()]
    assert list(first.curvature) == ["C1", "C3", "C5", "F6"]
    assert (first.rate_min, first.rate_max) == pytest.approx((min(rates), max(rates)))
    assert [entry.eta for entry in whole.history] == [0.01, 0.005]
    assert first.curvature != whole.history[1].curvature


def test_it_learns(digits):
    run = train(Config(etas=(0.02,) * 5, batch=16, curvature_patterns=100, train_size=1_000), 0, digits)
    assert run.history[-1].train_errors < 0.5 * run.history[0].train_errors
    assert run.history[-1].test_errors == (run.distances.argmin(1) != digits.test_labels).sum()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_run_whose_loss_is_not_finite_is_diverged(digits):
    run = train(replace(SMALL, etas=(0.01, 1e43)), 3, digits)
    assert run.diverged
    assert [entry.number for entry in run.history] == [1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"etas": ()}, "one positive eta per pass"),
        ({"mu": 0.0}, "Config.mu"),
        ({"deviation": -1.0}, "Config.deviation"),
        ({"momentum": 1.0}, "Config.momentum"),
        ({"batch": 0}, "Config.batch"),
        ({"curvature_patterns": 301}, "Config.curvature_patterns"),
    ],
)
def test_bad_configurations_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **fields)


def test_more_patterns_than_there_are(digits):
    with pytest.raises(ValueError, match="there are 60000 patterns"):
        train(Config(train_size=60_001), 0, digits)
