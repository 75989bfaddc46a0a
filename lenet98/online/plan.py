"""From a spec to the flat arrays that the compiled kernels read."""

from __future__ import annotations

import numpy as np

from lenet98.online.kernels import (
    AVERAGE,
    CONVOLUTION,
    FULL,
    LAYER,
    LINEAR,
    MAX,
    RELU,
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
    amplitude, slope = np.float32(A), np.float32(S)
    return Plan(
        layers,
        np.array(first_source),
        np.array(sources),
        np.empty((spec.classes, 0), np.float32) if softmax else prototypes(spec.output.prototypes, spec.classes),
        softmax,
        reading.subsampling == "average",
        reading.j if reading.loss == "eq9" else float("inf"),
        reading.loss_scale,
        amplitude,
        slope,
        slope * amplitude,
        slope / amplitude,
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
