"""A spec as a `torch.nn.Module`: the definition to read beside Section II.B, differentiable by autograd.

A layer maps the states x of the layer below to the weighted sums a of its units; `Net` squashes them, x = f(a), after
every layer up to F6, but not after plain pooling.  States have the shape (patterns, maps, height, width) throughout.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from lenet98.prototypes import prototypes
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, Reading, initial_parameters
from lenet98.specs import A, Geometry, S, Spec


def squash(a: Tensor) -> Tensor:
    """The squashing function f(a) = A tanh(S a), App. A; any shape."""
    return A * torch.tanh(S * a)


SQUASHING: dict[str | None, Callable[[Tensor], Tensor]] = {"tanh": squash, "relu": torch.relu, None: lambda a: a}
"""f by the name that a spec has for it."""


class Squash(nn.Module):
    """`squash` as a layer, for a `torch.nn.Sequential` of one's own."""

    def forward(self, a: Tensor) -> Tensor:
        """x = A tanh(S a), of the shape of a."""
        return squash(a)


class Convolution(nn.Module):
    """Feature maps that share one kernel per input map that they read, and one bias (C1, C3, C5)."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.in_maps, self.out_maps = geometry.in_shape[0], geometry.out_shape[0]
        self.kernels = nn.Parameter(torch.zeros(geometry.kernels, *geometry.kernel))
        self.bias = nn.Parameter(torch.zeros(self.out_maps))
        self.register_buffer("links", torch.tensor(geometry.cells), persistent=False)
        self.links: Tensor
        self.every_map = geometry.every_map

    def dense(self) -> Tensor:
        """The weight with zero kernels where the table is empty, shape (out maps, in maps, k, k)."""
        pairs: Tensor = self.kernels
        if not self.every_map:
            pairs = self.kernels.new_zeros(self.out_maps * self.in_maps, *self.kernels.shape[1:])
            pairs = pairs.index_copy(0, self.links, self.kernels)
        return pairs.view(self.out_maps, self.in_maps, *self.kernels.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Sums (patterns, out maps, height - k + 1, width - k + 1) of states (patterns, in maps, height, width)."""
        return F.conv2d(x, self.dense(), self.bias)


class Subsampling(nn.Module):
    """Average or sum of each field, times the map's coefficient, plus the map's bias (S2, S4)."""

    def __init__(self, geometry: Geometry, reading: Reading) -> None:
        super().__init__()
        maps = geometry.out_shape[0]
        self.factor = geometry.kernel[0]
        self.sum = reading.subsampling == "sum"
        self.one_weight = reading.coefficient_curvature == "unit"
        self.coefficient = nn.Parameter(torch.zeros(maps))
        self.bias = nn.Parameter(torch.zeros(maps))
        self.register_buffer("sources", torch.tensor([source for (source,) in geometry.table]), persistent=False)
        self.sources: Tensor
        self.in_order = self.sources.tolist() == list(range(geometry.in_shape[0]))

    def read(self, x: Tensor) -> Tensor:
        """The input map of each map."""
        return x if self.in_order else x[:, self.sources]

    def pooled(self, x: Tensor) -> Tensor:
        """What the coefficient multiplies: the sum (II.B) or average (II.A) of each whole field."""
        return F.avg_pool2d(self.read(x), self.factor, divisor_override=1 if self.sum else None)

    def forward(self, x: Tensor) -> Tensor:
        """Sums (patterns, maps, height / 2, width / 2) of states (patterns, in maps, height, width)."""
        return self.coefficient[:, None, None] * self.pooled(x) + self.bias[:, None, None]


class Full(nn.Module):
    """Units that read the whole input: a convolution whose kernel covers it, so it replicates (F6; Section VII)."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(geometry.out_shape[0], *geometry.in_shape))
        self.bias = nn.Parameter(torch.zeros(geometry.out_shape[0]))

    def forward(self, x: Tensor) -> Tensor:
        """Sums (patterns, units, rows, columns) of states (patterns, maps, height, width): 1x1 of the nominal size."""
        return F.conv2d(x, self.weight, self.bias)


class Pooling(nn.Module):
    """The average or the maximum of each field, no parameters; of equal maxima the first, row by row, is taken."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.factor = geometry.kernel[0]
        self.max = geometry.kind == "max"

    def forward(self, x: Tensor) -> Tensor:
        """States (patterns, maps, height / 2, width / 2) of (patterns, maps, height, width)."""
        return F.max_pool2d(x, self.factor) if self.max else F.avg_pool2d(x, self.factor)


class RBF(nn.Module):
    """Output y_i = sum_j (x_j - w_ij)^2, eq. 7, on fixed prototypes w: no factor 1/2, and the least y is the answer."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.from_numpy(prototypes(geometry.prototypes, geometry.out_shape[0])))
        self.prototypes: Tensor  # (classes, components)

    def forward(self, x: Tensor) -> Tensor:
        """Distances (patterns, classes, rows, columns) of states (patterns, components, rows, columns)."""
        return (x[:, None] - self.prototypes[:, :, None, None]).square().sum(2)


class Softmax(Full):
    """Output y_i = -log p_i, p_i = e^a_i / sum_k e^a_k of linear units: like a distance, the least y is the answer."""

    def forward(self, x: Tensor) -> Tensor:
        """-log p_i, shape (patterns, classes, rows, columns), of states as `Full` reads them."""
        return -torch.log_softmax(super().forward(x), 1)


class Net(nn.Module):
    """A network of the paper, or one of its look-alikes.

    `parameters()` come in the order of the flat vector (`lenet98.specs`); LeNet-5 has exactly 60,000.

    Parameters
    ----------
    spec
        The layers, for example `lenet98.networks.LENET5`.
    reading
        How the paper's open points are read; decides the initial weights and the subsampling.
    seed
        The run whose initial parameters the network starts from, those of `training.train` with that seed.
    """

    def __init__(self, spec: Spec, reading: Reading = DEFAULT, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        self.reading = reading
        self.layers = nn.Sequential(OrderedDict((layer.name, _hidden(layer, reading)) for layer in spec.hidden))
        self.output = RBF(spec.output) if spec.output.kind == "rbf" else Softmax(spec.output)
        self.load_flat(initial_parameters(spec, reading, generator(seed, "init")))

    @property
    def rbf(self) -> RBF:
        """The output of RBF units, which every network of the paper has."""
        assert isinstance(self.output, RBF)
        return self.output

    def states(self, images: Tensor) -> list[Tensor]:
        """The input and then the states x = f(a) of every layer below the output, each (patterns, maps, height, width).

        Raises ValueError if the images do not have the maps of the spec's input or are smaller than it.
        """
        maps, height, width = self.spec.input_shape
        if images.ndim != 4 or images.shape[1] != maps or images.shape[2] < height or images.shape[3] < width:
            raise ValueError(
                f"images have shape {tuple(images.shape)}; {self.spec.name} needs (patterns, {maps}, height, width), "
                f"at least {height}x{width}"
            )
        states = [images]
        for layer, geometry in zip(self.layers, self.spec.hidden, strict=True):
            states.append(SQUASHING[geometry.squashing](layer(states[-1])))
        return states

    def forward(self, images: Tensor) -> Tensor:
        """Distances of eq. 7, or -log p_i of a softmax output, the least of which is the answer.

        Images of the nominal size give shape (patterns, classes).  Larger ones give (patterns, classes, rows, columns):
        the network replicated over the field (Section VII), one step for as many pixels as the subsampling merges.
        """
        distances = self.output(self.states(images)[-1])
        return distances.flatten(1) if distances.shape[2:] == (1, 1) else distances

    def flat(self) -> NDArray[Any]:
        """A copy of all parameters as one vector, shape (spec.parameters,), in the dtype of the network."""
        return torch.cat([p.detach().flatten() for p in self.parameters()]).cpu().numpy()

    @torch.no_grad()
    def load_flat(self, vector: NDArray[Any]) -> None:
        """Copy a flat vector into the parameters; ValueError if its length is not `spec.parameters`."""
        if np.shape(vector) != (self.spec.parameters,):
            raise ValueError(
                f"parameters have shape {np.shape(vector)}; {self.spec.name} needs ({self.spec.parameters},)"
            )
        parameters = list(self.parameters())
        for parameter, values in zip(parameters, unflatten(torch.tensor(vector), parameters), strict=True):
            parameter.copy_(values)


def network(spec: Spec, parameters: NDArray[Any], reading: Reading = DEFAULT) -> Net:
    """The network of flat parameters, shape (spec.parameters,); ValueError for another shape."""
    net = Net(spec, reading)
    net.load_flat(parameters)
    return net


def unflatten(vector: Tensor, like: Iterable[Tensor]) -> list[Tensor]:
    """Cut a flat vector into views of the shapes of `like`."""
    like = list(like)
    return [part.view_as(p) for part, p in zip(vector.split([p.numel() for p in like]), like, strict=True)]


def _hidden(geometry: Geometry, reading: Reading) -> nn.Module:
    """The module of one layer below the output."""
    if geometry.kind == "convolution":
        return Convolution(geometry)
    if geometry.kind == "subsampling":
        return Subsampling(geometry, reading)
    if geometry.pools:
        return Pooling(geometry)
    return Full(geometry)
