"""Versions of the arithmetic of experiments, by family.

A family is one way to compute: a trainer or a kind of classifier.  A result is found by its configuration, its data,
its family and the family's version here (`experiments.harness.identity`).  Code may move, names change and comments
grow without a new version, as long as no bit of a result changes: `python -m experiments neutral --against REV` tells.
Whoever changes a bit raises the version, says why in `HISTORY`, and runs the published experiments of the family again,
or shows that the results are of the same distribution, and vouches for those of the version before (`VOUCHED`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

NUMERICS = {
    "engine": 2,  # a pattern forward and backward, its update (eq. 18), and the curvature (Appendix C)
    "online": 1,  # training as Section III.B describes it
    "online, replicas": 1,  # the same by batched operations, several seeds at once
    "online, never twice": 1,  # the same on distortions that are new in every pass
    "fingerprint": 1,  # the same on noise and strings, with what the first layers have become
    "invariance": 1,  # the same, and its errors on changed test digits
    "strings": 2,  # the same by VII.B, and strings that the replicated network reads
    "strings, CTC": 2,  # strings read by a network of today
    "search": 1,  # many readings, each given up once it is far from a printed fact
    "saturation": 1,  # the same, looked at between passes
    "frozen trunk": 1,  # the same above C1 to S4 that stay as they are
    "k-nearest states": 1,  # LeNet-4 with K-NN (III.C.8)
    "local learning": 1,  # LeNet-4 with its last layer trained for every pattern (III.C.8)
    "last layers": 1,  # both of them over a grid of settings
    "boosting": 1,  # three networks and their filters (III.C.8)
    "fitted": 1,  # linear, pairwise, K-NN, quadratic and RBF classifiers (III.C.1 to III.C.4)
    "support vectors": 2,  # III.C.10
    "tangent distance": 1,  # III.C.9
    "mini-batches": 1,  # training as it is done today
    "invariance, mini-batches": 1,  # the same, and its errors on changed test digits
    "mini-batches, folded": 1,  # the same, judged as the network without normalization that remains
    "mini-batches, SDLM": 1,  # the same with rates from the curvature
    "curvature methods": 1,  # training with h_kk by other rules than Appendix C's, and how far those are from exact
    "lush": 1,  # the authors' later protocol
    "lenet-from-scratch": 1,  # one rate a layer, momentum, batches
}
"""Present version of each family."""

BUILDS_ON = {
    "online": ("engine",),
    "online, replicas": ("online",),
    "online, never twice": ("online",),
    "fingerprint": ("online",),
    "invariance": ("online",),
    "strings": ("online",),
    "search": ("online",),
    "saturation": ("online",),
    "frozen trunk": ("online",),
    "k-nearest states": ("online",),
    "local learning": ("online",),
    "last layers": ("online",),
    "boosting": ("online",),
    "invariance, mini-batches": ("mini-batches",),
    "mini-batches, folded": ("engine", "mini-batches"),
    "mini-batches, SDLM": ("engine", "mini-batches"),
    "curvature methods": ("online",),
    "lush": ("engine",),
    "lenet-from-scratch": ("engine",),
}
"""Families whose arithmetic is part of another's."""

HISTORY: dict[tuple[str, int], str] = {
    ("engine", 2): "sums over the units of a map and over the fields of a subsampling unit go in another order, for "
    "speed; a pattern's gradient differs in the last bits of float32, which touches every run trained online",
    ("support vectors", 2): "machines are found by oneDAL where it is installed, and learn the float32 patterns that "
    "they keep; of the 10,000 test patterns, those of Fig. 9 answer 0 (poly 4), 10 (RS-SVM) and 0 (V-SVM) otherwise "
    "than by version 1",
    ("strings", 2): "gaps of blanks keep the distance from the middles of digits that Strings.clear says, "
    "which touches every run with `clear`; strings that judge show each digit once before any repeats, and that "
    "touches every run",
    ("strings, CTC", 2): "strings that judge show each digit once before any repeats, which touches every run",
}
"""Why each version but the first differs from the one before, and which runs it touches."""

VOUCHED: dict[tuple[str, int], str] = {
    ("engine", 2): "Gradients of LeNet-5 differ by 7e-7 of their norm from version 1's, a tenth of what either differs "
    "from float64. A pass of 60,000 updates from trained weights ends 6e-7 of the weights' norm apart, as far as "
    "version 1 ends from itself if its start is changed by 1e-7. fig9/lenet5 with 20 seeds each, on one "
    "machine: test errors of 10,000 are 105.1, sd 8.9, by version 1 and 108.6, sd 7.0, by version 2 (paired t "
    "test: p = 0.11), training errors of 60,000 209.0, sd 18.6, and 212.2, sd 16.6 (p = 0.46). The published "
    "seeds 0-9 of version 1 had luck: 101.9, and seeds 10-19 108.2.",
}
"""Versions by which results are of the same distribution as by the version before, and the evidence for it.

Published results of the version before count as results of such a version.  They keep the version that made them.
"""

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


def vouched(before: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """Whether results by the versions `before` count as results by the versions `now` of the same families."""
    return before.keys() == now.keys() and all(
        before[name] <= version and all((name, later) in VOUCHED for later in range(before[name] + 1, version + 1))
        for name, version in now.items()
    )


def reason(name: str) -> str:
    """Why the present version of a family differs from the one before."""
    return HISTORY.get((name, NUMERICS[name]), "no reason given")
