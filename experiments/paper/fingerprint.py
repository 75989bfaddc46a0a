"""The fingerprint of a trained network: what its first four layers have become, beside those of 1998.

Fig. 13 shows the states of a LeNet-5 of 1998 on nine images, from which its C1, S2, C3 and S4 can be estimated.  It
had learned digits with a tenth of the pixels inverted (III.E), perhaps between neighbors and with blanks (VII.B).  Our
networks learn the same here, and eight figures compare them: how a network was trained shows in them, and test errors
have no part in it.

The figures are the root mean square of the weights and of the biases of a layer, and of a subsampling layer the mean of
|coefficient|, on the average of the field.  The sign of a coefficient says nothing: with those of the map's weights
and bias below it can be turned without a change of any other state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper.candidates import FINALISTS, ROUND
from experiments.paper.readings import look
from experiments.trainers import outcome
from lenet98.data.strings import NOISE, Strings
from lenet98.networks import LENET5
from lenet98.readings import DEFAULT, FORMER, Reading
from lenet98.specs import Spec
from lenet98.training import Config, train
from lenet98.trunk1998.numbers import LAYERS, recovered

Layer = tuple[NDArray[np.floating], NDArray[np.floating]]
"""Weights and biases, flat; kernels that a table leaves out are not there, coefficients are those of an average."""
Trunk = Mapping[str, Layer]
"""The layers of `LAYERS` by name."""
Fingerprint = dict[str, float]
"""`FIGURES`, and of both subsampling layers the `ENDS`."""

FIGURES = (
    "C1 weights", "C1 biases", "S2 coefficients", "S2 biases", "C3 weights", "C3 biases", "S4 coefficients", "S4 biases"
)  # fmt: skip
ENDS = ("S2 least", "S2 greatest", "S4 least", "S4 greatest")
"""Least and greatest coefficient, with their signs."""


# --- of one network ---------------------------------------------------------------------------------------------------


def trunk(spec: Spec, reading: Reading, parameters: NDArray[np.floating]) -> dict[str, Layer]:
    """The first layers of a network from its flat parameters, shape (spec.parameters,)."""
    field = 1 if reading.subsampling == "average" else 4
    found = {}
    for layer in spec.trainable:
        if layer.name in LAYERS:
            unit = field if layer.kind == "subsampling" else 1
            found[layer.name] = parameters[layer.weight_slice] * unit, parameters[layer.bias_slice]
    if missing := set(LAYERS) - set(found):
        raise ValueError(f"{spec.name} has no {', '.join(sorted(missing))}; a fingerprint is that of a LeNet-5")
    return found


def fingerprint(layers: Trunk) -> Fingerprint:
    """The figures of a network."""
    found = {}
    for name in LAYERS:
        weights, biases = (np.asarray(values, float) for values in layers[name])
        if name.startswith("S"):
            found[f"{name} coefficients"] = float(np.abs(weights).mean())
            found[f"{name} least"], found[f"{name} greatest"] = float(weights.min()), float(weights.max())
        else:
            found[f"{name} weights"] = root_mean_square(weights)
        found[f"{name} biases"] = root_mean_square(biases)
    return found


def root_mean_square(values: ArrayLike) -> float:
    """Of all of them."""
    return float(np.sqrt(np.mean(np.square(values))))


def saturated(layers: Trunk, pictures: NDArray[np.float32]) -> dict[str, float]:
    """Share of the states of each layer of `LAYERS` that are saturated, as `readings.look` has it, 0 to 1.

    `pictures` are input values, shape (n, 1, 32, 32): for a comparison with 1998 the nine inputs of Fig. 13.
    """
    reading = replace(FORMER, subsampling="average")
    parameters = np.zeros(LENET5.parameters, np.float32)
    for layer in LENET5.trainable:
        if layer.name in LAYERS:
            parameters[layer.weight_slice], parameters[layer.bias_slice] = layers[layer.name]
    found = look(LENET5, reading, parameters, pictures)
    return {name: found[name]["saturated"] for name in LAYERS}


# --- how far two are apart --------------------------------------------------------------------------------------------


def spread(groups: Sequence[Sequence[Fingerprint]]) -> tuple[Fingerprint, int]:
    """Standard deviation of the logarithm of each figure over seeds, pooled over groups of runs that differ by seed.

    Of three seeds alone it would be known to a factor of two; pooled it has as many degrees of freedom as there are
    runs less groups, which are returned with it.  A figure of zero has no logarithm: a dead layer, refused.

    Raises ValueError if no group has two runs, or a figure is zero.
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    if freedom < 1:
        raise ValueError("no experiment has two seeds, so there is no spread; run a second one")
    squares = {
        name: sum(float(np.square(logs - logs.mean()).sum()) for group in groups if (logs := _logs(group, name)).size)
        for name in FIGURES
    }
    return {name: sqrt(total / freedom) for name, total in squares.items()}, freedom


def _logs(group: Sequence[Fingerprint], name: str) -> NDArray[np.float64]:
    values = np.array([one[name] for one in group], float)
    if (values <= 0).any():
        raise ValueError(f"{name} of a network are all zero, which no other is near to; leave that run out")
    return np.log(values)


def deviations(ours: Sequence[Fingerprint], theirs: Fingerprint, units: Fingerprint) -> Fingerprint:
    """By figure, ln(ours / theirs) over the standard deviation of one run from the mean of n others: `units` times
    sqrt(1 + 1/n), ours the geometric mean of n runs; positive where ours is larger."""
    scale = sqrt(1 + 1 / len(ours))
    return {
        name: float((_logs(ours, name).mean() - _logs([theirs], name)[0]) / (units[name] * scale)) for name in FIGURES
    }


def distance(ours: Sequence[Fingerprint], theirs: Fingerprint, units: Fingerprint) -> float:
    """The root mean square of the eight `deviations`: about 1 for another run of the same reading."""
    return root_mean_square(list(deviations(ours, theirs, units).values()))


# --- 1998 -------------------------------------------------------------------------------------------------------------

OF_1998 = fingerprint({name: (layer.weights, layer.biases) for name, layer in recovered().layers.items()})
"""Of the estimate from Fig. 13.  Its errors move a figure by less than 2%; those of C3's weights, 0.06 each, are part
of their root mean square."""


# --- the experiments --------------------------------------------------------------------------------------------------


@family("fingerprint")
def train_and_keep(config: Config, seed: int, context: Context) -> Outcome:
    """One training run on MNIST; its fingerprint, and the layers that it is of as one array, C1 to S4."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    layers = trunk(config.spec, config.reading, trained.parameters)
    flat = np.concatenate([np.concatenate(layers[name]) for name in LAYERS]).astype(np.float32)
    return replace(outcome(trained), extra={"fingerprint": fingerprint(layers)}, arrays={"trunk": flat})


def kept(flat: NDArray[np.float32]) -> dict[str, Layer]:
    """The layers of LeNet-5 from the array that `train_and_keep` keeps."""
    layers, start = {}, 0
    for layer in LENET5.trainable:
        if layer.name in LAYERS:
            middle, end = start + layer.weights, start + layer.weights + layer.biases
            layers[layer.name], start = (flat[start:middle], flat[middle:end]), end
    return layers


READINGS = {
    "former": ("FORMER", FORMER),
    "default": ("DEFAULT", DEFAULT),
    **{name: (name, ROUND[name]) for name in FINALISTS},
}
PATTERNS = {"noise": ("10% of the pixels inverted", NOISE), "strings": ("neighbors, blanks and noise", Strings())}
"""What Sections III.E and VII.B train on."""

EXPERIMENTS = {
    f"fingerprint/{reading}-{patterns}": (f"{title}, {what}", Config(reading=read, strings=strings))
    for reading, (title, read) in READINGS.items()
    for patterns, (what, strings) in PATTERNS.items()
    if read.loss == "eq9" or not strings.blanks  # eq. 8 has no class for blanks
}

for name, (title, config) in EXPERIMENTS.items():
    like = f"fingerprint/former-{'noise' if config.strings == NOISE else 'strings'}"
    known = name == like or config.reading == DEFAULT
    register(
        Experiment(
            name, f"LeNet-5, {title}", config, train_and_keep,
            minutes=1.3, seeds=(0, 1, 2), like=None if known else like,
        )
    )  # fmt: skip


# --- the table --------------------------------------------------------------------------------------------------------

REMARK = (
    "Root mean square of weights and of biases, mean of the absolute coefficients of S2 and S4 on the average of the "
    "field, in brackets the least and the greatest. Ours: mean and standard deviation over n seeds, and z, the "
    "logarithm of ours over that of 1998 in units of how far one run is from the mean of n others of its kind; ours is "
    "the geometric mean. *d* is the root mean square of z over the eight figures, about 1 for a run of the same kind: "
    "figures are not independent, so that is no test. The network of 1998 is the estimate from the states of Figs. 13 "
    "and 25."
)


@tables.table("fingerprint")
def fingerprint_table(load: Loader) -> Table:
    """Weights, biases and coefficients of the network of Fig. 13 and of ours trained on noise and on strings."""
    there = load.there(EXPERIMENTS)
    groups = {name: fingerprints(runs) for name, runs in there.items()}
    units, freedom = spread(list(groups.values()))
    records = [_record(EXPERIMENTS[name][0], name, group, units) for name, group in groups.items() if group]
    body = [["**1998**", "", *(_value(OF_1998[name], OF_1998, name) for name in FIGURES), ""]]
    for record in records:
        body += _lines(record)
    spreads = ", ".join(f"{name} {100 * units[name]:.0f}%" for name in FIGURES)
    pooled = (
        f"Spread over seeds, pooled over the rows with {freedom} degree{'s' * (freedom > 1)} of freedom: {spreads}."
    )
    header = ["", "n", *FIGURES, "d"]
    used = list(there.values())
    notes = tables.notes("fingerprint", used, REMARK, pooled, *tables.lacking(EXPERIMENTS, there))
    return Table("fingerprint", "The first four layers of 1998's network and of ours.", header, body, records, notes)


def fingerprints(runs: Runs) -> list[Fingerprint]:
    """Of the runs that finished."""
    return [dict(result.extra["fingerprint"]) for result in runs.finished]


def _record(title: str, experiment: str, group: Sequence[Fingerprint], units: Fingerprint) -> Json:
    z = deviations(group, OF_1998, units)
    record: Json = {
        "row": title,
        "experiment": experiment,
        "n": len(group),
        "distance": distance(group, OF_1998, units),
    }
    for name in (*FIGURES, *ENDS):
        values = [one[name] for one in group]
        record |= {
            name: float(np.mean(values)),
            f"{name} sd": float(np.std(values, ddof=1)) if len(group) > 1 else None,
            f"{name} 1998": OF_1998[name],
        }
        if name in z:
            record[f"{name} z"] = z[name]
    return record


def _lines(record: Json) -> list[list[str]]:
    """A row's means and standard deviations, and below it z."""
    means = [_value(record[name], record, name, record[f"{name} sd"]) for name in FIGURES]
    z = [tables.number(record[f"{name} z"], signed=True, decimals=1) for name in FIGURES]
    return [
        [record["row"], str(record["n"]), *means, tables.number(record["distance"], decimals=1)],
        ["z", "", *z, ""],
    ]


def _value(value: float, of: Mapping[str, float], name: str, sd: float | None = None) -> str:
    layer = name[:2]
    ends = ""
    if name.endswith("coefficients"):
        ends = f" ({tables.number(of[f'{layer} least'])} to {tables.number(of[f'{layer} greatest'])})"
    return tables.number(value) + ("" if sd is None else f" ± {tables.number(sd)}") + ends
