"""Appendix C against squared Jacobians, Hessians by automatic differentiation, and a network worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call, grad, hessian, jacrev, vmap

from lenet98.curvature import CHUNK, diagonal, diagonal_of, output_curvature, slope, softmax_output_curvature, through
from lenet98.losses import eq9, loss
from lenet98.modules import SQUASHING, Net
from lenet98.modules import Convolution as ConvolutionModule
from lenet98.modules import Full as FullModule
from lenet98.modules import Pooling as PoolingModule
from lenet98.modules import Softmax as SoftmaxModule
from lenet98.modules import Subsampling as SubsamplingModule
from lenet98.networks import LENET5
from lenet98.prototypes import bitmaps
from lenet98.readings import DEFAULT, Reading
from lenet98.specs import RBF, Convolution, Full, Pooling, Softmax, Spec, Subsampling
from tests.strategies import any_specs, few, tables

# torch.func itself still calls torch.jit.script.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

LOSSES = [
    Reading(loss="eq8", rbf_scale=0.5),
    *(
        Reading(loss="eq9", j=j, rbf_scale=scale)
        for j, scale in ((0.1, 1), (1, 1), (10, 1), (50, 1), (5, 0.5), (25, 0.5))
    ),
]
readings = st.builds(Reading, subsampling=st.sampled_from(["average", "sum"]), loss=st.sampled_from(["eq8", "eq9"]))


def randomized(module, random):
    for parameter in module.parameters():
        parameter.data = torch.tensor(random.normal(size=parameter.shape))
    return module.double()


def by_squared_jacobian(layer, x, d2a):
    """d2E of the parameters and of x for E = sum d2a a^2 / 2 with the Hessian's off-diagonal terms in a dropped."""
    parameters = dict(layer.named_parameters())
    over_parameters = {}
    if parameters:
        over_parameters = jacrev(lambda values: functional_call(layer, values, (x,)))(parameters)
    over_x = jacrev(layer)(x)
    units = tuple(range(d2a.ndim))
    return [torch.tensordot(d2a, jacobian.square(), (units, units)) for jacobian in (*over_parameters.values(), over_x)]


def check(layer, x, random):
    d2a = torch.tensor(random.uniform(0, 1, layer(x).shape))
    for ours, expected in zip(through(layer, x, d2a), by_squared_jacobian(layer, x, d2a), strict=True):
        torch.testing.assert_close(ours, expected)


@few
@given(st.data(), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 99))
def test_convolution_is_the_squared_jacobian(data, in_maps, out_maps, kernel, number):
    height, width = (kernel + data.draw(st.integers(0, 3)) for _ in "hw")
    table = data.draw(st.none() | tables(in_maps, out_maps))
    layers = (Convolution("C1", out_maps, kernel, table), Full("F2", 2), RBF("RBF", "places", 2))
    random = np.random.default_rng(number)
    layer = randomized(ConvolutionModule(Spec("one", (in_maps, height, width), layers).geometry[0]), random)
    check(layer, torch.tensor(random.normal(size=(2, in_maps, height, width))), random)


@few
@given(st.data(), st.integers(1, 3), st.sampled_from(["average", "sum"]), st.integers(0, 99))
def test_subsampling_is_the_squared_jacobian(data, in_maps, subsampling, number):
    height, width = (2 * data.draw(st.integers(1, 2)) for _ in "hw")
    sources = data.draw(st.none() | st.lists(st.integers(0, in_maps - 1), min_size=1, max_size=4).map(tuple))
    layers = (Subsampling("S1", sources=sources), Full("F2", 2), RBF("RBF", "places", 2))
    geometry = Spec("one", (in_maps, height, width), layers).geometry[0]
    random = np.random.default_rng(number)
    layer = randomized(SubsamplingModule(geometry, Reading(subsampling=subsampling)), random)
    check(layer, torch.tensor(random.normal(size=(2, in_maps, height, width))), random)


@few
@given(st.tuples(*[st.integers(1, 3)] * 3), st.integers(1, 4), st.integers(0, 99))
def test_full_is_the_squared_jacobian(in_shape, units, number):
    layers = (Full("F1", units), Full("F2", 2), RBF("RBF", "places", 2))
    random = np.random.default_rng(number)
    layer = randomized(FullModule(Spec("one", in_shape, layers).geometry[0]), random)
    check(layer, torch.tensor(random.normal(size=(2, *in_shape))), random)


@few
@given(st.integers(1, 3), st.sampled_from(["average", "max"]), st.data(), st.integers(0, 99))
def test_pooling_is_the_squared_jacobian(maps, statistic, data, number):
    height, width = (2 * data.draw(st.integers(1, 3)) for _ in "hw")
    layers = (Pooling("S1", statistic), Softmax("output", 2))
    layer = PoolingModule(Spec("one", (maps, height, width), layers).geometry[0])
    random = np.random.default_rng(number)
    x = torch.tensor(random.normal(size=(2, maps, height, width)))
    d2a = torch.tensor(random.uniform(0, 1, layer(x).shape))
    d2weight, d2bias, d2x = through(layer, x, d2a)
    assert d2weight.numel() == d2bias.numel() == 0
    torch.testing.assert_close(d2x, by_squared_jacobian(layer, x, d2a)[0])


def test_pooling_by_hand():
    """An average leaves 1/16 to each input; a maximum all to the greatest, of equals to the first row by row."""
    x = torch.tensor([[[[1.0, 4.0, 2.0, 2.0], [3.0, 0.0, 2.0, 1.0]]]])
    d2a = torch.tensor([[[[16.0, 32.0]]]])
    expected = {
        "average": [[1, 1, 2, 2], [1, 1, 2, 2]],
        "max": [[0, 16, 32, 0], [0, 0, 0, 0]],
    }
    for statistic, d2x in expected.items():
        spec = Spec("one", (1, 2, 4), (Pooling("S1", statistic), Softmax("output", 2)))
        assert through(PoolingModule(spec.geometry[0]), x, d2a)[2][0, 0].tolist() == d2x


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_softmax_output_curvature_is_the_hessian_diagonal_of_the_cross_entropy_at_its_linear_units(scale):
    reading = Reading(loss_scale=scale)
    outputs = np.random.default_rng(0).normal(0, [[0.1], [1], [10]], (3, 5))
    for a in torch.tensor(outputs):

        def of_sums(a, label):
            return loss(-torch.log_softmax(a, 0)[None], torch.tensor([label]), reading, "softmax")

        ours = softmax_output_curvature(-torch.log_softmax(a, 0), reading)
        for label in (0, 3):
            torch.testing.assert_close(ours, hessian(of_sums)(a, label).diagonal())
    # Ten classes that are all alike have probability 1/10: 0.1 x 0.9.
    assert softmax_output_curvature(torch.full((10,), np.log(10)), reading).tolist() == pytest.approx(
        [0.09 * scale] * 10
    )
    # Where one class is certain nothing is left, and never less.
    assert softmax_output_curvature(-torch.log_softmax(torch.tensor([200.0, 0, -200]), 0), reading).min() >= 0


@pytest.mark.parametrize("squashing", ["tanh", "relu", None])
def test_slope_is_the_derivative_of_the_squashing_function(squashing):
    # Zero, where max(0, a) has no derivative, is left to the next test.
    a = torch.linspace(-4, 4, 32, dtype=torch.float64)
    f = SQUASHING[squashing]
    torch.testing.assert_close(slope(f(a), squashing), vmap(grad(f))(a))


def test_slope_of_a_rectified_unit_is_a_step_that_begins_above_zero():
    assert slope(torch.tensor([0.0, -0.0, 1e-30, 7.0]), "relu").tolist() == [0, 0, 1, 1]


def states(count=6):
    """States at, near and between the prototypes, and anywhere."""
    random = np.random.default_rng(1)
    codes = bitmaps().astype(float)
    between = (codes[6] + codes[8]) / 2
    near = codes[random.integers(10, size=count)] + random.normal(0, 0.1, (count, 84))
    return torch.tensor(np.vstack([codes[:2], between[None], near, random.uniform(-1.7, 1.7, (count, 84))]))


@pytest.mark.parametrize("reading", LOSSES, ids=lambda reading: f"{reading.loss}-j{reading.j}-{reading.rbf_scale}")
def test_seed_is_the_hessian_diagonal_of_the_loss_at_the_rbf_inputs(reading):
    codes = torch.tensor(bitmaps()).double()
    x = states()
    for label in (3, 8):

        def of_state(state, label=label):
            return loss((state - codes).square().sum(1)[None], torch.tensor([label]), reading)

        expected = torch.stack([hessian(of_state)(state).diagonal() for state in x])
        torch.testing.assert_close(output_curvature(codes, x, reading), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("j", [0.1, 1.0, 10.0, 50.0])
def test_gradient_of_eq9_at_the_rbf_inputs(j):
    codes = bitmaps().astype(float)
    for state in states():
        x = state.clone().requires_grad_()
        eq9((x - torch.tensor(codes)).square().sum(1)[None], torch.tensor([6]), j).backward()
        differences = state.numpy() - codes
        # 2 (x - w_D) - sum_i p_i 2 (x - w_i), the posterior p by its definition.
        weights = np.exp(-(differences**2).sum(1))
        posterior = weights / (np.exp(-j) + weights.sum())
        np.testing.assert_allclose(x.grad, 2 * differences[6] - 2 * posterior @ differences, atol=1e-9)


def test_seed_of_eq9_differs_from_that_of_eq8_only_where_classes_compete():
    codes, x = torch.tensor(bitmaps()).double(), states()
    reading = Reading(loss="eq9", j=1.0, loss_scale=1.0)
    at_the_prototype, between, anywhere = output_curvature(codes, x, reading)[[0, 2, -1]]
    # On the prototype p = 1/(1 + e^-j) and the slope of the one class that matters is 0: what is left is 2 p_0.
    torch.testing.assert_close(at_the_prototype, torch.full((84,), 2 / (1 + np.e)).double(), rtol=1e-6, atol=0)
    # Far from every prototype all the probability is rubbish, and it is that of eq. 8.
    torch.testing.assert_close(anywhere, torch.full((84,), 2.0).double())
    # Between 6 and 8, with j large, both have probability 1/2; their slopes differ by 2 x 2 in the 12 components.
    competing = output_curvature(codes, x, Reading(loss="eq9", j=50.0, loss_scale=1.0))[2]
    differ = bitmaps()[6] != bitmaps()[8]
    np.testing.assert_allclose(competing[differ], 4, atol=1e-6)
    np.testing.assert_allclose(competing[~differ], 0, atol=1e-6)
    assert between.min() > 1.9


@few
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(0, 2))
def test_seed_is_never_negative_in_single_precision(number, j, spread):
    random = np.random.default_rng(number)
    x = bitmaps()[random.integers(10, size=20)] + random.normal(0, spread, (20, 84))
    values = output_curvature(torch.tensor(bitmaps()), torch.tensor(x, dtype=torch.float32), Reading(loss="eq9", j=j))
    assert values.min() >= 0
    assert values.isfinite().all()


@pytest.mark.parametrize("reading", LOSSES[1:], ids=lambda reading: f"j{reading.j}-{reading.rbf_scale}")
def test_seed_of_a_pattern_of_none_of_the_classes_is_gauss_newtons(reading):
    """The Hessian's diagonal of its loss with each y_i replaced by its tangent."""
    codes = torch.tensor(bitmaps()).double()
    x = states()
    expected = []
    for at in x:

        def distances(state):
            return (state - codes).square().sum(1)

        def linear(state, at=at):
            y = distances(at) + 2 * (at - codes) @ (state - at)
            return loss(y[None], torch.tensor([10]), reading)

        expected.append(hessian(linear)(at).diagonal())
    some = torch.arange(len(x)) % 2 == 0
    seeds = output_curvature(codes, x, reading, some)
    torch.testing.assert_close(seeds[some], torch.stack(expected)[some], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(seeds[~some], output_curvature(codes, x, reading)[~some])
    assert (seeds >= 0).all()


def test_diagonal_is_told_which_patterns_show_none_of_the_classes():
    random = np.random.default_rng(0)
    spec = Spec("small", (1, 4, 4), (Full("F1", 5), Full("F2", 3), RBF("RBF", "places", 3)))
    reading = Reading(loss="eq9", j=5.0)
    images, labels = random.normal(size=(CHUNK + 20, 1, 4, 4)), random.integers(0, 4, CHUNK + 20)
    parameters = random.normal(size=spec.parameters)
    blank = labels == 3
    h = diagonal(spec, reading, parameters, images, labels)
    digits = diagonal(spec, reading, parameters, images[~blank])
    np.testing.assert_allclose(digits, diagonal(spec, reading, parameters, images[~blank], labels[~blank]), rtol=1e-12)
    blanks = diagonal(spec, reading, parameters, images[blank], labels[blank])
    np.testing.assert_allclose(h, blank.mean() * blanks + (~blank).mean() * digits, rtol=1e-9)
    assert (blanks < diagonal(spec, reading, parameters, images[blank])).all()  # whose y_D curves the loss too
    of_eq8 = replace(reading, output_curvature="eq8")
    np.testing.assert_array_equal(
        diagonal(spec, of_eq8, parameters, images, labels), diagonal(spec, of_eq8, parameters, images)
    )


def test_seed_of_eq8_is_an_option_of_eq9():
    reading = Reading(loss="eq9", output_curvature="eq8", loss_scale=0.5)
    assert (output_curvature(torch.tensor(bitmaps()).double(), states(), reading) == 1).all()
    assert (output_curvature(torch.tensor(bitmaps()), states(), replace(reading, rbf_scale=0.5)) == 0.5).all()


@pytest.mark.parametrize("reading", LOSSES[:2], ids=lambda reading: reading.loss)
def test_the_curvature_may_have_another_scale_than_the_loss(reading):
    codes, x = torch.tensor(bitmaps()).double(), states()
    apart = replace(reading, loss_scale=0.5, curvature_scale=2.0)
    torch.testing.assert_close(
        output_curvature(codes, x, apart), output_curvature(codes, x, replace(reading, loss_scale=2.0))
    )
    y = torch.full((2, 10), 2.3)
    torch.testing.assert_close(
        softmax_output_curvature(y, apart), softmax_output_curvature(y, replace(reading, loss_scale=2.0))
    )


def test_two_layers_worked_by_hand():
    """One kernel of one weight on two pixels, a full layer of two units, eq. 8: every number by eq. 23, 25 and 27."""
    layers = (Convolution("C1", 1, 1), Full("F2", 2), RBF("RBF", "places", 2))
    spec = Spec("two layers", (1, 1, 2), layers)
    # C1 weight 0.8, bias 0.1; F2 weights (1, -0.5) and (0.25, 2), biases 0 and 0.2.
    parameters = np.array([0.8, 0.1, 1, -0.5, 0.25, 2, 0, 0.2])
    reading = Reading(loss="eq8", loss_scale=1.0)
    h = diagonal(spec, reading, parameters, np.array([[[[0.5, -1.0]]]]))
    # a = (0.5, -0.7) in C1: x = (0.5516837, -0.7472781), f'(a) = (1.0256844, 0.9269725).
    # a = (0.9253227, -1.1566352) in F2, f'(a) = (0.7992094, 0.6642389): d2E/da^2 = 2 f'^2 = (1.2774713, 0.8824267).
    # Back in C1: d2E/dx^2 = (1.2774713 + 0.0625 x 0.8824267, 0.25 x 1.2774713 + 4 x 0.8824267)
    #           = (1.3326230, 3.8490748), times f'^2: d2E/da^2 = (1.4019575, 3.3074257).
    expected = [
        *(0.25 * 1.4019575 + 3.3074257, 1.4019575 + 3.3074257),  # C1: the shared weight, the shared bias
        *(0.3888047, 0.7133713, 0.2685709, 0.4927687),  # F2: 1.2774713 x^2, 0.8824267 x^2
        *(1.2774713, 0.8824267),  # F2: biases
    ]
    np.testing.assert_allclose(h, expected, rtol=2e-7)


def chained(net, image, label):
    """h_kk of one pattern: the Hessian's diagonal at the output, and from there down squared Jacobians and f'."""
    x = net.states(image[None])
    if isinstance(net.output, SoftmaxModule):

        def of_sums(a):
            return loss(-torch.log_softmax(a, 0)[None], label[None], net.reading, "softmax")

        sums = FullModule.forward(net.output, x[-1]).detach()
        d2a = hessian(of_sums)(sums.flatten()).diagonal().view_as(sums)
        # d2E of the output's weights, biases and inputs: linear units, whose Jacobians are their inputs and weights.
        weight = net.output.weight.detach()
        d2x = (d2a[0, :, 0, 0, None, None, None] * weight.square()).sum(0, keepdim=True)
        parts = [(d2a[0, :, 0, 0, None, None, None] * x[-1].square()).flatten(), d2a.flatten()]
    else:
        codes = net.rbf.prototypes

        def of_state(state):
            return loss((state - codes).square().sum(1)[None], label[None], net.reading)

        d2x = hessian(of_state)(x[-1].flatten()).diagonal().view_as(x[-1])
        parts = []
    for number in reversed(range(len(net.layers))):
        layer, f = net.layers[number], SQUASHING[net.spec.geometry[number].squashing]
        sums = layer(x[number]).detach()
        d2a = vmap(grad(f))(sums.flatten()).view_as(sums).square() * d2x
        *parameters, d2x = by_squared_jacobian(layer, x[number].detach(), d2a)
        parts = [*(part.flatten() for part in parameters), *parts]
    return torch.cat(parts)


@few
@given(any_specs, readings, st.integers(0, 99))
def test_any_network_is_the_mean_of_chained_squared_jacobians(spec, reading, number):
    net = Net(spec, reading, number).double()
    random = np.random.default_rng(number)
    images, labels = random.normal(size=(3, *spec.input_shape)), random.integers(spec.classes, size=3)
    expected = torch.stack(
        [chained(net, *pair) for pair in zip(torch.tensor(images), torch.tensor(labels), strict=True)]
    )
    h = diagonal(spec, reading, net.flat(), images)
    np.testing.assert_allclose(h, expected.mean(0).detach(), rtol=1e-9, atol=1e-14)
    assert h.dtype == np.float64


def test_the_mean_does_not_depend_on_how_the_patterns_are_cut():
    images = np.random.default_rng(0).normal(size=(CHUNK + 20, *LENET5.input_shape))
    net = Net(LENET5).double()
    halves = [diagonal_of(net, torch.tensor(part)) for part in np.split(images, 2)]
    torch.testing.assert_close(diagonal_of(net, torch.tensor(images)), (halves[0] + halves[1]) / 2)


def test_single_precision_follows_double():
    images = np.random.default_rng(0).uniform(-0.1, 1.175, (20, *LENET5.input_shape)).astype(np.float32)
    parameters = Net(LENET5).flat()
    single = diagonal(LENET5, DEFAULT, parameters, images)
    double = diagonal(LENET5, DEFAULT, parameters.astype(np.float64), images)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shape", [(0, 1, 32, 32), (4, 1, 36, 32), (1, 32, 32)])
def test_patterns_that_are_missing_or_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"images have shape .*; the curvature of lenet5 needs"):
        diagonal(LENET5, DEFAULT, Net(LENET5).flat(), np.zeros(shape, np.float32))


def test_coefficient_read_as_four_links_sums_the_squares_of_their_inputs():
    geometry = Spec("one", (1, 2, 2), (Subsampling("S1"), Full("F2", 2), RBF("RBF", "places", 2))).geometry[0]
    x, d2a = torch.tensor([[[[1.0, 2.0], [3.0, -4.0]]]]), torch.tensor([[[[0.5]]]])
    expected = {  # the field's sum is 2, the sum of its squares 30
        ("sum", "unit"): 0.5 * 2**2,
        ("sum", "links"): 0.5 * 30,
        ("average", "unit"): 0.5 * (2 / 4) ** 2,
        ("average", "links"): 0.5 * 30 / 16,
    }
    for (subsampling, curvature), value in expected.items():
        layer = SubsamplingModule(geometry, Reading(subsampling=subsampling, coefficient_curvature=curvature))
        assert through(layer, x, d2a)[0].item() == pytest.approx(value)
