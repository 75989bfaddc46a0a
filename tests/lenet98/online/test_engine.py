"""The online engine against the specification: `modules` with autograd, in float64 for the gradients."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lenet98.data.fields import pad_and_scale
from lenet98.losses import loss
from lenet98.modern import ladder
from lenet98.modules import Net, unflatten
from lenet98.networks import LENET4, LENET5, mlp
from lenet98.online import kernels
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, Reading, initial_parameters
from lenet98.specs import RBF, A, Convolution, Full, Pooling, S, Softmax, Spec, Subsampling
from tests.strategies import any_specs, tables

# Initial distances of LeNet-5 are about 100, so that only the larger j lets the classes compete in eq. 9.
READINGS = [
    Reading(loss="eq8", subsampling="average"),
    Reading(loss="eq8", subsampling="sum", loss_scale=1.0),
    Reading(loss="eq9", subsampling="average", j=1.0, loss_scale=1.0),
    Reading(loss="eq9", subsampling="sum", j=100.0),
]
# C2 covers its whole input, with kernels in another order than a full layer's.
SHUFFLED = Spec(
    "shuffled",
    (2, 6, 6),
    (Convolution("C1", 3, 4), Convolution("C2", 2, 3, ((2, 0, 1), (1, 0, 2))), RBF("output", "places", 2)),
)
MLP = mlp(9, 7, input_shape=(2, 3, 4), classes=3)


def case(spec, reading, patterns=1, seed=0):
    """Initial parameters, images and labels."""
    random = np.random.default_rng(seed)
    images = random.normal(0, 1, (patterns, *spec.input_shape)).astype(np.float32)
    return initial_parameters(spec, reading, random), images, random.integers(0, spec.classes, patterns)


def exact(spec, reading, parameters):
    """The network as a module, in float64."""
    net = Net(spec, reading).double()
    net.load_flat(parameters.astype(float))
    return net


def autograd(net, images, labels):
    """Loss and gradient, summed over the patterns."""
    net.zero_grad()
    distances = net(torch.tensor(images).double())
    value = len(images) * loss(distances, torch.tensor(labels), net.reading, net.spec.output.kind)
    value.backward()
    return value.item(), torch.cat([p.grad.flatten() for p in net.parameters()]).numpy()


def assert_gradient(spec, ours, expected):
    """Weights and biases of each layer apart, relative to the largest gradient among them."""
    assert ours.dtype == np.float32
    smallest = 1e-2 * np.abs(expected).max()  # what float32 sums lose does not shrink with the layer's gradient
    for layer in spec.trainable:
        for part, indices in (("weights", layer.weight_slice), ("biases", layer.bias_slice)):
            tolerance = 1e-4 * max(np.abs(expected[indices]).max(), smallest)
            np.testing.assert_allclose(
                ours[indices], expected[indices], rtol=0, atol=tolerance, err_msg=f"{layer.name}, {part}"
            )


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("spec", [LENET5, LENET4, MLP, SHUFFLED, *ladder.LADDER], ids=lambda spec: spec.name)
def test_gradient_of_every_parameter(spec, reading):
    engine = Engine(spec, reading)
    for seed in range(3):
        parameters, images, labels = case(spec, reading, seed=seed)
        ours = engine.gradient(parameters, images[0], labels[0])
        assert_gradient(spec, ours, autograd(exact(spec, reading, parameters), images, labels)[1])


@st.composite
def convolutional(draw):
    """Up to three convolutions of any kernel and table, fields of any kind where the sides are even, any output."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(5, 18)), draw(st.integers(5, 18)))
    layers, (maps, height, width) = [], shape
    for n in range(draw(st.integers(1, 3))):
        kernel = draw(st.integers(1, min(5, height, width)))
        out = draw(st.integers(1, 4))
        layers.append(Convolution(f"C{n}", out, kernel, draw(st.none() | tables(maps, out))))
        maps, height, width = out, height - kernel + 1, width - kernel + 1
        fields = (
            draw(st.sampled_from([None, "subsampling", "average", "max"])) if height % 2 == width % 2 == 0 else None
        )
        if fields in ("average", "max"):
            layers.append(Pooling(f"S{n}", fields))
            height, width = height // 2, width // 2
        elif fields:
            sources = draw(st.none() | st.lists(st.integers(0, maps - 1), min_size=1, max_size=5).map(tuple))
            layers.append(Subsampling(f"S{n}", sources))
            maps, height, width = maps if sources is None else len(sources), height // 2, width // 2
    layers += [Full("F", units) for units in draw(st.lists(st.integers(1, 9), max_size=1))]
    classes = draw(st.integers(2, 5))
    output = draw(
        st.sampled_from([(Full("codes", classes), RBF("output", "places", classes)), (Softmax("output", classes),)])
    )
    return Spec("drawn", shape, (*layers, *output), draw(st.sampled_from(["tanh", "relu"])))


perceptrons = st.builds(
    lambda hidden, shape, classes: mlp(*hidden, input_shape=shape, classes=classes),
    st.lists(st.integers(1, 20), min_size=1, max_size=3),
    st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6)),
    st.integers(2, 5),
)
readings = st.builds(
    Reading,
    subsampling=st.sampled_from(["average", "sum"]),
    loss=st.sampled_from(["eq8", "eq9"]),
    j=st.sampled_from([0.1, 1.0, 10.0]),
    rbf_scale=st.sampled_from([0.5, 1.0]),
    loss_scale=st.sampled_from([0.5, 1.0]),
)


@settings(max_examples=100, deadline=None)
@given(convolutional() | perceptrons | any_specs, readings, st.integers(0, 99))
def test_any_spec(spec, reading, seed):
    engine, (parameters, images, labels) = Engine(spec, reading), case(spec, reading, seed=seed)
    net = exact(spec, reading, parameters)
    value, gradient = autograd(net, images, labels)
    # Where the two terms of eq. 9 cancel, nothing of the gradient is left that float32 could hold to 1e-4.
    assume(np.abs(gradient).max() > 1e-2)
    assert_gradient(spec, engine.gradient(parameters, images[0], labels[0]), gradient)
    distances = net(torch.tensor(images).double()).detach().numpy()
    np.testing.assert_allclose(engine.distances(parameters, images), distances, rtol=1e-5, atol=1e-5)
    losses = engine.sweep(parameters, np.zeros_like(parameters), images, labels)[1]
    assert losses == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("kernel", [(6, 7), (7, 6)], ids=str)
def test_kernels_wider_than_five(kernel):
    layers = (Convolution("C1", 2, kernel[0]), Convolution("C2", 3, kernel[1]), Full("F3", 2), RBF("RBF", "places", 2))
    spec = Spec("wide", (2, 15, 14), layers)
    parameters, images, labels = case(spec, DEFAULT)
    expected = autograd(exact(spec, DEFAULT, parameters), images, labels)[1]
    assert_gradient(spec, Engine(spec, DEFAULT).gradient(parameters, images[0], labels[0]), expected)


def test_one_engine_forgets_the_pattern_before():
    used, fresh = Engine(LENET5, DEFAULT), Engine(LENET5, DEFAULT)
    parameters, images, labels = case(LENET5, DEFAULT, patterns=2)
    used.gradient(parameters, images[0], labels[0])
    again = used.gradient(parameters, images[1], labels[1])
    np.testing.assert_array_equal(again, fresh.gradient(parameters, images[1], labels[1]))


@pytest.mark.parametrize("spec", [LENET5, LENET4, SHUFFLED], ids=lambda spec: spec.name)
def test_one_engine_forgets_a_run_that_diverged(spec):
    """What lies behind a map is zero, and zero times what is not a number is not a number."""
    used, fresh = Engine(spec, DEFAULT), Engine(spec, DEFAULT)
    parameters, images, labels = case(spec, DEFAULT)
    spoilt = np.full_like(parameters, np.nan)
    assert np.isnan(used.sweep(spoilt, np.ones_like(parameters), np.full_like(images, np.nan), labels)[1])
    again = used.gradient(parameters, images[0], labels[0])
    np.testing.assert_array_equal(again, fresh.gradient(parameters, images[0], labels[0]))


@pytest.mark.parametrize("spec", [LENET5, LENET4, ladder.LADDER[-1], MLP, SHUFFLED], ids=lambda spec: spec.name)
def test_an_update_is_the_gradient_times_the_rates(spec):
    """Full layers learn within the backward pass; what lies below them sees the weights before that."""
    engine, (parameters, images, labels) = Engine(spec, DEFAULT), case(spec, DEFAULT)
    rates = np.random.default_rng(1).uniform(1e-4, 1e-1, parameters.size).astype(np.float32)
    expected = parameters - rates * engine.gradient(parameters, images[0], labels[0])
    engine.sweep(parameters, rates, images, labels)
    np.testing.assert_allclose(parameters, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("reading", READINGS)
def test_distances_losses_and_errors_without_learning(reading):
    engine, (parameters, images, labels) = Engine(LENET5, reading), case(LENET5, reading, patterns=50)
    before = parameters.copy()
    net = exact(LENET5, reading, parameters)
    expected = net(torch.tensor(images).double()).detach().numpy()
    errors, losses = engine.sweep(parameters, np.zeros_like(parameters), images, labels)
    np.testing.assert_array_equal(parameters, before)
    np.testing.assert_allclose(engine.distances(parameters, images), expected, rtol=1e-5)
    assert errors == (expected.argmin(1) != labels).sum()
    assert losses == pytest.approx(autograd(net, images, labels)[0], rel=1e-5)


def test_of_equal_distances_the_lowest_class_is_the_answer():
    """As `evaluation.predict`: units of no weight are as far from one place code as from any other."""
    spec = mlp(2, input_shape=(1, 2, 2), classes=3)
    engine, parameters = Engine(spec, DEFAULT), np.zeros(spec.parameters, np.float32)
    images, labels = np.ones((3, *spec.input_shape), np.float32), np.array([0, 1, 2])
    assert len(np.unique(engine.distances(parameters, images))) == 1
    errors = [engine.sweep(parameters, 0 * parameters, images[:1], labels[c : c + 1])[0] for c in labels]
    assert errors == [0, 1, 1]


def test_eq9_where_every_exponential_vanishes():
    """300 saturated units are about 1,200 from every center: e^-y is zero even in float64, and so is e^-j."""
    spec, reading = mlp(5, input_shape=(1, 2, 2), classes=300), Reading(loss="eq9", j=3000.0)
    engine, (parameters, images, labels) = Engine(spec, reading), case(spec, reading)
    parameters *= 100
    net = exact(spec, reading, parameters)
    assert np.exp(-net(torch.tensor(images).double()).detach().numpy()).max() == 0
    losses = engine.sweep(parameters, np.zeros_like(parameters), images, labels)[1]
    # The loss is what differences of distances leave, each of them a float32 to 1e-4.
    assert losses == pytest.approx(autograd(net, images, labels)[0], abs=1e-3)
    assert np.isfinite(engine.gradient(parameters, images[0], labels[0])).all()


TWO_HUNDRED = {
    "eq8": (LENET5, Reading(loss="eq8")),
    "eq9": (LENET5, Reading(loss="eq9", j=100.0)),
    **{spec.name: (spec, ladder.reading(spec)) for spec in (*ladder.LADDER[1:], ladder.ALONE[-1])},
}


@pytest.mark.parametrize(("spec", "reading"), TWO_HUNDRED.values(), ids=TWO_HUNDRED)
def test_two_hundred_updates_of_both_engines(mnist, spec, reading):
    images, labels = pad_and_scale(mnist.train_images[:200]), mnist.train_labels[:200].astype(int)
    start = initial_parameters(spec, reading, generator(0, "init"))
    rates = np.exp(np.random.default_rng(1).uniform(np.log(7e-5), np.log(5e-3), start.size)).astype(np.float32)
    if spec.output.kind == "softmax":
        rates *= 5  # its gradients are smaller, and so is the curvature
    ours = start.copy()
    errors, losses = Engine(spec, reading).sweep(ours, rates, images, labels)

    net = Net(spec, reading)
    net.load_flat(start)
    eager_errors, eager_losses = 0, 0.0
    epsilons = unflatten(torch.tensor(rates), net.parameters())
    for image, label in zip(torch.tensor(images).split(1), torch.tensor(labels).split(1), strict=True):
        net.zero_grad()
        distances = net(image)
        value = loss(distances, label, reading, spec.output.kind)
        value.backward()
        eager_errors += int(distances.argmin() != label)
        eager_losses += value.item()
        with torch.no_grad():
            for w, eps in zip(net.parameters(), epsilons, strict=True):
                w -= eps * w.grad

    assert np.abs(ours - start).max() > 0.1  # there was something to learn
    np.testing.assert_allclose(ours, net.flat(), rtol=0, atol=1e-5 if spec is LENET5 else 1e-4)
    assert errors == eager_errors
    assert losses == pytest.approx(eager_losses, rel=1e-4)


@pytest.mark.parametrize(("pooling", "input_seen"), [("average", 2.5), ("max", 1)])
def test_of_equal_units_the_first_row_by_row_has_the_gradient(pooling, input_seen):
    """A kernel of zero makes the four units of a field equal; its gradient is dE/da times the input of the chosen."""
    spec = Spec("ties", (1, 2, 2), (Convolution("C1", 1, 1), Pooling("S2", pooling), Softmax("output", 2)))
    parameters = np.array([0, 0.3, 1, -2, 0.5, 0], np.float32)
    image = np.array([[[1, 2], [3, 4]]], np.float32)
    gradient = Engine(spec, DEFAULT).gradient(parameters, image, 1)
    assert gradient[0] == pytest.approx(input_seen * gradient[1], rel=1e-6)
    expected = autograd(exact(spec, DEFAULT, parameters), image[None], np.array([1]))[1]
    assert_gradient(spec, gradient, expected)


def test_softmax_of_outputs_that_overflow_every_exponential():
    spec = Spec("softmax", (1, 1, 2), (Softmax("output", 3),))
    engine = Engine(spec, DEFAULT)
    # a = (1000, -1000, 0) and (-1, 1, 0): the weights by their inputs, without biases.
    parameters = np.array([1000, -1, -1000, 1, 0, 0, 0, 0, 0], np.float32)
    images = np.array([[[[1, 0]]], [[[0, 1]]]], np.float32)
    total = np.log(np.exp(-1) + np.exp(1) + 1)
    expected = [[0, 2000, 1000], [total + 1, total - 1, total]]
    np.testing.assert_allclose(engine.distances(parameters, images), expected, rtol=1e-6)
    # What is right for certain has nothing to learn; what is wrong for certain has p = (1, 0, 0) against (0, 1, 0).
    assert not engine.gradient(parameters, images[0], 0).any()
    gradient = engine.gradient(parameters, images[0], 1)
    np.testing.assert_allclose(gradient, 0.5 * np.array([1, 0, -1, 0, 0, 0, 1, -1, 0]))


@pytest.mark.parametrize("spec", [LENET5, ladder.LADDER[-1]], ids=lambda spec: spec.name)
@pytest.mark.parametrize("rate", [1e30, np.inf])
def test_divergence_is_seen_in_the_loss(rate, spec):
    parameters, images, labels = case(spec, DEFAULT, patterns=20)
    rates = np.full_like(parameters, rate)
    _, losses = Engine(spec, DEFAULT).sweep(parameters, rates, images, labels)
    assert not np.isfinite(losses)


@pytest.mark.parametrize("spec", [LENET5, MLP, ladder.LADDER[1], ladder.LADDER[-1]], ids=lambda spec: spec.name)
@pytest.mark.parametrize("reading", READINGS)
def test_one_parameter_that_is_not_a_number_is_seen_in_the_loss(spec, reading):
    engine, (parameters, images, labels) = Engine(spec, reading), case(spec, reading)
    still = np.zeros_like(parameters)
    for layer in spec.trainable:
        for k in (layer.weight_slice.start, layer.bias_slice.stop - 1):
            spoilt = parameters.copy()
            spoilt[k] = np.nan
            assert np.isnan(engine.sweep(spoilt, still, images, labels)[1]), layer.name


def squash(x):
    kernels.squash(x, np.float32(A), np.float32(S))


def test_squashing_function():
    """App. A: f(a) = A tanh(S a), odd, f(1) = 1, never beyond A."""
    a = np.linspace(-40, 40, 2_000_001, dtype=np.float32)
    f, mirrored = a.copy(), -a
    squash(f)
    squash(mirrored)
    np.testing.assert_allclose(f / A, np.tanh(S * a.astype(float)), rtol=0, atol=5e-7)
    np.testing.assert_array_equal(mirrored, -f)
    assert np.abs(f).max() <= np.float32(A)
    assert np.diff(f).min() > -1e-6

    small = np.geomspace(1e-30, 1e-4, 1000).astype(np.float32)
    f = small.copy()
    squash(f)
    np.testing.assert_allclose(f, A * S * small, rtol=1e-6)

    f = np.array([1, -1, 3e38, np.inf, -np.inf, np.nan], np.float32)
    squash(f)
    np.testing.assert_allclose(f, [1, -1, A, A, -A, np.nan], atol=1e-5)


def test_two_threads_give_the_same_bits_as_one():
    spec, reading = LENET5, DEFAULT
    cases = [case(spec, reading, patterns=300, seed=seed) for seed in (0, 1)]

    def learn(n):
        parameters, images, labels = cases[n]
        parameters = parameters.copy()
        outcome = Engine(spec, reading).sweep(parameters, np.full_like(parameters, 1e-3), images, labels)
        return outcome, parameters

    alone = [learn(n) for n in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(learn, (0, 1)))
    for (outcome, parameters), (expected, same) in zip(together, alone, strict=True):
        assert outcome == expected
        np.testing.assert_array_equal(parameters, same)


def test_other_threads_run_during_a_sweep():
    parameters, images, labels = case(LENET5, DEFAULT, patterns=3000)
    engine, rates = Engine(LENET5, DEFAULT), np.full_like(parameters, 1e-4)
    engine.sweep(parameters, rates, images[:1], labels[:1])  # compiled before the clock starts
    sweep = threading.Thread(target=engine.sweep, args=(parameters, rates, images, labels))
    sweep.start()
    ticks = 0
    while sweep.is_alive():
        time.sleep(0.002)
        ticks += 1
    assert ticks > 10


WRONG = {
    "parameters": [
        lambda good: good[:-1],
        lambda good: good.astype(float),
        lambda good: good[None],
        lambda good: good.tolist(),
    ],
    "images": [
        lambda good: good[:, 0],
        lambda good: good[:, :, :-4, :-4],
        lambda good: good.astype(float),
        lambda good: (100 * good).astype(np.uint8),
        lambda good: good.tolist(),
    ],
    "labels": [
        lambda good: good[:-1],
        lambda good: good[:, None],
        lambda good: good.astype(float),
        lambda good: good - 10,
        lambda good: good + 11,
        lambda good: good.tolist(),
    ],
}
MESSAGES = {
    "parameters": r"lenet5 takes float32 vectors of 60000 parameters, got ",
    "images": r"lenet5 takes float32 images of shape \(n, 1, 32, 32\), got ",
    "labels": r"3 images need 3 integer labels in 0\.\.10, got ",
}


@pytest.mark.parametrize(("what", "spoil"), [(what, spoil) for what, spoils in WRONG.items() for spoil in spoils])
def test_wrong_input_is_refused(what, spoil):
    parameters, images, labels = case(LENET5, DEFAULT, patterns=3)
    good = {"parameters": parameters, "images": images, "labels": labels}
    before = parameters.copy()
    bad = good | {what: spoil(good[what])}
    engine = Engine(LENET5, DEFAULT)
    with pytest.raises(ValueError, match=MESSAGES[what]):
        engine.sweep(bad["parameters"], np.ones_like(parameters), bad["images"], bad["labels"])
    np.testing.assert_array_equal(parameters, before)
    if what == "parameters":
        with pytest.raises(ValueError, match=MESSAGES[what]):
            engine.sweep(parameters, bad["parameters"], images, labels)
        with pytest.raises(ValueError, match=MESSAGES[what]):
            engine.gradient(bad["parameters"], images[0], 3)
    if what != "labels":
        with pytest.raises(ValueError, match=MESSAGES[what]):
            engine.distances(bad["parameters"], bad["images"])


def test_parameters_that_cannot_be_updated_in_place_are_refused():
    engine, (parameters, images, labels) = Engine(MLP, DEFAULT), case(MLP, DEFAULT, patterns=3)
    read_only, strided = parameters.copy(), np.repeat(parameters, 2)[::2]
    read_only.flags.writeable = False
    for bad in (read_only, strided):
        with pytest.raises(ValueError, match="updated in place"):
            engine.sweep(bad, np.ones_like(parameters), images, labels)
        np.testing.assert_array_equal(bad, parameters)


def test_any_layout_is_read():
    engine, (parameters, images, labels) = Engine(MLP, DEFAULT), case(MLP, DEFAULT, patterns=6)
    distances = engine.distances(parameters, images[::2])
    gradient = engine.gradient(parameters, images[0], labels[0])
    strided = np.repeat(parameters, 2)[::2]
    images.flags.writeable = strided.flags.writeable = False
    np.testing.assert_array_equal(engine.distances(strided, images.copy()[::2]), distances)
    np.testing.assert_array_equal(engine.distances(strided, np.asfortranarray(images)[::2]), distances)
    np.testing.assert_array_equal(engine.gradient(strided, images[0], labels[0]), gradient)


@pytest.mark.parametrize("label", [-1, 11, 2.5])
def test_gradient_refuses_a_label_that_is_no_class(label):
    parameters, images, _ = case(LENET5, DEFAULT)
    with pytest.raises(ValueError, match=r"1 images need 1 integer labels in 0\.\.10"):
        Engine(LENET5, DEFAULT).gradient(parameters, images[0], label)


# --- patterns that show none of the classes


COMPETING = Reading(loss="eq9", j=120.0)
"""With a j so large that initial distances matter."""


@pytest.mark.parametrize("spec", [LENET5, LENET4, MLP, SHUFFLED], ids=lambda spec: spec.name)
@pytest.mark.parametrize("reading", [COMPETING, Reading(loss="eq9", j=60.0, rbf_scale=0.5, loss_scale=1.0)])
def test_gradient_of_a_pattern_of_none_of_the_classes(spec, reading):
    engine = Engine(spec, reading)
    for seed in range(3):
        parameters, images, _ = case(spec, reading, seed=seed)
        labels = np.array([spec.classes])
        net = exact(spec, reading, parameters)
        value, gradient = autograd(net, images, labels)
        # From eq. 7 and the share of the rubbish class, without the module that is tested elsewhere.
        y = reading.rbf_scale * net(torch.tensor(images).double())[0].detach()
        share = 1 / (1 + torch.exp(reading.j - y).sum())
        assert value == pytest.approx(-reading.loss_scale * float(share.log()), rel=1e-9)
        assert np.abs(gradient).max() > 1e-2
        assert_gradient(spec, engine.gradient(parameters, images[0], labels[0]), gradient)
        _, loss_of_sweep = engine.sweep(parameters.copy(), np.zeros_like(parameters), images, labels)
        assert loss_of_sweep == pytest.approx(value, rel=1e-5, abs=1e-5)


def test_none_of_the_classes_is_answered_right_where_j_is_less_than_every_distance():
    parameters, images, _ = case(LENET5, DEFAULT, patterns=20)
    least = 0.5 * np.sort(Engine(LENET5, DEFAULT).distances(parameters, images).min(1))
    labels = np.full(20, 10)
    for right in (0, 7, 20):
        j = (least[0] - 1, (least[12] + least[13]) / 2, least[-1] + 1)[(20, 7, 0).index(right)]
        engine = Engine(LENET5, Reading(loss="eq9", j=float(j), rbf_scale=0.5))
        errors, _ = engine.sweep(parameters.copy(), np.zeros_like(parameters), images, labels)
        assert errors == 20 - right


def test_only_eq9_and_rbf_units_know_none_of_the_classes():
    parameters, images, _ = case(LENET5, DEFAULT)
    with pytest.raises(ValueError, match=r"got 10..10; 10, none of the classes, can be learned with eq. 9 and RBF"):
        Engine(LENET5, replace(DEFAULT, loss="eq8")).gradient(parameters, images[0], 10)
    softmax = next(spec for spec in ladder.LADDER if spec.output.kind == "softmax")
    parameters, images, _ = case(softmax, DEFAULT)
    with pytest.raises(ValueError, match=r"can be learned with eq. 9 and RBF"):
        Engine(softmax, DEFAULT).gradient(parameters, images[0], 10)


def test_no_images():
    engine, (parameters, images, labels) = Engine(LENET5, DEFAULT), case(LENET5, DEFAULT, patterns=3)
    assert engine.sweep(parameters, np.ones_like(parameters), images[:0], labels[:0]) == (0, 0.0)
    assert engine.distances(parameters, images[:0]).shape == (0, 10)
