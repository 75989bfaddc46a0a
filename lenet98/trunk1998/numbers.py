"""The estimate as numbers with their errors, as `python -m lenet98.trunk1998` wrote them: `lenet98.recovered()`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lenet98.networks import LENET5

if TYPE_CHECKING:
    from lenet98.modules import Net

Vector = NDArray[np.float64]

FILE = Path(__file__).with_name("recovered.json")
LAYERS = ("C1", "S2", "C3", "S4")
GEOMETRY = {layer.name: layer for layer in LENET5.geometry if layer.name in LAYERS}
SIZE = sum(layer.parameters for layer in GEOMETRY.values())
"""Parameters of the trunk, 1,716: the first of LeNet-5's flat vector."""


@dataclass(frozen=True)
class Layer:
    """A layer's parameters and their standard errors, in this package's units, as `Spec.geometry` orders them.

    States are A tanh(S a), the input is -0.1 white and 1.175 black, and S2's and S4's coefficients are on the average.
    """

    weights: Vector
    """Shape (geometry.weights,): 5x5 kernels in the order of Table I's filled cells, or coefficients."""
    biases: Vector
    """Shape (maps,)."""
    weight_errors: Vector
    bias_errors: Vector


@dataclass(frozen=True)
class Recovered:
    """C1 to S4 of the LeNet-5 of 1998 that Figs. 13 and 25 show; C5 and F6 cannot be recovered from these figures."""

    layers: Mapping[str, Layer]
    """By name: C1, S2, C3, S4."""
    identified: tuple[int, ...]
    """Maps of C3, 0 to 15, whose weights' rms error is below `checks.IDENTIFIED` of their rms."""
    record: Mapping[str, Any]
    """All that the file says: how it was made, the display, the checks by map, Table I tested."""

    @property
    def parameters(self) -> NDArray[np.float32]:
        """The first 1,716 of LeNet-5's flat parameter vector."""
        parts = [part for name in LAYERS for part in (self.layers[name].weights, self.layers[name].biases)]
        return np.concatenate(parts).astype(np.float32)

    def into(self, parameters: NDArray[np.float32]) -> NDArray[np.float32]:
        """LeNet-5's flat parameters, shape (60000,), with those of C1 to S4 replaced; C5 and F6 stay.

        Raises ValueError for a vector of another length.
        """
        if parameters.shape != (LENET5.parameters,):
            raise ValueError(
                f"the trunk goes into LeNet-5's {LENET5.parameters} parameters, not into shape {parameters.shape}"
            )
        return np.concatenate((self.parameters, parameters[SIZE:]))

    def load(self, net: Net) -> None:
        """Replace C1 to S4 of a `Net(LENET5)`; ValueError for another network."""
        net.load_flat(self.into(net.flat()))


def recovered() -> Recovered:
    """The trunk of a LeNet-5 of 1998, with an error for each weight; docs/recovered.md says how it was found."""
    return _read(FILE)


def digest() -> str:
    """Names the numbers in the configurations of experiments."""
    return hashlib.sha256(recovered().parameters.tobytes()).hexdigest()[:12]


@lru_cache(maxsize=1)
def _read(path: Path) -> Recovered:
    record = json.loads(path.read_text(encoding="utf-8"))
    layers = {
        name: Layer(**{part: _fixed(values) for part, values in record["layers"][name].items()}) for name in LAYERS
    }
    return Recovered(layers, tuple(record["identified"]), record)


def _fixed(values: list[float]) -> Vector:
    array = np.array(values)
    array.flags.writeable = False
    return array
