"""Layers on batches by operations that are faster on a CPU than the ones that define them.

`modules` and PyTorch's own layers say what is computed.  `forward` takes the same modules and their parameters, and
autograd goes through it as through them.  Fields of 2x2 are pooled by compiled loops, whose values and gradients are
those of PyTorch, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numba
import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional as F

from lenet98 import modules


def forward(module: nn.Module, x: Tensor) -> Tensor:
    """As `module(x)`, part by part if it is a `torch.nn.Sequential`; x is (n, ...)."""
    if type(module) is nn.Sequential:
        for part in module:
            x = forward(part, x)
        return x
    faster = FASTER.get(type(module))
    return faster(module, x) if faster else module(x)


# --- pooling of 2x2 fields --------------------------------------------------------------------------------------------


def maximum(x: Tensor) -> Tensor:
    """The maximum of each 2x2 field, of equal ones the first, row by row; x is (n, maps, height, width), even sides."""
    return _Maximum.apply(x) if x.device.type == "cpu" else F.max_pool2d(x, 2)


def average(x: Tensor, divisor: int = 4) -> Tensor:
    """The sum of each 2x2 field, divided; x is (n, maps, height, width), even sides."""
    if x.device.type == "cpu":
        return _Average.apply(x, divisor)
    return F.avg_pool2d(x, 2, divisor_override=divisor)


class _Maximum(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        pooled = _half(x)
        place = torch.empty_like(pooled, dtype=torch.uint8)
        _maxima(_maps(x), _maps(pooled), _maps(place))
        ctx.save_for_backward(place)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (place,) = ctx.saved_tensors
        spread = _double(gradient)
        _to_maxima(_maps(gradient), _maps(place), _maps(spread))
        return spread


class _Average(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, divisor: int) -> Tensor:
        ctx.divisor = divisor
        pooled = _half(x)
        _sums(_maps(x), _maps(pooled))
        return pooled.div_(divisor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        spread = _double(gradient)
        _to_all(_maps(gradient / ctx.divisor), _maps(spread))
        return spread, None


def _half(x: Tensor) -> Tensor:
    """Room for what fields of x are pooled to."""
    n, maps, height, width = x.shape
    return x.new_empty(n, maps, height // 2, width // 2)


def _double(pooled: Tensor) -> Tensor:
    """Room for what the fields that `pooled` came from hold."""
    n, maps, height, width = pooled.shape
    return pooled.new_empty(n, maps, 2 * height, 2 * width)


def _maps(x: Tensor) -> Any:
    """All maps of all patterns as an array (maps, height, width), without a copy where that can be."""
    return x.detach().contiguous().flatten(0, 1).numpy()


compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
"""Numba keeps what it compiled until this file changes: the loops use nothing that another file defines."""


@compiled
def _maxima(x, pooled, place):  # type: ignore[no-untyped-def]
    """The greatest of each field of x, and its place there: 0 to 3, row by row."""
    for m in range(len(pooled)):
        for row in range(pooled.shape[1]):
            upper, lower = x[m, 2 * row], x[m, 2 * row + 1]
            for column in range(pooled.shape[2]):
                greatest, at = upper[2 * column], 0
                for i, value in enumerate((upper[2 * column + 1], lower[2 * column], lower[2 * column + 1])):
                    if value > greatest or value != value:  # NaN stays: divergence must be seen
                        greatest, at = value, i + 1
                pooled[m, row, column], place[m, row, column] = greatest, at


@compiled
def _to_maxima(gradient, place, spread):  # type: ignore[no-untyped-def]
    """Each field of `spread` has the gradient at its place and 0 elsewhere."""
    for m in range(len(gradient)):
        for row in range(gradient.shape[1]):
            for column in range(gradient.shape[2]):
                g, at = gradient[m, row, column], place[m, row, column]
                for i in range(4):
                    spread[m, 2 * row + i // 2, 2 * column + i % 2] = g if at == i else 0


@compiled
def _sums(x, pooled):  # type: ignore[no-untyped-def]
    """The sum of each field of x, row by row."""
    for m in range(len(pooled)):
        for row in range(pooled.shape[1]):
            upper, lower = x[m, 2 * row], x[m, 2 * row + 1]
            for column in range(pooled.shape[2]):
                i = 2 * column
                pooled[m, row, column] = upper[i] + upper[i + 1] + lower[i] + lower[i + 1]


@compiled
def _to_all(gradient, spread):  # type: ignore[no-untyped-def]
    """Each field of `spread` has the gradient four times."""
    for m in range(len(gradient)):
        for row in range(gradient.shape[1]):
            for column in range(gradient.shape[2]):
                g = gradient[m, row, column]
                for i in range(4):
                    spread[m, 2 * row + i // 2, 2 * column + i % 2] = g


# --- layers -----------------------------------------------------------------------------------------------------------


def _subsampling(layer: modules.Subsampling, x: Tensor) -> Tensor:
    pooled = average(layer.read(x), 1 if layer.sum else 4)
    return layer.coefficient[:, None, None] * pooled + layer.bias[:, None, None]


def _pooling(layer: modules.Pooling, x: Tensor) -> Tensor:
    return maximum(x) if layer.max else average(x)


PLAIN = {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1, "return_indices": False, "divisor_override": None}
"""Settings of a layer of PyTorch that pools 2x2 fields and does nothing else."""


def _pooled(pool: Callable[[Tensor], Tensor], layer: nn.MaxPool2d | nn.AvgPool2d, x: Tensor) -> Tensor:
    """By `pool` if the layer is plain and no side is odd, else by the layer."""
    plain = all(getattr(layer, name, setting) == setting for name, setting in PLAIN.items())
    return pool(x) if plain and x.shape[-2] % 2 == x.shape[-1] % 2 == 0 else layer(x)


FASTER: Mapping[type[nn.Module], Callable[[Any, Tensor], Tensor]] = {
    modules.Subsampling: _subsampling,
    modules.Pooling: _pooling,
    nn.MaxPool2d: partial(_pooled, maximum),
    nn.AvgPool2d: partial(_pooled, average),
}
"""What takes the place of a layer's own `forward`."""
