"""The diagonal h_kk of the Gauss-Newton approximation of the Hessian, by back-propagation (App. C, eq. 23-27).

Second derivatives flow back like gradients do, with every factor squared.  The curvature of a unit is
d2E/da_i^2 = f'(a_i)^2 sum_k u_ki^2 d2E/da_k^2 (eq. 27), that of a connection d2E/du_ij^2 = d2E/da_i^2 x_j^2 (eq. 25),
and that of a parameter the sum over the connections that share it (eq. 23), averaged over the patterns (eq. 24).

Below, `x` are the states that a layer reads, `d2a` is d2E/da^2 of its units, and `d2x` is d2E/dx^2, the sum of eq. 27.
Each layer kind has one function that takes (layer, x, d2a) to the second derivatives of its weights, its biases and x;
`RULES` has them, for the layers of `Net` and for those of PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lenet98.modules import Convolution, Full, Net, Pooling, Softmax, Squash, Subsampling
from lenet98.readings import Reading
from lenet98.specs import A, S, Spec, Squashing

CHUNK = 100
"""Patterns that are propagated at once, which bounds the memory."""

Rule = Callable[[Any, Tensor, Tensor, bool], tuple[Tensor, Tensor, Tensor]]
"""From a layer, x, d2a, and whether x are the images to d2E of its weights and biases, summed, and d2x.

What a layer lacks, weights or biases, is empty or not to be used; so may be the d2x of images, which nothing reads.
"""

Loss = Literal["cross_entropy", "mse"] | Callable[[Tensor], Tensor]
"""The loss of a module's outputs, the mean over the patterns of that of each.

"cross_entropy" is that of the softmax of linear outputs, `torch.nn.functional.cross_entropy`; "mse" the mean over the
outputs of the squared error, `torch.nn.functional.mse_loss`.  Any other loss is given as a function from the outputs,
shape (patterns, ...), to its second derivatives d2E/dy^2, of the same shape and not negative.
"""


def diagonal(
    spec: Spec,
    reading: Reading,
    parameters: NDArray[Any],
    images: NDArray[Any],
    labels: NDArray[np.integer[Any]] | None = None,
) -> NDArray[Any]:
    """The curvature h_kk of every parameter, the mean over the patterns.

    The classes of the patterns do not enter: eq. 8 and 9 depend on them by y_D, whose second derivative is 2 for any D,
    and cross-entropy by a term linear in the outputs.  Only patterns that show none of the classes are others.

    Parameters
    ----------
    spec, reading
        The network, and the loss whose curvature is wanted.
    parameters
        Flat vector, shape (spec.parameters,); its dtype, float32 or float64, is that of the computation.
    images
        Preprocessed patterns, shape (patterns, maps, height, width), of the nominal size of the input.
    labels
        Of the patterns, shape (patterns,), where some show none of the classes: theirs is the number of classes.

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
    rubbish = None if labels is None or not (labels >= spec.classes).any() else torch.tensor(labels >= spec.classes)
    return diagonal_of(net, torch.tensor(images), rubbish=rubbish).numpy()


@torch.no_grad()
def diagonal_of(
    module: nn.Module, inputs: Tensor, loss: Loss | None = None, *, rubbish: Tensor | None = None
) -> Tensor:
    """The curvature h_kk of the parameters of a network that is already there, the mean over the patterns.

    Parameters
    ----------
    module
        A `Net`, or a module of PyTorch made of what `chain` knows.  It is looked at in evaluation mode, without
        dropout, and is left in the mode in which it was.
    inputs
        Patterns, shape (patterns, ...).
    loss
        Of the outputs of a module; None for a `Net`, whose reading names its loss.
    rubbish
        Which patterns show none of the classes, shape (patterns,); None if all show one.  Only a `Net` has such.

    Returns
    -------
    h_kk, flat, in the order of `module.parameters()`; never negative.

    Raises
    ------
    ValueError
        If the inputs do not fit, there are none, a part of the module has no rule, or `loss` is not one.
    """
    check(module, loss)
    name, shape = type(module).__name__, tuple(inputs.shape[1:])
    if isinstance(module, Net):
        name, shape = module.spec.name, module.spec.input_shape
    if tuple(inputs.shape[1:]) != shape or len(inputs) == 0:
        raise ValueError(
            f"images have shape {tuple(inputs.shape)}; the curvature of {name} needs at least one pattern of shape "
            f"{shape}"
        )
    parameters = list(module.parameters())
    like = parameters[0]
    total = torch.zeros(sum(p.numel() for p in parameters), dtype=like.dtype, device=like.device)
    with _evaluating(module):
        for n, chunk in enumerate(inputs.split(CHUNK)):
            x = chunk.to(like)
            if isinstance(module, Net):
                total += _summed(module, x, None if rubbish is None else rubbish[n * CHUNK : (n + 1) * CHUNK])
            else:
                total += _summed_along(module, x, loss)
    return total / len(inputs)


def check(module: nn.Module, loss: Loss | None) -> None:
    """Raise ValueError unless there is a curvature of that loss of that module."""
    if isinstance(module, Net):
        if loss is not None:
            raise ValueError(f"loss is {loss!r}, but the reading of {module.spec.name} names its loss; leave it out")
        return
    if not (callable(loss) or loss in ("cross_entropy", "mse")):
        raise ValueError(
            f"loss is {loss!r}; it must be 'cross_entropy', 'mse', or a function from the outputs to d2E/dy^2"
        )
    chain(module)
    if not any(True for _ in module.parameters()):
        raise ValueError(f"{type(module).__name__} has no parameters")


# --- where the back-propagation starts --------------------------------------------------------------------------------


def output_curvature(prototypes: Tensor, x: Tensor, reading: Reading, rubbish: Tensor | None = None) -> Tensor:
    """d2E/dx_j^2 at the states x that the RBF units read, where the back-propagation starts.

    With eq. 8 it is 2.  With eq. 9 the classes i and the rubbish class share the posterior
    p_i = e^-y_i / (e^-j + sum e^-y), p_0 = e^-j / (...), and

        d2E/dx_j^2 = 2 - 2 sum_i p_i + Var_p[2 (x_j - w_ij)],    0 in place of 2 (x_j - w_ij) for the rubbish class,

    where 2 - 2 sum_i p_i = 2 p_0.  Both are exact, and positive.  `reading.rbf_scale` is a factor on y_i: on 2 and
    on 2 (x_j - w_ij).

    A pattern that shows none of the classes has no y_D, and the first 2 is not there.  What is left, Var - 2 sum_i p_i,
    may be negative; the second term comes from the second derivatives of the y_i, which the Gauss-Newton approximation
    leaves out.  So theirs is Var_p[2 (x_j - w_ij)].  That of eq. 8 is 2 for them too: they move the same distances.

    Parameters
    ----------
    prototypes
        w, shape (classes, components).
    x
        States, shape (patterns, components).
    reading
        Names the loss, its j and its scale; `output_curvature` "eq8" takes that of eq. 8 whatever the loss.
    rubbish
        Which patterns show none of the classes, shape (patterns,); None if all show one.

    Returns
    -------
    Shape (patterns, components), times the scale of the curvature.
    """
    scale = curvature_scale(reading)
    if reading.loss == "eq8" or reading.output_curvature == "eq8":
        return torch.full_like(x, 2 * reading.rbf_scale * scale)
    j, rbf_scale = (x.new_full((len(x), 1), value) for value in (reading.j, reading.rbf_scale))
    return scale * eq9_curvature(prototypes, x, j, rbf_scale, rubbish)


def curvature_scale(reading: Reading) -> float:
    """The factor on the second derivatives of the loss: that of the loss, unless the reading has another."""
    return reading.loss_scale if reading.curvature_scale is None else reading.curvature_scale


def eq9_curvature(prototypes: Tensor, x: Tensor, j: Tensor, rbf_scale: Tensor, rubbish: Tensor | None = None) -> Tensor:
    """d2E/dx_j^2 of eq. 9, as `output_curvature` has it, with j and a factor on y_i by pattern, both (patterns, 1)."""
    share, classes, slopes = posterior(prototypes, x, j, rbf_scale)
    mean = (classes * slopes).sum(1, keepdim=True)
    # As a sum of squares, so that rounding cannot make it negative.
    variance = (classes * (slopes - mean).square()).sum(1) + (share * mean.square()).squeeze(1)
    of_a_class = 2 * rbf_scale * share.squeeze(1) + variance
    return of_a_class if rubbish is None else torch.where(rubbish[:, None], variance, of_a_class)


def posterior(prototypes: Tensor, x: Tensor, j: Tensor, rbf_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """p of the rubbish class and of the classes, and dy_i/dx = 2 (x - w_i) of the latter; arguments of `eq9_curvature`.

    Shapes (patterns, 1, 1), (patterns, classes, 1) and (patterns, classes, components).
    """
    differences = x[:, None] - prototypes
    penalties = torch.cat([-j, -rbf_scale * differences.square().sum(2)], 1)
    share, classes = torch.softmax(penalties, 1)[:, :, None].tensor_split([1], 1)  # of the rubbish class first
    return share, classes, 2 * rbf_scale[:, :, None] * differences


def softmax_output_curvature(y: Tensor, reading: Reading) -> Tensor:
    """`cross_entropy_curvature` times the scale of the curvature."""
    return curvature_scale(reading) * cross_entropy_curvature(y)


def cross_entropy_curvature(y: Tensor) -> Tensor:
    """d2E/da_i^2 = p_i (1 - p_i) of the cross-entropy at the linear units of a softmax, from y = -log p; like `y`."""
    return torch.exp(-y) * -torch.expm1(-y)


def loss_curvature(outputs: Tensor, loss: Loss | None) -> Tensor:
    """d2E/dy^2 of a loss at the outputs of a module, one value each.

    Raises ValueError if the outputs are not those of classes where they must be, or a function gives something else
    than a value of at least 0 for each output.
    """
    if loss == "cross_entropy":
        if outputs.ndim != 2:
            raise ValueError(f"outputs have shape {tuple(outputs.shape)}; the cross-entropy needs (patterns, classes)")
        return cross_entropy_curvature(-torch.log_softmax(outputs, 1))
    if loss == "mse":
        return torch.full_like(outputs, 2 / outputs[0].numel())
    assert callable(loss)
    d2y = loss(outputs)
    if d2y.shape != outputs.shape or not (d2y >= 0).all():
        raise ValueError(
            f"the loss gave second derivatives of shape {tuple(d2y.shape)}, least {d2y.min():g}, for outputs of shape "
            f"{tuple(outputs.shape)}; it must give one of at least 0 for each output"
        )
    return d2y


# --- from the outputs back --------------------------------------------------------------------------------------------


def _summed(net: Net, images: Tensor, rubbish: Tensor | None) -> Tensor:
    """h_kk of all parameters, flat, summed over the patterns."""
    states = net.states(images)
    parts: list[Tensor] = []
    if isinstance(net.output, Softmax):
        d2a = softmax_output_curvature(net.output(states[-1]), net.reading)
        d2weight, d2bias, d2x = through_full(net.output, states[-1], d2a)
        parts = [d2weight.flatten(), d2bias]
    else:
        x = states[-1].flatten(1)
        d2x = output_curvature(net.rbf.prototypes, x, net.reading, rubbish).view_as(states[-1])
    layers = zip(net.layers, net.spec.hidden, states[:-1], states[1:], strict=True)
    for layer, geometry, x, state in reversed(list(layers)):
        d2a = slope(state, geometry.squashing).square() * d2x
        d2weight, d2bias, d2x = through(layer, x, d2a, images=x is images)
        parts = [d2weight.flatten(), d2bias, *parts]
    return torch.cat(parts)


def _summed_along(module: nn.Module, inputs: Tensor, loss: Loss | None) -> Tensor:
    """h_kk of all parameters of a chain of layers, flat, summed over the patterns."""
    layers = [layer for _, layer in chain(module)]
    states = [inputs]
    for layer in layers:
        states.append(_apart(layer, states[-1]))
    d2x = loss_curvature(states[-1], loss)
    # A parameter that several layers share has the sum of its curvatures (eq. 23).
    found = {parameter: torch.zeros_like(parameter) for parameter in module.parameters()}
    for layer, x in zip(reversed(layers), reversed(states[:-1]), strict=True):
        d2weight, d2bias, d2x = through(layer, x, d2x, images=x is inputs)
        for parameter, d2 in zip(layer.parameters(), (d2weight, d2bias), strict=False):
            found[parameter] += d2
    return torch.cat([h.flatten() for h in found.values()])


def chain(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers of a module in the order in which they act, each with its name in the tree of modules.

    A module is one layer of `RULES` or a `torch.nn.Sequential` of modules, nested as one likes.

    Raises ValueError, naming the part, for one that is neither, or one that `RULES` knows only in another form.
    """
    return list(_chain(module, ""))


def _chain(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    # A class that inherits its forward does what its base does; named_children() would leave out what stands twice.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for part, child in module._modules.items():
            assert child is not None
            yield from _chain(child, f"{name}.{part}" if name else part)
        return
    which = f"{name or 'the module itself'} ({type(module).__name__})"
    if _rule(module) is None:
        raise ValueError(
            f"no curvature of {which} is known; SDLM takes a Net or a Sequential of {', '.join(_known())}, to any depth"
        )
    if unusual := next((words for is_so, words in UNUSUAL if is_so(module)), None):
        raise ValueError(f"no curvature of {which} {unusual} is known")
    yield name, module


UNUSUAL: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda layer: getattr(layer, "padding_mode", "zeros") != "zeros", "with another padding than zeros"),
    (lambda layer: getattr(layer, "return_indices", False), "that returns indices too"),
    (
        lambda layer: (
            not {name for name, _ in layer.named_parameters()} <= {"weight", "kernels", "coefficient", "bias"}
        ),
        "whose weights are computed from other parameters",
    ),
)
"""Forms of the layers that have no rule, with words for them."""


def _known() -> list[str]:
    """Names of PyTorch's layers that have a rule."""
    return [kind.__name__ for kind in RULES if kind.__module__.startswith("torch.")]


def _rule(layer: nn.Module) -> Rule | None:
    """The rule of a layer's class or of the one from which it has its forward; None if there is none."""
    forward = type(layer).forward
    return next((rule for kind, rule in RULES.items() if isinstance(layer, kind) and forward is kind.forward), None)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """The module in evaluation mode, and afterward each of its parts as it was."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


# --- rules: one for each kind of layer --------------------------------------------------------------------------------


def through(layer: nn.Module, x: Tensor, d2a: Tensor, *, images: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """d2E of a layer's weights and biases, summed over the patterns, and of the states x that it reads.

    Weights and biases that a layer does not have are empty, or not to be used; so may be d2x if x are the `images`.
    """
    rule = _rule(layer)
    assert rule is not None, f"{type(layer).__name__} has no rule"
    return rule(layer, x, d2a, images)


def back(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], derivatives: Tensor) -> tuple[Tensor, ...]:
    """The gradients at `inputs` of a function of them, from those of its outputs: plain back-propagation."""
    with torch.enable_grad():
        leaves = [x.detach().requires_grad_() for x in inputs]
        return torch.autograd.grad(function(*leaves), leaves, derivatives)


def weighted_sums(
    sums: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, d2a: Tensor, images: bool
) -> tuple[Tensor, Tensor]:
    """d2E of weight and x for sums a_i = sum_j u_ij x_j.

    Back-propagation multiplies by x_j and sums over the connections that share a weight, and by u_ij and sums over the
    units; eq. 25, 23 and 27 are the same sums with x_j and u_ij squared.  Of images d2x is empty: in LeNet-5 it would
    take a third of the time.
    """
    if images:
        (d2weight,) = back(lambda weights: sums(x.square(), weights), (weight.square(),), d2a)
        return d2weight, x.new_empty(0)
    d2x, d2weight = back(sums, (x.square(), weight.square()), d2a)
    return d2weight, d2x


def fixed_weights(layer: nn.Module, x: Tensor, d2a: Tensor, weights: Tensor | float = 1.0) -> Tensor:
    """d2x of a layer without parameters whose units are sums of inputs, all with one weight; it may differ by unit.

    The weights are 1 where a unit is one of its inputs: that of a maximum, or one that was only moved.
    """
    (d2x,) = back(lambda states: _apart(layer, states), (x,), weights * d2a)
    return d2x


def _apart(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer's output; x stays as it is even if the layer works in place."""
    output: Tensor = layer(x.clone() if getattr(layer, "inplace", False) else x)
    return output


def _of_states(rule: Callable[[Any, Tensor, Tensor], Tensor]) -> Rule:
    """The rule of a layer without parameters, from its d2x."""
    return lambda layer, x, d2a, _: (d2a.new_empty(0), d2a.new_empty(0), rule(layer, x, d2a))


# --- of the layers of `Net`


def slope(state: Tensor, squashing: Squashing | None = "tanh") -> Tensor:
    """f'(a) from x = f(a).

    With "tanh" A S (1 - tanh^2(S a)) = S (A - x^2 / A); with "relu" a step, 1 above 0; with None, x = a, it is 1.
    """
    if squashing == "tanh":
        return S * (A - state.square() / A)
    return torch.ones_like(state) if squashing is None else (state > 0).to(state)


def through_table(layer: Convolution, x: Tensor, d2a: Tensor, images: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A kernel weight meets one input at every position of its map; its curvature is the sum over them (eq. 23)."""
    d2dense, d2x = weighted_sums(F.conv2d, x, layer.dense(), d2a, images)
    return d2dense.flatten(0, 1)[layer.links], d2a.sum((0, 2, 3)), d2x


def through_subsampling(layer: Subsampling, x: Tensor, d2a: Tensor, _: bool) -> tuple[Tensor, Tensor, Tensor]:
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
    """The greatest input of a field weighs 1 and the others 0; in an average each of the four weighs 1/4."""
    return fixed_weights(layer, x, d2a, 1.0 if layer.max else 1 / layer.factor**2)


def through_full(layer: Full, x: Tensor, d2a: Tensor, images: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """No weight is shared: eq. 25 and 27 as they stand."""
    d2units = d2a.flatten(1)
    d2weight, d2x = weighted_sums(F.linear, x.flatten(1), layer.weight.flatten(1), d2units, images)
    return d2weight.view_as(layer.weight), d2units.sum(0), d2x if images else d2x.view_as(x)


# --- of PyTorch's layers


def through_conv2d(layer: nn.Conv2d, x: Tensor, d2a: Tensor, images: bool) -> tuple[Tensor, Tensor, Tensor]:
    """As `through_table`, with any stride, padding by zeros, dilation and number of groups."""

    def sums(states: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(states, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)

    d2weight, d2x = weighted_sums(sums, x, layer.weight, d2a, images)
    return d2weight, d2a.sum((0, 2, 3)), d2x


def through_linear(layer: nn.Linear, x: Tensor, d2a: Tensor, images: bool) -> tuple[Tensor, Tensor, Tensor]:
    """As `through_full`; where the layer reads several rows of a pattern, its weights are shared by them (eq. 23)."""
    d2weight, d2x = weighted_sums(F.linear, x, layer.weight, d2a, images)
    return d2weight, d2a.flatten(0, -2).sum(0), d2x


def through_average(layer: nn.AvgPool2d, x: Tensor, d2a: Tensor) -> Tensor:
    """Every input of a field weighs 1/n, n what the layer divides by: the field's size, or as its options have it."""
    ones = torch.ones_like(x[:1])
    sizes = F.avg_pool2d(
        ones, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, divisor_override=1
    )  # without what is only padding
    return fixed_weights(layer, x, d2a, layer(ones) / sizes)


def through_adaptive_average(layer: nn.AdaptiveAvgPool2d, x: Tensor, d2a: Tensor) -> Tensor:
    """Every input of a field weighs 1/n, n the field's size; the fields differ in size, and may overlap."""
    height, width = (
        torch.tensor([-(-(i + 1) * size // number) - i * size // number for i in range(number)]).to(d2a)
        for size, number in zip(x.shape[-2:], d2a.shape[-2:], strict=True)
    )
    return fixed_weights(layer, x, d2a, 1 / (height[:, None] * width))


def through_pointwise(layer: nn.Module, a: Tensor, d2x: Tensor) -> Tensor:
    """d2E/da^2 = f'(a)^2 d2E/dx^2 of x = f(a) (eq. 27), the slope by automatic differentiation."""
    return fixed_weights(layer, a, torch.ones_like(d2x)).square() * d2x


def through_squash(layer: Squash, a: Tensor, d2x: Tensor) -> Tensor:
    """As `through_pointwise`, for the paper's squashing function."""
    return slope(layer(a)).square() * d2x


POINTWISE = (
    nn.Tanh, nn.Sigmoid, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Softsign, nn.Hardtanh, nn.ReLU6, nn.Hardsigmoid, nn.Hardswish, nn.LogSigmoid,
)  # fmt: skip
"""Layers that take each state by itself to f of it, without parameters."""

MOVING = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.ZeroPad2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
"""Layers whose units are each one input of theirs; dropout is that in evaluation mode."""

RULES: Mapping[type[nn.Module], Rule] = {
    Convolution: through_table,
    Subsampling: through_subsampling,
    Pooling: _of_states(through_pooling),
    Full: through_full,
    Squash: _of_states(through_squash),
    nn.Conv2d: through_conv2d,
    nn.Linear: through_linear,
    nn.AvgPool2d: _of_states(through_average),
    nn.AdaptiveAvgPool2d: _of_states(through_adaptive_average),
    **dict.fromkeys(MOVING, _of_states(fixed_weights)),
    **dict.fromkeys(POINTWISE, _of_states(through_pointwise)),
}
"""The rule of each kind of layer."""
