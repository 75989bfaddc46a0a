"""Many networks at once against the online engine, one network at a time, and against the curvature of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lenet98.curvature import diagonal
from lenet98.data.fields import pad_and_scale
from lenet98.modern import ladder
from lenet98.networks import LENET1, LENET4, LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, LITERAL, Reading, initial_parameters
from lenet98.replicas.engine import AT_ONCE, Replicas
from lenet98.sdlm import rates
from tests.strategies import any_specs

UPDATES = 200
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU on this machine")

# At the start the distances of LeNet-5 are about 100: only with the larger j do the classes compete in eq. 9.
READINGS = [
    DEFAULT,
    LITERAL,
    Reading(loss="eq9", subsampling="sum", j=100.0, loss_scale=1.0, coefficient_curvature="links"),
    Reading(loss="eq9", j=50.0, output_curvature="eq8", rbf_scale=0.5, curvature_scale=2.0),
    Reading(loss="eq9", j=10.0, rbf_scale=0.5),
    Reading(loss="eq8", loss_scale=0.25, coefficient_curvature="links"),
]


@pytest.fixture(scope="module")
def digits(mnist):
    """Images as LeNet-5 sees them, and their classes."""
    return pad_and_scale(mnist.train_images[:1000]), mnist.train_labels[:1000].astype(np.int64)


def replicas(spec, readings, parameters, eps=None, device="cpu"):
    made = Replicas(spec, readings, device)
    made.parameters.copy_(torch.tensor(np.stack(parameters)))
    if eps is not None:
        made.rates.copy_(torch.tensor(np.stack(eps)))
    return made


def swept(made, digits, orders):
    """Parameters, errors and losses after a sweep, by replica."""
    images, labels, order = (torch.tensor(part).to(made.device) for part in (*digits, np.stack(orders)))
    errors, losses = made.sweep(images, labels, order)
    return made.parameters.cpu().numpy(), errors.cpu().numpy(), losses.cpu().numpy()


def drawn(spec, count, patterns, seed):
    """Different initial parameters for each replica, and patterns."""
    random = np.random.default_rng(seed)
    parameters = [initial_parameters(spec, READINGS[n % len(READINGS)], random) for n in range(count)]
    images = random.normal(0, 1, (patterns, *spec.input_shape)).astype(np.float32)
    return parameters, images, random.integers(0, spec.classes, patterns)


def case(count, images):
    """Networks with starts, readings, rates and orders of their own."""
    readings = [replace(READINGS[k % len(READINGS)], j=1.0 + k) for k in range(count)]
    starts = [initial_parameters(LENET5, reading, generator(k, "init")) for k, reading in enumerate(readings)]
    eps = [np.full(LENET5.parameters, 1e-3 / (k + 1), np.float32) for k in range(count)]
    return readings, starts, eps, [generator(k, "order").permutation(len(images)) for k in range(count)]


def close(ours, theirs, tolerance):
    """Within `tolerance` of the largest value."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def test_one_replica_is_the_engine_over_200_updates(digits):
    """Lenet-5 by the recipe of III.B: rates from the curvature, a random order."""
    images, labels = digits
    start = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    eps = rates(diagonal(LENET5, DEFAULT, start, images[:100]), 5e-4, 0.02)
    order = generator(0, "order").permutation(len(images))[:UPDATES]
    expected = start.copy()
    errors, losses = Engine(LENET5, DEFAULT).sweep(expected, eps, images[order], labels[order])
    (ours,), (our_errors,), (our_losses,) = swept(replicas(LENET5, [DEFAULT], [start], [eps]), digits, [order])
    np.testing.assert_allclose(ours, expected, rtol=0, atol=5e-6)
    assert np.abs(expected - start).max() > 0.1
    assert our_errors == errors
    assert our_losses == pytest.approx(losses, rel=1e-5)


def test_a_replica_among_64_is_itself_alone(digits):
    readings, starts, eps, orders = case(64, digits[0][:12])
    together = swept(replicas(LENET5, readings, starts, eps), digits, orders)
    for k in (0, 1, 2, 33, 63):
        alone = swept(replicas(LENET5, [readings[k]], [starts[k]], [eps[k]]), digits, [orders[k]])
        np.testing.assert_allclose(together[0][k], alone[0][0], rtol=0, atol=1e-6)
        assert together[1][k] == alone[1][0]
        assert together[2][k] == pytest.approx(alone[2][0], rel=1e-5)


def test_two_sweeps_are_one_longer_sweep(digits):
    readings, starts, eps, orders = case(2, digits[0][:20])
    whole = swept(replicas(LENET5, readings, starts, eps), digits, orders)
    made = replicas(LENET5, readings, starts, eps)
    first, second = (swept(made, digits, np.array(orders)[:, half]) for half in (slice(12), slice(12, None)))
    np.testing.assert_array_equal(second[0], whole[0])
    np.testing.assert_array_equal(first[1] + second[1], whole[1])
    np.testing.assert_allclose(first[2] + second[2], whole[2])


def assert_like_one(spec, seed, patterns=3):
    """Gradient, distances and curvature of five replicas with five readings against those of each alone."""
    parameters, images, labels = drawn(spec, len(READINGS), patterns + len(READINGS), seed)
    made, pixels = replicas(spec, READINGS, parameters), torch.tensor(images)
    each = np.arange(len(READINGS))
    order = each[:, None] + np.arange(patterns)
    gradients = made.gradient(pixels[each], torch.tensor(labels[each])).numpy()
    distances = made.distances(pixels).numpy()
    curvatures = made.curvature(pixels, torch.tensor(labels), torch.tensor(order)).numpy()
    for k, reading in enumerate(READINGS):
        engine = Engine(spec, reading)
        # What rounding leaves of terms that cancel does not shrink with them, so no gradient counts as less than 0.01.
        expected = engine.gradient(parameters[k], images[k], labels[k])
        np.testing.assert_allclose(gradients[k], expected, rtol=0, atol=1e-4 * max(1e-2, np.abs(expected).max()))
        np.testing.assert_allclose(distances[k], engine.distances(parameters[k], images), rtol=1e-4, atol=1e-5)
        h = diagonal(spec, reading, parameters[k], images[order[k]])
        np.testing.assert_allclose(curvatures[k], h, rtol=1e-3, atol=1e-5 * h.max())


@settings(max_examples=25)
@given(any_specs, st.integers(0, 99))
def test_any_spec_and_every_reading(spec, seed):
    assert_like_one(spec, seed)


@pytest.mark.parametrize("spec", [LENET5, LENET1, LENET4, *ladder.LADDER[-3:]], ids=lambda spec: spec.name)
def test_networks(spec):
    assert_like_one(spec, 0, patterns=2)


def test_patterns_in_several_chunks(digits, monkeypatch):
    """What does not fit into memory at once: the last chunk is a smaller one."""
    parameters, _, _ = drawn(LENET5, 2, 0, 0)
    made, images = replicas(LENET5, READINGS[:2], parameters), torch.tensor(digits[0][:25])
    labels, order = torch.tensor(digits[1][:25]), torch.arange(25).repeat(2, 1)
    whole = made.distances(images), made.curvature(images, labels, order)
    monkeypatch.setitem(AT_ONCE, "cpu", 20)
    close(made.distances(images).numpy(), whole[0].numpy(), 1e-5)
    close(made.curvature(images, labels, order).numpy(), whole[1].numpy(), 1e-5)


def test_patterns_that_show_none_of_the_classes():
    """Gradient, loss, errors and curvature against those of each replica alone; some patterns show one."""
    readings = [reading for reading in READINGS if reading.loss == "eq9"]
    parameters, images, labels = drawn(LENET5, len(readings), 8, 1)
    labels[::2] = 10
    made = Replicas(LENET5, readings, rubbish=True)
    made.parameters.copy_(torch.tensor(np.stack(parameters)))
    pixels, classes, order = torch.tensor(images), torch.tensor(labels), torch.arange(8).repeat(len(readings), 1)
    errors, losses = made.sweep(pixels, classes, order)  # at rates of zero
    h = made.curvature(pixels, classes, order).numpy()
    for n in (0, 1):
        each = torch.full((len(readings),), n)
        gradients = made.gradient(pixels[each], classes[each]).numpy()
        for k, reading in enumerate(readings):
            expected = Engine(LENET5, reading).gradient(parameters[k], images[n], labels[n])
            np.testing.assert_allclose(gradients[k], expected, rtol=0, atol=1e-4 * max(1e-2, np.abs(expected).max()))
    for k, reading in enumerate(readings):
        engine, still = Engine(LENET5, reading), np.zeros_like(parameters[k])
        alone = engine.sweep(parameters[k].copy(), still, images, labels)
        assert (errors[k], losses[k]) == (alone[0], pytest.approx(alone[1], rel=1e-5))
        expected = diagonal(LENET5, reading, parameters[k], images, labels)
        np.testing.assert_allclose(h[k], expected, rtol=1e-3, atol=1e-5 * expected.max())
    assert set((errors <= 4).tolist()) == {True, False}  # where j is large, blanks are not recognized
    softmax = next(spec for spec in ladder.LADDER if spec.output.kind == "softmax")
    with pytest.raises(ValueError, match="a softmax has no class for patterns that show none"):
        Replicas(softmax, readings, rubbish=True)


def test_a_replica_that_diverges_leaves_the_others_as_they_are(digits):
    readings, starts, eps, orders = case(3, digits[0][:20])
    undisturbed = swept(replicas(LENET5, readings, starts, eps), digits, orders)
    eps[1] = np.full_like(eps[1], np.inf)
    parameters, errors, losses = swept(replicas(LENET5, readings, starts, eps), digits, orders)
    assert not np.isfinite(losses[1])
    for k in (0, 2):
        np.testing.assert_array_equal(parameters[k], undisturbed[0][k])
        assert (errors[k], losses[k]) == (undisturbed[1][k], undisturbed[2][k])


@pytest.mark.parametrize("spec", [LENET5, LENET4, *ladder.LADDER[1:]], ids=lambda spec: spec.name)
def test_no_operation_asks_the_device_for_a_value_or_leaves_it(spec, monkeypatch):
    """PyTorch's device without values stands for a GPU: it refuses both."""
    monkeypatch.setattr("lenet98.replicas.engine.check_device", lambda device: None)
    monkeypatch.setitem(AT_ONCE, "meta", 100)
    made = Replicas(spec, READINGS, "meta", rubbish=spec.output.kind == "rbf")
    images, labels = torch.zeros(9, *spec.input_shape, device="meta"), torch.zeros(9, dtype=torch.int64, device="meta")
    order = torch.zeros(len(READINGS), 2, dtype=torch.int64, device="meta")
    errors, losses = made.sweep(images, labels, order)
    assert (errors.device.type, losses.device.type) == ("meta", "meta")
    assert made.curvature(images, labels, order).shape == made.parameters.shape
    assert made.distances(images).shape == (len(READINGS), 9, spec.classes)


def test_what_an_update_reads_and_writes_stays_where_it_is(digits):
    """A CUDA graph holds addresses."""
    readings, starts, eps, orders = case(2, digits[0][:3])
    made = replicas(LENET5, readings, starts, eps)
    lasting = {name: value for name, value in vars(made).items() if isinstance(value, torch.Tensor)}
    before = {name: value.data_ptr() for name, value in lasting.items()}
    swept(made, digits, orders)
    assert {"parameters", "rates", "_gradient", "_images", "_labels", "_errors", "_losses"} == set(before)
    assert {name: getattr(made, name).data_ptr() for name in before} == before


@NO_GPU
def test_on_a_gpu_as_on_a_cpu(digits):
    readings, starts, eps, orders = case(8, digits[0][:50])
    ours = swept(replicas(LENET5, readings, starts, eps, "cuda"), digits, orders)
    theirs = swept(replicas(LENET5, readings, starts, eps), digits, orders)
    close(ours[0], theirs[0], 1e-5)
    np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda images, labels, order: (images[:, :, 1:], labels, order), "takes float32 images of shape"),
        (lambda images, labels, order: (images.double(), labels, order), "float64 of shape"),
        (lambda images, labels, order: (images, labels[1:], order), "as many int64 labels, got int64 of shape"),
        (lambda images, labels, order: (images, labels.int(), order), "got int32"),
        (lambda images, labels, order: (images, labels, order[:1]), r"2 replicas need int64 indices of shape \(2, n\)"),
        (lambda images, labels, order: (images, labels, order[:, :0]), "n at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(digits, wrong, message):
    images, labels = (torch.tensor(part) for part in digits)
    with pytest.raises(ValueError, match=message):
        Replicas(LENET5, READINGS[:2]).sweep(*wrong(images, labels, torch.zeros(2, 1, dtype=torch.int64)))


def test_replicas_need_readings_and_a_device_that_is_there(monkeypatch):
    with pytest.raises(ValueError, match="no readings"):
        Replicas(LENET5, [])
    with pytest.raises(ValueError, match="device is 'tpu'; it must be one of cpu, cuda"):
        Replicas(LENET5, [DEFAULT], "tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="finds no GPU here"):
        Replicas(LENET5, [DEFAULT], "cuda")
