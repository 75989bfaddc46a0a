"""Layers on batches are the layers that define them: the same values, the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lenet98.data.fields import pad_and_scale
from lenet98.modern import batches, ladder
from lenet98.modules import Net
from lenet98.networks import LENET4, LENET5
from lenet98.readings import DEFAULT, LITERAL


@pytest.fixture(scope="module")
def digits(mnist):
    """Sixteen real ones, whose background makes many equal values, and their classes."""
    return torch.from_numpy(pad_and_scale(mnist.train_images[:16])), torch.from_numpy(mnist.train_labels[:16]).long()


def with_gradient(function, x):
    """What it makes of x, and a gradient that autograd takes back through it."""
    x = x.clone().requires_grad_()
    y = function(x)
    (gradient,) = torch.autograd.grad(y, x, torch.cos(3 * y.detach()))
    return y, gradient


@pytest.mark.parametrize(
    ("fast", "defined"),
    [
        (batches.maximum, lambda x: F.max_pool2d(x, 2)),
        (batches.average, lambda x: F.avg_pool2d(x, 2)),
        (lambda x: batches.average(x, 1), lambda x: F.avg_pool2d(x, 2, divisor_override=1)),
    ],
    ids=["maximum", "average", "sum"],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_pooling_has_the_bits_of_pytorch(digits, fast, defined, channels_last):
    maps = torch.cat((digits[0], digits[0].roll(1, 2).relu(), torch.randn_like(digits[0])), 1)
    if channels_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    for found, expected in zip(with_gradient(fast, maps), with_gradient(defined, maps), strict=True):
        assert torch.equal(found, expected)


def test_divergence_is_seen_behind_a_maximum():
    assert batches.maximum(torch.tensor([[[[1.0, 2.0], [torch.nan, 3.0]]]])).isnan().all()


@pytest.mark.parametrize(
    "layer", [nn.MaxPool2d(3, 2), nn.MaxPool2d(2, 1), nn.AvgPool2d(2, padding=1), nn.AvgPool2d(2, divisor_override=3)]
)
def test_other_pooling_is_left_to_pytorch(digits, layer):
    assert torch.equal(batches.forward(nn.Sequential(layer), digits[0]), layer(digits[0]))


def test_an_odd_side_is_left_to_pytorch(digits):
    layer, odd = nn.MaxPool2d(2), digits[0][..., :31, :31]
    fast = with_gradient(lambda x: batches.forward(layer, x), odd)
    for found, expected in zip(fast, with_gradient(layer, odd), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("spec", "reading"),
    [(LENET5, DEFAULT), (LENET5, LITERAL), (LENET4, DEFAULT), (ladder.LADDER[1], DEFAULT), (ladder.TODAY, ladder.HE)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_layer_of_a_net_has_the_values_and_gradients_of_its_definition(digits, spec, reading):
    net = Net(spec, reading, 0)
    x = digits[0] if spec.input_shape[1] == 32 else F.interpolate(digits[0], spec.input_shape[1:])
    for layer in (*net.layers, net.output):
        parameters = list(layer.parameters())
        x = x.detach().requires_grad_()
        a, b = batches.forward(layer, x), layer(x)
        torch.testing.assert_close(a, b)
        down = torch.autograd.grad(a.sin().sum(), [x, *parameters])
        for found, expected in zip(down, torch.autograd.grad(b.sin().sum(), [x, *parameters]), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        x = torch.tanh(b)
