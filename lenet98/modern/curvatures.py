"""Diagonals of the curvature by other rules than Appendix C's, for the same training; none of it is in the paper.

A `Method` gives h_kk of every parameter, the mean over some patterns, as `lenet98.curvature.diagonal` does.  Let x be
the states that the RBF units read, J their Jacobian in the parameters, H the second derivatives of the loss in x, and g
its gradient.

"gauss-newton"
    diag(J' H J), exact: what Appendix C approximates.  It drops the second derivatives of x alone.
"fisher"
    The same from the penalties y instead of x.  Eq. 9 is -log p_D, and it is the mean over p of squared gradients.
"hessian"
    The diagonal of the whole Hessian, exact: diag(J' H J) and g times the second derivatives of x.
"gauss-newton-of-eq8"
    The same with the H of eq. 8, twice the identity, whatever the loss.
"bbprop"
    Appendix C as the reading has it: "gauss-newton" without what the units of a layer have to do with each other, from
    the H of the loss or, if `Reading.output_curvature` says so, of eq. 8.
"bbprop-of-loss"
    Appendix C from the H of the loss, whatever the reading.
"hesscale"
    "bbprop-of-loss" with f''(a) dE/dx added at every unit: the rule of the whole Hessian, exact in the last layer
    (M. Elsayed and A. R. Mahmood, "HesScale: Scalable Computation of Hessian Diagonals", 2022).
"hutchinson-gauss-newton", "hutchinson-hessian"
    The mean over `probes` of v * (M v), v of random signs and M the matrix of all patterns.
"squared-gradients", "fisher-sampled"
    The mean over the patterns of the squared gradient: for the class that each shows ("empirical Fisher"), or for one
    class drawn from p.
"layer-mean", "mean"
    bbprop's mean over each layer, and over all parameters: controls, of which the latter knows one rate only.

Without a word about H, it is that of the loss.  Squared gradients are those of eq. 8 or 9 as printed; the scale of the
curvature (`lenet98.curvature.curvature_scale`) is then a factor on the square, as it is on every other method's h_kk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.nn import functional as F

from lenet98 import losses, training
from lenet98.curvature import back, curvature_scale, diagonal, diagonal_of, output_curvature, posterior, slope, through
from lenet98.data.mnist import MNIST
from lenet98.loop import Progress, Trained
from lenet98.modules import SQUASHING, Convolution, Full, Net, Subsampling, unflatten
from lenet98.randomness import generator
from lenet98.readings import Reading
from lenet98.specs import A, Geometry, S, Spec, Squashing

Method = Literal[
    "gauss-newton", "gauss-newton-of-eq8", "fisher", "hessian", "bbprop", "bbprop-of-loss", "hesscale",
    "hutchinson-gauss-newton", "hutchinson-hessian", "squared-gradients", "fisher-sampled", "layer-mean", "mean",
]  # fmt: skip

PROBES = 10
"""Random vectors of a Hutchinson estimate, each for all patterns."""
ROWS = 500
"""Vectors that are propagated at once, whichever pattern they are of, which bounds the memory."""


# --- estimates --------------------------------------------------------------------------------------------------------


class Given(NamedTuple):
    """What a method is given."""

    net: Net
    images: Tensor
    labels: Tensor
    rng: np.random.Generator
    probes: int

    def chunks(self, rows: int) -> Iterator[Given]:
        """The patterns, so many at a time that `rows` vectors of each are about `ROWS`."""
        size = max(1, ROWS // rows)
        for images, labels in zip(self.images.split(size), self.labels.split(size), strict=True):
            yield self._replace(images=images, labels=labels)


def estimate(
    method: Method,
    spec: Spec,
    reading: Reading,
    parameters: NDArray[Any],
    images: NDArray[Any],
    labels: NDArray[np.integer[Any]],
    rng: np.random.Generator | None = None,
    probes: int = PROBES,
) -> NDArray[Any]:
    """h_kk of every parameter by a method, the mean over the patterns.

    Parameters
    ----------
    method, spec, reading
        The rule; a network with RBF units and without maxima; the loss whose curvature is wanted.
    parameters
        Flat vector, shape (spec.parameters,); its dtype, float32 or float64, is that of the computation.
    images
        Preprocessed patterns, shape (patterns, maps, height, width).
    labels
        Their classes, shape (patterns,).
    rng
        Draws probes and classes; `numpy.random.default_rng(0)` if None.
    probes
        Of the Hutchinson estimates.

    Returns
    -------
    Shape (spec.parameters,), in the dtype of `parameters`.  Those of "hessian", "hesscale" and of both Hutchinson
    estimates may be negative.

    Raises
    ------
    ValueError
        For a method or a network that is not one of these, a label that is no class, a Fisher matrix of eq. 8, which is
        no likelihood, and fewer than one probe.
    """
    check(method, spec, reading, probes)
    if (labels >= spec.classes).any():
        raise ValueError(f"a label is {labels.max()}; curvatures other than Appendix C's need patterns of a class")
    net = Net(spec, reading).to(torch.tensor(parameters).dtype)
    net.load_flat(parameters)
    given = Given(
        net, torch.tensor(images).to(next(net.parameters())), torch.tensor(labels).long(),
        np.random.default_rng(0) if rng is None else rng, probes,
    )  # fmt: skip
    with torch.no_grad():
        found: NDArray[Any] = METHODS[method](given).numpy()
    return found


def check(method: Method, spec: Spec, reading: Reading, probes: int) -> None:
    """Raise ValueError unless `estimate` takes these."""
    if method not in METHODS:
        raise ValueError(f"curvature method is {method!r}; it must be one of {', '.join(METHODS)}")
    if spec.output.kind != "rbf" or any(layer.kind == "max" for layer in spec.hidden):
        raise ValueError(f"{spec.name} has no RBF units or has maxima; curvature methods are for networks without them")
    if method in ("fisher", "fisher-sampled") and reading.loss == "eq8":
        raise ValueError(f"curvature method {method} needs the likelihood of eq. 9; the reading's loss is eq. 8")
    if probes < 1:
        raise ValueError(f"probes is {probes}; at least one is needed")


# --- the loss at the states that the RBF units read -------------------------------------------------------------------


class AtOutput(NamedTuple):
    """First and second derivatives of eq. 8 or 9 in x, of each pattern, the loss as printed.

    H = rest + sum_i p_i s_i s_i', over the rubbish class and all others; s_i is the gradient if class i is right.
    """

    rest: Tensor
    """Along the diagonal of H, shape (patterns, 1)."""
    shares: Tensor
    """p_i, the rubbish class first, shape (patterns, 1 + classes); zeros with eq. 8, which has none."""
    steps: Tensor
    """s_i, shape (patterns, 1 + classes, components)."""

    def gradient(self, labels: Tensor) -> Tensor:
        """For these classes, shape (patterns,) with 0 for the first; (patterns, components)."""
        return self.steps[torch.arange(len(labels)), labels + 1]

    def times(self, dx: Tensor) -> Tensor:
        """H dx of each pattern, both (patterns, components)."""
        along = self.shares * torch.einsum("pic,pc->pi", self.steps, dx)
        return self.rest * dx + torch.einsum("pi,pic->pc", along, self.steps)

    def roots(self) -> Tensor:
        """s_i sqrt(p_i): the sum of their squares is what the classes add to H; as `steps`."""
        return self.shares.sqrt()[:, :, None] * self.steps


def at_output(net: Net, x: Tensor) -> AtOutput:
    """The derivatives at the states x, shape (patterns, components)."""
    prototypes, reading = net.rbf.prototypes, net.reading
    j, scale = (x.new_full((len(x), 1), value) for value in (reading.j, reading.rbf_scale))
    rubbish, classes, slopes = posterior(prototypes, x, j, scale)
    if reading.loss == "eq8":
        rubbish, classes = torch.ones_like(rubbish), torch.zeros_like(classes)
    mean = (classes * slopes).sum(1, keepdim=True)
    shares = torch.cat([rubbish, classes], 1).squeeze(2)
    steps = torch.cat([-mean, slopes - mean], 1)
    rest = 2 * scale * rubbish.squeeze(2)
    return AtOutput(rest, torch.zeros_like(shares) if reading.loss == "eq8" else shares, steps)


# --- squared gradients of single patterns -----------------------------------------------------------------------------

Seeds = Callable[[Given, AtOutput], Tensor]
"""From some patterns to vectors at x, shape (patterns, rows, components)."""


def _squares(given: Given, seeds: Seeds, rows: int) -> Tensor:
    """The sum over the rows s of (J' s)^2, the mean over the patterns, flat, with the scale of the curvature."""
    net = given.net
    total = torch.zeros(net.spec.parameters, dtype=given.images.dtype)
    for chunk in given.chunks(rows):
        states = net.states(chunk.images)
        dx = seeds(chunk, at_output(net, states[-1].flatten(1)))
        dx = dx.view(*dx.shape[:2], *states[-1].shape[1:])
        parts: list[Tensor] = []
        for layer, geometry, x, state in _backward(net, states):
            da = slope(state, geometry.squashing)[:, None] * dx
            parts = [*_squared(layer, x, da), *parts]
            if x is not chunk.images:
                dx = _transposed(layer, x, da)
        total += torch.cat([part.flatten() for part in parts])
    return curvature_scale(net.reading) / len(given.images) * total


def _backward(net: Net, states: list[Tensor]) -> Iterator[tuple[nn.Module, Geometry, Tensor, Tensor]]:
    """From the last layer to the first: it, its geometry, the states that it reads and its own."""
    yield from reversed(list(zip(net.layers, net.spec.hidden, states[:-1], states[1:], strict=True)))


def _transposed(layer: nn.Module, x: Tensor, da: Tensor) -> Tensor:
    """Gradients at x from those at the sums, (patterns, rows, ...) both; a layer is linear in x, whatever x is."""
    flat = da.flatten(0, 1)
    (dx,) = back(layer, (x.new_zeros(len(flat), *x.shape[1:]),), flat)
    return dx.view(*da.shape[:2], *x.shape[1:])


def _squared(layer: nn.Module, x: Tensor, da: Tensor) -> list[Tensor]:
    """Squared gradients of weights and biases, those of a pattern and row by themselves, summed over both."""
    if isinstance(layer, Convolution | Full):
        fields = _fields(layer, x)
        units = da.flatten(3)
        if fields.shape[2] == 1:
            weights = torch.einsum("pro,pi->oi", units.squeeze(3).square(), fields.squeeze(2).square())
        else:
            gradients = units.flatten(1, 2) @ fields.mT
            weights = gradients.square().sum(0).view(*units.shape[1:3], -1).sum(0)
        return [_own(layer, weights), units.sum(3).square().sum((0, 1))]
    if isinstance(layer, Subsampling):
        sums = (da * layer.pooled(x)[:, None]).sum((3, 4))
        return [sums.square().sum((0, 1)), da.sum((3, 4)).square().sum((0, 1))]
    return []


def _fields(layer: Convolution | Full, x: Tensor) -> Tensor:
    """What the weights of a unit multiply, shape (patterns, weights, positions)."""
    return F.unfold(x, _weight(layer).shape[2:])


def _weight(layer: Convolution | Full) -> Tensor:
    return layer.dense() if isinstance(layer, Convolution) else layer.weight


def _own(layer: Convolution | Full, dense: Tensor) -> Tensor:
    """Of values for all weights that a layer could have, (out maps, ...), those of its own."""
    if isinstance(layer, Full):
        return dense
    return dense.reshape(layer.out_maps * layer.in_maps, -1)[layer.links]


def _all_of_h(given: Given, at: AtOutput) -> Tensor:
    """Vectors whose squares add up to H."""
    return torch.cat([torch.diag_embed(at.rest.sqrt().expand(-1, at.steps.shape[2])), at.roots()], 1)


def _h_of_eq8(given: Given, at: AtOutput) -> Tensor:
    """The same of eq. 8, whose y_D has the second derivatives 2 in each component."""
    components = at.steps.shape[2]
    root = torch.full((len(at.rest), components), 2 * given.net.reading.rbf_scale).to(at.rest).sqrt()
    return torch.diag_embed(root)


def _drawn(given: Given, at: AtOutput) -> Tensor:
    """The gradient for one class of each pattern, drawn from p."""
    levels = torch.tensor(given.rng.random((len(given.images), 1))).to(at.shares)
    classes = (at.shares.cumsum(1)[:, :-1] < levels).sum(1)
    return at.gradient(classes - 1)[:, None]


def gauss_newton(given: Given) -> Tensor:
    """diag(J' H J), as the sum of squared gradients of single patterns."""
    spec = given.net.spec
    return _squares(given, _all_of_h, spec.output.in_shape[0] + spec.classes + 1)


def gauss_newton_of_eq8(given: Given) -> Tensor:
    """diag(J' H J) with the H of eq. 8."""
    return _squares(given, _h_of_eq8, given.net.spec.output.in_shape[0])


def fisher(given: Given) -> Tensor:
    """The part of it that the penalties y have: without the second derivatives of y in x."""
    return _squares(given, lambda _, at: at.roots(), given.net.spec.classes + 1)


def fisher_sampled(given: Given) -> Tensor:
    """`fisher` by one class of each pattern, drawn from p."""
    return _squares(given, _drawn, 1)


def squared_gradients(given: Given) -> Tensor:
    """The mean squared gradient for the classes that the patterns show."""
    return _squares(given, lambda chunk, at: at.gradient(chunk.labels)[:, None], 1)


# --- by layers --------------------------------------------------------------------------------------------------------


def bbprop(given: Given) -> Tensor:
    """Appendix C."""
    return diagonal_of(given.net, given.images)


def bbprop_of_loss(given: Given) -> Tensor:
    """Appendix C from the second derivatives of the loss in use."""
    net = Net(given.net.spec, _from_loss(given.net.reading)).to(given.images.dtype)
    net.load_flat(given.net.flat())
    return bbprop(given._replace(net=net))


def _from_loss(reading: Reading) -> Reading:
    return replace(reading, output_curvature="exact")


def layer_mean(given: Given) -> Tensor:
    """The mean of `bbprop` over each layer."""
    h = bbprop(given)
    for layer in given.net.spec.trainable:
        own = slice(layer.weight_slice.start, layer.bias_slice.stop)
        h[own] = h[own].mean()
    return h


def mean(given: Given) -> Tensor:
    """The mean of `bbprop` over all parameters."""
    h = bbprop(given)
    return torch.full_like(h, float(h.mean()))


def bend(state: Tensor, squashing: Squashing | None) -> Tensor:
    """f''(a) from x = f(a): -2 (S/A) x f'(a) with "tanh", 0 for a step and for what is not squashed."""
    return -2 * S / A * state * slope(state) if squashing == "tanh" else torch.zeros_like(state)


def hesscale(given: Given) -> Tensor:
    """`bbprop_of_loss` with the second derivatives of the squashing function: d2E/da^2 = f'^2 d2E/dx^2 + f'' dE/dx."""
    net = given.net
    total = torch.zeros(net.spec.parameters, dtype=given.images.dtype)
    for chunk in given.chunks(5):
        states = net.states(chunk.images)
        x = states[-1].flatten(1)
        d2x = output_curvature(net.rbf.prototypes, x, _from_loss(net.reading)).view_as(states[-1])
        dx = curvature_scale(net.reading) * at_output(net, x).gradient(chunk.labels).view_as(states[-1])
        parts: list[Tensor] = []
        for layer, geometry, x, state in _backward(net, states):
            first = slope(state, geometry.squashing)
            d2a = first.square() * d2x + bend(state, geometry.squashing) * dx
            d2weight, d2bias, d2x = through(layer, x, d2a, images=x is chunk.images)
            parts = [d2weight.flatten(), d2bias, *parts]
            if x is not chunk.images:
                (dx,) = back(layer, (x,), first * dx)
        total += torch.cat(parts)
    return total / len(given.images)


# --- probes -----------------------------------------------------------------------------------------------------------


def states_of(net: Net, parameters: Tensor, images: Tensor) -> Tensor:
    """The states x that the RBF units read, (patterns, components), as a function of the flat parameters."""
    parts = iter(unflatten(parameters, net.parameters()))
    x = images
    for layer, geometry in zip(net.layers, net.spec.hidden, strict=True):
        own = {name: next(parts) for name, _ in layer.named_parameters()}
        x = SQUASHING[geometry.squashing](torch.func.functional_call(layer, own, (x,)))
    return x.flatten(1)


def _probed(given: Given, product: Callable[[Given, Tensor, Tensor], Tensor]) -> Tensor:
    """The mean over the probes v of v * (M v); `product` gives M v summed over patterns, the loss as printed."""
    parameters = torch.cat([parameter.detach().flatten() for parameter in given.net.parameters()])
    total = torch.zeros_like(parameters)
    for _ in range(given.probes):
        v = torch.tensor(given.rng.integers(0, 2, len(parameters)) * 2 - 1).to(parameters)
        for chunk in given.chunks(5):
            total += v * product(chunk, parameters, v)
    return curvature_scale(given.net.reading) / (given.probes * len(given.images)) * total


def hutchinson_gauss_newton(given: Given) -> Tensor:
    """Hutchinson's estimate of diag(J' H J)."""

    def product(chunk: Given, parameters: Tensor, v: Tensor) -> Tensor:
        def states(values: Tensor) -> Tensor:
            return states_of(chunk.net, values, chunk.images)

        with torch.enable_grad():
            x, dx = torch.func.jvp(states, (parameters,), (v,))  # type: ignore[misc]
            (found,) = back(states, (parameters,), at_output(chunk.net, x.detach()).times(dx.detach()))
        return found

    return _probed(given, product)


def hutchinson_hessian(given: Given) -> Tensor:
    """Hutchinson's estimate of the diagonal of the whole Hessian."""
    reading = replace(given.net.reading, loss_scale=1.0)

    def product(chunk: Given, parameters: Tensor, v: Tensor) -> Tensor:
        def total(values: Tensor) -> Tensor:
            x = states_of(chunk.net, values, chunk.images)
            distances = chunk.net.output(x[:, :, None, None]).flatten(1)
            return len(x) * losses.loss(distances, chunk.labels, reading)

        with torch.enable_grad():
            found: Tensor = torch.func.jvp(torch.func.grad(total), (parameters,), (v,))[1]
        return found.detach()

    return _probed(given, product)


# --- the whole Hessian ------------------------------------------------------------------------------------------------


def hessian(given: Given) -> Tensor:
    """The diagonal of the whole Hessian: diag(J' H J) and what it leaves out."""
    kept, left_out = both_parts(given)
    return kept + left_out


def both_parts(given: Given) -> tuple[Tensor, Tensor]:
    """diag(J' H J), and g times the second derivatives of x, both flat, the mean over the patterns.

    Along a line in the parameters on which the sums of one layer move by da, the layers above have first and second
    derivatives x' = f' a' and x'' = f' a'' + f'' a'^2, and the loss x'' g + x' H x'.  Each weight that several units
    share is such a line, and so is each unit where none is shared: there d2E/dw_ij^2 = x_j^2 d2E/da_i^2.
    """
    net = given.net
    parts = []
    for number, layer in enumerate(net.layers):
        if any(True for _ in layer.parameters()):
            parts.append(sum(_of_layer(net, number, layer, chunk) for chunk in given.chunks(ROWS // 10)))
    found = torch.cat(parts, 1)  # type: ignore[arg-type]
    kept, left_out = curvature_scale(net.reading) / len(given.images) * found
    return kept, left_out


def _of_layer(net: Net, number: int, layer: nn.Module, chunk: Given) -> Tensor:
    """Both parts for the parameters of one layer, summed over some patterns; shape (2, parameters)."""
    states = net.states(chunk.images)
    x = states[number]
    if isinstance(layer, Subsampling):
        of_maps = layer.pooled(x), torch.ones_like(states[number + 1])
        parts = [_along_maps(net, number, states, chunk.labels, line[:, :, None]) for line in of_maps]
        return torch.cat(parts, 1).flatten(1)
    assert isinstance(layer, Convolution | Full)
    fields = _fields(layer, x)
    ones = torch.ones_like(fields[:, :1])
    if fields.shape[2] == 1:  # no weight is shared
        units = _along_maps(net, number, states, chunk.labels, ones[:, None].view(len(x), 1, 1, 1, 1), summed=False)
        units = units.squeeze(3)  # (2, patterns, units)
        weights = torch.einsum("kpo,pi->koi", units, fields.squeeze(2).square())
        biases = units.sum(1)
    else:
        lines = torch.cat([fields, ones], 1)
        found = _along_maps(net, number, states, chunk.labels, lines.view(len(x), 1, -1, *states[number + 1].shape[2:]))
        weights, biases = found[:, :, :-1], found[:, :, -1]
    own = torch.stack([_own(layer, part.reshape(len(part), -1)).flatten() for part in weights])
    return torch.cat([own, biases], 1)


def _along_maps(
    net: Net, number: int, states: list[Tensor], labels: Tensor, lines: Tensor, *, summed: bool = True
) -> Tensor:
    """Second derivatives along lines on each of which the sums of one map of a layer move.

    Parameters
    ----------
    net, number, states, labels
        The network, the number of its layer, and the patterns.
    lines
        How the sums of a map move, shape (patterns, maps or 1, lines, height, width).
    summed
        Whether the sum over the patterns is wanted.

    Returns
    -------
    Both parts, shape (2, maps, lines), or without the sum (2, patterns, maps, lines).
    """
    state = states[number + 1]
    at = at_output(net, states[-1].flatten(1))
    gradient = at.gradient(labels)
    found = []
    for m in range(state.shape[1]):
        moved = lines[:, min(m, lines.shape[1] - 1)]
        da = moved.new_zeros(*moved.shape[:2], *state.shape[1:])
        da[:, :, m] = moved
        dx, d2x = _moved(net, number, states, da)
        kept = at.rest * dx.square().sum(2)
        kept = kept + (at.shares[:, None] * torch.einsum("pic,plc->pli", at.steps, dx).square()).sum(2)
        found.append(torch.stack([kept, torch.einsum("pc,plc->pl", gradient, d2x)]))
    both = torch.stack(found, 2)
    return both.sum(1) if summed else both


def _moved(net: Net, number: int, states: list[Tensor], da: Tensor) -> tuple[Tensor, Tensor]:
    """x' and x'' of the last states, (patterns, lines, components), when the sums of a layer move by `da`."""

    def squashed(state: Tensor, squashing: Squashing | None, d: Tensor, d2: Tensor | None) -> tuple[Tensor, Tensor]:
        first, second = (of(state, squashing)[:, None] for of in (slope, bend))
        return first * d, second * d.square() + (0 if d2 is None else first * d2)

    d, d2 = squashed(states[number + 1], net.spec.hidden[number].squashing, da, None)
    above = zip(net.layers, net.spec.hidden, states[1:], strict=True)
    for layer, geometry, state in list(above)[number + 1 :]:
        still = layer(d.new_zeros(1, *d.shape[2:]))
        d, d2 = ((layer(part.flatten(0, 1)) - still).view(*part.shape[:2], *state.shape[1:]) for part in (d, d2))
        d, d2 = squashed(state, geometry.squashing, d, d2)
    return d.flatten(2), d2.flatten(2)


METHODS: Mapping[Method, Callable[[Given], Tensor]] = {
    "gauss-newton": gauss_newton,
    "gauss-newton-of-eq8": gauss_newton_of_eq8,
    "fisher": fisher,
    "hessian": hessian,
    "bbprop": bbprop,
    "bbprop-of-loss": bbprop_of_loss,
    "hesscale": hesscale,
    "hutchinson-gauss-newton": hutchinson_gauss_newton,
    "hutchinson-hessian": hutchinson_hessian,
    "squared-gradients": squared_gradients,
    "fisher-sampled": fisher_sampled,
    "layer-mean": layer_mean,
    "mean": mean,
}
"""What computes each method."""


# --- training ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config(training.Config):
    """A training run with rates eta / (mu + |h_kk|), h_kk by a method.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    curvature_method: Method = "bbprop"
    matched: bool = False
    """Whether |h_kk| has a factor before every pass by which the rates are as great as Appendix C's (`matched`)."""
    probes: int = PROBES
    """Of the Hutchinson estimates."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.curvature_method, self.spec, self.reading, self.probes)
        if self.strings and self.strings.blanks:
            raise ValueError("Config.strings has blanks, for which only Appendix C has a curvature; set blanks to 0")


def matched(h: NDArray[Any], standard: NDArray[Any], mu: float) -> NDArray[np.float32]:
    """h with the factor by which the rates eta / (mu + h) have the geometric mean of eta / (mu + standard).

    Rates by two methods then differ only in which parameters have more.

    Parameters
    ----------
    h, standard
        Shape (parameters,), not negative.  If all h are 0, no factor does it, and all parameters have one rate.
    mu
        Of eq. 21, positive.

    Returns
    -------
    Shape (parameters,); h as it is if it or `standard` is not finite, as before a run diverges.
    """
    if not h.any():
        h = np.ones_like(h)
    factor = matching(h, standard, mu)
    return (factor * h.astype(np.float64) if np.isfinite(factor) else h).astype(np.float32)


def matching(h: NDArray[Any], standard: NDArray[Any], mu: float) -> float:
    """The factor of `matched`; not finite if there is none: all h are 0, or a value is not finite."""
    h, standard = np.asarray(h, np.float64), np.asarray(standard, np.float64)
    if not (h.any() and np.isfinite(h).all() and np.isfinite(standard).all()):
        return float("nan")
    with np.errstate(divide="ignore"):
        wanted, logarithms = np.log(mu + standard).mean(), np.log(h)

    def excess(logarithm: float) -> float:
        """Of the mean of ln(mu + factor h) over that of `standard`; it grows with the logarithm of the factor."""
        return float(np.logaddexp(np.log(mu), logarithm + logarithms).mean() - wanted)

    low, high = -1.0, 1.0
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    with np.errstate(over="ignore"):
        return float(np.exp(brentq(excess, low, high)))


def train(
    config: Config,
    seed: int,
    data: MNIST,
    *,
    progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train one network as `lenet98.training.train` does, with the curvature that `config` names."""

    def curvature(
        number: int, parameters: NDArray[np.float32], images: NDArray[np.float32], labels: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        rng = generator(seed, "hessian", number, 1)  # another than that which draws the patterns
        spec, reading = config.spec, config.reading
        h = np.abs(estimate(config.curvature_method, spec, reading, parameters, images, labels, rng, config.probes))
        return matched(h, diagonal(spec, reading, parameters, images), config.mu) if config.matched else h

    return training.train(config, seed, data, curvature=curvature, progress=progress, checkpoint=checkpoint)
