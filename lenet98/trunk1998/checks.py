"""What the estimate is held against: panels left out of the fit, Fig. 25, and Table I as a hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lenet98.data.fields import WHITE
from lenet98.networks import TABLE_I
from lenet98.trunk1998.display import Palette
from lenet98.trunk1998.estimate import (
    BACKGROUND_GRAY,
    INPUT_GAIN,
    NOISES,
    PRIOR,
    WIDE,
    Array,
    Fit,
    Panel,
    Shown,
    Trunk,
    average,
    c1_states,
    c3_inputs,
    calibrated,
    fit_first,
    fit_map,
    forward,
    recover_from,
    squash,
)
from lenet98.trunk1998.pictures import States

Row = dict[str, Any]

IDENTIFIED = 0.25
"""A map is identified if the rms error of its weights is below this share of their rms."""

MARGIN = 6
"""Columns of Fig. 25's field that the figure cuts off on either side."""


def rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


# --- by map -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Map:
    """One map, what its units read on each panel, and how they are displayed."""

    inputs: Array
    """Shape (panels, units, weights)."""
    shown: Shown
    fit: Fit
    prior: float

    def states(self, fit: Fit) -> Array:
        """Of all panels, shape (panels, units)."""
        return squash(self.inputs @ fit.parameters[:-1] + fit.parameters[-1])

    def without(self, panel: int) -> Fit:
        """Fitted to the other panels."""
        others = np.delete(self.inputs, panel, axis=0)
        return fit_map(others.reshape(-1, others.shape[2]), self.shown.without(panel), self.prior)


def maps(trunk: Trunk, layer: str) -> list[Map]:
    """The maps of S2, C3 or S4."""
    states, panels = trunk.states, len(trunk.panels)
    if layer == "C3":
        read = [c3_inputs(states["S2"], sources).reshape(panels, -1, 25 * len(sources)) for sources in TABLE_I]
        fits, prior = trunk.c3, PRIOR
    else:
        below = average(states["C1" if layer == "S2" else "C3"])
        read = [below[:, number].reshape(panels, -1, 1) for number in range(below.shape[1])]
        fits, prior = trunk.s2 if layer == "S2" else trunk.s4, WIDE
    return [
        Map(inputs, Shown.of(trunk.panels, layer, number, trunk.display), fit, prior)
        for number, (inputs, fit) in enumerate(zip(read, fits, strict=True))
    ]


def fit_of(one: Map) -> Row:
    """How a map is fitted, and how well it predicts panels that were left out.

    "within" is the share of states that are displayed as fitted; "outside" the rms of their distance from what is
    displayed, gray levels; "weight" and "error" the rms of the weights and of their standard errors; "left_out_within"
    and "left_out" the same of each panel by a fit to the others; "jackknife" the rms error by these fits.
    """
    fits = [one.without(panel) for panel in range(len(one.inputs))]
    left_out = np.concatenate([one.states(fit)[panel] for panel, fit in enumerate(fits)])
    return {
        **_scores(one.shown, one.states(one.fit).ravel(), left_out),
        **_errors(one.fit.parameters[:-1], one.fit.errors[:-1], np.array([fit.parameters[:-1] for fit in fits])),
        "unsaturated": one.shown.unsaturated,
    }


def _scores(shown: Shown, fitted: Array, left_out: Array) -> Row:
    near, far = shown.distance(fitted), shown.distance(left_out)
    return {
        "within": float(np.mean(near == 0)),
        "outside": rms(near),
        "left_out_within": float(np.mean(far == 0)),
        "left_out": rms(far),
    }


def _errors(weights: Array, errors: Array, fits: Array) -> Row:
    n = len(fits)
    spread = np.sqrt((n - 1) * fits.var(axis=0))
    return {"weight": rms(weights), "error": rms(errors), "jackknife": rms(spread)}


def fits_of_first(trunk: Trunk, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """The same of C1's maps; a panel that is left out is predicted from its input as displayed."""
    panels, first = trunk.panels, trunk.first
    kernels, predicted = [], []
    for left in range(len(panels)):
        progress(f"C1 without panel {left + 1} of {len(panels)}")
        others = [panel for i, panel in enumerate(panels) if i != left]
        inputs = [image for i, image in enumerate(first.inputs) if i != left]
        found = fit_first(others, NOISES[-1:], replace(first, inputs=inputs))
        kernels.append(found.kernels)
        predicted.append(c1_states(found.kernels, panels[left].input))
    rows = []
    for number in range(len(first.kernels)):
        shown = Shown.of(panels, "C1", number, trunk.display)
        fitted = trunk.states["C1"][:, number].ravel()
        left_out = np.concatenate([states[:, number] for states in predicted])
        weights, errors = first.kernels[number, :-1], first.errors[number, :-1]
        spread = np.array([one[number, :-1] for one in kernels])
        row = {**_scores(shown, fitted, left_out), **_errors(weights, errors, spread)}
        rows.append({**row, "unsaturated": shown.unsaturated})
    return rows


# --- a network that is known ------------------------------------------------------------------------------------------


def redrawn(trunk: Trunk, palettes: Sequence[Palette], noise: float, rng: np.random.Generator) -> list[Panel]:
    """The trunk at work on its inputs, displayed with normal noise of so many gray levels; states alike, alike."""
    panels = []
    for n, (image, palette) in enumerate(zip(trunk.first.inputs, palettes, strict=True)):
        layers = {}
        for layer, states in trunk.states.items():
            exact = trunk.display.gray(states[n])
            values, which = np.unique(exact.round(6), return_inverse=True)
            layers[layer] = palette.draw(exact + noise * rng.standard_normal(len(values))[which].reshape(exact.shape))
        gray = BACKGROUND_GRAY - INPUT_GAIN * (image - WHITE)
        panels.append(Panel(States(palette.draw(gray), layers, ()), palette))
    return panels


def coverage(trunk: Trunk, found: Trunk) -> dict[str, float]:
    """By layer, the share of the parameters of `trunk` within 1.96 standard errors of those that were found."""
    off = {"C1": ((found.first.kernels - trunk.first.kernels) / found.first.errors).ravel()}
    for layer, ours, theirs in (("S2", found.s2, trunk.s2), ("C3", found.c3, trunk.c3), ("S4", found.s4, trunk.s4)):
        each = [(a.parameters - b.parameters) / a.errors for a, b in zip(ours, theirs, strict=True)]
        off[layer] = np.concatenate(each)
    return {layer: float(np.mean(abs(z) < 1.96)) for layer, z in off.items()}


def repeated(trunk: Trunk, noise: float = NOISES[-1] / 2, seed: int = 0) -> dict[str, float]:
    """`coverage` of the estimate made again from displays of the estimate itself."""
    panels = redrawn(trunk, [panel.palette for panel in trunk.panels], noise, np.random.default_rng(seed))
    return coverage(trunk, recover_from(*calibrated(panels)))


# --- Table I ----------------------------------------------------------------------------------------------------------


def table1(trunk: Trunk) -> list[Row]:
    """Each map of C3 fitted with all six maps of S2, whatever Table I says.

    "weight" and "error" are the rms of the 25 weights from each map of S2 and of their standard errors; "chi2" is the
    mean square of these weights in units of their covariance, 1 where they are nothing but error; "evidence" is how
    much more probable, in nats, what is displayed is by Table I than by a map that reads all six.
    """
    states = trunk.states["S2"]
    inputs = c3_inputs(states, range(states.shape[1]))
    rows = []
    for number, by_table in enumerate(trunk.c3):
        fit = fit_map(inputs, Shown.of(trunk.panels, "C3", number, trunk.display), PRIOR)
        blocks = [slice(25 * source, 25 * source + 25) for source in range(states.shape[1])]
        weights = [fit.parameters[block] for block in blocks]
        rows.append(
            {
                "weight": [rms(w) for w in weights],
                "error": [rms(fit.errors[block]) for block in blocks],
                "chi2": [
                    float(w @ np.linalg.solve(fit.covariance[block, block], w)) / len(w)
                    for w, block in zip(weights, blocks, strict=True)
                ],
                "evidence": by_table.evidence - fit.evidence,
            }
        )
    return rows


# --- Fig. 25 ----------------------------------------------------------------------------------------------------------


def fig25(trunk: Trunk, states: States) -> dict[str, list[float]]:
    """Correlation of each map's states in Fig. 25, which is no part of the fit, with those by the estimate.

    "C1" is from the input, where the figure shows all that a unit sees: beyond its right edge there is ink.  "C3" is
    from C1 as displayed, over the whole field; "C3 from the input" where all that a unit sees is shown.
    """
    panel = Panel.of(states)
    shown = {layer: _by_middle(panel, layer, trunk) for layer in ("C1", "C3")}
    image = np.pad(panel.input, ((0, 0), (MARGIN, MARGIN)), constant_values=WHITE)
    c1 = c1_states(trunk.first.kernels, image).T.reshape(shown["C1"].shape)
    seen = {"C1": slice(MARGIN, -MARGIN), "C3": slice(MARGIN // 2, -MARGIN // 2)}
    from_c1, from_input = forward(trunk, shown["C1"][None])["C3"][0], forward(trunk, c1[None])["C3"][0]
    return {
        "C1": _correlations(c1[..., seen["C1"]], shown["C1"][..., seen["C1"]]),
        "C3": _correlations(from_c1, shown["C3"]),
        "C3 from the input": _correlations(from_input[..., seen["C3"]], shown["C3"][..., seen["C3"]]),
    }


def fig25_c5(trunk: Trunk, nine: Sequence[States], states: States) -> dict[str, float]:
    """How much of C5 in Fig. 25 the nine panels of Fig. 13 foretell: 9 equations for the 401 parameters of a unit.

    The C5 of least weights that gives Fig. 13's states is applied to S4 in Fig. 25.  "correlation" is over all units
    and windows, each unit's mean taken off; "of the mean" that of each unit's mean state in Fig. 13, the same for all
    windows, with what is displayed.
    """
    panel = Panel.of(states)
    nine_panels = [Panel.of(one) for one in nine]
    known = np.stack([_by_middle(one, "C5", trunk).ravel() for one in nine_panels])  # (9, 120)
    s4 = forward(trunk, trunk.states["C1"])["S4"].reshape(len(nine), -1)
    wide = forward(trunk, _by_middle(panel, "C1", trunk)[None])["S4"][0]
    shown = _by_middle(panel, "C5", trunk).T  # (windows, 120)
    windows = np.stack([wide[:, :, k : k + 5].ravel() for k in range(len(shown))])
    mean = known.mean(axis=0)
    center = s4.mean(axis=0)
    kernel = (s4 - center) @ (s4 - center).T + 1e-2 * np.eye(len(s4))
    found = mean + (windows - center) @ (s4 - center).T @ np.linalg.solve(kernel, known - mean)
    off = shown.mean(axis=0)
    return {
        "correlation": float(np.corrcoef((found - found.mean(axis=0)).ravel(), (shown - off).ravel())[0, 1]),
        "of the mean": float(np.corrcoef(mean, off)[0, 1]),
    }


def _by_middle(panel: Panel, layer: str, trunk: Trunk) -> Array:
    """States by the middle of their levels."""
    gray: Array = panel.palette.middle(panel.states.layers[layer])
    return (trunk.display.offset - gray) / trunk.display.gain


def _correlations(found: Array, shown: Array) -> list[float]:
    """Of each map."""
    return [float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in zip(found, shown, strict=True)]
