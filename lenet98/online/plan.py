"""From a spec to the flat arrays that the compiled kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet98.prototypes import prototypes
from lenet98.readings import Reading
from lenet98.specs import Geometry, Spec

CONVOLUTION, SUBSAMPLING, FULL, AVERAGE, MAX = range(5)
TANH, RELU, LINEAR = range(3)
_SQUASHING = {"tanh": TANH, "relu": RELU, None: LINEAR}

# What a kernel needs to know of one layer: sizes, and indices of first elements.
LAYER = np.dtype(
    [
        (field, np.int64)
        for field in (
            "kind", "squashing",
            "input", "in_maps", "in_height", "in_width",  # the layer's input, in the vector of states
            "output", "maps", "height", "width", "units",  # its own units, there too
            "kernel_height", "kernel_width",
            "weights", "biases",  # in the vector of parameters
            "table",  # in `first_source`
            "sums",  # in the vector of field sums
        )
    ]
)  # fmt: skip


class Plan(NamedTuple):
    """A network for the kernels."""

    layers: NDArray[np.void]
    """All layers but the RBF output, dtype LAYER."""
    first_source: NDArray[np.int64]
    """For each output map of each layer, where its list in `sources` starts; one closing entry a layer."""
    sources: NDArray[np.int64]
    """The tables of all layers: the input maps that each output map reads."""
    prototypes: NDArray[np.float32]
    """Centres of the RBF units, shape (classes, components); no components with a softmax output."""
    softmax: bool
    """Whether the last of the layers are linear units under a softmax, and not what RBF units read."""
    average: bool
    """Whether a subsampling unit takes the average of its inputs or their sum."""
    j: float
    """The constant of eq. 9; infinite for eq. 8."""
    loss_scale: float


class Workspace(NamedTuple):
    """What the kernels write for one pattern, all float32."""

    states: NDArray[np.float32]
    """x of all units, the input first; then layer after layer."""
    deltas: NDArray[np.float32]
    """dE/dx, and from there dE/da, of the same units."""
    wide: NDArray[np.float32]
    """One map of a convolution at the width of the layer's input, with room for one kernel before and behind it."""
    sums: NDArray[np.float32]
    """What the coefficients of the subsampling units multiply."""
    gradient: NDArray[np.float32]
    """dE/dw, as the parameters."""
    distances: NDArray[np.float32]
    """y_i of the output."""


def _kind(layer: Geometry) -> int:
    special = {"subsampling": SUBSAMPLING, "average": AVERAGE, "max": MAX}
    if layer.kind in special:
        return special[layer.kind]
    return FULL if layer.full else CONVOLUTION


def plan(spec: Spec, reading: Reading) -> Plan:
    """Lay out `spec`, read by `reading`, in flat arrays."""
    softmax = spec.output.kind == "softmax"
    computed = spec.geometry if softmax else spec.hidden
    layers = np.zeros(len(computed), LAYER)
    first_source: list[int] = []
    sources: list[int] = []
    state, sums = 0, 0
    for row, layer in zip(layers, computed, strict=True):
        row["kind"], row["squashing"] = _kind(layer), _SQUASHING[layer.squashing]
        row["input"], row["output"], row["units"] = state, state + layer.inputs, layer.units
        row["in_maps"], row["in_height"], row["in_width"] = layer.in_shape
        row["maps"], row["height"], row["width"] = layer.out_shape
        row["kernel_height"], row["kernel_width"] = layer.kernel
        row["weights"], row["biases"] = layer.weight_slice.start, layer.bias_slice.start
        row["table"], row["sums"] = len(first_source), sums
        for maps in layer.table:
            first_source.append(len(sources))
            sources.extend(maps)
        first_source.append(len(sources))
        state += layer.inputs
        sums += layer.units if layer.kind == "subsampling" else 0
    return Plan(
        layers,
        np.array(first_source),
        np.array(sources),
        np.empty((spec.classes, 0), np.float32) if softmax else prototypes(spec.output.prototypes, spec.classes),
        softmax,
        reading.subsampling == "average",
        reading.j if reading.loss == "eq9" else float("inf"),
        reading.loss_scale,
    )


def workspace(spec: Spec) -> Workspace:
    """Room for one pattern of `spec`."""
    states = sum(layer.inputs for layer in spec.geometry)
    if spec.output.kind == "softmax":
        states += spec.output.units
    wide = max((layer.in_shape[1] + layer.kernel[0]) * layer.in_shape[2] for layer in spec.geometry)
    sums = sum(layer.units for layer in spec.geometry if layer.kind == "subsampling")
    lengths = (states, states, wide, sums, spec.parameters, spec.classes)
    return Workspace(*(np.zeros(length, np.float32) for length in lengths))
