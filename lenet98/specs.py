"""Networks as data (Section II.B, Fig. 2, Table I).

A network is a tuple of layer descriptions.  PyTorch (`modules`), the online engine (`online`), the curvature and the
accounting all read `Spec.geometry`, so nothing about a network is written twice.  The flat parameter vector that all of
them share holds, layer by layer, the weights and then the biases.

Here stand the kinds of layers and the squashing function f(a) = A tanh(S a) (App. A); the paper's networks are in
`networks`.  Pooling without parameters, softmax outputs and rectified units are those of LeNet-5's look-alikes, which
are in `modern`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, ClassVar, Literal, get_args

Kind = Literal["convolution", "subsampling", "average", "max", "full", "rbf", "softmax"]
Squashing = Literal["tanh", "relu"]
Shape = tuple[int, int, int]  # maps, height, width
OUTPUTS = ("rbf", "softmax")

A = 1.7159
"""Amplitude."""
S = 2 / 3
"""Slope at the origin, in units of A; f(1) = 1 and f(-1) = -1."""


@dataclass(frozen=True)
class Convolution:
    """A layer of `maps` feature maps with `kernel` x `kernel` receptive fields.

    `table[m]` lists the input maps that output map m reads (Table I); None connects every map to every input map.
    """

    kind: ClassVar[str] = "convolution"
    name: str
    maps: int
    kernel: int
    table: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class Subsampling:
    """2x2 non-overlapping fields, one trainable coefficient and one bias per map.

    `sources[m]` is the one input map that output map m reads; None pairs output and input maps one to one.
    """

    kind: ClassVar[str] = "subsampling"
    name: str
    sources: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Pooling:
    """The average or the maximum of 2x2 non-overlapping fields: no parameters, no squashing; not in the paper."""

    kind: ClassVar[str] = "pooling"
    name: str
    statistic: Literal["average", "max"]


@dataclass(frozen=True)
class Full:
    """`units` units that each read the whole input: a convolution whose kernel covers it."""

    kind: ClassVar[str] = "full"
    name: str
    units: int


@dataclass(frozen=True)
class RBF:
    """Euclidean RBF output units, eq. 7, on fixed prototypes: "bitmaps" (Fig. 3) or "places" (one unit per class)."""

    kind: ClassVar[str] = "rbf"
    name: str
    prototypes: Literal["bitmaps", "places"]
    classes: int = 10


@dataclass(frozen=True)
class Softmax:
    """Linear output units a_i, trained by the cross-entropy of p_i = e^a_i / sum_k e^a_k; not in the paper.

    What takes the place of the RBF units' distances is y_i = -log p_i, so that here too the least is the answer.
    """

    kind: ClassVar[str] = "softmax"
    name: str
    classes: int = 10


Layer = Convolution | Subsampling | Pooling | Full | RBF | Softmax
LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer for layer in (Convolution, Subsampling, Pooling, Full, RBF, Softmax)
}
"""The kinds of layers by the name that JSON has for them."""


@dataclass(frozen=True)
class Geometry:
    """One layer with everything that follows from its place in the network."""

    name: str
    kind: Kind
    in_shape: Shape
    out_shape: Shape
    kernel: tuple[int, int]  # height and width of one receptive field
    table: tuple[tuple[int, ...], ...]  # for every output map, the input maps that it reads
    first_weight: int  # index in the flat parameter vector
    prototypes: str = ""
    squashing: Squashing | None = None  # f in x = f(a); None where the sums a are passed on as they are

    @property
    def pools(self) -> bool:
        """Whether the layer takes an average or a maximum, without parameters."""
        return self.kind in ("average", "max")

    @property
    def merged(self) -> int:
        """Columns of the layer below that one of its own merges: 2 where it subsamples or pools, else 1."""
        return self.kernel[1] if self.kind == "subsampling" or self.pools else 1

    @property
    def every_map(self) -> bool:
        """Whether each output map reads all input maps, in their order: no table."""
        return self.table == (tuple(range(self.in_shape[0])),) * self.out_shape[0]

    @property
    def full(self) -> bool:
        """Whether each unit is a weighted sum of the whole input: F6, and C5, whose kernel covers its input."""
        return self.kind in ("convolution", "full", "softmax") and self.positions == 1 and self.every_map

    @property
    def links(self) -> tuple[tuple[int, int], ...]:
        """(output map, input map) of each kernel, in the order of the weights: the filled cells of Table I."""
        return tuple((m, source) for m, sources in enumerate(self.table) for source in sources)

    @property
    def cells(self) -> list[int]:
        """Place of each kernel among all (output map, input map) pairs, row by row of the table."""
        return [m * self.in_shape[0] + source for m, source in self.links]

    @property
    def kernels(self) -> int:
        """Number of (output map, input map) pairs: 60 for C3."""
        return sum(len(sources) for sources in self.table)

    @property
    def weights(self) -> int:
        """Trainable weights without biases; the RBF prototypes are fixed and not counted."""
        if self.kind == "rbf" or self.pools:
            return 0
        return self.out_shape[0] if self.kind == "subsampling" else self.kernels * prod(self.kernel)

    @property
    def biases(self) -> int:
        """Trainable biases, one a map; none in an RBF output and where maps are only pooled."""
        return 0 if self.kind == "rbf" or self.pools else self.out_shape[0]

    @property
    def parameters(self) -> int:
        """Trainable weights and biases."""
        return self.weights + self.biases

    @property
    def weight_slice(self) -> slice:
        """Place of the weights in the flat parameter vector, (spec.parameters,)."""
        return slice(self.first_weight, self.first_weight + self.weights)

    @property
    def bias_slice(self) -> slice:
        """Place of the biases in it, behind the weights."""
        return slice(self.first_weight + self.weights, self.first_weight + self.parameters)

    @property
    def positions(self) -> int:
        """Units per map."""
        return self.out_shape[1] * self.out_shape[2]

    @property
    def units(self) -> int:
        """Units of all maps."""
        return prod(self.out_shape)

    @property
    def inputs(self) -> int:
        """States that the layer is given, of all input maps."""
        return prod(self.in_shape)

    @property
    def fan_in(self) -> tuple[int, ...]:
        """Inputs of a unit of each map, bias not counted: 75, 100 and 150 in C3."""
        return tuple(len(sources) * prod(self.kernel) for sources in self.table)


@dataclass(frozen=True)
class Spec:
    """A network: its name, the shape of its input, its layers, the last of which is the output, and its squashing.

    The name is a label: specs that differ in nothing else are equal.

    `squashing` is the function f of the units below the output: "tanh", the paper's A tanh(S a) (App. A), or "relu",
    max(0, a), which is not in the paper.
    """

    name: str = field(compare=False)
    input_shape: Shape
    layers: tuple[Layer, ...]
    squashing: Squashing = "tanh"

    def as_json(self) -> dict[str, Any]:
        """The spec by value, without its name: what identifies a run, and what files of weights hold."""
        return {
            "input_shape": self.input_shape,
            "layers": [{"kind": layer.kind, **asdict(layer)} for layer in self.layers],
            "squashing": self.squashing,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], name: str = "unnamed") -> Spec:
        """The spec of which `as_json` gave `content`; KeyError, TypeError or ValueError if it is that of none."""
        described = [dict(layer) for layer in content["layers"]]
        layers = [
            LAYERS[layer.pop("kind")](**{key: _tuples(value) for key, value in layer.items()}) for layer in described
        ]
        return cls(name, _tuples(content["input_shape"]), tuple(layers), content["squashing"])

    @cached_property
    def geometry(self) -> tuple[Geometry, ...]:
        """The layers with their shapes, tables and places in the parameter vector.

        Raises ValueError, naming the layer, where the layers do not fit together.
        """
        resolved: list[Geometry] = []
        shape, first_weight = self.input_shape, 0
        if not self.layers or not isinstance(self.layers[-1], RBF | Softmax):
            raise ValueError(f"{self.name}: the last layer must be an RBF or a softmax output")
        if self.squashing not in get_args(Squashing):
            raise ValueError(f"{self.name}: squashing is {self.squashing!r}; it must be one of {get_args(Squashing)}")
        names = [layer.name for layer in self.layers]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.name}: two layers have one name in {', '.join(names)}")
        for layer in self.layers:
            if resolved and resolved[-1].kind in OUTPUTS:
                output = {"rbf": "RBF"}.get(resolved[-1].kind, resolved[-1].kind)
                raise ValueError(
                    f"{self.name}: {layer.name} comes after the {output} output, which must be the last layer"
                )
            geometry = _resolve(layer, shape, first_weight, self.squashing)
            resolved.append(geometry)
            shape, first_weight = geometry.out_shape, first_weight + geometry.parameters
        return tuple(resolved)

    def over(self, width: int) -> tuple[Geometry, ...]:
        """The layers over a field of so many columns, each as wide as that makes it (Section VII); rows stay.

        The weights are the same: a layer that reads all below it becomes a convolution.  Columns of the field that do
        not fill a step at the right are read by none of the outputs.

        Raises ValueError for a field that is narrower than the network's input.
        """
        if width < self.input_shape[2]:
            raise ValueError(
                f"a field of {width} columns is narrower than the {self.input_shape[2]} that {self.name} reads"
            )
        found, columns = [], width
        for layer in self.geometry:
            after = columns // layer.merged if layer.merged > 1 else columns - layer.kernel[1] + 1
            found.append(
                replace(layer, in_shape=(*layer.in_shape[:2], columns), out_shape=(*layer.out_shape[:2], after))
            )
            columns = after
        return tuple(found)

    @property
    def parameters(self) -> int:
        """Trainable parameters, the length of the flat vector: 60,000 for LeNet-5."""
        return sum(layer.parameters for layer in self.geometry)

    @property
    def trainable(self) -> tuple[Geometry, ...]:
        """The layers that have parameters: all but the RBF output and what only pools."""
        return tuple(layer for layer in self.geometry if layer.parameters)

    @property
    def hidden(self) -> tuple[Geometry, ...]:
        """All layers but the output."""
        return self.geometry[:-1]

    @property
    def output(self) -> Geometry:
        """The last layer, RBF or softmax."""
        return self.geometry[-1]

    @property
    def classes(self) -> int:
        """Outputs, one a class."""
        return self.output.out_shape[0]


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _resolve(layer: Layer, shape: Shape, first_weight: int, squashing: Squashing) -> Geometry:
    """Place `layer` on an input of `shape`, in a network whose units `squashing` squashes."""
    maps, height, width = shape
    every = tuple(range(maps))
    prototypes = ""
    kind: Kind
    match layer:
        case Convolution(maps=out, kernel=k):
            kind, kernel, out_shape = "convolution", (k, k), (out, height - k + 1, width - k + 1)
            table = layer.table or (every,) * out
            if not 1 <= k <= min(height, width):
                raise ValueError(f"{layer.name}: a {k}x{k} kernel does not fit a {height}x{width} input")
        case Subsampling():
            kind, kernel = "subsampling", (2, 2)
            table = tuple((source,) for source in (every if layer.sources is None else layer.sources))
            out_shape = (len(table), *_halves(layer, height, width))
        case Pooling(statistic=kind):
            kernel, table = (2, 2), tuple((source,) for source in every)
            out_shape = (maps, *_halves(layer, height, width))
            if kind not in ("average", "max"):
                raise ValueError(f"{layer.name}: statistic is {kind!r}; it must be 'average' or 'max'")
        case Full(units=out):
            kind, kernel, out_shape, table = "full", (height, width), (out, 1, 1), (every,) * out
        case Softmax(classes=out):
            kind, kernel, out_shape, table = "softmax", (height, width), (out, 1, 1), (every,) * out
        case RBF(classes=out):
            kind, kernel, out_shape, table = "rbf", (1, 1), (out, 1, 1), (every,) * out
            prototypes = layer.prototypes
            length = {"bitmaps": 84, "places": out}[prototypes]
            if (height, width) != (1, 1) or maps != length:
                raise ValueError(f"{layer.name}: {prototypes} have {length} components, its input is {shape}")
    if len(table) != out_shape[0] or any(
        not sources or len(set(sources)) < len(sources) or not set(sources) <= set(every) for sources in table
    ):
        raise ValueError(
            f"{layer.name}: the table must name, for each of {out_shape[0]} maps, distinct input maps below {maps}"
        )
    squashes = kind in ("convolution", "subsampling", "full")
    return Geometry(
        layer.name, kind, shape, out_shape, kernel, table, first_weight, prototypes, squashing if squashes else None
    )


def _halves(layer: Subsampling | Pooling, height: int, width: int) -> tuple[int, int]:
    """Height and width after 2x2 fields."""
    if height % 2 or width % 2:
        raise ValueError(f"{layer.name}: {height}x{width} cannot be divided into 2x2 fields")
    return height // 2, width // 2
