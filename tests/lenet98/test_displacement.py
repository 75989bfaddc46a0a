"""The space displacement network against the network run in every window (Section VII)."""

from dataclasses import replace

import numpy as np
import pytest

from lenet98.data import rows
from lenet98.displacement import Operations, operations, outputs, penalties, step, wide
from lenet98.modern.ladder import TODAY
from lenet98.modules import network
from lenet98.networks import LENET1, LENET4, LENET5
from lenet98.online.engine import Engine, WideEngine
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, initial_parameters


@pytest.mark.parametrize("spec", [LENET5, LENET4, LENET1], ids=lambda spec: spec.name)
def test_outputs_are_those_of_the_network_in_every_window(mnist, spec):
    parameters = initial_parameters(spec, DEFAULT, generator(3, "init"))
    field = rows.compose(mnist.test_images, [[0, 1, 2], [3, 4, 5]], [[-1, 3], [0, 4]]).values
    height, width = spec.input_shape[1:]
    top = (field.shape[1] - height) // 2
    field = np.ascontiguousarray(field[:, top : top + height])
    found = penalties(network(spec, parameters), field)
    assert found.shape == (2, outputs(spec, field.shape[2]), 10)
    # The windows go through the engine, which shares no code with the module.
    engine = Engine(spec, DEFAULT)
    for place in range(found.shape[1]):
        window = np.ascontiguousarray(field[:, None, :, 4 * place : 4 * place + width])
        np.testing.assert_allclose(engine.distances(parameters, window), found[:, place], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("reading", [DEFAULT, replace(DEFAULT, subsampling="sum")], ids=["average", "sum"])
@pytest.mark.parametrize("spec", [LENET5, LENET4, LENET1], ids=lambda spec: spec.name)
def test_the_engine_over_a_field_is_the_engine_in_every_window(mnist, spec, reading):
    parameters = initial_parameters(spec, reading, generator(4, "init"))
    height, width = spec.input_shape[1:]
    images = mnist.test_images[:, : min(28, height), :]
    field = rows.compose(images, [[0, 1, 2], [3, 4, 5]], [[-1, 3], [0, 4]]).values
    top = (field.shape[1] - height) // 2
    field = np.ascontiguousarray(field[:, None, top : top + height])
    field = field[..., : width + (field.shape[3] - width) // 4 * 4]
    wide, engine = WideEngine(spec, reading, field.shape[3]), Engine(spec, reading)
    found = wide.distances(parameters, field)
    assert found.shape == (2, outputs(spec, field.shape[3]), 10)
    for place in range(wide.outputs):
        window = np.ascontiguousarray(field[..., 4 * place : 4 * place + width])
        np.testing.assert_allclose(found[:, place], engine.distances(parameters, window), rtol=1e-4, atol=1e-3)
    single = WideEngine(spec, reading, width).distances(parameters, window)  # of one output C5 and F6 are full layers
    np.testing.assert_allclose(single[:, 0], engine.distances(parameters, window), rtol=1e-5)


def test_the_engine_refuses_fields_that_it_was_not_made_for():
    zeros = np.zeros(LENET5.parameters, np.float32)
    with pytest.raises(ValueError, match="a field of 28 columns is narrower than the 32 that lenet5 reads"):
        WideEngine(LENET5, DEFAULT, 28)
    with pytest.raises(ValueError, match="the last columns of 66 are read by no output"):
        WideEngine(LENET5, DEFAULT, 66)
    with pytest.raises(ValueError, match="softmax output; only RBF units are replicated"):
        WideEngine(TODAY, DEFAULT, 64)
    wide = WideEngine(LENET5, DEFAULT, 64)
    with pytest.raises(ValueError, match=r"takes float32 fields of shape \(1, 1, 32, 64\), got float32 of shape"):
        wide.distances(zeros, np.zeros((1, 1, 32, 60), np.float32))
    with pytest.raises(ValueError, match=r"takes float32 parameters of shape \(60000,\), got float64"):
        wide.distances(zeros.astype(float), np.zeros((1, 1, 32, 64), np.float32))


def test_many_fields_are_computed_in_parts(mnist, monkeypatch):
    net = network(LENET5, initial_parameters(LENET5, DEFAULT, generator(0, "init")))
    field = rows.compose(mnist.test_images, [[0, 1], [2, 3], [4, 5]], 0).values
    whole = penalties(net, field)
    monkeypatch.setattr("lenet98.displacement.AT_ONCE", 1)
    np.testing.assert_allclose(penalties(net, field), whole, rtol=1e-4, atol=1e-3)


def test_columns_that_fill_no_step_are_not_seen(mnist):
    net = network(LENET5, initial_parameters(LENET5, DEFAULT, generator(0, "init")))
    field = rows.compose(mnist.test_images, [[0, 1]], 0).values
    np.testing.assert_array_equal(penalties(net, field[..., :-3]), penalties(net, field[..., :-4]))


@pytest.mark.parametrize("shape", [(32, 64), (1, 28, 64), (1, 32, 31)])
def test_other_fields_are_refused(shape):
    net = network(LENET5, np.zeros(LENET5.parameters, np.float32))
    with pytest.raises(ValueError, match="field"):
        penalties(net, np.zeros(shape, np.float32))


def test_fig25_has_the_layers_of_a_field_of_64_columns():
    """The sizes of the maps that Fig. 25 shows, and its nine outputs."""
    found = {one.layer.name: one for one in wide(LENET5, 64)}
    assert [found[name].size for name in ("C1", "C3", "C5")] == ["C1: 6@28x60", "C3: 16@10x26", "C5: 120@1x9"]
    assert outputs(LENET5, 64) == found["RBF"].columns == 9
    assert found["RBF"].pitch == step(LENET5) == step(LENET1) == 4


def test_operations_of_one_window_are_those_of_the_network():
    # 150 weights into each of 28x28 places, and so on: counted by hand from II.B.
    by_hand = 28**2 * 150 + 14**2 * 6 + 10**2 * 1500 + 5**2 * 16 + 48_000 + 84 * 120 + 840
    assert operations(LENET5, 32) == Operations(1, by_hand, by_hand)


def test_replication_saves_more_the_wider_the_field():
    """C1 to S4, which overlapping windows share, are most of the work: C5 and above are not shared."""
    shares = [(cost := operations(LENET5, width)).replicated / cost.windows for width in (32, 64, 128, 1024)]
    assert shares == sorted(shares, reverse=True)
    a_step = 28 * 4 * 150 + 14 * 2 * 6 + 10 * 2 * 1500 + 5 * 16 + 48_000 + 84 * 120 + 840  # of 4, 2, 2, 1 columns
    assert operations(LENET5, 36).replicated - operations(LENET5, 32).replicated == a_step
