"""Appendix C on PyTorch's own layers: squared Jacobians, the same network as a `Net`, and what has no rule."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, hessian, vmap
from torch.nn import functional as F

from lenet98.curvature import CHUNK, MOVING, POINTWISE, chain, diagonal_of, loss_curvature, output_curvature, through
from lenet98.data.fields import pad_and_scale
from lenet98.modules import Net, Squash
from lenet98.networks import LENET5
from lenet98.readings import DEFAULT, LITERAL
from lenet98.sdlm import ETAS, SDLM
from lenet98.specs import Convolution, Pooling, Softmax, Spec, Subsampling
from tests.lenet98.test_curvature import by_squared_jacobian, randomized
from tests.strategies import few

# torch.func itself still calls torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


def check(layer, x, random):
    """Against the squared Jacobian, which is exact for one layer and a loss whose outputs do not mix."""
    d2a = torch.tensor(random.uniform(0, 1, layer(x).shape))
    learned = len(list(layer.parameters()))
    d2weight, d2bias, d2x = through(layer, x, d2a)
    ours = [*(d2weight, d2bias)[:learned], d2x]
    for found, expected in zip(ours, by_squared_jacobian(layer, x, d2a), strict=True):
        torch.testing.assert_close(found, expected)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@few
@given(st.data(), st.integers(1, 3), pairs, pairs, pairs, st.booleans(), st.integers(0, 99))
def test_conv2d_is_the_squared_jacobian(data, groups, maps, kernel, stride, bias, number):
    dilation = data.draw(st.integers(1, 2))
    padding = data.draw(pairs.map(lambda p: (p[0] - 1, p[1] - 1)) | st.sampled_from(["valid", "same"]))
    stride = (1, 1) if padding == "same" else stride
    inputs, outputs = (groups * n for n in maps)
    random = np.random.default_rng(number)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
    check(randomized(layer, random), torch.tensor(random.normal(size=(2, inputs, 6, 5))), random)


@few
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from([(), (2,), (2, 3)]), st.booleans(), st.integers(0, 99))
def test_linear_is_the_squared_jacobian(inputs, outputs, rows, bias, number):
    random = np.random.default_rng(number)
    layer = randomized(nn.Linear(inputs, outputs, bias), random)
    check(layer, torch.tensor(random.normal(size=(2, *rows, inputs))), random)


@few
@given(st.data(), pairs, pairs, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 99))
def test_average_pooling_is_the_squared_jacobian(data, kernel, stride, ceil, counts, overridden, number):
    padding = tuple(data.draw(st.integers(0, side // 2)) for side in kernel)
    layer = nn.AvgPool2d(kernel, stride, padding, ceil, counts, 5 if overridden else None)
    random = np.random.default_rng(number)
    check(layer, torch.tensor(random.normal(size=(2, 2, 6, 5))), random)


@few
@given(st.data(), pairs, pairs, st.integers(1, 2), st.booleans(), st.integers(0, 99))
def test_max_pooling_is_the_squared_jacobian(data, kernel, stride, dilation, ceil, number):
    padding = tuple(data.draw(st.integers(0, side // 2)) for side in kernel)
    random = np.random.default_rng(number)
    layer = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
    check(layer, torch.tensor(random.normal(size=(2, 2, 6, 5))), random)


@few
@given(st.sampled_from([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d]), pairs | st.just((None, 2)), st.integers(0, 99))
def test_adaptive_pooling_is_the_squared_jacobian(kind, size, number):
    random = np.random.default_rng(number)
    check(kind(size), torch.tensor(random.normal(size=(2, 2, 7, 5))), random)


@pytest.mark.parametrize(
    "layer",
    [
        *(kind() for kind in POINTWISE if kind is not nn.ReLU),
        *(nn.ReLU(inplace=True), nn.LeakyReLU(0.3, inplace=True), nn.ELU(0.7, inplace=True), nn.GELU("tanh")),
        *(Squash(), nn.Identity(), nn.Flatten(), nn.Flatten(2), nn.Unflatten(1, (2, 1)), nn.ZeroPad2d((1, 0, 2, 1))),
        *(nn.Dropout(0.5, inplace=True).eval(), nn.Dropout2d(0.5).eval()),
    ],
    ids=repr,
)
def test_layers_without_parameters_are_the_squared_jacobian(layer):
    random = np.random.default_rng(0)
    x = torch.tensor(random.normal(0, 2, size=(2, 2, 3, 3)))
    kept, outside = x.clone(), copy.deepcopy(layer)
    if getattr(outside, "inplace", False):
        outside.inplace = False
    d2a = torch.tensor(random.uniform(0, 1, outside(x).shape))
    torch.testing.assert_close(through(layer, x, d2a)[2], *by_squared_jacobian(outside, x, d2a))
    assert torch.equal(x, kept)


def test_every_moving_layer_has_a_test_above():
    assert {kind.__name__ for kind in MOVING} == {
        *("Identity", "Flatten", "Unflatten", "ZeroPad2d", "MaxPool2d", "AdaptiveMaxPool2d", "Dropout", "Dropout2d")
    }


# --- where it starts


def random_outputs():
    return torch.tensor(np.random.default_rng(0).normal(0, 3, (5, 4)))


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        ("cross_entropy", lambda y: F.cross_entropy(y[None], torch.tensor([2]))),
        ("mse", lambda y: F.mse_loss(y[None], torch.arange(4.0).double()[None])),
        (lambda y: 12 * y**2, lambda y: (y**4).sum()),
    ],
    ids=["cross_entropy", "mse", "function"],
)
def test_start_is_the_diagonal_of_the_hessian_of_the_loss(loss, value):
    expected = vmap(hessian(value))(random_outputs()).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(loss_curvature(random_outputs(), loss), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda y: -torch.ones_like(y), r"shape \(5, 4\), least -1, .*at least 0"),
        (lambda y: torch.full_like(y, float("nan")), "least nan"),
        (lambda y: y.square().sum(1), r"of shape \(5,\), .*for outputs of shape \(5, 4\)"),
    ],
)
def test_a_function_that_gives_no_second_derivatives_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        loss_curvature(random_outputs(), loss)


def test_cross_entropy_of_maps_is_refused():
    with pytest.raises(ValueError, match=r"needs \(patterns, classes\)"):
        loss_curvature(torch.zeros(2, 10, 3, 3), "cross_entropy")


# --- whole modules


def images(count=7, size=32):
    return torch.tensor(np.random.default_rng(0).uniform(-0.1, 1.175, (count, 1, size, size)))


PLAIN = Spec(
    "plain",
    (1, 32, 32),
    (
        *(Convolution("C1", 6, 5), Pooling("S2", "average"), Convolution("C3", 16, 5), Pooling("S4", "average")),
        *(Convolution("C5", 120, 5), Softmax("output")),
    ),
)


def plain_sequential(net):
    """The network of `PLAIN` in PyTorch's own layers, with the same weights."""
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 5), Squash(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 16, 5), Squash(), nn.AvgPool2d(2)),
        *(nn.Conv2d(16, 120, 5), Squash(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(120, 10)),
    ).double()
    for ours, theirs in zip(model.parameters(), net.parameters(), strict=True):
        ours.data = theirs.detach().clone().view_as(ours)
    return model


def test_a_plain_sequential_has_the_curvature_of_the_same_net():
    net = Net(PLAIN, replace(DEFAULT, loss_scale=1.0), 3).double()
    model = plain_sequential(net)
    model.eval()
    torch.testing.assert_close(-torch.log_softmax(model(images()), 1), net(images()))
    expected = diagonal_of(net, images())
    assert expected.min() > 0
    torch.testing.assert_close(diagonal_of(model, images(), "cross_entropy"), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("reading", [DEFAULT, LITERAL], ids=["default", "literal"])
def test_lenet5_in_a_sequential_has_its_own_curvature(reading):
    net = Net(LENET5, reading).double()
    layers = [part for layer in net.layers for part in (layer, Squash())]

    def loss(states):
        return output_curvature(net.rbf.prototypes, states, reading)

    h = diagonal_of(nn.Sequential(*layers, nn.Flatten()), images(), loss)
    torch.testing.assert_close(h, diagonal_of(net, images()), rtol=1e-12, atol=0)


def test_the_module_stays_in_the_mode_in_which_it_was_and_dropout_is_left_out():
    model = plain_sequential(Net(PLAIN).double())
    model[0].eval()
    before = [part.training for part in model.modules()]
    first = diagonal_of(model, images(), "cross_entropy")
    assert [part.training for part in model.modules()] == before
    assert torch.equal(first, diagonal_of(model, images(), "cross_entropy"))
    model.eval()
    assert torch.equal(first, diagonal_of(model, images(), "cross_entropy"))


def test_layers_that_work_in_place_change_nothing():
    def model(inplace):
        torch.manual_seed(0)
        squashing = (nn.LeakyReLU(0.2, inplace), nn.ELU(inplace=inplace))
        return nn.Sequential(nn.Conv2d(1, 3, 3), squashing[0], nn.Flatten(), nn.Linear(3 * 64, 4), squashing[1])

    x = images(size=10).float()
    kept = x.clone()
    torch.testing.assert_close(*(diagonal_of(model(inplace), x, "mse") for inplace in (False, True)))
    assert torch.equal(x, kept)
    diagonal_of(nn.Sequential(nn.LeakyReLU(0.2, inplace=True), nn.Linear(10, 1)), x, "mse")
    assert torch.equal(x, kept)


def test_a_parameter_that_two_layers_share_has_the_sum_of_their_curvatures():
    # y = w (w x): both layers have d2E/dw^2 = input^2 d2E/dy^2 of their own.
    layer = nn.Linear(1, 1, bias=False).double()
    layer.weight.data.fill_(3.0)
    x = torch.tensor([[2.0]], dtype=torch.float64)
    h = diagonal_of(nn.Sequential(layer, layer), x, torch.ones_like)
    assert h.tolist() == [(3 * 2.0) ** 2 + 3**2 * 2.0**2]


def test_the_mean_over_patterns_does_not_depend_on_how_they_are_cut():
    model = plain_sequential(Net(PLAIN).double())
    x = images(CHUNK + 20)
    halves = [diagonal_of(model, part, "cross_entropy") for part in x.split(len(x) // 2)]
    torch.testing.assert_close(diagonal_of(model, x, "cross_entropy"), (halves[0] + halves[1]) / 2)


def test_one_layer_is_the_diagonal_of_the_gauss_newton_matrix():
    """J'HJ with the whole H of the loss, for one convolution behind which nothing mixes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 2, stride=2, padding=1), nn.Flatten()).double()
    x = torch.rand(1, 2, 4, 4).double()
    parameters = dict(model.named_parameters())
    outputs = model(x).numel()

    def total(values):
        y = functional_call(model, values, (x,))
        return F.mse_loss(y, torch.zeros_like(y))

    blocks = hessian(total)(parameters)
    expected = [blocks[n][n].reshape(p.numel(), p.numel()).diagonal() for n, p in parameters.items()]
    torch.testing.assert_close(diagonal_of(model, x, "mse"), torch.cat(expected))
    torch.testing.assert_close(diagonal_of(model, x, lambda y: torch.full_like(y, 2 / outputs)), torch.cat(expected))


# --- what has no rule


class Own(nn.Module):
    def forward(self, x):
        return x


class OwnConv(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) + 1


class OwnSequential(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + 1


class Named(nn.Sequential):
    """Inherits all that it does."""

    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.Tanh())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (nn.BatchNorm2d(1), r"no curvature of features\.1 \(BatchNorm2d\) is known; .*Sequential of Conv2d, Linear"),
        (nn.LSTM(1, 1), r"features\.1 \(LSTM\)"),
        (nn.PReLU(), r"features\.1 \(PReLU\)"),
        (nn.Softmax(1), r"features\.1 \(Softmax\)"),
        (Own(), r"features\.1 \(Own\)"),
        (OwnConv(1, 1, 1), r"features\.1 \(OwnConv\)"),
        (OwnSequential(nn.Tanh()), r"features\.1 \(OwnSequential\)"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), r"features\.1 \(Conv2d\) with another padding"),
        (nn.MaxPool2d(2, return_indices=True), r"features\.1 \(MaxPool2d\) that returns indices"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 1)), r"features\.1 .* computed from other parameters"),
        (Net(LENET5), r"features\.1 \(Net\)"),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
def test_an_unknown_part_is_named_by_its_place_and_class(part, message):
    model = nn.Sequential()
    model.add_module("features", nn.Sequential(nn.Conv2d(1, 1, 1), part))
    with pytest.raises(ValueError, match=message):
        SDLM(model, 1e-3, loss="cross_entropy")


def test_an_unknown_module_alone_is_named():
    with pytest.raises(ValueError, match=r"the module itself \(Own\) is known"):
        chain(Own())


def test_classes_that_inherit_their_forward_are_known():
    assert [name for name, _ in chain(nn.Sequential(Named(), nn.Linear(3, 2)))] == ["0.0", "0.1", "1"]
    assert diagonal_of(nn.Linear(2, 1), torch.ones(1, 2), "mse").tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("module", "loss", "message"),
    [
        (nn.Linear(2, 1), None, "loss is None; it must be 'cross_entropy', 'mse', or a function"),
        (nn.Linear(2, 1), "nll", "loss is 'nll'; it must be"),
        (Net(LENET5), "mse", "loss is 'mse', but the reading of lenet5 names its loss"),
        (nn.Sequential(nn.Tanh()), "mse", "Sequential has no parameters"),
    ],
)
def test_a_loss_that_is_none_is_refused(module, loss, message):
    with pytest.raises(ValueError, match=message):
        SDLM(module, 1e-3, loss=loss)


def test_no_patterns_are_refused():
    with pytest.raises(ValueError, match="the curvature of Linear needs at least one pattern"):
        diagonal_of(nn.Linear(2, 1), torch.zeros(0, 2), "mse")


# --- training


def test_sdlm_trains_a_plain_sequential_on_real_digits(mnist):
    """Convolutions and linear layers, the paper's first eta, one pattern per update."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 5), nn.Tanh()),
        *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(200, 30), nn.LeakyReLU(0.1), nn.Linear(30, 10)),
    )
    x = torch.tensor(pad_and_scale(mnist.train_images[:1000]))
    labels = torch.tensor(mnist.train_labels[:1000]).long()
    optimizer = SDLM(model, ETAS[0], loss="cross_entropy")
    optimizer.estimate(x[:500])

    def value():
        with torch.no_grad():
            return F.cross_entropy(model(x[600:]), labels[600:]).item()

    before = value()
    assert before == pytest.approx(np.log(10), rel=0.05)  # as a network that knows nothing
    for n in range(600):
        optimizer.zero_grad()
        F.cross_entropy(model(x[n : n + 1]), labels[n : n + 1]).backward()
        optimizer.step()
    assert value() < 0.5 * before
    assert (model(x[600:]).argmax(1) != labels[600:]).float().mean() < 0.35


def test_a_module_and_the_same_net_are_trained_alike():
    net = Net(Spec("small", (1, 8, 8), (Convolution("C1", 2, 3), Subsampling("S2"), Softmax("output", 3))),
              replace(DEFAULT, loss_scale=1.0)).double()  # fmt: skip
    model = nn.Sequential(
        net.layers.C1, Squash(), net.layers.S2, Squash(), nn.Flatten(), nn.Linear(18, 3)
    ).double()  # fmt: skip
    model = copy.deepcopy(model)
    for name in ("weight", "bias"):
        theirs = getattr(net.output, name).detach().clone()
        getattr(model[-1], name).data = theirs.flatten(1) if name == "weight" else theirs
    x, labels = images(4, 8), torch.tensor([0, 1, 2, 0])
    ours, theirs = SDLM(model, 0.01, loss="cross_entropy"), SDLM(net, 0.01)
    for optimizer in (ours, theirs):
        optimizer.estimate(x)
    for _ in range(5):
        ours.zero_grad(), theirs.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        net(x).gather(1, labels[:, None]).mean().backward()
        ours.step(), theirs.step()
    torch.testing.assert_close(torch.cat([p.detach().flatten() for p in model.parameters()]).numpy(), net.flat())
