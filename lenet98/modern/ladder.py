"""From LeNet-5 to its look-alikes of today, one change at a time; nothing here is in the paper.

What is called LeNet-5 today differs from Section II.B in every part: C3 reads all maps, plain pooling stands where
subsampling had coefficients, biases and a squashing function, a softmax where the RBF units were, rectified units where
f was a tanh.  Each change is a function from spec to spec; `LADDER` makes them one after the other, `ALONE` makes each
to the paper's network.  A network's name lists its changes, and `catalog.named` knows them all.  At the end of the
ladder stands `TODAY`, another network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Literal

from lenet98.networks import LENET5
from lenet98.readings import FORMER, Reading
from lenet98.specs import RBF, Convolution, Full, Layer, Pooling, Softmax, Spec, Subsampling


def full_c3(spec: Spec) -> Spec:
    """Every map of C3 reads every map of S2: Table I left out."""
    return _changed(
        spec, "full-c3", lambda layer: replace(layer, table=None) if isinstance(layer, Convolution) else layer
    )


def pooled(spec: Spec, statistic: Literal["average", "max"]) -> Spec:
    """Plain pooling in place of subsampling: no coefficients, no biases, and no squashing after it."""
    return _changed(
        spec, statistic, lambda layer: Pooling(layer.name, statistic) if isinstance(layer, Subsampling) else layer
    )


def softmax(spec: Spec) -> Spec:
    """Trained linear units and cross-entropy in place of the RBF units; F6 is then no bitmap but a hidden layer."""
    return _changed(
        spec, "softmax", lambda layer: Softmax("output", layer.classes) if isinstance(layer, RBF) else layer
    )


def relu(spec: Spec) -> Spec:
    """Rectified units, max(0, a), in place of A tanh(S a); to be started from `HE`.

    Under RBF units the prototypes stay, whose components of -1 no rectified unit reaches.
    """
    return replace(_changed(spec, "relu", lambda layer: layer), squashing="relu")


def _changed(spec: Spec, change: str, of_layer: Callable[[Layer], Layer]) -> Spec:
    return replace(spec, name=f"{spec.name}-{change}", layers=tuple(map(of_layer, spec.layers)))


_FULL = full_c3(LENET5)
_MAX = pooled(_FULL, "max")
LADDER = (_FULL, pooled(_FULL, "average"), _MAX, softmax(_MAX), relu(softmax(_MAX)))
"""The rungs below LeNet-5: each is the one before with one more change, the maximum in place of the average."""

ALONE = (_FULL, pooled(LENET5, "average"), pooled(LENET5, "max"), softmax(LENET5), relu(LENET5))
"""LeNet-5 with one of the changes each, in the order of the ladder."""

TODAY = Spec(
    "today",
    (1, 30, 30),
    (
        Convolution("C1", 12, 3), Pooling("S2", "max"),
        Convolution("C3", 32, 3), Pooling("S4", "max"),
        Convolution("C5", 64, 3), Pooling("S6", "max"),
        Full("F7", 120), Full("F8", 84), Softmax("output"),
    ),
    "relu",
)  # fmt: skip
"""A wider and deeper small network as one is written today: three convolutions of 3x3, 12 to 64 maps.

Its budget is ours: no more than three times LeNet-5's multiply-accumulates, no more than a tenth more parameters.  The
image stands in a field of 30x30, so that C1 has 28x28 units and every pooling halves an even side.
"""

WIDER = replace(
    TODAY,
    name="lenet5-wider",
    layers=(
        *(Subsampling(layer.name) if isinstance(layer, Pooling) else layer for layer in TODAY.layers[:-1]),
        LENET5.layers[-1],
    ),
    squashing="tanh",
)
"""As wide and deep as `TODAY`, the rest as in 1998: subsampling, A tanh(S a), RBF units; no table."""

NETWORKS = (*LADDER, *ALONE, TODAY, WIDER)
"""All of them; some stand on the ladder and alone."""

HE = replace(FORMER, init_gain=sqrt(6), init_power=0.5, fan_in_counts_bias=False, bias_init="zero")
"""Weights of variance 2 / F_i and biases of 0, as rectified units need (He, Zhang, Ren, Sun, ICCV 2015): uniform."""


def reading(spec: Spec) -> Reading:
    """What a network of this module is trained with: `HE` for rectified units, else `FORMER`.

    A softmax keeps the factor 1/2 on the loss, so that the output is all that changes (docs/deviations.md).
    """
    return HE if spec.squashing == "relu" else FORMER
