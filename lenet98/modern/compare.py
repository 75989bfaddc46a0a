"""Is this LeNet-5?  A network and its training side by side with the paper's, point by point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from textwrap import fill

from tabulate import tabulate

from lenet98 import accounting, training
from lenet98.catalog import SPECS
from lenet98.data.fields import BLACK, WHITE
from lenet98.modern import ladder, lenet_from_scratch, lush, minibatch
from lenet98.modern.minibatch import Optimizer
from lenet98.modern.networks import ConvNet, Initial
from lenet98.modern.popular import POPULAR
from lenet98.networks import TABLE_I
from lenet98.readings import Reading
from lenet98.specs import A, Geometry, Spec

PAPER = "lenet5"

Facts = dict[str, str]
"""What there is to say of each point, in one order for all networks."""

NETWORK = frozenset(
    {"input", "C1", "C3", "further convolutions", "pooling", "full layers", "squashing", "output"}
    | {"parameters", "connections"}
)
"""Points of the network itself; the others are of its training."""

LOSSES = {"eq8": "mean squared error (eq. 8)", "eq9": "maximum a posteriori (eq. 9)"}

ALLOWED = {"loss": LOSSES["eq8"]}
"""What the paper has beside the facts of the network that is trained here."""

NOTE = (
    "* differs from the paper's LeNet-5. Its loss (eq. 8 or 9), initial weights and the like stand as they are read "
    "here, see docs/readings.md."
)

WIDTH = 28
"""Characters of a column."""


def facts(name: str) -> Facts:
    """The points of a network of `lenet98.networks` or of `lenet98.modern.popular`; ValueError lists what exists."""
    if name in POPULAR:
        return _facts(POPULAR[name].config)
    if name in SPECS:
        return _facts(training.Config(spec=SPECS[name], reading=ladder.reading(SPECS[name])))
    raise ValueError(f"no network called {name!r}; there are {', '.join([*SPECS, *POPULAR])}")


def differences(name: str) -> list[str]:
    """The points in which a network is not the paper's LeNet-5; ValueError as `facts`."""
    paper = facts(PAPER)
    return [point for point, fact in facts(name).items() if fact != paper[point] and fact != ALLOWED.get(point)]


def side_by_side(names: Sequence[str]) -> str:
    """LeNet-5 and the named networks as a table, a column each, with a line of judgment below for each.

    What is not the paper's is marked with an asterisk.  ValueError as `facts`.
    """
    columns = [PAPER, *(name for name in dict.fromkeys(names) if name != PAPER)]
    found = {name: facts(name) for name in columns}
    marked = {name: differences(name) for name in columns}
    rows = [
        [point, *(fill(("* " if point in marked[name] else "") + found[name][point], WIDTH) for name in columns)]
        for point in found[PAPER]
    ]
    table = tabulate(rows, ["", "lenet5 (1998)", *columns[1:]], disable_numparse=True)
    return "\n".join([table, "", *(_judgment(name, marked[name]) for name in names), "", NOTE])


def _judgment(name: str, marked: list[str]) -> str:
    if not marked:
        return f"{name} is LeNet-5."
    of_network = ", ".join(point for point in marked if point in NETWORK)
    of_training = ", ".join(point for point in marked if point not in NETWORK)
    if not of_network:
        return f"{name} is LeNet-5 trained otherwise: {of_training}."
    otherwise = f"; trained otherwise: {of_training}" if of_training else ""
    return f"{name} is not LeNet-5: other {of_network}{otherwise}."


@singledispatch
def _facts(config: object) -> Facts:
    """The points of the network that `config` trains, by the kind of training."""
    raise TypeError(f"nothing is known of {type(config)}")


# --- networks of 1998, described by a spec ----------------------------------------------------------------------------


@_facts.register
def _of_1998(config: training.Config) -> Facts:
    return _of_spec(
        config.spec,
        config.reading,
        preprocessing=_levels(WHITE, BLACK),
        optimizer=f"SDLM, a rate per parameter, h_kk on {config.curvature_patterns} patterns before every pass",
        passes=str(len(config.etas)),
        rate=_steps(config.etas),
        order={"constant": "one random order for all passes", "reshuffled": "a new random order every pass"}[
            config.reading.order
        ],
    )


@_facts.register
def _of_lush(config: lush.Config) -> Facts:
    return _of_spec(
        lush.SPEC,
        config.reading,
        preprocessing=_levels(0, 255 * config.scale),
        optimizer=f"SDLM, a rate per parameter, h_kk on {config.curvature_patterns} patterns every {config.passes} "
        "passes",
        passes=str(len(config.etas) * config.passes),
        rate=_steps([eta for eta in config.etas for _ in range(config.passes)]),
        order="the database's for all passes",
    )


@_facts.register
def _of_layer_rates(config: lenet_from_scratch.Config) -> Facts:
    connections = sum(map(accounting.connections, lenet_from_scratch.SPEC.geometry))
    read = _of_spec(
        lenet_from_scratch.SPEC,
        lenet_from_scratch.READING,
        preprocessing=_levels(WHITE, BLACK),
        optimizer=f"SDLM, a rate per layer by the sum of its h_kk, on {config.curvature_patterns} patterns before "
        f"every pass, momentum {config.momentum:g}",
        passes=str(len(config.etas)),
        rate=_steps(config.etas),
        order="a new random order every pass",
    )
    return read | {
        "full layers": f"{read['full layers']}, {lenet_from_scratch.WITHOUT_BIAS} without biases",
        "batch": str(config.batch),
        "initial weights": f"normal, deviation {config.deviation:g}, biases {config.bias:g}",
        "parameters": f"{lenet_from_scratch.PARAMETERS:,}",
        "connections": f"{connections - lenet_from_scratch.UNUSED:,}",
    }


def _of_spec(
    spec: Spec, reading: Reading, *, preprocessing: str, optimizer: str, passes: str, rate: str, order: str
) -> Facts:
    convolutions = [layer for layer in spec.hidden if layer.kind == "convolution" and not layer.full]
    full = [layer for layer in spec.hidden if layer.full]
    output = spec.geometry[-1]
    if output.prototypes == "places":
        full = full[:-1]
    outputs = {"places": "squashed units, place code", "bitmaps": "RBF units on 7x12 bitmaps"}.get(
        output.prototypes, "linear units, softmax"
    )
    power = {1.0: "F", 0.5: "sqrt F"}.get(reading.init_power, f"F^{reading.init_power:g}")
    biases = {"drawn": "biases too", "zero": "biases 0"}[reading.bias_init]
    return _in_order(
        size=spec.input_shape[1],
        preprocessing=preprocessing,
        convolutions=[_convolution(layer) for layer in convolutions],
        pooling=_pooling(spec),
        full=[layer.out_shape[0] for layer in full],
        squashing={"tanh": f"{A} tanh(2a/3)", "relu": "ReLU"}[spec.squashing],
        outputs=f"{spec.classes} {outputs}",
        loss="cross-entropy" if output.kind == "softmax" else LOSSES[reading.loss],
        optimizer=optimizer,
        rate=rate,
        batch="1",
        passes=passes,
        order=order,
        initial=f"uniform in +-{reading.init_gain:.3g}/{power}, {biases}",
        parameters=spec.parameters,
        connections=sum(accounting.connections(layer) for layer in spec.geometry),
    )


def _pooling(spec: Spec) -> str:
    words = {"subsampling": "2x2, coefficient and bias per map, squashed"}
    words |= {statistic: f"2x2, {statistic}, no parameters" for statistic in ("average", "max")}
    return next((words[layer.kind] for layer in spec.hidden if layer.kind in words), "none")


def _convolution(layer: Geometry) -> str:
    table = "Table I" if layer.table == TABLE_I else f"a table of {layer.kernels} kernels"
    return _maps(layer.out_shape[0], layer.kernel[0], "every map" if layer.every_map else table)


# --- networks of today, trained in mini-batches -----------------------------------------------------------------------


@_facts.register
def _of_today(config: minibatch.Config) -> Facts:
    network = config.network
    # As all networks of `lenet98.modern.popular` are.
    assert isinstance(network, ConvNet)
    assert isinstance(config.optimizer, Optimizer)
    return _in_order(
        size=network.size,
        preprocessing=_levels(*config.levels),
        convolutions=[_maps(maps, network.kernel, "every map") for maps in network.maps],
        pooling=f"2x2, {network.pooling}, no parameters",
        full=list(network.units),
        squashing=_squashing(network),
        outputs=f"{network.classes} linear units, softmax",
        loss="cross-entropy",
        optimizer=_optimizer(config.optimizer),
        rate=_rate(config),
        batch=str(config.batch),
        passes=str(config.passes),
        order="a new random order every pass",
        initial=_initial(network.initial),
        parameters=network.parameters,
        connections=network.connections,
    )


def _squashing(network: ConvNet) -> str:
    words = {"tanh": "tanh", "sigmoid": "logistic", "relu": "ReLU"}
    of_maps, of_units = words[network.squashes("convolution")], words[network.squashes("full")]
    extra = [
        *(["batch normalized"] if network.batch_norm else []),
        *([f"dropout {network.dropout:g}"] * (network.dropout > 0)),
    ]
    both = of_maps if of_maps == of_units else f"{of_maps}; full layers {of_units}"
    return ", ".join([both, *extra])


def _optimizer(chosen: Optimizer) -> str:
    words = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "adadelta": "Adadelta"}
    extra = [
        f"{name.replace('_', ' ')} {getattr(chosen, name):g}"
        for name in ("momentum", "weight_decay")
        if getattr(chosen, name)
    ]
    return ", ".join([words[chosen.method], *extra])


def _rate(config: minibatch.Config) -> str:
    rate = config.optimizer.rate
    steps = _steps([rate * factor for factor in config.factors] or [rate])
    return f"{steps}, to 0 along a cosine" if config.schedule == "cosine" else steps


def _initial(initial: Initial) -> str:
    weights = {
        "torch": "uniform in +-1/sqrt F",
        "glorot": "Glorot's uniform",
        "he": "He's normal",
        "normal": f"normal, deviation {initial.deviation:g}",
        "truncated normal": f"truncated normal, deviation {initial.deviation:g}",
    }[initial.weights]
    biases = (
        "biases too"
        if initial.biases == initial.weights
        else ("biases in +-1/sqrt F" if initial.biases == "torch" else f"biases {initial.biases:g}")
    )
    return f"{weights}, {biases}"


# --- words ------------------------------------------------------------------------------------------------------------


def _in_order(
    *, size: int, preprocessing: str, convolutions: list[str], pooling: str, full: list[int], squashing: str,
    outputs: str, loss: str, optimizer: str, rate: str, batch: str, passes: str, order: str, initial: str,
    parameters: int, connections: int,
) -> Facts:  # fmt: skip
    first, second, *others = [*convolutions, "none", "none"]
    return {
        "input": f"{size}x{size}",
        "preprocessing": preprocessing,
        "C1": first,
        "C3": second,
        "further convolutions": "; ".join(others[: max(0, len(convolutions) - 2)]) or "none",
        "pooling": pooling,
        "full layers": ", ".join(map(str, full)) or "none",
        "squashing": squashing,
        "output": outputs,
        "loss": loss,
        "optimizer": optimizer,
        "rate": rate,
        "batch": batch,
        "passes": passes,
        "order": order,
        "initial weights": initial,
        "parameters": f"{parameters:,}",
        "connections": f"{connections:,}",
    }


def _maps(maps: int, kernel: int, reads: str) -> str:
    return f"{maps} maps, {kernel}x{kernel}, {reads}"


def _levels(white: float, black: float) -> str:
    return f"gray levels {white:.4g} to {black:.4g}"


def _steps(values: list[float] | tuple[float, ...]) -> str:
    """The values as they change, without repetition."""
    return " ".join(dict.fromkeys(f"{value:g}" for value in values))
