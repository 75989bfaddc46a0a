"""Networks of `lenet98.specs` as the mini-batch trainer takes them, with what is added to networks today.

The network of 1998 is learnt here one pattern at a time (`lenet98.training`); this lets the very same layers, from the
same initial weights and on the same loss, be learnt in batches (`lenet98.minibatch`), with batch normalisation and
dropout, which have no meaning for a single pattern or no place in the online engine.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenet98 import losses
from lenet98.modules import SQUASHING, Net
from lenet98.readings import DEFAULT, Reading
from lenet98.specs import Geometry, Spec, named


@dataclass(frozen=True)
class SpecNet:
    """A network of `lenet98.specs` by its name, and what is added to it.

    Raises ValueError, naming the field, for a network that cannot be.
    """

    spec: str = "lenet5"
    reading: Reading = DEFAULT
    """Decides the initial weights, the subsampling and the loss."""
    batch_norm: bool = False
    """Whether the sums of convolutions and full layers are normalised over the batch before they are squashed."""
    dropout: float = 0.0
    """Share of a full layer's inputs that are dropped in training; never of RBF units, whose inputs are compared."""

    def __post_init__(self) -> None:
        maps, height, width = named(self.spec).input_shape
        if maps != 1 or height != width:
            raise ValueError(f"SpecNet.spec is {self.spec!r}; its input must be one square map, not {maps} maps")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"SpecNet.dropout is {self.dropout!r}; it must be a share below 1")

    @property
    def described(self) -> Spec:
        """The layers."""
        return named(self.spec)

    @property
    def size(self) -> int:
        """Height and width of the input field."""
        return self.described.input_shape[1]

    @property
    def parameters(self) -> int:
        """Trainable parameters; those of batch normalisation, two a map or unit, among them."""
        added = sum(2 * layer.out_shape[0] for layer in self.described.hidden if self.batch_norm and normalised(layer))
        return self.described.parameters + added


def normalised(layer: Geometry) -> bool:
    """Whether batch normalisation stands after the sums of such a layer."""
    return layer.kind in ("convolution", "full")


def reads_all(layer: Geometry) -> bool:
    """Whether the layer is full, C5 among them, whose kernel covers its input."""
    return layer.positions == 1 and layer.kind in ("convolution", "full", "softmax")


class Scoring(nn.Module):
    """A spec's `Net` with outputs of which the greatest is the answer, as those of other networks of today: -y_i.

    Of a softmax these are log p_i.  Initial weights are those of `Net` with that seed; batch normalisation starts as
    the identity on normalised sums.
    """

    def __init__(self, network: SpecNet, seed: int) -> None:
        super().__init__()
        self.net = Net(network.described, network.reading, seed)
        self.dropout = nn.Dropout(network.dropout)
        shaped = [layer for layer in network.described.hidden if network.batch_norm and normalised(layer)]
        self.norms = nn.ModuleDict({layer.name: nn.BatchNorm2d(layer.out_shape[0]) for layer in shaped})

    def forward(self, images: Tensor) -> Tensor:
        spec, x = self.net.spec, images
        for geometry, layer in zip(spec.hidden, self.net.layers, strict=True):
            a = layer(self.dropout(x) if reads_all(geometry) else x)
            if geometry.name in self.norms:
                a = self.norms[geometry.name](a)
            x = SQUASHING[geometry.squashing](a)
        return -torch.flatten(self.net.output(self.dropout(x) if reads_all(spec.output) else x), 1)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch, the reading's or the cross-entropy (`lenet98.losses.loss`)."""
        return losses.loss(-outputs, labels, self.net.reading, self.net.spec.output.kind)
