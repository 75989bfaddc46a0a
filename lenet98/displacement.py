"""The space displacement network: a convolutional network over a wide field, by convolution alone (Section VII).

Every output of the wide network sees a window of the network's own input size; from one output to the next it is as
many pixels as the subsampling merges, 4 for LeNet-5.  `modules.Net` replicates itself over whatever field it is given,
so nothing is computed twice and no window is cut out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from lenet98.accounting import multiply_accumulates
from lenet98.modules import Net
from lenet98.specs import Geometry, Spec

AT_ONCE = 2_000_000
"""Pixels of the fields that are computed at once, to spare memory: F6's outputs against ten codes are the most."""


def step(spec: Spec) -> int:
    """Pixels from one output to the next: the product of what each layer merges along a line."""
    return prod(layer.merged for layer in spec.geometry)


def outputs(spec: Spec, width: int) -> int:
    """How many outputs a field of so many columns has side by side, the rows being those of the network's input.

    Raises ValueError for a field that is narrower than the input.
    """
    return spec.over(width)[-1].out_shape[2]


@torch.no_grad()
def penalties(net: Net, fields: NDArray[np.float32]) -> NDArray[np.float32]:
    """The penalty of each class at each output of a network replicated over wide fields.

    Parameters
    ----------
    net
        Any of `lenet98.networks`; a layer that reads all below it becomes a convolution, too.
    fields
        Input values, shape (n, height, width), the height that of the network's input and at least its width.

    Returns
    -------
    Distances y_i of eq. 7, shape (n, outputs, classes).  Columns that do not fill a step at the right are not seen.

    Raises ValueError for fields of another height, or too narrow.
    """
    if fields.ndim != 3 or fields.shape[1] != net.spec.input_shape[1]:
        raise ValueError(
            f"fields have shape {fields.shape}; {net.spec.name} needs (n, {net.spec.input_shape[1]}, width)"
        )
    columns = outputs(net.spec, fields.shape[2])
    seen = torch.from_numpy(fields[:, None, :, : net.spec.input_shape[2] + (columns - 1) * step(net.spec)])
    found = np.empty((len(fields), columns, net.spec.classes), np.float32)
    several = max(1, AT_ONCE // (fields.shape[1] * fields.shape[2]))
    for start in range(0, len(fields), several):
        part = net(seen[start : start + several].contiguous())
        found[start : start + several] = part.reshape(len(part), net.spec.classes, columns).transpose(1, 2).numpy()
    return found


# --- what it costs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wide:
    """A layer of the replicated network."""

    layer: Geometry
    columns: int
    """Of its maps."""
    pitch: int
    """Pixels of the input from one column to the next."""

    @property
    def size(self) -> str:
        """Its maps in words, "C1: 6@28x60"."""
        maps, height, _ = self.layer.out_shape
        return f"{self.layer.name}: {maps}@{height}x{self.columns}"

    @property
    def multiply_accumulates(self) -> int:
        """Of the whole layer, counted as `lenet98.accounting` counts those of one network."""
        return multiply_accumulates(self.layer) * self.columns // self.layer.out_shape[2]


def wide(spec: Spec, width: int) -> Iterator[Wide]:
    """The layers of a network replicated over a field of so many columns; ValueError if it is too narrow."""
    pitch = 1
    for layer, over in zip(spec.geometry, spec.over(width), strict=True):
        pitch *= layer.merged
        yield Wide(layer, over.out_shape[2], pitch)


@dataclass(frozen=True)
class Operations:
    """Multiply-accumulates of reading a field."""

    outputs: int
    replicated: int
    """Of the replicated network."""
    windows: int
    """Of the network run anew at every output."""


def operations(spec: Spec, width: int) -> Operations:
    """What a field of so many columns costs by convolution, and by a network in every window (Section VII)."""
    layers = list(wide(spec, width))
    count = outputs(spec, width)
    once = sum(multiply_accumulates(one.layer) for one in layers)
    return Operations(count, sum(one.multiply_accumulates for one in layers), once * count)
