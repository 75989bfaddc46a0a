"""The output units and the loss of many networks at once: eq. 7 to 9 on RBF units, the cross-entropy on a softmax.

Shapes: the states x of the last layer are (replicas, components, patterns, 1, 1), as `layers` has them; distances y are
(replicas, patterns, classes), labels and losses (replicas, patterns).  j, the scales and which of eq. 8 and 9 is the
loss may differ by replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lenet98.curvature import cross_entropy_curvature, curvature_scale, eq9_curvature
from lenet98.prototypes import prototypes
from lenet98.readings import Reading
from lenet98.specs import Geometry


class Loss(NamedTuple):
    """Distances, losses, and dE/dx like x."""

    y: Tensor
    loss: Tensor
    derivative: Tensor


class RBF:
    """Distances y_i of eq. 7 with the loss of eq. 8 or 9.

    If `rubbish`, a label may be the number of classes where eq. 9 is the loss: that pattern shows none of them.  Each
    update is then a few operations longer.
    """

    def __init__(self, geometry: Geometry, readings: Sequence[Reading], device: str, rubbish: bool = False) -> None:
        self.rubbish = rubbish
        self.prototypes = torch.from_numpy(prototypes(geometry.prototypes, geometry.out_shape[0])).to(device)
        self.scale = _column([r.loss_scale for r in readings], device)
        self.curvature_scale = _column([curvature_scale(r) for r in readings], device)
        self.rbf_scale = _column([r.rbf_scale for r in readings], device)
        self.j = _column([r.j for r in readings], device)
        eq9 = [r.loss == "eq9" for r in readings]
        exact = [r.loss == "eq9" and r.output_curvature == "exact" for r in readings]
        self.competing = torch.tensor(eq9, device=device).float()[:, None]  # whether the classes compete: eq. 9
        self.exact = torch.tensor(exact, device=device)[:, None, None]

    def distances(self, x: Tensor) -> Tensor:
        """y."""
        return self._differences(x).square().sum(3)

    def loss(self, x: Tensor, labels: Tensor) -> Loss:
        """E = y_D, and with eq. 9 + log(e^-j + sum_i e^-y_i), times the scale."""
        differences = self._differences(x)
        distances = differences.square().sum(3)
        y = self.rbf_scale[:, :, None] * distances
        penalties = torch.cat([-self.j[:, :, None].expand(*y.shape[:2], 1), -y], 2)
        right_penalty = -penalties.roll(-1, 2) if self.rubbish else y  # the rubbish class behind the others
        loss = right_penalty.gather(2, labels[:, :, None]).squeeze(2) + self.competing * penalties.logsumexp(2)
        # dE/dy_i is 1 for the right class, less p_i with eq. 9; dy_i/dx is 2 (x - w_i) times the factor on y_i.
        posterior = self.competing[:, :, None] * penalties.softmax(2)[:, :, 1:]
        slopes = right(labels, y) - posterior
        scale = self.scale * self.rbf_scale
        derivative = 2 * scale[:, :, None] * (slopes[:, :, None] @ differences).squeeze(2)
        return Loss(distances, self.scale * loss, derivative.mT[..., None, None])

    def wrong(self, y: Tensor, labels: Tensor) -> Tensor:
        """Whether each answer is not the label, like labels; none of the classes is the answer if j is the least."""
        mistaken = y.argmin(2) != labels
        if not self.rubbish:
            return mistaken
        return torch.where(labels == y.shape[2], self.rbf_scale * y.amin(2) <= self.j, mistaken)

    def curvature(self, x: Tensor, labels: Tensor) -> Tensor:
        """d2E/dx^2, like x."""
        replicas, patterns = len(x), x.shape[2]
        states = x.flatten(2).mT.flatten(0, 1)
        j, rbf_scale = (value.repeat_interleave(patterns, 0) for value in (self.j, self.rbf_scale))
        rubbish = (labels == len(self.prototypes)).flatten() if self.rubbish else None
        eq9 = eq9_curvature(self.prototypes, states, j, rbf_scale, rubbish).view(replicas, patterns, -1)
        d2x = self.curvature_scale[:, :, None] * torch.where(self.exact, eq9, 2 * self.rbf_scale[:, :, None])
        return d2x.mT[..., None, None]

    def _differences(self, x: Tensor) -> Tensor:
        """x - w_i, shape (replicas, patterns, classes, components)."""
        return x.flatten(2).mT[:, :, None] - self.prototypes


class Softmax:
    """y_i = -log p_i of linear units x, with the cross-entropy, which is eq. 8 on these y."""

    def __init__(self, geometry: Geometry, readings: Sequence[Reading], device: str) -> None:
        self.scale = _column([r.loss_scale for r in readings], device)
        self.curvature_scale = _column([curvature_scale(r) for r in readings], device)

    def distances(self, x: Tensor) -> Tensor:
        """y."""
        return -torch.log_softmax(x.flatten(2).mT, 2)

    def loss(self, x: Tensor, labels: Tensor) -> Loss:
        """E = y_D, times the scale."""
        y = self.distances(x)
        derivative = self.scale[:, :, None] * (torch.exp(-y) - right(labels, y))
        loss = self.scale * y.gather(2, labels[:, :, None]).squeeze(2)
        return Loss(y, loss, derivative.mT[..., None, None])

    def wrong(self, y: Tensor, labels: Tensor) -> Tensor:
        """Whether each answer is not the label, like labels."""
        return y.argmin(2) != labels

    def curvature(self, x: Tensor, labels: Tensor) -> Tensor:
        """d2E/da^2 of the linear units, like x."""
        return (self.curvature_scale[:, :, None] * cross_entropy_curvature(self.distances(x))).mT[..., None, None]


Output = RBF | Softmax


def _column(values: Sequence[float], device: str) -> Tensor:
    """One value a replica, shape (replicas, 1)."""
    return torch.tensor(values, device=device)[:, None]


def right(labels: Tensor, y: Tensor) -> Tensor:
    """1 for the right class of each pattern and 0 for the others, like y; a label that is no class has none."""
    return (labels[:, :, None] == torch.arange(y.shape[2], device=y.device)).to(y)
