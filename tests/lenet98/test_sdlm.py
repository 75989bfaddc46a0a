"""Eq. 18 and 21, the schedule of III.B, and the optimizer on real digits."""

import copy

import numpy as np
import pytest
import torch

from lenet98.curvature import diagonal
from lenet98.data.fields import pad_and_scale
from lenet98.losses import loss
from lenet98.modules import Net
from lenet98.networks import LENET5, mlp
from lenet98.readings import DEFAULT
from lenet98.sdlm import CURVATURE_PATTERNS, ETAS, MU, SDLM, rates

SPEC = mlp(3, input_shape=(1, 2, 2), classes=2)
IMAGES = torch.tensor([[[[0.0, 1.0], [0.5, -0.1]]], [[[1.0, 0.2], [-0.1, 0.3]]]])
LABELS = torch.tensor([0, 1])


def estimated(eta=0.01):
    net = Net(SPEC)
    optimizer = SDLM(net, eta)
    optimizer.estimate(IMAGES)
    return net, optimizer


def backward(net):
    net.zero_grad()
    loss(net(IMAGES), LABELS, net.reading).backward()


def gradients(net):
    return torch.cat([p.grad.flatten() for p in net.parameters()]).numpy()


def test_schedule_of_the_paper():
    assert ETAS == (
        0.0005, 0.0005, 0.0002, 0.0002, 0.0002, 0.0001, 0.0001, 0.0001, 0.00005, 0.00005, 0.00005, 0.00005,
        0.00001, 0.00001, 0.00001, 0.00001, 0.00001, 0.00001, 0.00001, 0.00001,
    )  # fmt: skip
    assert (MU, CURVATURE_PATTERNS) == (0.02, 500)


def test_rates_by_hand():
    h = np.array([0, 0.03, 7.98])
    assert rates(h, eta=0.0005, mu=0.02) == pytest.approx([0.025, 0.01, 0.0000625])


@pytest.mark.parametrize(
    ("eta", "mu", "name"),
    [(-1, 0.02, "eta"), (float("nan"), 0.02, "eta"), (0.1, 0, "mu"), (0.1, float("nan"), "mu")],
)
def test_rates_and_optimizer_refuse_what_is_not_positive(eta, mu, name):
    with pytest.raises(ValueError, match=f"{name} is .*; it must be positive"):
        rates(np.zeros(1), eta, mu)
    with pytest.raises(ValueError, match=f"{name} is .*; it must be positive"):
        SDLM(Net(SPEC), eta, mu)


def test_eta_may_end_at_zero_but_not_begin_there():
    assert (rates(np.array([0, 0.03]), eta=0.0, mu=0.02) == 0).all()
    with pytest.raises(ValueError, match="mu is 0; it must be positive"):
        rates(np.zeros(1), eta=0.0, mu=0)
    with pytest.raises(ValueError, match="eta is 0; it must be positive"):
        SDLM(Net(SPEC), eta=0)


def test_step_by_hand():
    net = Net(SPEC)
    optimizer = SDLM(net, eta=0.001, mu=0.02)
    before = net.flat()
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
        optimizer.state[parameter]["h"] = torch.full_like(parameter, 0.03)
    optimizer.step()
    np.testing.assert_allclose(before - net.flat(), 0.04, rtol=1e-5)


def test_step_takes_the_gradient_times_the_rate_of_every_parameter():
    net, optimizer = estimated(eta=0.01)
    before = net.flat()
    backward(net)
    h = diagonal(SPEC, DEFAULT, before, IMAGES.numpy())
    optimizer.step()
    np.testing.assert_allclose(net.flat(), before - 0.01 / (0.02 + h) * gradients(net), rtol=1e-6, atol=1e-8)


def test_the_curvature_stays_until_the_next_estimate():
    net, optimizer = estimated()
    for _ in range(2):
        backward(net)
        optimizer.step()
    first = [state["h"] for state in optimizer.state.values()]
    optimizer.estimate(IMAGES)
    again = diagonal(SPEC, DEFAULT, net.flat(), IMAGES.numpy())
    now = torch.cat([state["h"].flatten() for state in optimizer.state.values()])
    np.testing.assert_array_equal(now, again)
    assert (now != torch.cat([h.flatten() for h in first])).any()


def test_step_needs_an_estimate():
    net = Net(SPEC)
    optimizer = SDLM(net, 0.01)
    backward(net)
    before = net.flat()
    with pytest.raises(RuntimeError, match=r"call estimate\(\) before step"):
        optimizer.step()
    assert (net.flat() == before).all()


def test_state_dict_carries_the_curvature():
    net, optimizer = estimated(eta=0.01)
    twin = copy.deepcopy(net)
    restored = SDLM(twin, eta=0.5)
    restored.load_state_dict(optimizer.state_dict())
    for network, stepper in ((net, optimizer), (twin, restored)):
        backward(network)
        stepper.step()
    assert net.flat().tobytes() == twin.flat().tobytes()


def test_torch_schedulers_set_eta():
    net, optimizer = estimated(eta=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda number: ETAS[number] / ETAS[0])
    backward(net)
    optimizer.step()
    for _ in range(2):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 * 0.0002 / 0.0005)


def test_a_cosine_schedule_ends_at_a_step_that_changes_nothing():
    net, optimizer = estimated(eta=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    backward(net)
    moved = []
    for eta in (0.01, 0.005, 0):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(eta, abs=1e-12)
        before = net.flat()
        optimizer.step()
        moved.append(before - net.flat())
        scheduler.step()
    np.testing.assert_allclose(moved[1], moved[0] / 2, rtol=1e-3, atol=1e-7)
    assert moved[0].any()
    assert not moved[2].any()


def test_a_scheduler_that_makes_eta_negative_is_stopped():
    net, optimizer = estimated()
    backward(net)
    optimizer.param_groups[0]["lr"] = -1e-4
    with pytest.raises(ValueError, match=r"eta is -0\.0001; it must be positive"):
        optimizer.step()


def test_parameters_without_a_gradient_stay():
    net, optimizer = estimated()
    net.layers.F1.requires_grad_(False)
    before = net.flat()
    backward(net)
    optimizer.step()
    moved = net.flat() != before
    first = SPEC.geometry[0].parameters
    assert not moved[:first].any()
    assert moved[first:].all()


def test_step_evaluates_a_closure_with_gradients():
    net, optimizer = estimated()

    def closure():
        optimizer.zero_grad()
        value = loss(net(IMAGES), LABELS, net.reading)
        value.backward()
        return value.item()

    values = [optimizer.step(closure) for _ in range(5)]
    assert values[-1] < values[0]


def test_the_loss_of_lenet5_falls_on_real_digits(mnist):
    net = Net(LENET5)
    images = torch.tensor(pad_and_scale(mnist.train_images[:400]))
    labels = torch.tensor(mnist.train_labels[:400])
    optimizer = SDLM(net, eta=0.005)
    optimizer.estimate(images[:100])

    def value():
        with torch.no_grad():
            return loss(net(images), labels, net.reading).item()

    before = value()
    for _ in range(3):
        for start in range(0, 400, 20):
            batch = slice(start, start + 20)
            optimizer.zero_grad()
            loss(net(images[batch]), labels[batch], net.reading).backward()
            optimizer.step()
    errors = (net(images).argmin(1) != labels).float().mean()
    assert value() < 0.5 * before
    assert errors < 0.3
