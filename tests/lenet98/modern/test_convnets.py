"""Networks of today: counts by hand, the module against one written out, initial weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lenet98 import accounting
from lenet98.catalog import named
from lenet98.data.fields import BLACK, WHITE, pad_and_scale
from lenet98.modern.networks import KERAS, PLAIN, ConvNet, Initial, field
from tests.strategies import few


def built(network, seed=0):
    return network.build(seed)


@pytest.mark.parametrize(
    ("network", "parameters", "connections"),
    [
        # 6 (25 + 1) + 16 (150 + 1) + 120 (400 + 1) + 84 (120 + 1) + 10 (84 + 1)
        (PLAIN, 156 + 2_416 + 48_120 + 10_164 + 850, 61_706),
        # The same with 4x4 maps after S4: 120 (256 + 1).
        (ConvNet(size=28), 156 + 2_416 + 30_840 + 10_164 + 850, 44_426),
        # Two more for each map and unit but the outputs: 2 (6 + 16 + 120 + 84).
        (ConvNet(batch_norm=True), 61_706 + 452, 62_158),
    ],
)
def test_parameters_by_hand(network, parameters, connections):
    assert network.parameters == parameters == connections
    assert sum(parameter.numel() for parameter in built(network).parameters()) == parameters


def test_connections_by_hand():
    """As II.B counts: C1 has the paper's 122,304, C3 without Table I 16 (150 + 1) 100; a pooling unit its 4 inputs."""
    counts = {layer.name: layer.connections for layer in PLAIN.layers}
    assert counts == {
        "C1": 122_304, "S2": 4_704, "C3": 241_600, "S4": 1_600, "F5": 48_120, "F6": 10_164, "output": 850
    }  # fmt: skip
    assert PLAIN.connections == 429_342


def test_module_is_the_one_written_out_with_a_padded_convolution():
    """A field of 32 is a first convolution padded by 2, as d2l.ai writes it."""
    written = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2, 2),
        nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten(),
        nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10),
    )  # fmt: skip
    ours = built(ConvNet(squashing="sigmoid"))
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(ours.parameters()), written.parameters())
    images = torch.randint(0, 256, (5, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(field(images, 32, (0.0, 1.0))), written(images[:, None] / 255))


def test_max_pooling_other_squashing_of_full_layers_normalization_and_dropout_are_where_they_belong():
    network = ConvNet(pooling="max", squashing="relu", full_squashing="tanh", batch_norm=True, dropout=0.5)
    kinds = [type(module).__name__ for module in built(network)]
    assert kinds == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Flatten",
        "Dropout", "Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear",
    ]  # fmt: skip


def test_field_has_the_papers_levels_as_pad_and_scale_has_them(mnist):
    digits = mnist.test_images[:50]
    ours = field(torch.from_numpy(digits), 32, (WHITE, BLACK)).numpy()
    np.testing.assert_allclose(ours, pad_and_scale(digits), atol=1e-6)


def bounds(initial):
    """Least, greatest and root mean square of F5's 48,000 weights, and its biases."""
    layer = built(ConvNet(initial=initial))[7]
    weights = layer.weight.detach()
    return weights.min().item(), weights.max().item(), weights.std().item(), layer.bias.detach()


def test_initial_weights():
    fan_in, fan_out = 400, 120
    low, high, _, biases = bounds(Initial())
    assert (low, high) == pytest.approx((-(fan_in**-0.5), fan_in**-0.5), rel=1e-3)
    assert 0.04 < biases.abs().max() <= fan_in**-0.5
    low, high, _, biases = bounds(KERAS)
    assert (low, high) == pytest.approx((-((6 / (fan_in + fan_out)) ** 0.5), (6 / (fan_in + fan_out)) ** 0.5), rel=1e-3)
    assert not biases.any()
    assert bounds(Initial("he"))[2] == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)
    low, high, deviation, biases = bounds(Initial("normal", deviation=0.2, biases=0.01))
    assert deviation == pytest.approx(0.2, rel=0.02)
    assert high > 0.7
    assert biases.unique().tolist() == pytest.approx([0.01])
    low, high, deviation, _ = bounds(Initial("truncated normal", deviation=0.1))
    assert (low, high) == pytest.approx((-0.2, 0.2), rel=1e-2)
    assert deviation == pytest.approx(0.1 * 0.8796, rel=0.02)  # of a normal cut at two deviations


def test_glorots_bound_of_a_convolution_counts_the_receptive_field_on_both_sides():
    weights = built(ConvNet(initial=KERAS))[3].weight.detach()
    reference = torch.empty(16, 6, 5, 5)
    nn.init.xavier_uniform_(reference)
    assert weights.abs().max().item() == pytest.approx(reference.abs().max().item(), rel=0.01)


def test_networks_of_one_seed_are_alike_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    one, same, other = built(PLAIN, 1), built(PLAIN, 1), built(PLAIN, 2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one[0].weight, same[0].weight)
    assert not torch.equal(one[0].weight, other[0].weight)


@few
@given(
    blocks=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    kernel=st.integers(1, 4),
    units=st.lists(st.integers(1, 6), max_size=2),
    last=st.integers(1, 3),
    norm=st.booleans(),
)
def test_module_has_the_parameters_and_shapes_that_are_counted(blocks, kernel, units, last, norm):
    size = last
    for _ in blocks:
        size = 2 * size + kernel - 1
    network = ConvNet(size=size, maps=tuple(blocks), kernel=kernel, units=tuple(units), batch_norm=norm)
    model = built(network).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == network.parameters
    assert model(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pooling": "sum"}, "ConvNet.pooling is 'sum'; it must be one of average, max"),
        ({"squashing": "gelu"}, "ConvNet.squashing is 'gelu'"),
        ({"dropout": 1.0}, "ConvNet.dropout is 1.0"),
        ({"maps": ()}, "ConvNet.maps is empty"),
        ({"units": (120, 0)}, r"ConvNet.units is \(120, 0\)"),
        ({"size": 29}, "ConvNet.size is 29: maps of 25x25 after convolution 1 cannot be pooled"),
    ],
)
def test_networks_that_cannot_be_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        ConvNet(**fields)


def test_bad_initial_weights_are_named():
    with pytest.raises(ValueError, match=r"Initial\.weights is 'xavier'; it must be one of torch, glorot"):
        Initial("xavier")
    with pytest.raises(ValueError, match=r"Initial\.biases is 'zero'"):
        Initial(biases="zero")


def test_multiply_accumulates_by_hand():
    """28x28 units of 25 products a map, 10x10 of 150; full layers of 400, 120 and 84: as the spec has."""
    of_spec = accounting.table(named("lenet5-full-c3-max-softmax-relu"))[-1]["multiply_accumulates"]
    assert PLAIN.multiply_accumulates == 117_600 + 240_000 + 48_000 + 10_080 + 840 == of_spec
    assert ConvNet(batch_norm=True).multiply_accumulates == of_spec
