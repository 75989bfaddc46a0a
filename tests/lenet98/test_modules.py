"""The PyTorch networks against a transcription of Section II.B that shares no code with them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d
from torch.nn import functional as F

from lenet98.losses import loss
from lenet98.modules import Net, squash
from lenet98.networks import LENET5
from lenet98.prototypes import prototypes
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, LITERAL, Reading, initial_parameters
from lenet98.specs import RBF, Convolution, Full, Pooling, Softmax, Spec, Subsampling
from tests.strategies import any_specs, few

readings = st.builds(Reading, subsampling=st.sampled_from(["average", "sum"]), loss=st.sampled_from(["eq8", "eq9"]))


def images(spec, count, seed=0):
    return np.random.default_rng(seed).uniform(-0.1, 1.175, (count, *spec.input_shape))


def distances_by_hand(spec, reading, parameters, image):
    """The network in numpy, one map, field and unit after the other, straight from the flat vector."""
    x = image
    for layer in spec.geometry:
        if layer.kind == "rbf":
            return ((x.ravel() - prototypes(layer.prototypes, spec.classes)) ** 2).sum(1)
        weights, biases = parameters[layer.weight_slice], parameters[layer.bias_slice]
        a = np.empty(layer.out_shape)
        taken = 0
        for m, sources in enumerate(layer.table):
            if layer.kind in ("subsampling", "average", "max"):
                inputs = [x[sources[0], row::2, column::2] for row in (0, 1) for column in (0, 1)]
                if layer.kind == "max":
                    a[m] = np.maximum.reduce(inputs)
                elif layer.kind == "average":
                    a[m] = np.mean(inputs, 0)
                else:
                    fields = sum(inputs) / 4 if reading.subsampling == "average" else sum(inputs)
                    a[m] = weights[m] * fields + biases[m]
                continue
            a[m] = biases[m]
            for source in sources:
                size = math.prod(layer.kernel)
                kernel = weights[taken : taken + size].reshape(layer.kernel)
                a[m] += correlate2d(x[source], kernel, mode="valid")
                taken += size
        if layer.kind in ("average", "max", "softmax"):
            x = a
        else:
            x = np.maximum(a, 0) if spec.squashing == "relu" else 1.7159 * np.tanh(2 / 3 * a)
    return -np.log(np.exp(x.ravel()) / np.exp(x).sum())


def test_squash_is_one_at_one():
    a = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    assert squash(a).tolist() == pytest.approx([-1, 0, 1], abs=2e-5)


def test_squash_has_its_greatest_curvature_near_one():
    a = torch.linspace(0, 4, 4001, dtype=torch.float64)
    second = torch.func.vmap(torch.func.grad(torch.func.grad(squash)))(a).abs()
    assert a[second.argmax()].item() == pytest.approx(1, abs=0.02)


def test_lenet5_is_60_000_parameters_and_60_kernels_in_c3():
    net = Net(LENET5)
    assert sum(p.numel() for p in net.parameters()) == 60_000
    assert net.layers.C3.kernels.shape == (60, 5, 5)


def test_distances_of_a_tiny_network_worked_by_hand():
    layers = (Convolution("C1", 1, 2), Subsampling("S2"), Full("F3", 2), RBF("RBF", "places", 2))
    net = Net(Spec("tiny", (1, 3, 3), layers)).double()
    # C1: kernel ((1, 2), (0, -1)), bias 1/2; S2: coefficient 2, bias -1; F3: weights 1 and -2, biases 0 and 1/2.
    net.load_flat(np.array([1, 2, 0, -1, 0.5, 2, -1, 1, -2, 0, 0.5]))
    image = torch.tensor([[[[0.0, 1, 0], [2, 0, 0], [0, 0, 3]]]], dtype=torch.float64)
    # C1 sums 2.5, 1.5, 2.5, -2.5; squashed 1.597691, 1.306819, 1.597691, -1.597691, whose average is 0.726128;
    # S2 sum 2 x 0.726128 - 1 = 0.452255, squashed 0.502223;
    # F3 sums 0.502223, -0.504446, squashed 0.553963, -0.556240; targets (1, -1) and (-1, 1).
    assert net(image)[0].tolist() == pytest.approx([0.395872, 4.836683], abs=1e-6)


def test_distances_of_a_tiny_look_alike_worked_by_hand():
    layers = (Convolution("C1", 1, 2), Pooling("S2", "max"), Full("F3", 2), Softmax("output", 2))
    net = Net(Spec("tiny", (1, 3, 3), layers, "relu")).double()
    # The kernel and image of the test above; F3: weights 1 and -2, biases 0 and 1/2; output: 2x2 weights, biases 0, 1.
    net.load_flat(np.array([1, 2, 0, -1, 0.5, 1, -2, 0, 0.5, 1, 5, -1, 3, 0, 1]))
    image = torch.tensor([[[[0.0, 1, 0], [2, 0, 0], [0, 0, 3]]]], dtype=torch.float64)
    # C1 sums 2.5, 1.5, 2.5, -2.5, rectified 2.5, 1.5, 2.5, 0, the greatest of which is 2.5; F3 sums 2.5 and -4.5,
    # rectified 2.5 and 0; output sums 2.5 and -1.5, 4 apart: y = log(1 + e^-4) and that plus 4.
    least = math.log1p(math.exp(-4))
    assert net(image)[0].tolist() == pytest.approx([least, 4 + least], abs=1e-12)


@few
@given(any_specs, readings, st.integers(0, 9))
def test_any_network_equals_its_transcription(spec, reading, seed):
    net = Net(spec, reading, seed).double()
    patterns = images(spec, 3, seed)
    expected = [distances_by_hand(spec, reading, net.flat(), pattern) for pattern in patterns]
    np.testing.assert_allclose(net(torch.tensor(patterns)).detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reading", [DEFAULT, LITERAL])
def test_lenet5_equals_its_transcription(reading):
    net = Net(LENET5, reading).double()
    patterns = images(LENET5, 2)
    expected = [distances_by_hand(LENET5, reading, net.flat(), pattern) for pattern in patterns]
    np.testing.assert_allclose(net(torch.tensor(patterns)).detach(), expected, rtol=1e-10)


def test_c3_equals_a_dense_convolution_under_a_mask():
    net = Net(LENET5).double()
    c3, layer = net.layers.C3, LENET5.geometry[2]
    dense, mask = torch.randn(16, 6, 5, 5).double(), torch.zeros(16, 6, 1, 1).double()
    for m, sources in enumerate(layer.table):
        mask[m, list(sources)] = 1
    c3.kernels.data = torch.stack([dense[m, source] for m, sources in enumerate(layer.table) for source in sources])
    x = torch.randn(2, 6, 14, 14).double()
    torch.testing.assert_close(c3(x), F.conv2d(x, dense * mask, c3.bias))


@few
@given(any_specs, readings)
def test_gradient_equals_the_difference_quotient(spec, reading):
    net = Net(spec, reading).double()
    patterns, labels = torch.tensor(images(spec, 3)), torch.tensor([0, 1, 1])
    loss(net(patterns), labels, reading, spec.output.kind).backward()
    gradient = np.concatenate([p.grad.flatten() for p in net.parameters()])
    start, direction = net.flat(), np.random.default_rng(0).normal(size=spec.parameters)

    def value(step):
        net.load_flat(start + step * direction)
        return loss(net(patterns), labels, reading, spec.output.kind).item()

    assert gradient @ direction == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-4, abs=1e-6)


@few
@given(any_specs)
def test_a_larger_input_gives_the_answer_to_every_crop(spec):
    net = Net(spec).double()
    # Two more rows or columns of pixels, one more field: the network's step on its input is the 2 of its subsampling.
    height, width = spec.input_shape[1:]
    wide = torch.tensor(np.random.default_rng(0).normal(size=(2, spec.input_shape[0], height + 2, width + 4)))
    answers = net(wide)
    assert answers.shape == (2, spec.classes, 2, 3)
    for row in range(2):
        for column in range(3):
            crop = wide[:, :, 2 * row : 2 * row + height, 2 * column : 2 * column + width]
            torch.testing.assert_close(answers[:, :, row, column], net(crop))


def test_lenet5_reads_a_wide_field_in_steps_of_four_pixels():
    net = Net(LENET5).double()
    wide = torch.tensor(np.random.default_rng(0).normal(size=(1, 1, 32, 44)))
    answers = net(wide)
    assert answers.shape == (1, 10, 1, 4)
    for column in range(4):
        torch.testing.assert_close(answers[:, :, 0, column], net(wide[:, :, :, 4 * column : 4 * column + 32]))


def test_a_network_starts_from_the_parameters_of_its_run():
    for seed in (0, 3):
        expected = initial_parameters(LENET5, DEFAULT, generator(seed, "init"))
        assert Net(LENET5, seed=seed).flat().tobytes() == expected.tobytes()
    assert (Net(LENET5, seed=0).flat() != Net(LENET5, seed=3).flat()).mean() > 0.99


def test_loading_copies_the_vector():
    net, vector = Net(LENET5), np.arange(60_000, dtype=np.float32)
    net.load_flat(vector)
    assert (net.flat() == vector).all()
    vector[:] = 0
    assert net.flat()[-1] == 59_999


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 1, 28, 28), (2, 3, 32, 32), (2, 1, 64, 31)])
def test_images_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"images have shape .* lenet5 needs \(patterns, 1, height, width\)"):
        Net(LENET5)(torch.zeros(shape))


def test_a_vector_of_the_wrong_length_is_refused():
    net = Net(LENET5)
    with pytest.raises(ValueError, match=r"shape \(60001,\); lenet5 needs \(60000,\)"):
        net.load_flat(np.zeros(60_001, np.float32))
