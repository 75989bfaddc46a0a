"""The paper's networks (Section II.B, Fig. 2, Table I; Section III.C)."""

from __future__ import annotations

from collections.abc import Iterable

from lenet98.specs import RBF, Convolution, Full, Shape, Spec, Subsampling

# Table I: the S2 maps that each of the 16 C3 maps reads.
TABLE_I = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

LENET5 = Spec(
    "lenet5",
    (1, 32, 32),
    (
        Convolution("C1", 6, 5),
        Subsampling("S2"),
        Convolution("C3", 16, 5, TABLE_I),
        Subsampling("S4"),
        Convolution("C5", 120, 5),
        Full("F6", 84),
        RBF("RBF", "bitmaps"),
    ),
)


def mlp(*hidden: int, input_shape: Shape = (1, 28, 28), classes: int = 10) -> Spec:
    """A fully connected net with place-coded targets (Section III.C.5-6), for example `mlp(300, 100)`.

    `mlp()` has no hidden layer: a sigmoid unit a class on the pixels, one of the linear classifiers of III.C.1.

    Raises ValueError for a layer without units.
    """
    if any(units < 1 for units in hidden):
        raise ValueError(f"a layer of mlp needs at least one unit, got {hidden}")
    names = "-".join(map(str, (*hidden, classes)))
    layers = [Full(f"F{i}", units) for i, units in enumerate((*hidden, classes), start=1)]
    return Spec(f"{input_shape[1]}x{input_shape[2]}-{names}", input_shape, (*layers, RBF("output", "places", classes)))


# The 1990 network of whose maps LeNet-1 has as many ("Handwritten Digit Recognition with a Back-Propagation Network",
# NIPS 2): the averaged maps that each of the 12 maps of its second convolution reads, 20 kernels.
TABLE_1990 = (
    (0,), (0, 1), (0, 1), (1,), (0, 1), (0, 1),
    (2,), (2, 3), (2, 3), (3,), (2, 3), (2, 3),
)  # fmt: skip

LENET1 = Spec(
    "lenet1",
    (1, 28, 28),
    (
        Convolution("C1", 4, 5),
        Subsampling("S2"),
        Convolution("C3", 12, 5, TABLE_1990),
        Subsampling("S4"),
        Full("output", 10),
        RBF("places", "places"),
    ),
)
"""2,578 parameters and 98,442 connections, as the paper's 2,600 and 100,000 (III.C.7)."""


def _shifted(offsets: tuple[int, ...], starts: Iterable[int], maps: int) -> tuple[tuple[int, ...], ...]:
    """For each start the input maps at `offsets` from it, around the circle of `maps`."""
    return tuple(tuple(sorted((start + offset) % maps for offset in offsets)) for start in starts)


# III.C.8 fixes LeNet-4's maps, that S2's are in pairs on C1's, and about 17,000 parameters and 260,000 connections. As
# many as that leave C3 60 kernels and C5 560: neither layer can be full. The tables below have them, as even as they
# can be over the maps that are read, no two units alike.
LENET4 = Spec(
    "lenet4",
    (1, 32, 32),
    (
        Convolution("C1", 4, 5),
        Subsampling("S2", (0, 0, 1, 1, 2, 2, 3, 3)),
        Convolution(
            "C3",
            16,
            5,
            _shifted((0, 1, 2), range(8), 8)
            + _shifted((0, 1, 4, 5), range(4), 8)
            + _shifted((0, 1, 2, 4, 6), (0, 1, 4, 5), 8),
        ),
        Subsampling("S4"),
        Convolution(
            "C5",
            120,
            5,
            _shifted((0, 1, 2, 3, 4), range(16), 16)
            + _shifted((0, 1, 2, 5, 8), range(16), 16)
            + _shifted((0, 1, 4, 6, 10), range(16), 16)
            + _shifted((0, 2, 5, 9, 12), range(16), 16)
            + _shifted((0, 3, 6, 8, 13), range(16), 16)
            + _shifted((0, 1, 2, 3), range(16), 16)
            + _shifted((0, 2, 5, 9), range(16), 16)
            + _shifted((0, 1, 6, 11), range(0, 16, 2), 16),
        ),
        Full("output", 10),
        RBF("places", "places"),
    ),
)
"""16,998 parameters and 258,306 connections."""

PAPER = (
    LENET5,
    LENET1,
    LENET4,
    mlp(),
    mlp(input_shape=(1, 20, 20)),
    mlp(300),
    mlp(300, input_shape=(1, 20, 20)),
    mlp(1000),
    mlp(300, 100),
    mlp(500, 150),
)
"""The networks that the paper compares."""
