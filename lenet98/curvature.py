"""The diagonal h_kk of the Gauss-Newton approximation of the Hessian, by back-propagation (App. C, eq. 23-27).

Second derivatives flow back like gradients do, with every factor squared.  The curvature of a unit is
d2E/da_i^2 = f'(a_i)^2 sum_k u_ki^2 d2E/da_k^2 (eq. 27), that of a connection d2E/du_ij^2 = d2E/da_i^2 x_j^2 (eq. 25),
and that of a parameter the sum over the connections that share it (eq. 23), averaged over the patterns (eq. 24).

Below, `x` are the states that a layer reads, `d2a` is d2E/da^2 of its units, and `d2x` is d2E/dx^2, the sum of eq. 27.
Each layer kind has one function that takes (x, d2a) to the second derivatives of its weights, its biases and x.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from lenet98.modules import Convolution, Full, Net, Pooling, Softmax, Subsampling
from lenet98.readings import Reading
from lenet98.specs import A, S, Spec, Squashing

CHUNK = 100
"""Patterns that are propagated at once, which bounds the memory."""


def diagonal(spec: Spec, reading: Reading, parameters: NDArray[Any], images: NDArray[Any]) -> NDArray[Any]:
    """The curvature h_kk of every parameter, the mean over the patterns.

    The classes of the patterns do not enter: eq. 8 and 9 depend on them by y_D, whose second derivative is 2 for any D,
    and cross-entropy by a term linear in the outputs.

    Parameters
    ----------
    spec, reading
        The network, and the loss whose curvature is wanted.
    parameters
        Flat vector, shape (spec.parameters,); its dtype, float32 or float64, is that of the computation.
    images
        Preprocessed patterns, shape (patterns, maps, height, width), of the nominal size of the input.

    Returns
    -------
    h_kk, shape (spec.parameters,), in the dtype of `parameters`; never negative.

    Raises
    ------
    ValueError
        If the parameters or the images do not fit the spec, or there are no images.
    """
    net = Net(spec, reading).to(torch.tensor(parameters).dtype)
    net.load_flat(parameters)
    return diagonal_of(net, torch.tensor(images)).numpy()


@torch.no_grad()
def diagonal_of(net: Net, images: Tensor) -> Tensor:
    """The curvature h_kk of the parameters of `net`, flat; `diagonal` for a network that is already there."""
    if tuple(images.shape[1:]) != net.spec.input_shape or len(images) == 0:
        raise ValueError(
            f"images have shape {tuple(images.shape)}; the curvature of {net.spec.name} needs at least one pattern of "
            f"shape {net.spec.input_shape}"
        )
    like = next(net.parameters())
    total = torch.zeros(net.spec.parameters, dtype=like.dtype, device=like.device)
    for chunk in images.split(CHUNK):
        total += _summed(net, chunk.to(like))
    return total / len(images)


def output_curvature(prototypes: Tensor, x: Tensor, reading: Reading) -> Tensor:
    """d2E/dx_j^2 at the states x that the RBF units read, where the back-propagation starts.

    With eq. 8 it is 2.  With eq. 9 the classes i and the rubbish class share the posterior
    p_i = e^-y_i / (e^-j + sum e^-y), p_0 = e^-j / (...), and

        d2E/dx_j^2 = 2 - 2 sum_i p_i + Var_p[2 (x_j - w_ij)],    0 in place of 2 (x_j - w_ij) for the rubbish class,

    where 2 - 2 sum_i p_i = 2 p_0.  Both are exact, and positive.

    Parameters
    ----------
    prototypes
        w, shape (classes, components).
    x
        States, shape (patterns, components).
    reading
        Names the loss, its j and its scale; `output_curvature` "eq8" takes that of eq. 8 whatever the loss.

    Returns
    -------
    Shape (patterns, components), times `reading.loss_scale`.
    """
    if reading.loss == "eq8" or reading.output_curvature == "eq8":
        return torch.full_like(x, 2 * reading.loss_scale)
    differences = x[:, None] - prototypes
    penalties = F.pad(-differences.square().sum(2), (1, 0), value=-reading.j)
    rubbish, classes = torch.softmax(penalties, 1)[:, :, None].tensor_split([1], 1)
    slopes = 2 * differences
    mean = (classes * slopes).sum(1, keepdim=True)
    # As a sum of squares, so that rounding cannot make it negative.
    variance = (classes * (slopes - mean).square()).sum(1) + (rubbish * mean.square()).squeeze(1)
    return reading.loss_scale * (2 * rubbish.squeeze(1) + variance)


def softmax_output_curvature(y: Tensor, reading: Reading) -> Tensor:
    """d2E/da_i^2 = p_i (1 - p_i) of the cross-entropy at the linear units of a softmax output, from y = -log p.

    Returns the shape of `y`, times `reading.loss_scale`.
    """
    return reading.loss_scale * torch.exp(-y) * -torch.expm1(-y)


def _summed(net: Net, images: Tensor) -> Tensor:
    """h_kk of all parameters, flat, summed over the patterns."""
    states = net.states(images)
    parts: list[Tensor] = []
    if isinstance(net.output, Softmax):
        d2a = softmax_output_curvature(net.output(states[-1]), net.reading)
        d2weight, d2bias, d2x = through(net.output, states[-1], d2a)
        parts = [d2weight.flatten(), d2bias]
    else:
        d2x = output_curvature(net.rbf.prototypes, states[-1].flatten(1), net.reading).view_as(states[-1])
    layers = zip(net.layers, net.spec.hidden, states[:-1], states[1:], strict=True)
    for layer, geometry, x, state in reversed(list(layers)):
        d2a = slope(state, geometry.squashing).square() * d2x
        d2weight, d2bias, d2x = through(layer, x, d2a)
        parts = [d2weight.flatten(), d2bias, *parts]
    return torch.cat(parts)


def slope(state: Tensor, squashing: Squashing | None = "tanh") -> Tensor:
    """f'(a) from x = f(a).

    With "tanh" A S (1 - tanh^2(S a)) = S (A - x^2 / A); with "relu" a step, 1 above 0; with None, x = a, it is 1.
    """
    if squashing == "tanh":
        return S * (A - state.square() / A)
    return torch.ones_like(state) if squashing is None else (state > 0).to(state)


def through(layer: nn.Module, x: Tensor, d2a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """d2E of a layer's weights and biases, summed over the patterns, and of the states x that it reads.

    A layer that only pools has no weights and biases: theirs are empty.
    """
    if isinstance(layer, Convolution):
        return through_convolution(layer, x, d2a)
    if isinstance(layer, Subsampling):
        return through_subsampling(layer, x, d2a)
    if isinstance(layer, Pooling):
        return d2a.new_empty(0), d2a.new_empty(0), through_pooling(layer, x, d2a)
    assert isinstance(layer, Full)
    return through_full(layer, x, d2a)


def through_convolution(layer: Convolution, x: Tensor, d2a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A kernel weight meets one input at every position of its map; its curvature is the sum over them (eq. 23)."""
    dense = layer.dense()
    d2dense = conv2d_weight(x.square(), dense.shape, d2a)
    d2kernels = d2dense.flatten(0, 1)[layer.links]
    return d2kernels, d2a.sum((0, 2, 3)), F.conv_transpose2d(d2a, dense.square())


def through_subsampling(layer: Subsampling, x: Tensor, d2a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The coefficient is one weight of each unit, whose input is the average or the sum of the field.

    The other reading takes eq. 23 to the letter: the coefficient is shared by the four links of each unit, and only the
    squares of their inputs count, not the products.
    """
    share = 1 if layer.sum else 1 / layer.factor**2
    if layer.one_weight:
        inputs = layer.pooled(x).square()
    else:
        inputs = share**2 * F.avg_pool2d(x[:, layer.sources].square(), layer.factor, divisor_override=1)
    d2coefficient = (d2a * inputs).sum((0, 2, 3))
    # What one input weighs in its unit: the coefficient, divided by the size of the field if it is averaged.
    weight = share * layer.coefficient
    d2field = weight.square()[:, None, None] * d2a
    d2fields = d2field.repeat_interleave(layer.factor, 2).repeat_interleave(layer.factor, 3)
    d2x = torch.zeros_like(x).index_add(1, layer.sources, d2fields)
    return d2coefficient, d2a.sum((0, 2, 3)), d2x


def through_pooling(layer: Pooling, x: Tensor, d2a: Tensor) -> Tensor:
    """The greatest input of a field weighs 1 and the others 0; in an average each of the four weighs 1/4, squared."""
    if layer.max:
        _, greatest = F.max_pool2d(x, layer.factor, return_indices=True)
        return F.max_unpool2d(d2a, greatest, [layer.factor, layer.factor])
    d2fields = d2a / layer.factor**4
    return d2fields.repeat_interleave(layer.factor, 2).repeat_interleave(layer.factor, 3)


def through_full(layer: Full, x: Tensor, d2a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """No weight is shared: eq. 25 and 27 as they stand."""
    d2units = d2a.flatten(1)
    d2weight = d2units.T @ x.flatten(1).square()
    d2x = d2units @ layer.weight.flatten(1).square()
    return d2weight.view_as(layer.weight), d2units.sum(0), d2x.view_as(x)
