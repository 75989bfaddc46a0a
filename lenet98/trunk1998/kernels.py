"""What a 5x5 kernel detects, in numbers and in words: how much of it is smooth, and which smooth shape that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SMOOTH = 0.4
"""Share of a kernel's energy that must be in smooth shapes for one of them to name it."""
DIRECTIONS = ("right", "lower right", "bottom", "lower left", "left", "upper left", "top", "upper right")
LINES = ("horizontal", "falling", "vertical", "rising")
"""Of a stroke, by its angle from the horizontal, clockwise as the page is seen, in steps of 45 degrees."""


@dataclass(frozen=True)
class Shape:
    """Shares of a kernel's energy, 0 to 1, and the angles of its edge and its line."""

    mean: float
    """Ink anywhere in the field."""
    edge: float
    """More ink on one side."""
    line: float
    """A stroke in one direction."""
    center: float
    """Ink in the center and none around it, or the reverse."""
    edge_angle: float
    """Toward the side with positive weights, radians from the right, clockwise."""
    line_angle: float
    """Of the stroke that excites, radians from the horizontal, clockwise, 0 to pi."""
    center_sign: int
    """1 for an exciting center."""

    @property
    def smooth(self) -> float:
        return self.mean + self.edge + self.line + self.center


def shape_of(kernel: NDArray[np.float64]) -> Shape:
    """The kernel, shape (5, 5), projected on a constant, a slope, and the three parts of a quadratic surface."""
    size = len(kernel)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radial = x**2 + y**2
    basis = {
        "one": np.ones_like(x),
        "x": x,
        "y": y,
        "radial": radial - radial.mean(),
        "plus": x**2 - y**2,
        "cross": x * y,
    }
    on = {name: float((kernel * b).sum() / np.sqrt((b**2).sum())) for name, b in basis.items()}
    energy = float((kernel**2).sum())
    return Shape(
        mean=on["one"] ** 2 / energy,
        edge=(on["x"] ** 2 + on["y"] ** 2) / energy,
        line=(on["plus"] ** 2 + on["cross"] ** 2) / energy,
        center=on["radial"] ** 2 / energy,
        edge_angle=float(np.arctan2(on["y"], on["x"])),
        line_angle=float(np.arctan2(on["cross"], on["plus"]) / 2 % np.pi),
        center_sign=-1 if on["radial"] > 0 else 1,
    )


def described(kernel: NDArray[np.float64]) -> str:
    """In two lines what the kernel detects, and how much of its energy that is."""
    shape = shape_of(kernel)
    if shape.smooth < SMOOTH:
        return f"isolated pixels\n({100 * (1 - shape.smooth):.0f}% not smooth)"
    share, words = max(
        (shape.mean, "ink"),
        (shape.edge, f"edge, ink at\n{DIRECTIONS[round(shape.edge_angle / (np.pi / 4)) % 8]}"),
        (shape.line, f"{LINES[round(shape.line_angle / (np.pi / 4)) % 4]} stroke"),
        (shape.center, "ink in the center" if shape.center_sign > 0 else "ink around\nthe center"),
    )
    return f"{words} ({100 * share:.0f}%)"
