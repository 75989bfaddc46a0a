"""Networks of specs trained in mini-batches: the same network and loss as before, and what is added to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lenet98 import losses, modules
from lenet98.data.fields import BLACK, WHITE
from lenet98.modern import ladder
from lenet98.modern.minibatch import Config, Optimizer, train
from lenet98.modern.networks import SpecNet
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.randomness import generator
from lenet98.readings import FORMER, LITERAL
from lenet98.training import inputs

RELU = ladder.LADDER[-1]
SPECS = [("lenet5", FORMER), (RELU.name, ladder.HE), ("today", ladder.HE), ("lenet1", LITERAL)]
CONFIG = Config(
    SpecNet(), Optimizer("sgd", 0.002, momentum=0.9), passes=2, batch=32, levels=(WHITE, BLACK), train_size=150
)


@pytest.fixture(scope="module")
def digits(mnist):
    """The real training set with a test set of 100."""
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


def some(mnist, spec, n=8):
    return torch.from_numpy(inputs(spec, mnist.train_images[:n])), torch.from_numpy(mnist.train_labels[:n])


@pytest.mark.parametrize(("name", "reading"), SPECS, ids=[name for name, _ in SPECS])
def test_without_additions_it_is_the_net_with_its_signs_turned(mnist, name, reading):
    network = SpecNet(name, reading)
    model, net = network.build(5), Net(network.spec, reading, 5)
    images, labels = some(mnist, network.spec)
    torch.testing.assert_close(model(images), -net(images))
    kind = network.spec.output.kind
    torch.testing.assert_close(network.loss(model(images), labels), losses.loss(net(images), labels, reading, kind))
    assert network.parameters == sum(p.numel() for p in model.parameters()) == network.spec.parameters
    assert network.size == network.spec.input_shape[1]


def test_todays_rung_with_everything_is_the_network_written_out(mnist):
    """Full C3, maximum, ReLU, normalized sums and dropout, by torch's own layers with the same weights."""
    model = SpecNet(RELU, ladder.HE, batch_norm=True, dropout=0.5).build(1)
    half = nn.Dropout(0.5)
    today = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(half, nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU()),
        *(half, nn.Linear(120, 84), nn.BatchNorm1d(84), nn.ReLU()),
        *(half, nn.Linear(84, 10), nn.LogSoftmax(1)),
    )
    summing = [layer for layer in today if isinstance(layer, nn.Conv2d | nn.Linear)]
    ours = iter(model.net.parameters())
    for layer in summing:
        layer.weight.data, layer.bias.data = next(ours).data.view_as(layer.weight), next(ours).data
    images, _ = some(mnist, RELU)
    for training in (True, False):
        model.train(training), today.train(training)
        torch.manual_seed(3)
        outputs = model(images)
        torch.manual_seed(3)
        # In training the signs of zeros and the order of dropped units are those of the same draws.
        torch.testing.assert_close(outputs, today(images), atol=1e-4, rtol=1e-4)


def test_parameters_of_normalization_are_two_a_map_but_for_subsampling():
    network = SpecNet(batch_norm=True)
    assert network.parameters == 60_000 + 2 * (6 + 16 + 120 + 84)
    model = network.build(0)
    assert sum(p.numel() for p in model.parameters()) == network.parameters
    assert list(model.norms) == ["C1", "C3", "C5", "F6"]


@pytest.mark.parametrize("spec", ["lenet5", "today"])
def test_normalization_is_folded_into_the_weights_of_the_plain_network(mnist, spec):
    """The plain network of the folded parameters gives the same distances by its own modules."""
    network = SpecNet(spec, batch_norm=True)
    model = network.build(3)
    images, _ = some(mnist, network.spec)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.norms.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for _ in range(20):
            model(images + 0.1 * torch.randn_like(images))  # running means and variances
    model.eval()
    parameters = model.folded()
    assert parameters.shape == (network.spec.parameters,)
    plain = modules.network(network.spec, parameters, network.reading)
    torch.testing.assert_close(-plain(images), model(images), rtol=1e-4, atol=1e-3)
    assert (model.net.flat() != parameters).any()  # the model keeps its own


def test_dropout_is_of_full_layers_and_never_of_rbf_units(mnist):
    """With nearly all dropped, C5 sees zeros, F6 too, and the distances are those of F6's biases, the same for all."""
    model = SpecNet(dropout=0.999999).build(0)
    images, _ = some(mnist, model.net.spec)
    model.train()
    torch.manual_seed(0)
    f6 = Net(model.net.spec, FORMER, seed=0).layers.F6.bias
    expected = -model.net.output(1.7159 * torch.tanh(2 / 3 * f6)[None, :, None, None]).flatten(1)
    torch.testing.assert_close(model(images), expected.expand(8, 10), rtol=1e-4, atol=1e-3)


def test_a_pass_of_the_1998_network_by_hand(digits):
    """Batches of 32 and a last one of 22, each a step of SGD on half of eq. 9, from the start of `training`."""
    config = replace(CONFIG, passes=1)
    run = train(config, 5, digits)
    net = Net(LENET5, FORMER, 5)
    optimizer = torch.optim.SGD(net.parameters(), 0.002, momentum=0.9)
    order, errors = generator(5, "order", 1).permutation(150), 0
    for start in range(0, 150, 32):
        chosen = order[start : start + 32]
        labels = torch.from_numpy(digits.train_labels[chosen])
        distances = net(torch.from_numpy(inputs(net.spec, digits.train_images[chosen])))
        errors += int((distances.argmin(1) != labels).sum())
        optimizer.zero_grad()
        (0.5 * losses.eq9(distances, labels, 1.0)).backward()
        optimizer.step()
    np.testing.assert_allclose(run.model.net.flat(), net.flat(), atol=2e-5)
    assert run.history[0].train_errors == errors
    assert run.history[0].test_errors == (run.outputs.argmax(1) != digits.test_labels).sum()
    assert (run.outputs <= 0).all()


def test_it_learns(mnist):
    """Today's network gets most of 500 new digits right after 600."""
    few = replace(mnist, test_images=mnist.test_images[:500], test_labels=mnist.test_labels[:500])
    network = SpecNet("today", ladder.HE, batch_norm=True, dropout=0.25)
    config = replace(CONFIG, network=network, optimizer=Optimizer("adamw", 0.003), passes=3, train_size=600)
    assert train(config, 0, few).history[-1].test_errors < 100


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"spec": "lenet6"}, "no network called 'lenet6'; there are lenet5, lenet1"),
        ({"dropout": 1.0}, r"SpecNet\.dropout is 1\.0; it must be a share below 1"),
    ],
)
def test_bad_networks_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        SpecNet(**fields)


def test_images_that_do_not_fit_are_named(digits):
    with pytest.raises(ValueError, match=r"SpecNet\.size is 20; images of 28 pixels do not fit"):
        train(replace(CONFIG, network=SpecNet("20x20-300-10")), 0, digits)


def test_a_last_batch_of_one_cannot_be_normalized():
    with pytest.raises(ValueError, match="a batch of its own"):
        replace(CONFIG, network=SpecNet(batch_norm=True), train_size=33)
