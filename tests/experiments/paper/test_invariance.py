"""Errors on changed digits: counted by factor, and the ranges read off them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context
from experiments.modern.invariance import answers
from experiments.modern.ladder import LADDER
from experiments.paper.distortions import DISTORTED
from experiments.paper.invariance import FACTORS, ROOM, TODAY, Curve, curves, errors, train_and_change
from lenet98.data.fields import pad_and_scale
from lenet98.data.strings import NOISE
from lenet98.modern import minibatch
from lenet98.modules import Net
from lenet98.readings import DEFAULT
from lenet98.training import Config
from tests.fakes import publish


@pytest.fixture
def context(mnist, tmp_path):
    made = Context(lambda _: None, tmp_path / "run.checkpoint")
    vars(made)["mnist"] = replace(mnist, test_images=mnist.test_images[:200], test_labels=mnist.test_labels[:200])
    return made


def test_the_claims_are_those_of_the_paper():
    half_to_twice, twice_in_all = FACTORS["scale"].claimed  # "up to about a factor of two"
    assert half_to_twice == (0.5, 2.0)
    assert twice_in_all[1] / twice_in_all[0] == pytest.approx(2)
    assert FACTORS["down"].claimed == ((-10, 10),)  # half of the 20 pixels that MNIST's digits are high
    assert FACTORS["degrees"].claimed == ((-30, 30),)
    for factor in FACTORS.values():
        assert factor.unchanged in factor.values
        assert all(set(claim) <= set(factor.values) for claim in factor.claimed)
        assert list(factor.values) == sorted(factor.values)


def test_networks_differ_in_what_they_learned_alone():
    plain = registry.named(f"{ROOM}/default").config
    assert plain == registry.named("fig9/lenet5").config == Config(reading=DEFAULT)
    assert registry.named(f"{ROOM}/distorted").config == replace(plain, distortions=DISTORTED)
    assert registry.named(f"{ROOM}/noise").config == replace(plain, strings=NOISE)
    assert registry.named(TODAY).config == LADDER[-1].config


def test_unchanged_digits_are_missed_as_often_whatever_the_factor(context):
    config = Config(etas=(5e-4,), train_size=2000, curvature_patterns=100)
    outcome = train_and_change(config, 0, context)
    found = outcome.extra["errors"]
    as_they_are = outcome.passes[-1]["test_errors"]
    assert {name: found[name][factor.values.index(factor.unchanged)] for name, factor in FACTORS.items()} == (
        dict.fromkeys(FACTORS, as_they_are)
    )
    # The network of torch, and the change made by hand.
    net = Net(config.spec, config.reading)
    net.load_flat(outcome.weights)
    data = context.mnist
    lower = np.full((200, 1, 32, 32), -0.1, np.float32)
    lower[:, :, 4:] = pad_and_scale(data.test_images)[:, :, :-4]
    with torch.no_grad():
        answered = net(torch.from_numpy(lower)).argmin(dim=1).numpy()
    assert found["down"][FACTORS["down"].values.index(4)] == (answered != data.test_labels).sum()
    assert found["scale"][0] > as_they_are + 20  # a third of the size


def test_todays_network_sees_the_middle_of_the_field(mnist):
    config, images = LADDER[-1].config, mnist.test_images[:20]
    model = config.network.build(0).eval()
    outputs = minibatch.evaluate(model, config, torch.from_numpy(images))
    np.testing.assert_array_equal(answers(model, config.network.size, pad_and_scale(images)), outputs.argmax(axis=1))
    assert config.network.size == 30


def test_errors_of_a_classifier_that_looks_at_one_pixel(mnist):
    """It errs on half a turn, and on nothing that leaves the pixel."""
    images = np.zeros((4, 28, 28), np.uint8)
    images[2:, 5:9, 5:9] = 255
    found = errors(lambda fields: (fields[:, 0, 8, 8] > 0.5).astype(int), images, np.array([0, 0, 1, 1]))
    assert found["scale"][6] == found["right"][7] == 0
    assert found["right"][0] == found["down"][-1] == 2
    assert found["wider"][-1] == 0


def test_a_range_ends_before_the_first_value_that_is_worse():
    factor = FACTORS["down"]
    percent = np.full((2, len(factor.values)), 50.0)
    percent[:, 5:10] = 3
    percent[1, 5] = 9  # on average worse than 5%
    percent[:, 0] = 1  # not around the unchanged digit
    assert Curve(factor, percent).accurate == (-2.0, 4.0)
    assert Curve(factor, percent + 3).accurate is None
    assert Curve(factor, percent * 0).accurate == (-14.0, 14.0)


def test_table_has_the_ends_of_the_claims_and_the_ranges(tmp_path):
    load = Loader(("reference",), tmp_path / "results", tmp_path)
    for seed in (0, 1):
        found = {name: [100 + 100 * seed] * len(factor.values) for name, factor in FACTORS.items()}
        found["degrees"] = [2000] * 6 + [100] + [2000] * 6
        publish(tmp_path, f"{ROOM}/default", seed, test=100, extra={"errors": found})
    made = tables.named("invariance")(load)
    rows = {line[0]: line[1:] for line in made.body}
    assert rows["as they are"] == ["", "1.50 ± 0.71"]
    assert rows["scale: 2"] == ["accurate", "1.50 ± 0.71"]
    assert rows["rotation, degrees: -30"] == ["accurate", "20.00 ± 0.00"]
    assert rows["rotation, degrees: range"] == ["-30 to 30", "0 to 0"]
    assert rows["scale: 1.41"] == ["accurate", "1.50 ± 0.71"]
    assert rows["scale: range"] == ["0.5 to 2 or 0.707 to 1.41", "0.354 to 2.83"]
    assert curves(load.one(f"{ROOM}/default"))["down"].percent.shape == (2, 15)
