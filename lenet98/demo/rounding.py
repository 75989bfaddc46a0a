"""Networks in few bytes: the weights of every unit or map are whole multiples of one step, so many bits each.

What is rounded is a network of its own.  The page, Python and the tests all mean that one: its parameters are
`Rounded.parameters`, and `Rounded.packed` is how the page holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet98.specs import Geometry, Spec

SHOWN: Mapping[str, int] = {"C1": 12, "C3": 12, "C5": 9, "F6": 9}
"""Bits of a weight, by layer, of a network that is shown: none of the 10,000 answers changes."""
VOTER: Mapping[str, int] = {"C1": 8, "C3": 8, "C5": 3, "F6": 4}
"""Bits of a weight of a network that only votes: some 40 of the 10,000 answers change."""

FEW = 6
"""Fewer bits than this: the step is the one of least squared error.  Else it is as small as the largest weight lets."""
STEPS = np.linspace(0.1, 2, 60)
"""Steps that are tried, in units of the root mean square of the weights."""


@dataclass(frozen=True)
class Coded:
    """The weights of one layer as whole numbers."""

    layer: Geometry
    bits: int
    codes: NDArray[np.int16]
    """Shape (weights,), within +-(2^(bits-1) - 1)."""
    steps: NDArray[np.float32]
    """What a code is multiplied by, for each map, shape (maps,)."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Shape (weights,)."""
        return self.codes.astype(np.float64) * np.repeat(self.steps, self.layer.fan_in)


@dataclass(frozen=True)
class Rounded:
    """A network with rounded weights; biases and the coefficients of subsampling are float32 as they were."""

    spec: Spec
    coded: tuple[Coded, ...]
    exact: NDArray[np.float32]
    """All parameters before rounding, shape (spec.parameters,)."""

    @property
    def parameters(self) -> NDArray[np.float64]:
        """The flat vector of the rounded network, shape (spec.parameters,)."""
        vector = self.exact.astype(np.float64)
        for coded in self.coded:
            vector[coded.layer.weight_slice] = coded.weights
        return vector

    def packed(self) -> bytes:
        """What `lenet5.js` unpacks: float32 numbers of all layers, then the codes of all layers.

        The numbers of a layer are its steps, or the coefficients of a subsampling layer, and its biases.  Of the codes
        come first the highest 8 bits of each, as int8, then the rest of them packed into bytes, layer by layer.
        """
        of = {coded.layer.name: coded for coded in self.coded}
        numbers: list[NDArray[Any]] = []
        for layer in self.spec.trainable:
            numbers.append(of[layer.name].steps if layer.name in of else self.exact[layer.weight_slice])
            numbers.append(self.exact[layer.bias_slice])
        high, low = [], []
        for coded in self.coded:
            rest = max(coded.bits - 8, 0)
            high.append((coded.codes >> rest).astype(np.int8).tobytes())
            bits = (coded.codes[:, None] >> np.arange(rest)) & 1
            low.append(np.packbits(bits.astype(np.uint8), bitorder="little").tobytes())
        return b"".join([np.concatenate(numbers).astype("<f4").tobytes(), *high, *low])


def rounded(spec: Spec, parameters: NDArray[np.float32], bits: Mapping[str, int]) -> Rounded:
    """The network with the weights of each layer in `bits` rounded to so many bits.

    Parameters
    ----------
    parameters
        Shape (spec.parameters,).
    bits
        From 2 to 15 for each layer that has weights, besides subsampling, by its name.
    """
    layers = [layer for layer in spec.trainable if layer.kind != "subsampling"]
    coded = tuple(_coded(layer, parameters[layer.weight_slice], bits[layer.name]) for layer in layers)
    return Rounded(spec, coded, np.asarray(parameters, np.float32))


def _coded(layer: Geometry, weights: NDArray[np.float32], bits: int) -> Coded:
    most = 2 ** (bits - 1) - 1
    codes, steps = [], []
    for own in np.split(weights.astype(np.float64), np.cumsum(layer.fan_in)[:-1]):
        step = np.float32(_step(own, most))
        steps.append(step)
        codes.append(np.clip(np.rint(own / step), -most, most))
    return Coded(layer, bits, np.concatenate(codes).astype(np.int16), np.array(steps))


def _step(weights: NDArray[np.float64], most: int) -> float:
    """The step of one map or unit; 1 where all its weights are 0."""
    largest = float(np.abs(weights).max())
    if largest == 0:
        return 1.0
    if most >= 2 ** (FEW - 1) - 1:
        return largest / most
    steps = STEPS[:, None] * np.sqrt((weights**2).mean())
    errors = (weights - steps * np.clip(np.rint(weights / steps), -most, most)) ** 2
    return float(steps[errors.sum(axis=1).argmin(), 0])
