"""The mini-batch trainer: a pass by hand, reproducibility and resumption, on real digits and few of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lenet98.data.distortions import FIG7, distort
from lenet98.data.fields import BLACK, WHITE
from lenet98.data.mnist import MNIST
from lenet98.loop import Progress
from lenet98.modern import minibatch
from lenet98.modern.elastic import Elastic
from lenet98.modern.minibatch import Config, Optimizer, evaluate, flat, network_input, rate, train
from lenet98.modern.networks import ConvNet, Initial
from lenet98.randomness import generator
from tests.resumption import same

SMALL = Config(network=ConvNet(squashing="relu", pooling="max"), train_size=200, passes=3, batch=20)

EVERYTHING = Config(
    network=ConvNet(maps=(4, 8), units=(20,), squashing="relu", batch_norm=True, dropout=0.3, initial=Initial("he")),
    optimizer=Optimizer("adamw", 3e-3, weight_decay=0.01),
    schedule="cosine",
    passes=3,
    batch=64,
    affine=FIG7,
    elastic=Elastic(),
    train_size=200,
)
"""All that a network of today may have."""


@pytest.fixture(scope="module")
def digits(mnist) -> MNIST:
    """The real training set with a test set of 100."""
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


def test_loss_falls_on_a_fixed_batch(digits):
    run = train(replace(SMALL, optimizer=Optimizer(rate=5e-3), train_size=50, passes=30), 0, digits)
    losses = [entry.train_loss for entry in run.history]
    assert losses[-1] < 0.1 * losses[0]
    assert run.history[-1].train_errors == 0


@pytest.mark.parametrize(
    ("chosen", "reference"),
    [
        (Optimizer("sgd", 0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
        (Optimizer("adam", 1e-3, epsilon=1e-7), lambda p: torch.optim.Adam(p, 1e-3, eps=1e-7)),
        (Optimizer("adamw", 1e-3, weight_decay=0.1), lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.1)),
        (Optimizer("adadelta", 1.0, rho=0.95), lambda p: torch.optim.Adadelta(p, 1.0, rho=0.95, eps=1e-8)),
    ],
)
def test_a_pass_by_hand(digits, chosen, reference):
    """Batches of 64, 64 and 22 in the order of the run, each a step of PyTorch's own optimizer."""
    config = replace(SMALL, optimizer=chosen, train_size=150, batch=64, passes=1)
    run = train(config, 5, digits)
    model = config.network.build(5)
    optimizer, order = reference(model.parameters()), generator(5, "order", 1).permutation(150)
    errors, losses = 0, 0.0
    for patterns in (order[:64], order[64:128], order[128:]):
        images = torch.from_numpy(
            np.pad(digits.train_images[patterns], [(0, 0), (2, 2), (2, 2)])[:, None] / 255
        ).float()
        labels = torch.from_numpy(digits.train_labels[patterns]).long()
        outputs = model(images)
        loss = F.cross_entropy(outputs, labels)
        errors, losses = errors + (outputs.argmax(1) != labels).sum().item(), losses + loss.item() * len(patterns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(flat(run.model), flat(model), atol=2e-5)
    entry = run.history[0]
    assert (entry.train_errors, entry.train_patterns) == (errors, 150)
    assert entry.train_loss == pytest.approx(losses / 150, rel=1e-4)
    assert entry.test_errors == (run.outputs.argmax(1) != digits.test_labels).sum()
    np.testing.assert_array_equal(run.outputs, evaluate(run.model, config, torch.from_numpy(digits.test_images)))


def test_same_seed_same_bytes_other_seed_other_bytes(digits):
    same(train(SMALL, 7, digits), train(SMALL, 7, digits))
    assert not np.array_equal(flat(train(SMALL, 8, digits).model), flat(train(SMALL, 7, digits).model))


def test_a_run_depends_on_no_global_generator_and_no_number_of_threads_and_leaves_both(digits):
    torch.manual_seed(1)
    threads, before = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(2)
    first = train(EVERYTHING, 0, digits)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same(train(EVERYTHING, 0, digits), first)


def test_run_whose_loss_is_not_finite_is_diverged_and_goes_back_to_its_last_pass(digits):
    wild = replace(SMALL, optimizer=Optimizer("sgd", 0.01), passes=2, factors=(1.0, 1e30))
    run = train(wild, 7, digits)
    assert run.diverged
    assert [entry.number for entry in run.history] == [1]
    tame = train(replace(wild, passes=1, factors=()), 7, digits)
    np.testing.assert_array_equal(run.outputs, tame.outputs)


def test_progress_reaches_the_end_of_every_pass(digits):
    reports: list[Progress] = []
    run = train(replace(SMALL, train_size=1500, batch=400, passes=2), 0, digits, progress=reports.append)
    assert [(r.pass_number, r.done, r.total, r.passes) for r in reports] == [
        (1, 1200, 1500, 2), (1, 1500, 1500, 2), (2, 1200, 1500, 2), (2, 1500, 1500, 2)
    ]  # fmt: skip
    assert reports[1].errors == run.history[0].train_errors


def test_rates():
    cosine = replace(SMALL, optimizer=Optimizer("sgd", 0.2), schedule="cosine", passes=4)  # 40 updates
    assert [rate(cosine, update) for update in (0, 20, 39)] == pytest.approx([0.2, 0.1, 0.2 * 0.00154], rel=1e-2)
    steps = replace(SMALL, optimizer=Optimizer("sgd", 0.05), factors=(1.0, 0.4, 0.2))
    assert [rate(steps, update) for update in (0, 9, 10, 20, 29)] == pytest.approx([0.05, 0.05, 0.02, 0.01, 0.01])


def test_rates_are_in_the_history(digits):
    run = train(replace(SMALL, train_size=100, optimizer=Optimizer("sgd", 0.05), factors=(1.0, 0.4, 0.2)), 0, digits)
    assert [(entry.rate_min, entry.rate_max) for entry in run.history] == [
        pytest.approx((value, value)) for value in (0.05, 0.02, 0.01)
    ]


def test_affine_distortions_are_the_papers_and_new_in_every_pass(mnist):
    config = replace(SMALL, affine=FIG7, levels=(WHITE, BLACK))
    patterns = np.array([5, 3, 90])
    seen = network_input(config, 4, 2, patterns, mnist.train_images)
    np.testing.assert_allclose(seen, distort(mnist.train_images, patterns, np.full(3, 2), 4, FIG7), atol=1e-6)
    assert not np.allclose(seen, network_input(config, 4, 3, patterns, mnist.train_images))
    np.testing.assert_array_equal(network_input(config, 4, 2, patterns[1:2], mnist.train_images)[0], seen[1])
    small = network_input(replace(config, network=ConvNet(size=28)), 4, 2, patterns, mnist.train_images)
    np.testing.assert_array_equal(small, seen[:, :, 2:30, 2:30])


def test_a_field_larger_than_the_papers_is_widened_by_background(mnist):
    config = replace(SMALL, network=ConvNet(size=36), elastic=Elastic(), levels=(-1.0, 1.0))
    seen = network_input(config, 0, 1, np.arange(3), mnist.train_images)
    assert seen.shape == (3, 1, 36, 36)
    assert (seen[:, :, :2] == -1).all()
    np.testing.assert_array_equal(
        seen[:, :, 2:34, 2:34],
        network_input(replace(config, network=ConvNet()), 0, 1, np.arange(3), mnist.train_images),
    )


def test_held_out_patterns_are_what_is_evaluated(digits):
    data = replace(digits, train_images=digits.train_images[:260], train_labels=digits.train_labels[:260])
    run = train(replace(SMALL, held_out=60, passes=1), 0, data)
    assert run.history[0].test_errors == (run.outputs.argmax(1) != data.train_labels[200:]).sum()
    assert run.outputs.shape == (60, 10)
    with pytest.raises(ValueError, match="there are 200 patterns to learn besides"):
        train(replace(SMALL, held_out=60, train_size=201), 0, data)
    with pytest.raises(ValueError, match="there are 260 patterns"):
        train(replace(SMALL, train_size=300), 0, data)


def test_a_device_that_is_not_there_is_named_with_those_that_are(digits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"Config\.device is 'cuda'; this machine has cpu"):
        train(replace(SMALL, device="cuda"), 0, digits)
    assert minibatch.devices() == ("cpu",)


def test_images_that_do_not_fit_are_named(digits):
    with pytest.raises(ValueError, match=r"ConvNet\.size is 24; images of 28 pixels do not fit"):
        train(replace(SMALL, network=ConvNet(size=24)), 0, digits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"passes": 0}, "Config.passes is 0"),
        ({"batch": 0}, "Config.batch is 0"),
        ({"schedule": "linear"}, "Config.schedule is 'linear'; it must be one of constant, cosine"),
        ({"device": "gpu"}, "Config.device is 'gpu'; it must be one of cpu, cuda"),
        ({"factors": (1.0,)}, "Config.factors has 1 for 3 passes"),
        ({"factors": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"levels": (0.0, float("nan"))}, "Config.levels"),
        ({"held_out": -1}, "Config.held_out"),
        ({"network": ConvNet(batch_norm=True), "train_size": 201}, "a batch of its own"),
    ],
)
def test_bad_configurations_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "sdlm"}, "Optimizer.method is 'sdlm'; it must be one of sgd, adam, adamw, adadelta"),
        ({"rate": 0.0}, "Optimizer.rate is 0.0"),
        ({"momentum": 1.0}, "Optimizer.momentum is 1.0"),
    ],
)
def test_bad_optimizers_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**fields)
