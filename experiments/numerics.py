"""Versions of the arithmetic of experiments, by family.

A family is one way to compute: a trainer or a kind of classifier.  A result is found by its configuration, its data,
its family and the family's version here (`experiments.harness.identity`).  Code may move, names change and comments
grow without a new version, as long as no bit of a result changes: `python -m experiments neutral --against REV` tells.
Whoever changes a bit raises the version, says why in `HISTORY`, and runs the published experiments of the family again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

NUMERICS = {
    "engine": 1,  # a pattern forward and backward, its update (eq. 18), and the curvature (Appendix C)
    "online": 1,  # training as Section III.B describes it
    "online, replicas": 1,  # the same by batched operations, several seeds at once
    "online, never twice": 1,  # the same on distortions that are new in every pass
    "saturation": 1,  # the same, looked at between passes
    "k-nearest states": 1,  # LeNet-4 with K-NN (III.C.8)
    "local learning": 1,  # LeNet-4 with its last layer trained for every pattern (III.C.8)
    "last layers": 1,  # both of them over a grid of settings
    "boosting": 1,  # three networks and their filters (III.C.8)
    "fitted": 1,  # linear, pairwise, K-NN, quadratic and RBF classifiers (III.C.1 to III.C.4)
    "support vectors": 2,  # III.C.10
    "tangent distance": 1,  # III.C.9
    "mini-batches": 1,  # training as it is done today
    "mini-batches, SDLM": 1,  # the same with rates from the curvature
    "lush": 1,  # the authors' later protocol
    "lenet-from-scratch": 1,  # one rate a layer, momentum, batches
}
"""Present version of each family."""

BUILDS_ON = {
    "online": ("engine",),
    "online, replicas": ("online",),
    "online, never twice": ("online",),
    "saturation": ("online",),
    "k-nearest states": ("online",),
    "local learning": ("online",),
    "last layers": ("online",),
    "boosting": ("online",),
    "mini-batches, SDLM": ("engine", "mini-batches"),
    "lush": ("engine",),
    "lenet-from-scratch": ("engine",),
}
"""Families whose arithmetic is part of another's."""

HISTORY: dict[tuple[str, int], str] = {
    ("support vectors", 2): "machines are found by oneDAL where it is installed, and learn the float32 patterns that "
    "they keep",
}
"""Why each version but the first differs from the one before, and which runs it touches."""

F = TypeVar("F", bound=Callable[..., object])


def family(name: str) -> Callable[[F], F]:
    """Decorator of the function that computes an experiment: it belongs to that family of `NUMERICS`."""
    if name not in NUMERICS:
        raise ValueError(f"no family called {name!r}; there are {', '.join(NUMERICS)}")

    def mark(function: F) -> F:
        function.family = name  # type: ignore[attr-defined]
        return function

    return mark


def family_of(run: Callable[..., object]) -> str:
    """The family of a function; one that belongs to none is a family of its own, by its name."""
    return str(getattr(run, "family", None) or getattr(run, "__name__", type(run).__name__))


def versions(name: str) -> dict[str, int]:
    """Versions of a family and of all that it builds on; 1 for a family that is not listed."""
    found = {name: NUMERICS.get(name, 1)}
    for base in BUILDS_ON.get(name, ()):
        found |= versions(base)
    return found


def reason(name: str) -> str:
    """Why the present version of a family differs from the one before."""
    return HISTORY.get((name, NUMERICS[name]), "no reason given")
