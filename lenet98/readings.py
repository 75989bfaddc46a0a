"""The points that the paper leaves open, each a named choice with its evidence in docs/readings.md.

A `Reading` fixes all of them.  `LITERAL` is Appendix A to the letter; `DEFAULT` is the reading under which the paper's
own training figures (the rates of the first pass, Fig. 5) come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lenet98.specs import Geometry, Spec

BEFORE = "before"
"""In the metadata of a field that came later than the first results: the value that says what was done before.

A result is found by its configuration, of which such a field is no part while it has that value.
"""


@dataclass(frozen=True)
class Reading:
    """One way to read the paper.

    Raises ValueError, naming the field, for a value that is not one of the choices.
    """

    init_gain: float = sqrt(3)
    """Weights start uniform in +- init_gain / F_i ** init_power, F_i the fan-in of the unit; App. A: 2.4 and 1."""
    init_power: float = 0.5
    """Power of the fan-in in the initial range; gain sqrt(3) and power 1/2 give standard deviation 1/sqrt(F_i)."""
    fan_in_counts_bias: bool = True
    """Whether F_i counts the unit's bias as an input."""
    bias_init: Literal["drawn", "zero"] = "drawn"
    """Biases start drawn as the weights of their unit, or at zero."""
    coefficient_init: float | tuple[float, ...] | Literal["drawn"] = 1.0
    """Subsampling coefficients start at this constant, at one constant for each of their layers from the input on (the
    last for all that follow), or "drawn" as weights of fan-in 4."""
    subsampling: Literal["average", "sum"] = "average"
    """What the coefficient multiplies: the average of the four inputs (II.A) or their sum (II.B)."""
    loss: Literal["eq8", "eq9"] = "eq9"
    """Mean squared error (eq. 8), or the discriminative criterion (eq. 9); unused with a softmax output."""
    j: float = 1.0
    """Constant of eq. 9, positive; unused with eq. 8."""
    rbf_scale: float = field(default=1.0, metadata={BEFORE: 1.0})
    """Factor on the y_i of eq. 7 within the loss: 1 as printed; 1/2 makes e^-y_i the Gaussian that II.B speaks of."""
    loss_scale: float = 0.5
    """Factor on the loss, any output's; eq. 8 and 9 print none, which is 1."""
    curvature_scale: float | None = field(default=None, metadata={BEFORE: None})
    """Factor on its second derivatives, where a program has another there; None: that of the loss, as it must be."""
    order: Literal["constant", "reshuffled"] = "constant"
    """One random order of the patterns for all passes (App. C), or a new one for every pass."""
    curvature_patterns: Literal["random", "first"] = "random"
    """The 500 patterns of the curvature estimate: drawn anew before every pass, or always the first of the set."""
    output_curvature: Literal["exact", "eq8"] = "exact"
    """Second derivative at the RBF inputs: of the loss in use, or always that of eq. 8."""
    coefficient_curvature: Literal["unit", "links"] = "unit"
    """h_kk of a subsampling coefficient: of one weight per unit on the average or sum of its inputs, or, as eq. 23
    read literally, the sum over the unit's four links."""
    final_weights: Literal["last", "average"] = "last"
    """The network that a run ends with: after the last update, or averaged over the last pass."""

    def __post_init__(self) -> None:
        choices = {
            "bias_init": ("drawn", "zero"),
            "subsampling": ("average", "sum"),
            "loss": ("eq8", "eq9"),
            "order": ("constant", "reshuffled"),
            "curvature_patterns": ("random", "first"),
            "output_curvature": ("exact", "eq8"),
            "coefficient_curvature": ("unit", "links"),
            "final_weights": ("last", "average"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"Reading.{name} is {getattr(self, name)!r}; it must be one of {allowed}")
        for name in ("init_gain", "j", "rbf_scale", "loss_scale", "curvature_scale"):
            value = getattr(self, name)
            if not (value is None and name == "curvature_scale") and not 0 < value < float("inf"):
                raise ValueError(f"Reading.{name} is {value!r}; it must be positive and finite")
        if isinstance(self.coefficient_init, list):  # as JSON has it
            object.__setattr__(self, "coefficient_init", tuple(self.coefficient_init))
        if self.coefficient_init == ():
            raise ValueError("Reading.coefficient_init is (); it must have a number for each subsampling layer")
        if isinstance(self.coefficient_init, str) and self.coefficient_init != "drawn":
            raise ValueError(
                f"Reading.coefficient_init is {self.coefficient_init!r}; it must be a number, one number for each "
                "subsampling layer, or 'drawn'"
            )


FORMER = Reading()
"""What DEFAULT was while every point had been varied alone, and not all of them together."""

FORMER_DISTORTED = replace(FORMER, j=10.0, loss_scale=0.05, output_curvature="eq8")
"""What [dist] LeNet-5 had a reading of its own for then."""

DEFAULT = Reading(
    init_gain=1.4,
    init_power=0.5,
    fan_in_counts_bias=False,
    bias_init="zero",
    coefficient_init=(2.0, 1.0),
    subsampling="average",
    loss="eq9",
    j=1.0,
    loss_scale=0.5,
    curvature_scale=1.0,
    output_curvature="eq8",
)
"""The one recipe, of LeNet-5 with and without distortions: see docs/readings.md."""

LITERAL = Reading(
    init_gain=2.4,
    init_power=1.0,
    coefficient_init="drawn",
    subsampling="sum",
    loss="eq8",
    loss_scale=1.0,
)


def initial_range(layer: Geometry, reading: Reading) -> NDArray[np.float64]:
    """Bound of the uniform initial weights of each map's units, shape (maps,); App. A."""
    fan_in = np.array(layer.fan_in) + reading.fan_in_counts_bias
    return reading.init_gain / fan_in**reading.init_power


def initial_parameters(spec: Spec, reading: Reading, rng: np.random.Generator) -> NDArray[np.float32]:
    """The flat parameter vector before training, shape (spec.parameters,), App. A."""
    parameters = np.zeros(spec.parameters, np.float32)
    constants = _initial_coefficients(spec, reading)
    for layer in spec.trainable:
        bound = initial_range(layer, reading)
        # One bound for every weight: those of output map m stand together.
        per_map = np.array(layer.fan_in) if layer.kind != "subsampling" else np.ones(layer.biases, int)
        parameters[layer.weight_slice] = rng.uniform(-1, 1, layer.weights) * np.repeat(bound, per_map)
        if layer.kind == "subsampling" and reading.coefficient_init != "drawn":
            parameters[layer.weight_slice] = next(constants)
        biases = rng.uniform(-bound, bound)
        if reading.bias_init == "drawn":
            parameters[layer.bias_slice] = biases
    return parameters


def _initial_coefficients(spec: Spec, reading: Reading) -> Iterator[float | Literal["drawn"]]:
    """What the coefficients of each subsampling layer start at, from the input on."""
    given = reading.coefficient_init
    constants = given if isinstance(given, tuple) else (given,)
    count = sum(layer.kind == "subsampling" for layer in spec.trainable)
    return iter([*constants, *constants[-1:] * count][:count])
