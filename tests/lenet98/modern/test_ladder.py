"""The rungs from LeNet-5 to its look-alikes: one change each, and all of them learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lenet98 import accounting, weights
from lenet98.catalog import SPECS, named
from lenet98.curvature import diagonal
from lenet98.data.fields import pad_and_scale
from lenet98.modern import ladder
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import FORMER, initial_parameters
from lenet98.sdlm import ETAS, MU, rates
from lenet98.training import Config, train

NETWORKS = dict.fromkeys((*ladder.LADDER, *ladder.ALONE))

# Layer by layer, from C1 to the output.
KINDS = {
    "lenet5": "convolution subsampling convolution subsampling convolution full rbf",
    "lenet5-full-c3": "convolution subsampling convolution subsampling convolution full rbf",
    "lenet5-full-c3-average": "convolution average convolution average convolution full rbf",
    "lenet5-full-c3-max": "convolution max convolution max convolution full rbf",
    "lenet5-full-c3-max-softmax": "convolution max convolution max convolution full softmax",
    "lenet5-full-c3-max-softmax-relu": "convolution max convolution max convolution full softmax",
    "lenet5-average": "convolution average convolution average convolution full rbf",
    "lenet5-max": "convolution max convolution max convolution full rbf",
    "lenet5-softmax": "convolution subsampling convolution subsampling convolution full softmax",
    "lenet5-relu": "convolution subsampling convolution subsampling convolution full rbf",
}
# C3 full: 16 x 6 kernels of 25 and 16 biases, 2,416 for 1,516. Plain pooling: S2's 12 and S4's 32 less. Softmax: 84 x
# 10 weights and 10 biases more. 61,706 is what the network that goes by the name of LeNet-5 today has.
PARAMETERS = {
    "lenet5": 60_000,
    "lenet5-full-c3": 60_900,
    "lenet5-full-c3-average": 60_856,
    "lenet5-full-c3-max": 60_856,
    "lenet5-full-c3-max-softmax": 61_706,
    "lenet5-full-c3-max-softmax-relu": 61_706,
    "lenet5-average": 59_956,
    "lenet5-max": 59_956,
    "lenet5-softmax": 60_850,
    "lenet5-relu": 60_000,
}


@pytest.mark.parametrize("name", KINDS)
def test_every_network_has_the_layers_and_parameters_of_its_name(name):
    spec = named(name)
    assert " ".join(layer.kind for layer in spec.geometry) == KINDS[name]
    assert spec.parameters == sum(p.numel() for p in Net(spec).parameters()) == PARAMETERS[name]
    assert spec.squashing == ("relu" if "relu" in name else "tanh")
    assert spec.geometry[2].kernels == (96 if "full-c3" in name else 60)


def test_the_ladder_and_the_single_changes_are_all_that_there_is():
    assert [spec.name for spec in ladder.LADDER] == [name for name in KINDS if "full-c3" in name]
    assert {spec.name for spec in NETWORKS} == set(KINDS) - {"lenet5"}


def test_todays_network_keeps_to_its_budget():
    """C1 12 x 10 parameters, C3 32 x 109, C5 64 x 289, F7 120 x 257, F8 84 x 121, output 10 x 85."""
    assert ladder.TODAY.parameters == 120 + 3_488 + 18_496 + 30_840 + 10_164 + 850 == 63_958
    products, of_lenet5 = (accounting.table(spec)[-1]["multiply_accumulates"] for spec in (ladder.TODAY, LENET5))
    # 28x28 units of 9 products a map, 12x12 of 108, 4x4 of 288; full layers of 256, 120 and 84.
    assert products == 84_672 + 497_664 + 294_912 + 30_720 + 10_080 + 840
    assert products <= 3 * of_lenet5
    assert ladder.TODAY.parameters <= 1.1 * LENET5.parameters


def test_the_wider_network_of_1998_is_todays_with_the_layers_of_1998():
    kinds = [layer.kind for layer in ladder.WIDER.geometry]
    assert kinds == [*["convolution", "subsampling"] * 3, "full", "full", "rbf"]
    assert [layer.out_shape for layer in ladder.WIDER.hidden] == [layer.out_shape for layer in ladder.TODAY.hidden]
    assert (ladder.WIDER.squashing, ladder.TODAY.squashing) == ("tanh", "relu")
    assert ladder.reading(ladder.WIDER) == FORMER
    # Subsampling has two parameters a map; RBF units have none for the 850 of the outputs.
    assert ladder.WIDER.parameters == 63_958 - 850 + 2 * (12 + 32 + 64)


def test_the_last_rung_is_the_network_of_todays_tutorials():
    """Written anew with torch's own layers, with the same weights: the same logarithms of probabilities."""
    spec = ladder.LADDER[-1]
    net = Net(spec, ladder.HE, seed=3)
    today = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
        nn.LogSoftmax(1),
    )
    for theirs, ours in zip(today.parameters(), net.parameters(), strict=True):
        theirs.data = ours.data.view_as(theirs)
    images = torch.tensor(np.random.default_rng(0).uniform(-0.1, 1.175, (4, 1, 32, 32)), dtype=torch.float32)
    torch.testing.assert_close(net(images), -today(images))


def test_names_are_known():
    assert SPECS.keys() >= KINDS.keys()
    assert named("lenet5-full-c3-max-softmax-relu").squashing == "relu"


def test_rectified_units_start_as_he_has_them():
    """Variance 2 / F_i, F_i without the bias, and biases of zero."""
    spec = ladder.LADDER[-1]
    reading = ladder.reading(spec)
    parameters = initial_parameters(spec, reading, generator(0, "init"))
    for layer, fan_in in zip(spec.trainable, (25, 150, 400, 120, 84), strict=True):
        drawn = parameters[layer.weight_slice]
        assert drawn.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.1)
        assert np.abs(drawn).max() <= np.sqrt(6 / fan_in) * (1 + 1e-6)
        assert not parameters[layer.bias_slice].any()
    assert ladder.reading(ladder.LADDER[-2]) == ladder.reading(LENET5) == FORMER


@pytest.mark.parametrize("spec", [*NETWORKS, ladder.TODAY, ladder.WIDER], ids=lambda spec: spec.name)
def test_every_network_learns(mnist, spec):
    images, labels = (
        pad_and_scale(mnist.train_images[:1000], spec.input_shape[1]),
        mnist.train_labels[:1000].astype(int),
    )
    reading = ladder.reading(spec)
    parameters = initial_parameters(spec, reading, generator(0, "init"))
    engine, eps = Engine(spec, reading), rates(diagonal(spec, reading, parameters, images[:100]), ETAS[0], MU)
    (first, _), (second, _) = (engine.sweep(parameters, eps, images, labels) for _ in range(2))
    assert first < 600  # 900 are what guessing gets wrong
    assert second < 0.75 * first


def test_a_look_alike_is_trained_saved_and_evaluated_as_lenet5_is(mnist, tmp_path):
    few = replace(mnist, test_images=mnist.test_images[:200], test_labels=mnist.test_labels[:200])
    spec = ladder.LADDER[-1]
    config = Config(spec.name, ladder.HE, etas=(0.0005,), train_size=1000, curvature_patterns=50)
    trained = train(config, 0, few)
    # Pooling has no parameters, and no curvature.
    assert list(trained.history[0].curvature) == ["C1", "C3", "C5", "F6", "output"]
    assert all(np.isfinite(value) for value in trained.history[0].curvature.values())
    np.testing.assert_allclose(np.exp(-trained.distances).sum(1), 1, rtol=1e-5)
    assert trained.history[0].test_errors == (trained.distances.argmin(1) != few.test_labels).sum() < 100
    weights.save(tmp_path / "weights.npz", trained.parameters, config)
    parameters, loaded = weights.load(tmp_path / "weights.npz")
    assert loaded == config
    np.testing.assert_array_equal(parameters, trained.parameters)
