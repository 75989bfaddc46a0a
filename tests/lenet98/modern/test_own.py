"""A module of one's own in the mini-batch trainer, by SDLM and otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from experiments.harness.identity import plain
from lenet98.data.mnist import MNIST
from lenet98.modern import minibatch, own
from lenet98.modern.minibatch import BySDLM, Config, Optimizer
from lenet98.modern.networks import ConvNet, SpecNet, field
from lenet98.modern.own import ModuleNet
from lenet98.randomness import generator
from lenet98.sdlm import ETAS, MU, SDLM


def small():
    return nn.Sequential(nn.Conv2d(1, 2, 9, stride=4), nn.Tanh(), nn.Flatten(), nn.Linear(72, 10))


def normed():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1024), nn.Dropout(0.2), nn.Linear(1024, 10))


def test_a_module_is_found_by_what_it_is_and_by_its_file():
    network = ModuleNet(small)
    assert plain(Config(network=network))["network"] == {
        "module": str(small()), "source": network.source, "size": 32
    }  # fmt: skip
    assert repr(network) == f"ModuleNet(size=32, printed={str(small())!r}, source={network.source!r})"
    assert len(network.source) == 16


def test_counts():
    network = ModuleNet(small)
    assert network.parameters == 2 * 82 + 730
    assert network.multiply_accumulates == 2 * 36 * 81 + 720
    assert not network.batch_norm
    assert ModuleNet(normed).batch_norm


def test_initial_weights_follow_from_the_seed_alone():
    network, state = ModuleNet(small), torch.get_rng_state()
    first = [p.detach().numpy() for p in network.build(1).parameters()]
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(5)
    np.testing.assert_array_equal(first[0], network.build(1)[0].weight.detach())
    assert (first[0] != network.build(2)[0].weight.detach().numpy()).any()


def test_an_edit_of_the_file_while_a_command_runs_is_told(monkeypatch):
    network = ModuleNet(small)
    monkeypatch.setattr(own.Path, "read_bytes", lambda _: b"edited")
    with pytest.raises(RuntimeError, match=r"small\(\) of .*test_own.py was edited while the command ran"):
        network.build(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Config(network=SpecNet(), optimizer=BySDLM()), "train a spec by SDLM with lenet98.Config"),
        (
            lambda: Config(ModuleNet(small), BySDLM(), train_size=499),
            "BySDLM.patterns is 500; it must be 1..train_size",
        ),
        (lambda: Config(ModuleNet(normed), BySDLM()), r"no curvature of 1 \(BatchNorm1d\) is known"),
        (lambda: Config(ConvNet(batch_norm=True), BySDLM()), r"C1 norm \(BatchNorm2d\)"),
        (lambda: Config(ModuleNet(normed), batch=1), "batch of its own"),
        (lambda: BySDLM(rate=0), "BySDLM.rate is 0; it must be positive"),
        (lambda: BySDLM(mu=float("inf")), "BySDLM.mu is inf"),
        (lambda: BySDLM(patterns=0), "BySDLM.patterns is 0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture(scope="module")
def digits():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 28, 28)).astype(np.uint8)
    return MNIST(images, (np.arange(60) % 10).astype(np.uint8), images[:20], (np.arange(20) % 10).astype(np.uint8))


BY_SDLM = Config(
    ModuleNet(small), BySDLM(rate=0.001, mu=0.05, patterns=30), passes=2, batch=7, factors=(1, 0.5), train_size=60
)


def test_two_passes_by_sdlm_worked_with_the_optimizer_alone(digits):
    trained = minibatch.train(BY_SDLM, 3, digits)
    model = BY_SDLM.network.build(3)
    optimizer = SDLM(model, 0.001, 0.05, "cross_entropy")
    images, labels = torch.tensor(digits.train_images), torch.tensor(digits.train_labels).long()
    for number, factor in ((1, 1), (2, 0.5)):
        optimizer.estimate(field(images[generator(3, "hessian", number).choice(60, 30, replace=False)], 32, (0, 1)))
        optimizer.param_groups[0]["lr"] = 0.001 * factor
        h = torch.cat([state["h"].flatten() for state in optimizer.state.values()])
        entry = trained.history[number - 1]
        assert entry.rate_max == pytest.approx((0.001 * factor / (0.05 + h)).max().item())
        assert entry.rate_min == pytest.approx((0.001 * factor / (0.05 + h)).min().item())
        for batch in np.split(generator(3, "order", number).permutation(60), range(7, 60, 7)):
            optimizer.zero_grad()
            F.cross_entropy(model(field(images[batch], 32, (0, 1))), labels[batch]).backward()
            optimizer.step()
    for ours, theirs in zip(trained.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_paper_has_the_defaults():
    assert BySDLM() == BySDLM(ETAS[0], MU, 500)


def test_a_convnet_by_sdlm_and_a_module_by_adam_are_trained(digits):
    for config in (
        replace(BY_SDLM, network=ConvNet(maps=(2,), units=(3,))),
        replace(BY_SDLM, network=ModuleNet(normed), optimizer=Optimizer("adam"), batch=20),
    ):
        trained = minibatch.train(config, 0, digits)
        assert trained.outputs.shape == (20, 10)
        assert trained.history[1].train_loss < trained.history[0].train_loss
