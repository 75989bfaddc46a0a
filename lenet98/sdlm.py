"""The stochastic diagonal Levenberg-Marquardt method (App. C): one rate per parameter, and the schedule of III.B."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lenet98 import curvature
from lenet98.curvature import Loss, diagonal_of
from lenet98.modules import unflatten

ETAS = (0.0005,) * 2 + (0.0002,) * 3 + (0.0001,) * 3 + (0.00005,) * 4 + (0.00001,) * 8
"""eta of each of the 20 passes (III.B)."""
MU = 0.02
"""Keeps a rate finite where the curvature vanishes (III.B)."""
CURVATURE_PATTERNS = 500
"""Patterns on which h_kk is re-estimated before every pass (III.B)."""

Curvature = TypeVar("Curvature", NDArray[Any], Tensor)


def rates(h: Curvature, eta: float, mu: float) -> Curvature:
    """The rates eps_k = eta / (mu + h_kk) of eq. 21.

    Parameters
    ----------
    h
        Curvatures h_kk, any shape, not negative.
    eta
        Global rate, positive, or 0 where a schedule ends.
    mu
        Regularizer, positive.

    Raises
    ------
    ValueError
        If eta is negative, mu is not positive, or either is not finite.
    """
    if eta != 0:
        _positive("eta", eta)
    _positive("mu", mu)
    return eta / (mu + h)


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}; it must be positive and finite (III.B: 5e-4 .. 1e-5 and 0.02)")


class SDLM(torch.optim.Optimizer):
    """Eq. 18 with the rates of eq. 21, as an optimizer for any `Net` and for modules of PyTorch's own layers.

    The paper takes one pattern per step; mini-batches work too, with the gradient averaged over the batch.  `eta` is
    the "lr" of the parameter group, so torch's schedulers apply.

        optimizer = SDLM(net, eta=ETAS[0])
        optimizer.estimate(images[:500])  # before every pass
        loss(net(x), y, net.reading).backward()
        optimizer.step()

    A module is a `torch.nn.Sequential`, nested as one likes, of convolutions, linear layers, pooling, dropout and
    pointwise functions (`lenet98.curvature.RULES`):

        model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1176, 10))
        optimizer = SDLM(model, eta=ETAS[0], loss="cross_entropy")
        optimizer.estimate(images[:500])
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    It does not know normalization, recurrence, attention, and modules whose own `forward` says what they do.

    Parameters
    ----------
    net
        What is trained.
    eta, mu
        Global rate and regularizer of eq. 21, both positive.
    loss
        The loss of a module: "cross_entropy", "mse", or a function from its outputs to the second derivatives
        (`lenet98.curvature.Loss`).  None for a `Net`, whose reading names its loss.

    Raises
    ------
    ValueError
        If eta or mu is not positive and finite, `loss` is not one, or the curvature of a part of the module is not
        known; the message names the part.
    """

    def __init__(self, net: nn.Module, eta: float, mu: float = MU, loss: Loss | None = None) -> None:
        _positive("eta", eta)
        _positive("mu", mu)
        curvature.check(net, loss)
        super().__init__(net.parameters(), {"lr": eta, "mu": mu})
        self.net, self.loss = net, loss

    def estimate(self, inputs: Tensor) -> None:
        """Set h_kk of every parameter from these patterns (`lenet98.curvature.diagonal_of`)."""
        parameters = list(self.net.parameters())
        h = diagonal_of(self.net, inputs, self.loss)
        for parameter, part in zip(parameters, unflatten(h, parameters), strict=True):
            self.state[parameter]["h"] = part

    @overload
    def step(self, closure: None = ...) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """w_k <- w_k - eps_k dE/dw_k (eq. 18), with the rates of eq. 21, for every parameter that has a gradient.

        Raises RuntimeError if there is no curvature yet, and ValueError if a scheduler has made eta negative.
        """
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if "h" not in self.state[parameter]:
                    raise RuntimeError("no curvature to take the rates from; call estimate() before step()")
                parameter -= rates(self.state[parameter]["h"], group["lr"], group["mu"]) * parameter.grad
        return value
