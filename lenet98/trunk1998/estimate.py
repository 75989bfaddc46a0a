"""The weights behind displayed states, as an inverse problem: layer by layer, each with an error for every weight.

A state is x = f(a), f(a) = A tanh(S a), of a linear map a of the states below.  `display` gives the probability of a
gray level.  The weights are the most probable ones, with a normal prior of standard deviation `PRIOR`, found by Fisher
scoring; their covariance is the inverse of the expected information and the prior's.  Where a map saturates, gray
levels say little, the prior decides, and the errors are as wide as the prior: nothing needs to be left out.

C1 is solved together with its inputs.  An input pixel is displayed in 64 levels too, but 150 states of C1 depend on it,
which fix it far better.  From these inputs and C1 follow states that are neither rounded nor clipped; with them S2 is
solved, with S2's C3, with C3's S4.

Units are this package's: white is -0.1 and black, gray 0, is 1.175; coefficients are on the average of four states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import binary_dilation

from lenet98.data.fields import BLACK, WHITE
from lenet98.networks import TABLE_I
from lenet98.specs import A, S
from lenet98.trunk1998.display import STEP, Palette, likelihood
from lenet98.trunk1998.pictures import States

Array = NDArray[np.floating[Any]]
Gray = NDArray[np.uint8]

NOISES = (2.0, 1.0, 0.5)
"""Standard deviations of the display's noise, gray levels, from the first to the last fit."""
PRIOR = 1.0
"""Standard deviation of a weight or bias of C3 before anything is seen."""
WIDE = 100.0
"""The same for C1, S2 and S4, where it is to decide nothing."""
MAPS, KERNEL = 6, 5
BACKGROUND_LEVEL = 55
"""Of the 64, on all panels, that the input's background is drawn in."""
BACKGROUND_GRAY = STEP * BACKGROUND_LEVEL
"""Its gray."""
INPUT_GAIN = BACKGROUND_GRAY / (BLACK - WHITE)
"""Gray levels per unit of the input."""
ROUNDS = 100
ENOUGH = 1e-5
"""A gain of log likelihood that ends a fit."""
ENOUGH_FIRST = 0.02
"""The same for C1 with all inputs."""


# --- panels -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One network on display, and the palette that it is displayed in."""

    states: States
    palette: Palette

    @classmethod
    def of(cls, states: States) -> Panel:
        return cls(states, Palette.nearest(states.levels))

    @cached_property
    def input(self) -> Array:
        """The input by the middle of its levels, shape (height, width)."""
        x: Array = WHITE + (BACKGROUND_GRAY - self.palette.middle(self.states.input)) / INPUT_GAIN
        return np.where(self.background, WHITE, x)

    @cached_property
    def background(self) -> NDArray[np.bool_]:
        """Whether a pixel is drawn as the background is."""
        return np.asarray(self.states.input == self.palette.draw(np.array(BACKGROUND_GRAY)))

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Pixels that are solved for: ink, and what touches it; the rest is background."""
        return np.asarray(binary_dilation(~self.background, np.ones((3, 3))))

    @cached_property
    def counted(self) -> Array:
        """1 for each field of C1, but of those that are all background 1 for the first; shape (fields, 1)."""
        blank = ~patches(self.free).any(axis=-1)
        return np.where(blank & (np.cumsum(blank) > 1), 0.0, 1.0)[:, None]


@dataclass(frozen=True)
class Display:
    """How a state x is drawn: in the gray `offset` - `gain` x."""

    gain: float = 76.0
    """Gray levels per unit of state; 74.3 would draw 1.7159 as full black."""
    offset: float = 127.5
    covariance: tuple[tuple[float, float], ...] = ((0.0, 0.0), (0.0, 0.0))
    """Of gain and offset."""

    @property
    def others(self) -> list[Display]:
        """As likely displays, one standard deviation away, in the two directions that vary independently."""
        variances, directions = np.linalg.eigh(self.covariance)
        steps = [np.sqrt(v) * d for v, d in zip(variances, directions.T, strict=True) if v > 0]
        return [Display(self.gain + float(gain), self.offset + float(offset)) for gain, offset in steps]

    def gray(self, x: Array) -> Array:
        return self.offset - self.gain * x


def squash(a: Array) -> Array:
    """f(a)."""
    return A * np.tanh(S * a)


def slope(x: Array) -> Array:
    """f'(a) by x = f(a)."""
    return S * (A - x**2 / A)


# --- one map ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """The parameters of a map, weights first and its bias last, with what is not known of them."""

    parameters: Array
    covariance: Array
    evidence: float
    """Logarithm of the probability of what is displayed, all parameters of the prior considered (Laplace)."""

    @property
    def errors(self) -> Array:
        """Standard error of each parameter."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True)
class Shown:
    """How a map is displayed on some panels."""

    gray: Gray
    """Shape (panels, units)."""
    palettes: Sequence[Palette]
    display: Display

    @classmethod
    def of(cls, panels: Sequence[Panel], layer: str, number: int, display: Display) -> Shown:
        gray = np.stack([panel.states.layers[layer][number].ravel() for panel in panels])
        return cls(gray, [panel.palette for panel in panels], display)

    def without(self, panel: int) -> Shown:
        return replace(
            self,
            gray=np.delete(self.gray, panel, axis=0),
            palettes=[palette for i, palette in enumerate(self.palettes) if i != panel],
        )

    @cached_property
    def interval(self) -> tuple[Array, Array]:
        ends = [palette.interval(gray) for palette, gray in zip(self.palettes, self.gray, strict=True)]
        return np.concatenate([low for low, _ in ends]), np.concatenate([high for _, high in ends])

    @cached_property
    def middle(self) -> Array:
        """State by the middle of its levels, flat."""
        gray = [palette.middle(gray) for palette, gray in zip(self.palettes, self.gray, strict=True)]
        return (self.display.offset - np.concatenate(gray)) / self.display.gain

    @property
    def unsaturated(self) -> int:
        """States that are drawn neither black nor white."""
        return int(np.isfinite(np.add(*self.interval)).sum())

    def evaluate(self, x: Array, noise: float) -> tuple[Array, Array, Array]:
        """Log likelihood of each of the states x, flat, and its slope and information by a, x = f(a)."""
        gray = self.display.gray(x)
        logarithm, by_gray = likelihood(gray, *self.interval, noise)
        each = zip(self.palettes, gray.reshape(self.gray.shape), strict=True)
        information = np.concatenate([palette.information(one, noise) for palette, one in each])
        by_a = -self.display.gain * slope(x)
        return logarithm, by_gray * by_a, information * by_a**2

    def distance(self, x: Array) -> Array:
        """Gray levels by which states x, flat, lie outside what is displayed."""
        gray, (low, high) = self.display.gray(x), self.interval
        return np.maximum(0, np.maximum(low - gray, gray - high))


def fit_map(inputs: Array, shown: Shown, prior: float, noises: Sequence[float] = NOISES) -> Fit:
    """The weights and bias of a map whose units read `inputs`.

    Parameters
    ----------
    inputs
        Shape (panels * units, weights), in the order of `shown`.
    shown
        The map as displayed.
    prior
        Standard deviation of each parameter before.
    noises
        Of the display, one fit after the other.
    """
    counted = _distinct(inputs, len(shown.gray))
    design = np.column_stack((inputs, np.ones(len(inputs))))
    precision = np.full(design.shape[1], prior**-2)
    a = np.arctanh(np.clip(shown.middle / A, -0.97, 0.97)) / S
    w: Array = np.linalg.solve(design.T @ design + np.diag(np.maximum(precision, 1e-3)), design.T @ a)
    for noise in noises:
        w, total, hessian = _ascend(design, counted, shown, precision, w, noise)
    covariance: Array = np.linalg.inv(hessian)
    for display in shown.display.others:
        other, _, _ = _ascend(design, counted, replace(shown, display=display), precision, w, noises[-1])
        covariance += np.outer(other - w, other - w)
    _, volume = np.linalg.slogdet(hessian / prior**-2)
    return Fit(w, covariance, total - float(volume) / 2)


def _distinct(inputs: Array, panels: int) -> Array:
    """1 for each unit, but of those that read the same on a panel, such as background, 1 for the first; else 0.

    They are drawn alike for one reason, and do not confirm each other.
    """
    of_panel = np.repeat(np.arange(panels), len(inputs) // panels)
    _, first = np.unique(np.column_stack((of_panel, inputs.round(6))), axis=0, return_index=True)
    counted = np.zeros(len(inputs))
    counted[first] = 1
    return counted


def _ascend(
    design: Array, counted: Array, shown: Shown, precision: Array, w: Array, noise: float
) -> tuple[Array, float, Array]:
    """Parameters at the greatest posterior, its logarithm up to a constant, and its expected curvature."""

    def look(w: Array) -> tuple[float, Array, Array]:
        logarithm, score, information = (counted * found for found in shown.evaluate(squash(design @ w), noise))
        return float(logarithm.sum() - 0.5 * precision @ w**2), design.T @ score - precision * w, information

    total, gradient, information = look(w)
    damping = 1e-3
    for _ in range(ROUNDS):
        hessian = (design * information[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
        found = look(w + step)
        if found[0] < total:
            damping *= 5
            if damping > 1e6:
                break
            continue
        gained = found[0] - total
        w, (total, gradient, information) = w + step, found
        damping = max(damping / 5, 1e-6)
        if gained < ENOUGH:
            break
    hessian = (design * information[:, None]).T @ design + np.diag(precision)
    return w, total, hessian


# --- C1, with its inputs ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FirstLayer:
    """C1 and what goes in."""

    kernels: Array
    """Shape (6, 26), the bias last."""
    display: Display
    inputs: list[Array]
    """Of each panel, shape (32, 32)."""
    covariance: Array
    """Of the kernels, flat, then gain and offset; shape (158, 158)."""

    @property
    def errors(self) -> Array:
        """Standard errors of the kernels, shape (6, 26)."""
        return np.sqrt(np.diag(self.covariance))[: self.kernels.size].reshape(self.kernels.shape)


def patches(maps: NDArray[Any]) -> NDArray[Any]:
    """5x5 fields of maps of shape (..., height, width), row by row: (..., fields, 25)."""
    fields = sliding_window_view(maps, (KERNEL, KERNEL), axis=(-2, -1))
    return fields.reshape(*maps.shape[:-2], -1, KERNEL**2)


def c1_states(kernels: Array, image: Array) -> Array:
    """States of C1, shape (fields, 6), of an image of shape (height, width)."""
    return squash(patches(image) @ kernels[:, :-1].T + kernels[:, -1])


def fit_first(panels: Sequence[Panel], noises: Sequence[float] = NOISES, start: FirstLayer | None = None) -> FirstLayer:
    """C1, the display's gain and offset, and the inputs of all panels at once."""
    if start is None:
        display = Display()
        inputs = [panel.input for panel in panels]
        design = np.concatenate([patches(image) for image in inputs])
        kernels = np.empty((MAPS, KERNEL**2 + 1))
        for number in range(MAPS):
            seen = Shown.of(panels, "C1", number, display)
            known = np.isfinite(np.add(*seen.interval))
            a = np.arctanh(np.clip(seen.middle[known] / A, -0.97, 0.97)) / S
            rows = np.column_stack((design, np.ones(len(design))))[known]
            kernels[number] = np.linalg.solve(rows.T @ rows + 1e-3 * np.eye(rows.shape[1]), rows.T @ a)
        start = FirstLayer(kernels, display, inputs, np.zeros((MAPS * 26 + 2,) * 2))
    for noise in noises:
        start = _ascend_first(panels, start, noise)
    return start


def _ascend_first(panels: Sequence[Panel], first: FirstLayer, noise: float) -> FirstLayer:
    """Joint Fisher scoring: the inputs of a panel concern no other one and are eliminated from its equations."""
    size = first.covariance.shape[0]
    damping, total = 1e-3, _total(panels, first, noise)
    for _ in range(ROUNDS):
        equations = [_equations(panel, image, first, noise) for panel, image in zip(panels, first.inputs, strict=True)]
        gained = -1.0
        while gained < 0 and damping < 1e6:
            hessian, gradient = np.diag(np.full(size, WIDE**-2)), np.zeros(size)
            eliminated = []
            for own, mixed, shared, by_input, by_shared in equations:
                factor = cho_factor(own + damping * np.diag(np.diag(own)))
                solved = cho_solve(factor, np.column_stack((mixed, by_input)))
                hessian += shared - mixed.T @ solved[:, :-1]
                gradient += by_shared - mixed.T @ solved[:, -1]
                eliminated.append(solved)
            step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
            inputs = []
            for panel, image, solved in zip(panels, first.inputs, eliminated, strict=True):
                moved = image.copy()
                moved[panel.free] += solved[:, -1] - solved[:, :-1] @ step
                inputs.append(moved)
            display = Display(first.display.gain + float(step[-2]), first.display.offset + float(step[-1]))
            there = FirstLayer(first.kernels + step[:-2].reshape(first.kernels.shape), display, inputs, hessian)
            gained = _total(panels, there, noise) - total
            damping = damping * 5 if gained < 0 else max(damping / 5, 1e-6)
        if gained < 0:
            break
        first, total = there, total + gained
        if gained < ENOUGH_FIRST:
            break
    covariance = np.linalg.inv(hessian)
    (gain, both), (_, offset) = covariance[-2:, -2:].tolist()
    of_display = (gain, both), (both, offset)
    return replace(first, covariance=covariance, display=replace(first.display, covariance=of_display))


def _total(panels: Sequence[Panel], first: FirstLayer, noise: float) -> float:
    total = 0.0
    for panel, image in zip(panels, first.inputs, strict=True):
        gray = first.display.gray(c1_states(first.kernels, image))
        shown = panel.states.layers["C1"].reshape(MAPS, -1).T
        total += float((panel.counted * likelihood(gray, *panel.palette.interval(shown), noise)[0]).sum())
        pixels = panel.states.input[panel.free]
        gray = BACKGROUND_GRAY - INPUT_GAIN * (image[panel.free] - WHITE)
        total += float(likelihood(gray, *panel.palette.interval(pixels), noise)[0].sum())
    return total


def _equations(panel: Panel, image: Array, first: FirstLayer, noise: float) -> tuple[Array, ...]:
    """Of one panel: information on its free pixels, on these and what is shared, on what is shared; both slopes."""
    fields = patches(image)
    x = c1_states(first.kernels, image)
    gray = first.display.gray(x)
    shown = panel.states.layers["C1"].reshape(MAPS, -1).T
    score = panel.counted * likelihood(gray, *panel.palette.interval(shown), noise)[1]
    information = panel.counted * panel.palette.information(gray, noise)
    by_a = -first.display.gain * slope(x)
    weights = first.kernels[:, :-1]

    # The gray of each state by the 25 pixels of its field, its kernel and bias, and the display's gain and offset.
    n, count = int(panel.free.sum()), MAPS * (KERNEL**2 + 1)
    place = np.full(image.shape, n)
    place[panel.free] = np.arange(n)
    at = patches(place)
    rows = np.column_stack((fields, np.ones(len(fields))))
    own = np.zeros((n + 1) ** 2)
    mixed, shared = np.zeros((n + 1, count + 2)), np.zeros((count + 2, count + 2))
    by_input, by_shared = np.zeros(n + 1), np.zeros(count + 2)
    pairs = at[:, :, None] * (n + 1) + at[:, None, :]
    curvature = np.einsum("im,ma,mb->iab", information * by_a**2, weights, weights, optimize=True)
    own += np.bincount(pairs.ravel(), curvature.ravel(), minlength=len(own))
    slopes = (score * by_a) @ weights
    by_input += np.bincount(at.ravel(), slopes.ravel(), minlength=n + 1)
    for number in range(MAPS):
        mine = slice(number * 26, number * 26 + 26)
        known = information[:, number]
        to_a = by_a[:, number]
        # Columns of this map's kernel, and of the display.
        local = np.column_stack((to_a[:, None] * rows, -x[:, number], np.ones(len(x))))
        columns = np.r_[mine, count, count + 1]
        shared[np.ix_(columns, columns)] += (local * known[:, None]).T @ local
        by_shared[columns] += local.T @ score[:, number]
        weighted = (known * to_a)[:, None] * local
        for tap in range(KERNEL**2):
            mixed[:, columns] += weights[number, tap] * _gathered(at[:, tap], weighted, n + 1)
    pixels = panel.states.input[panel.free]
    gray = BACKGROUND_GRAY - INPUT_GAIN * (image[panel.free] - WHITE)
    _, seen = likelihood(gray, *panel.palette.interval(pixels), noise)
    squared = np.append(INPUT_GAIN**2 * panel.palette.information(gray, noise), 0)
    information_of_inputs = own.reshape(n + 1, n + 1) + np.diag(squared + 1e-3)
    by_input[:n] -= INPUT_GAIN * seen
    return information_of_inputs[:n, :n], mixed[:n], shared, by_input[:n], by_shared


def _gathered(at: NDArray[np.intp], rows: Array, size: int) -> Array:
    """Rows, shape (n, columns), summed by the place, below `size`, that each has."""
    total = np.zeros((size, rows.shape[1]))
    total[at] = rows  # fields differ in the pixel at one tap, but for those that are no unknowns
    total[size - 1] = 0
    return total


# --- the layers above -------------------------------------------------------------------------------------------------


def average(maps: Array) -> Array:
    """Averages of 2x2 fields of maps of shape (..., height, width)."""
    *rest, height, width = maps.shape
    return np.asarray(maps.reshape(*rest, height // 2, 2, width // 2, 2).mean(axis=(-3, -1)))


@dataclass(frozen=True)
class Trunk:
    """C1 to S4 and how they are displayed."""

    first: FirstLayer
    s2: tuple[Fit, ...]
    c3: tuple[Fit, ...]
    s4: tuple[Fit, ...]
    panels: tuple[Panel, ...]
    """With the palettes that were found."""

    @property
    def display(self) -> Display:
        return self.first.display

    @cached_property
    def states(self) -> dict[str, Array]:
        """States of C1, S2 and C3 of each panel, neither rounded nor clipped; (panels, maps, height, width)."""
        return forward(self, self.c1)

    @cached_property
    def c1(self) -> Array:
        found = [c1_states(self.first.kernels, image).T.reshape(MAPS, 28, 28) for image in self.first.inputs]
        return np.stack(found)


def subsampled(fits: Sequence[Fit], maps: Array) -> Array:
    """States of S2 or S4, of maps of shape (n, maps, height, width)."""
    c, b = np.array([fit.parameters for fit in fits]).T[:, :, None, None]
    return squash(c * average(maps) + b)


def c3_inputs(maps: Array, sources: Sequence[int]) -> Array:
    """What units of C3 read: (n * fields, 25 * sources) of S2's states, (n, 6, height, width)."""
    fields = patches(maps[:, list(sources)])
    return np.moveaxis(fields, 1, 2).reshape(-1, len(sources) * KERNEL**2)


def forward(trunk: Trunk, c1: Array) -> dict[str, Array]:
    """States of C1 to S4 by those of C1, shape (n, 6, height, width)."""
    s2 = subsampled(trunk.s2, c1)
    shape = (len(s2), s2.shape[2] - KERNEL + 1, s2.shape[3] - KERNEL + 1)
    c3 = np.stack(
        [
            squash(c3_inputs(s2, sources) @ fit.parameters[:-1] + fit.parameters[-1]).reshape(shape)
            for fit, sources in zip(trunk.c3, TABLE_I, strict=True)
        ],
        axis=1,
    )
    return {"C1": c1, "S2": s2, "C3": c3, "S4": subsampled(trunk.s4, c3)}


def fit_subsampling(panels: Sequence[Panel], layer: str, below: Array, display: Display) -> tuple[Fit, ...]:
    """Coefficient and bias of each map of S2 or S4; `below` has shape (panels, maps, height, width)."""
    return tuple(
        fit_map(average(below[:, number]).reshape(-1, 1), Shown.of(panels, layer, number, display), WIDE)
        for number in range(below.shape[1])
    )


def calibrated(panels: Sequence[Panel]) -> tuple[tuple[Panel, ...], FirstLayer]:
    """The panels with palettes by which their gray levels are C1's states, and C1."""
    first = fit_first(panels, NOISES[:2])
    found = []
    for panel, image in zip(panels, first.inputs, strict=True):
        gray = first.display.gray(c1_states(first.kernels, image))
        palette = panel.palette.voted(gray.T.ravel(), panel.states.layers["C1"].ravel())
        found.append(replace(panel, palette=palette))
    return tuple(found), fit_first(found, start=first)


def recover_from(panels: Sequence[Panel], first: FirstLayer) -> Trunk:
    """S2, C3 and S4 above C1."""
    nothing = (Fit(np.zeros(2), np.eye(2), 0.0),) * len(TABLE_I)
    trunk = Trunk(first, (), (), nothing, tuple(panels))
    trunk = replace(trunk, s2=fit_subsampling(panels, "S2", trunk.c1, first.display))
    below = subsampled(trunk.s2, trunk.c1)
    c3 = tuple(
        fit_map(c3_inputs(below, sources), Shown.of(panels, "C3", number, first.display), PRIOR)
        for number, sources in enumerate(TABLE_I)
    )
    trunk = replace(trunk, c3=c3)
    return replace(trunk, s4=fit_subsampling(panels, "S4", trunk.states["C3"], first.display))


def recover(states: Sequence[States]) -> Trunk:
    """C1 to S4 of the network that is displayed."""
    return recover_from(*calibrated([Panel.of(one) for one in states]))
