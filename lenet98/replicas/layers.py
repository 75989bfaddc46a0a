"""Each kind of layer for many networks at once, as batched operations, with the way back written out.

Every kind is read in one way: sums a = u z + b of inputs z with weights u.  The way back multiplies dE/da by z for the
gradient (eq. 19) and by u for dE/dx of the layer below.  With u and z squared the same two methods take d2E/da^2 to the
curvatures of Appendix C (eq. 23, 25 and 27).

Shapes: states x, sums a and their derivatives are (replicas, maps, patterns, height, width); w and b, the layer's part
of the parameters, are (replicas, weights) and (replicas, biases), laid out as in `lenet98.specs`.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from lenet98.specs import A, Geometry, S, Squashing


class Forward(NamedTuple):
    """A layer's sums, and what the way back needs of them; the shapes of u and z are each kind's own."""

    a: Tensor
    u: Tensor
    z: Tensor


class Layer:
    """A kind of layer, for all replicas.

    Parameters
    ----------
    geometry
        The layer.
    gain
        What the sum of a subsampling unit's field is multiplied by, 1/4 or 1, shape (replicas, 1, 1, 1, 1).
    one_weight
        Whether the curvature takes a subsampling coefficient as one weight of each unit; booleans, of the same shape.
    """

    def __init__(self, geometry: Geometry, gain: Tensor, one_weight: Tensor) -> None:
        self.geometry, self.gain, self.one_weight = geometry, gain, one_weight

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        """a, u and z of the states x that the layer reads."""
        raise NotImplementedError

    def gradient(self, z: Tensor, delta: Tensor, dw: Tensor, db: Tensor) -> None:
        """Write dE/dw and dE/db, summed over the patterns, from dE/da; nothing where there are no parameters."""

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        """dE/dx of the states that the layer reads, from dE/da."""
        raise NotImplementedError

    def squared(self, x: Tensor, z: Tensor) -> Tensor:
        """z squared, for the curvature."""
        return z.square()


class Convolution(Layer):
    """Sums over fields that share their weights, with a table or without.

    a is (replicas, maps, patterns, height - k + 1, width - k + 1); methods are as `Layer` says.

    u is (replicas, maps, field), zero where the table is empty; z, the unfolded input, is
    (replicas, field, patterns * positions).
    """

    def __init__(self, geometry: Geometry, gain: Tensor, one_weight: Tensor) -> None:
        super().__init__(geometry, gain, one_weight)
        self.kernel = prod(geometry.kernel)
        self.field = geometry.in_shape[0] * self.kernel
        self.cells = None if geometry.every_map else torch.tensor(geometry.cells, device=gain.device)

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        height, width = self.geometry.kernel
        fields = x.unfold(3, height, 1).unfold(4, width, 1)  # (replicas, maps, patterns, rows, columns, height, width)
        u, z = self.table(w), fields.permute(0, 1, 5, 6, 2, 3, 4).reshape(len(x), self.field, -1)
        a = torch.baddbmm(b[:, :, None], u, z)
        return Forward(a.view(len(x), -1, x.shape[2], *self.geometry.out_shape[1:]), u, z)

    def gradient(self, z: Tensor, delta: Tensor, dw: Tensor, db: Tensor) -> None:
        torch.sum(delta, (2, 3, 4), out=db)
        self.write(delta.flatten(2), z.mT, dw)

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        replicas, patterns = len(delta), delta.shape[2]
        fields = torch.bmm(u.mT, delta.flatten(2)).view(replicas, self.field, patterns, -1).transpose(1, 2)
        x = F.fold(fields.flatten(0, 1), self.geometry.in_shape[1:], self.geometry.kernel)
        return x.unflatten(0, (replicas, patterns)).transpose(1, 2)

    def table(self, w: Tensor) -> Tensor:
        """u, from w (replicas, weights)."""
        if self.cells is None:
            return w.unflatten(1, (-1, self.field))
        cells = w.new_zeros(len(w), self.geometry.out_shape[0] * self.geometry.in_shape[0], self.kernel)
        cells.index_copy_(1, self.cells, w.unflatten(1, (-1, self.kernel)))
        return cells.view(len(w), -1, self.field)

    def write(self, delta: Tensor, z: Tensor, dw: Tensor) -> None:
        """dw from delta (replicas, maps, n) and z (replicas, n, field), summed over n."""
        if self.cells is None:
            torch.bmm(delta, z, out=dw.unflatten(1, (-1, self.field)))
        else:
            cells = torch.bmm(delta, z).view(len(z), -1, self.kernel)
            torch.index_select(cells, 1, self.cells, out=dw.unflatten(1, (-1, self.kernel)))


class Full(Convolution):
    """Sums over the whole input: full layers, and a convolution whose field covers its input, as C5's.

    a is (replicas, units, patterns, 1, 1).

    z, the input, is (replicas, patterns, field): a matrix times a row is several times as fast as times a column.
    """

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        u, z = self.table(w), x.transpose(1, 2).flatten(2)
        a = torch.baddbmm(b[:, None], z, u.mT)
        return Forward(a.mT[..., None, None], u, z)

    def gradient(self, z: Tensor, delta: Tensor, dw: Tensor, db: Tensor) -> None:
        torch.sum(delta, (2, 3, 4), out=db)
        self.write(delta.flatten(2), z, dw)

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        return torch.bmm(delta.flatten(2).mT, u).unflatten(2, self.geometry.in_shape).transpose(1, 2)


class Subsampling(Layer):
    """A coefficient for each map on the sums of its 2x2 fields, times the gain: 1/4 for the average of a field.

    a is (replicas, maps, patterns, height / 2, width / 2).

    u is what one input of a field weighs, (replicas, maps, 1, 1, 1); z, what the coefficient multiplies, is as a.
    """

    def __init__(self, geometry: Geometry, gain: Tensor, one_weight: Tensor) -> None:
        super().__init__(geometry, gain, one_weight)
        sources = [source for (source,) in geometry.table]
        one_to_one = sources == list(range(geometry.in_shape[0]))
        self.sources = None if one_to_one else torch.tensor(sources, device=gain.device)

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        w, b, z = w[:, :, None, None, None], b[:, :, None, None, None], self.gain * self._summed(x)
        return Forward(torch.addcmul(b, w, z), self.gain * w, z)

    def squared(self, x: Tensor, z: Tensor) -> Tensor:
        """z squared, or the sum over a unit's four links, each with the coefficient as its weight (eq. 23)."""
        return torch.where(self.one_weight, z.square(), self.gain.square() * self._summed(x.square()))

    def gradient(self, z: Tensor, delta: Tensor, dw: Tensor, db: Tensor) -> None:
        torch.sum(delta, (2, 3, 4), out=db)
        torch.sum(delta * z, (2, 3, 4), out=dw)

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        x = spread(u * delta)
        if self.sources is None:
            return x
        shape = (len(x), self.geometry.in_shape[0], *x.shape[2:])
        return x.new_zeros(shape).index_add_(1, self.sources, x)

    def _summed(self, x: Tensor) -> Tensor:
        x = x if self.sources is None else x.index_select(1, self.sources)
        return F.avg_pool2d(x.flatten(0, 1), 2, divisor_override=1).unflatten(0, x.shape[:2])


class Average(Layer):
    """The average of each 2x2 field, without parameters: u is 1/4.

    a is (replicas, maps, patterns, height / 2, width / 2).
    """

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        a = F.avg_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2])
        return Forward(a, torch.full_like(a[:1, :1, :1, :1, :1], 0.25), x)

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        return spread(u * delta)


class Max(Layer):
    """The maximum of each 2x2 field, without parameters: u, as x, is 1 at the first greatest input and 0 elsewhere.

    a is (replicas, maps, patterns, height / 2, width / 2).
    """

    def forward(self, w: Tensor, b: Tensor, x: Tensor) -> Forward:
        a, first = F.max_pool2d(x.flatten(0, 1), 2, return_indices=True)
        u = torch.zeros_like(x.flatten(0, 1).flatten(2)).scatter_(2, first.flatten(2), 1.0)
        return Forward(a.unflatten(0, x.shape[:2]), u.view_as(x), x)

    def back(self, u: Tensor, delta: Tensor) -> Tensor:
        return u * spread(delta)


def kind(geometry: Geometry) -> type[Layer]:
    """The class of a layer; a softmax's is that of its linear units."""
    others: dict[str, type[Layer]] = {"subsampling": Subsampling, "average": Average, "max": Max}
    return others.get(geometry.kind) or (Full if geometry.positions == 1 else Convolution)


def squash(a: Tensor, squashing: Squashing | None) -> Tensor:
    """x = f(a) in place of a, which is not needed again."""
    if squashing == "tanh":
        return a.mul_(S).tanh_().mul_(A)
    return a if squashing is None else a.relu_()


def slope(x: Tensor, squashing: Squashing | None) -> Tensor:
    """f'(a) from x = f(a), as `lenet98.curvature.slope`, in fewer operations."""
    if squashing == "tanh":
        return torch.addcmul(torch.full_like(x[:1, :1, :1, :1, :1], S * A), x, x, value=-S / A)
    return torch.ones_like(x) if squashing is None else (x > 0).to(x)


def spread(x: Tensor) -> Tensor:
    """Each state of (..., height, width) on the four places of its 2x2 field, (..., 2 height, 2 width)."""
    *others, height, width = x.shape
    return x[..., :, None, :, None].expand(*others, height, 2, width, 2).reshape(*others, 2 * height, 2 * width)
