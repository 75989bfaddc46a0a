"""From a spec to the flat arrays that the compiled kernels read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lenet98.online.kernels import (
    AVERAGE,
    CONVOLUTION,
    COVERING,
    FULL,
    LAYER,
    LINEAR,
    MAX,
    RELU,
    RUN,
    SUBSAMPLING,
    TANH,
    Plan,
    Workspace,
)
from lenet98.prototypes import prototypes
from lenet98.readings import Reading
from lenet98.specs import A, Geometry, S, Spec

_SQUASHING = {"tanh": TANH, "relu": RELU, None: LINEAR}


def _kind(layer: Geometry) -> int:
    special = {"subsampling": SUBSAMPLING, "average": AVERAGE, "max": MAX}
    if layer.kind in special:
        return special[layer.kind]
    if layer.full:
        return FULL
    return COVERING if layer.positions == 1 else CONVOLUTION


def plan(spec: Spec, reading: Reading, layers_over: Sequence[Geometry] | None = None) -> Plan:
    """Lay out `spec`, read by `reading`, in flat arrays; if given, its layers over a wider field (`Spec.over`)."""
    softmax = spec.output.kind == "softmax"
    geometry = spec.geometry if layers_over is None else layers_over
    computed = geometry if softmax else geometry[:-1]
    layers = np.zeros(len(computed), LAYER)
    first_link: list[int] = []
    readers: list[int] = []
    kernels: list[int] = []
    state, strips, sums = 0, 0, 0
    for row, layer in zip(layers, computed, strict=True):
        row["kind"], row["squashing"] = _kind(layer), _SQUASHING[layer.squashing]
        row["input"], row["output"], row["units"] = state, state + layer.inputs, layer.units
        row["in_maps"], row["in_height"], row["in_width"] = layer.in_shape
        row["maps"], row["height"], row["width"] = layer.out_shape
        row["kernel_height"], row["kernel_width"] = layer.kernel
        row["weights"], row["biases"] = layer.weight_slice.start, layer.bias_slice.start
        row["table"], row["strips"], row["strip"], row["sums"] = len(first_link), strips, _strip(layer), sums
        links = _links(layer)
        for source in range(layer.in_shape[0]):
            first_link.append(len(readers) + bisect_left(links, (source,)))
        readers += [m for _, m, _ in links]
        kernels += [kernel for _, _, kernel in links]
        first_link.append(len(readers))
        state += layer.inputs
        strips += _strips(layer)
        sums += layer.inputs // 4 if layer.kind == "subsampling" else 0
    amplitude, slope = np.float32(A), np.float32(S)
    return Plan(
        layers,
        np.array(first_link),
        np.array(readers, np.int64),
        np.array(kernels, np.int64),
        np.empty((spec.classes, 0), np.float32) if softmax else prototypes(spec.output.prototypes, spec.classes),
        softmax,
        reading.subsampling == "average",
        reading.j if reading.loss == "eq9" else float("inf"),
        reading.rbf_scale,
        reading.loss_scale,
        amplitude,
        slope,
        slope * amplitude,
        slope / amplitude,
    )


def _links(layer: Geometry) -> list[tuple[int, int, int]]:
    """Input map, output map and kernel of every link of the table, in order of input maps; none for a full layer."""
    if layer.full:
        return []
    return sorted((source, m, kernel) for kernel, (m, source) in enumerate(layer.links))


def _strip(layer: Geometry) -> int:
    """Length of one strip of a convolution's input map."""
    return layer.in_shape[1] * layer.out_shape[2]


def _strips(layer: Geometry) -> int:
    """Room for all strips of a convolution, with zeros behind the last, as its runs of zeros meet what lies there."""
    return layer.in_shape[0] * layer.kernel[1] * _strip(layer) + RUN if _kind(layer) == CONVOLUTION else 0


def workspace(spec: Spec, layers_over: Sequence[Geometry] | None = None) -> Workspace:
    """Room for one pattern of `spec`, or for one field over which its layers lie."""
    geometry = spec.geometry if layers_over is None else layers_over
    states = sum(layer.inputs for layer in geometry)
    if spec.output.kind == "softmax":
        states += geometry[-1].units
    convolutions = [layer for layer in geometry if _kind(layer) == CONVOLUTION]
    strips = sum(map(_strips, convolutions))
    strip_deltas = max((layer.kernel[1] * _strip(layer) for layer in convolutions), default=0)
    runs = max((layer.units + layer.out_shape[0] * RUN for layer in convolutions), default=0)
    sums = sum(layer.inputs // 4 for layer in geometry if layer.kind == "subsampling")
    fields = max((layer.inputs // 4 for layer in geometry if layer.kind in ("subsampling", "average")), default=0)
    lengths = (states, states, strips, strip_deltas, runs, sums, fields, 2 * fields, spec.parameters, spec.classes)
    return Workspace(*map(_room, lengths))


def parameter_vector(spec: Spec) -> NDArray[np.float32]:
    """A vector for the parameters of `spec` that lies where kernels read it fastest."""
    largest = max(spec.trainable, key=lambda layer: layer.weights)
    return _room(spec.parameters, largest.first_weight)


def _room(length: int, first: int = 0) -> NDArray[np.float32]:
    """Zeros of which number `first` begins a cache line: what lies across two lines takes twice the time to load."""
    line = 64 // 4
    zeros = np.zeros(length + line, np.float32)
    start = -(zeros.ctypes.data // 4 + first) % line
    return zeros[start : start + length]
