"""Networks that the mini-batch trainer takes, as data: those that are written today, and those of `lenet98.networks`.

A `ConvNet` is what LeNet-5 is usually taken for, and its successors.  It has no table of connections, no trainable
subsampling and no RBF units: convolutions that read every map, 2x2 pooling without parameters, full layers, and as many
linear outputs as classes, which a softmax turns to probabilities.  The PyTorch module, the counts and
`lenet98.modern.compare` all read the one description.

A `SpecNet` is one of `lenet98.networks`, with what is added to networks today.  The network of 1998 is trained here
one pattern at a time (`lenet98.training`); this lets the very same layers, from the same initial weights and on the
same loss, be trained in batches (`lenet98.modern.minibatch`), with batch normalization and dropout, which have no
meaning for a single pattern or no place in the online engine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import truncnorm
from torch import Tensor, nn

from lenet98 import accounting, losses, modules
from lenet98.catalog import resolved
from lenet98.modern import batches
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.randomness import generator
from lenet98.readings import FORMER, Reading
from lenet98.specs import Geometry, Spec

# --- networks of today ------------------------------------------------------------------------------------------------

Activation = Literal["tanh", "sigmoid", "relu"]
Statistic = Literal["average", "max"]
Drawing = Literal["torch", "glorot", "he", "normal", "truncated normal"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}
STATISTICS: dict[Statistic, Callable[[int], nn.Module]] = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}
FACTOR = 2
"""Height and width of a pooling field."""


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(str, allowed))}")


@dataclass(frozen=True)
class Initial:
    """How weights and biases start.

    Raises ValueError, naming the field, for a value that is not one of the choices.
    """

    weights: Drawing = "torch"
    """"torch": uniform in +-1/sqrt(F), F the fan-in, PyTorch's default; "glorot": uniform in +-sqrt(6/(F + fan-out)),
    Keras's default; "he": normal of standard deviation sqrt(2/F); "normal", or "truncated normal" at two of them: of
    standard deviation `deviation`."""
    deviation: float = 0.1
    """Used by the two normals alone."""
    biases: float | Literal["torch"] = "torch"
    """All biases, or "torch": uniform in +-1/sqrt(F), as PyTorch's start."""

    def __post_init__(self) -> None:
        _check_choice("Initial.weights", self.weights, get_args(Drawing))
        if isinstance(self.biases, str):
            _check_choice("Initial.biases", self.biases, ("torch", "or a number"))
        if not 0 < self.deviation < float("inf"):
            raise ValueError(f"Initial.deviation is {self.deviation!r}; it must be positive and finite")


KERAS = Initial("glorot", biases=0.0)
"""The defaults of Keras."""


class LinearOutputs:
    """A network whose outputs are linear, for a softmax."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean over a batch of the cross-entropy of the outputs' softmax."""
        return nn.functional.cross_entropy(outputs, labels)


@dataclass(frozen=True)
class ConvNet(LinearOutputs):
    """Convolutions with pooling after each, full layers, linear outputs.

    Raises ValueError, naming the field, for a network that cannot be.
    """

    size: int = 32
    """Height and width of the input field, in whose middle the image lies; padding of the first convolution by p is a
    field larger by 2 p."""
    maps: tuple[int, ...] = (6, 16)
    """Feature maps of each convolution."""
    kernel: int = 5
    """Height and width of the convolutions' receptive fields."""
    pooling: Statistic = "average"
    units: tuple[int, ...] = (120, 84)
    """Units of each full layer before the outputs."""
    squashing: Activation = "tanh"
    """After every convolution, before it is pooled, and after every full layer but the outputs."""
    full_squashing: Activation | None = None
    """After the full layers, where it is another."""
    batch_norm: bool = False
    """Whether sums are normalized over the batch before they are squashed."""
    dropout: float = 0.0
    """Share of a full layer's inputs that are dropped in training, those of the outputs among them."""
    initial: Initial = Initial()
    classes: int = 10

    def __post_init__(self) -> None:
        _check_choice("ConvNet.pooling", self.pooling, get_args(Statistic))
        _check_choice("ConvNet.squashing", self.squashing, get_args(Activation))
        _check_choice("ConvNet.full_squashing", self.full_squashing, (None, *get_args(Activation)))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"ConvNet.dropout is {self.dropout!r}; it must be a share below 1")
        for field in ("maps", "units"):
            if min(getattr(self, field), default=1) < 1:
                raise ValueError(f"ConvNet.{field} is {getattr(self, field)}; every layer needs at least one")
        if not self.maps:
            raise ValueError("ConvNet.maps is empty; there must be at least one convolution")
        side = self.size
        for number in range(1, len(self.maps) + 1):
            side = side - self.kernel + 1
            if side < FACTOR or side % FACTOR:
                raise ValueError(
                    f"ConvNet.size is {self.size}: maps of {side}x{side} after convolution {number} cannot be pooled "
                    f"by {FACTOR}x{FACTOR}; choose another size or kernel"
                )
            side //= FACTOR

    @property
    def layers(self) -> tuple[ConvNetLayer, ...]:
        """The layers in order, pooling layers among them; names as the paper's: C1, S2, C3, ..., output."""
        return tuple(_layers(self))

    @property
    def parameters(self) -> int:
        """Trainable parameters; those of batch normalization, two a map or unit, among them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def connections(self) -> int:
        """Links into all units, biases among them, as the paper counts; a pooling unit has its four inputs."""
        return sum(layer.connections for layer in self.layers)

    @property
    def multiply_accumulates(self) -> int:
        """Of one recognition, as `lenet98.accounting` counts: products with trained weights.

        What batch normalization multiplies is not counted: the weights before it can hold it.
        """
        return sum(layer.multiply_accumulates for layer in self.layers)

    def squashes(self, kind: Literal["convolution", "full"]) -> Activation:
        """The squashing function of that kind of layer."""
        return self.full_squashing or self.squashing if kind == "full" else self.squashing

    def build(self, seed: int) -> nn.Sequential:
        """The network as a module from images (n, 1, size, size) to the linear outputs (n, classes).

        Its initial weights follow from the seed of the run alone; layer after layer, weights are drawn before biases.
        """
        rng = generator(seed, "init")
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        flat = False
        for layer in self.layers:
            maps = layer.out_shape[0]
            if layer.kind == "pooling":
                parts[layer.name] = STATISTICS[self.pooling](FACTOR)
                continue
            if layer.kind != "convolution" and not flat:
                parts["flatten"], flat = nn.Flatten(), True
            if flat and self.dropout:
                parts[f"{layer.name} dropout"] = nn.Dropout(self.dropout)
            summing: nn.Conv2d | nn.Linear = (
                nn.utils.skip_init(nn.Linear, layer.fan_in, maps)
                if flat
                else nn.utils.skip_init(nn.Conv2d, layer.in_shape[0], maps, self.kernel)
            )
            _draw(summing, self.initial, rng)
            parts[layer.name] = summing
            if layer.normalized:
                parts[f"{layer.name} norm"] = nn.BatchNorm1d(maps) if flat else nn.BatchNorm2d(maps)
            if layer.kind != "output":
                parts[f"{layer.name} squash"] = ACTIVATIONS[self.squashes(layer.kind)]()
        return nn.Sequential(parts)


PLAIN = ConvNet()
"""C1 to F6 with as many maps and units as LeNet-5."""


@dataclass(frozen=True)
class ConvNetLayer:
    """One layer with what follows from its place in the network."""

    name: str
    kind: Literal["convolution", "pooling", "full", "output"]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    fan_in: int
    """Inputs of a unit, bias not counted."""
    normalized: bool = False

    @property
    def parameters(self) -> int:
        maps = self.out_shape[0]
        if self.kind == "pooling":
            return 0
        return maps * (self.fan_in + 1) + (2 * maps if self.normalized else 0)

    @property
    def connections(self) -> int:
        return prod(self.out_shape) * (self.fan_in + (self.kind != "pooling"))

    @property
    def multiply_accumulates(self) -> int:
        return 0 if self.kind == "pooling" else prod(self.out_shape) * self.fan_in


def _layers(network: ConvNet) -> Iterator[ConvNetLayer]:
    shape, number = (1, network.size, network.size), 0
    for maps in network.maps:
        side = shape[1] - network.kernel + 1
        convolved, pooled = (maps, side, side), (maps, side // FACTOR, side // FACTOR)
        fan_in = shape[0] * network.kernel**2
        yield ConvNetLayer(f"C{number + 1}", "convolution", shape, convolved, fan_in, network.batch_norm)
        yield ConvNetLayer(f"S{number + 2}", "pooling", convolved, pooled, FACTOR**2)
        shape, number = pooled, number + 2
    for units in network.units:
        number += 1
        yield ConvNetLayer(f"F{number}", "full", shape, (units, 1, 1), prod(shape), network.batch_norm)
        shape = (units, 1, 1)
    yield ConvNetLayer("output", "output", shape, (network.classes, 1, 1), prod(shape))


@torch.no_grad()
def _draw(layer: nn.Conv2d | nn.Linear, initial: Initial, rng: np.random.Generator) -> None:
    """Fill the layer's weights and biases."""
    shape = tuple(layer.weight.shape)
    fan_in, fan_out = prod(shape[1:]), shape[0] * prod(shape[2:])
    layer.weight.copy_(torch.from_numpy(_weights(initial, shape, fan_in, fan_out, rng)))
    if initial.biases == "torch":
        bound = fan_in**-0.5
        biases = rng.uniform(-bound, bound, shape[0])
    else:
        biases = np.full(shape[0], initial.biases)
    assert layer.bias is not None
    layer.bias.copy_(torch.from_numpy(biases))


def _weights(
    initial: Initial, shape: tuple[int, ...], fan_in: int, fan_out: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    match initial.weights:
        case "torch":
            return rng.uniform(-(fan_in**-0.5), fan_in**-0.5, shape)
        case "glorot":
            bound = (6 / (fan_in + fan_out)) ** 0.5
            return rng.uniform(-bound, bound, shape)
        case "he":
            return rng.normal(0, (2 / fan_in) ** 0.5, shape)
        case "normal":
            return rng.normal(0, initial.deviation, shape)
        case "truncated normal":
            return np.asarray(truncnorm.rvs(-2, 2, scale=initial.deviation, size=shape, random_state=rng))


def field(images: Tensor, size: int, levels: tuple[float, float]) -> Tensor:
    """Images in the middle of a field of background, their gray levels scaled.

    Parameters
    ----------
    images
        Bytes, shape (n, height, width), 0 = background, 255 = ink.
    size
        Height and width of the field, pixels, not less than the images'.
    levels
        Input value of background and of full ink.

    Returns
    -------
    Float32, shape (n, 1, size, size), on the device of the images.
    """
    white, black = levels
    scaled = images[:, None].to(torch.float32).mul_((black - white) / 255).add_(white)
    top, left = (size - images.shape[1]) // 2, (size - images.shape[2]) // 2
    margins = (left, size - images.shape[2] - left, top, size - images.shape[1] - top)
    return nn.functional.pad(scaled, margins, value=white)


# --- networks of `lenet98.networks` -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpecNet:
    """A network of `lenet98.networks`, or one like them, and what is added to it.

    Raises ValueError, naming the field, for a network that cannot be.
    """

    spec: Spec = LENET5
    """A name of `lenet98.catalog.SPECS` stands for that network."""
    reading: Reading = FORMER
    """Decides the initial weights, the subsampling and the loss."""
    batch_norm: bool = False
    """Whether the sums of convolutions and full layers are normalized over the batch before they are squashed."""
    dropout: float = 0.0
    """Share of a full layer's inputs that are dropped in training; never of RBF units, whose inputs are compared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", resolved(self.spec))
        maps, height, width = self.spec.input_shape
        if maps != 1 or height != width:
            raise ValueError(f"SpecNet.spec is {self.spec.name!r}; its input must be one square map, not {maps} maps")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"SpecNet.dropout is {self.dropout!r}; it must be a share below 1")

    @property
    def size(self) -> int:
        """Height and width of the input field."""
        return self.spec.input_shape[1]

    @property
    def normalized(self) -> tuple[Geometry, ...]:
        """The layers after whose sums batch normalization stands."""
        layers = self.spec.hidden if self.batch_norm else ()
        return tuple(layer for layer in layers if layer.kind in ("convolution", "full"))

    @property
    def parameters(self) -> int:
        """Trainable parameters; those of batch normalization, two a map or unit, among them."""
        return self.spec.parameters + sum(2 * layer.out_shape[0] for layer in self.normalized)

    @property
    def multiply_accumulates(self) -> int:
        """Of one recognition; batch normalization multiplies nothing that the weights before it cannot hold."""
        return sum(map(accounting.multiply_accumulates, self.spec.geometry))

    def build(self, seed: int) -> Scoring:
        """A module from images (n, 1, size, size) to outputs (n, classes), as a run of that seed starts."""
        return Scoring(self, seed)

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch, the reading's or the cross-entropy (`lenet98.losses.loss`)."""
        return losses.loss(-outputs, labels, self.reading, self.spec.output.kind)


class Scoring(nn.Module):
    """A spec's `Net` with outputs of which the greatest is the answer, as those of other networks of today: -y_i.

    Of a softmax these are log p_i.  Initial weights are those of `Net` with that seed; batch normalization starts as
    the identity on normalized sums.
    """

    def __init__(self, network: SpecNet, seed: int) -> None:
        super().__init__()
        self.net = Net(network.spec, network.reading, seed)
        self.dropout = nn.Dropout(network.dropout)
        self.norms = nn.ModuleDict({layer.name: nn.BatchNorm2d(layer.out_shape[0]) for layer in network.normalized})

    def forward(self, images: Tensor) -> Tensor:
        spec, x = self.net.spec, images
        for geometry, layer in zip(spec.hidden, self.net.layers, strict=True):
            a = batches.forward(layer, self.dropout(x) if geometry.full else x)
            if geometry.name in self.norms:
                a = self.norms[geometry.name](a)
            x = modules.SQUASHING[geometry.squashing](a)
        return -torch.flatten(batches.forward(self.net.output, self.dropout(x) if spec.output.full else x), 1)

    @torch.no_grad()
    def folded(self) -> NDArray[np.float32]:
        """Parameters of the spec's own network, without normalization, that answers alike; shape (spec.parameters,).

        In evaluation a normalized sum, g (a - mean) / sd + b, is another sum: the weights of its map times g / sd, and
        another bias.
        """
        net = deepcopy(self.net)
        for name, norm in self.norms.items():
            layer, state = getattr(net.layers, name), norm.state_dict()
            gain = state["weight"] / torch.sqrt(state["running_var"] + norm.eps)
            weight, bias = layer.parameters()
            of_map = layer.links // layer.in_maps if isinstance(layer, modules.Convolution) else slice(None)
            weight.mul_(gain[of_map].view(-1, *[1] * (weight.ndim - 1)))
            bias.copy_((bias - state["running_mean"]) * gain + state["bias"])
        return net.flat()
