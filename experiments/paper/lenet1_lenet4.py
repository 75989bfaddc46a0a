"""Rows of Fig. 9: LeNet-1, and LeNet-4 with its own last layer, K-NN or local learning (III.C.7 and III.C.8).

K-NN and local learning work on the 120 states of C5, in which every training pattern is stored.  LeNet-4 itself is
trained in the same run, as the experiment `fig9/lenet4` of the same seed trains it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from experiments.harness import tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Runs
from experiments.harness.tables import Row, Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.trainers import train_network, train_on_form, training
from lenet98 import accounting, networks
from lenet98.data.mnist import CLASSES
from lenet98.data.splits import split
from lenet98.loop import Progress
from lenet98.modules import network
from lenet98.prototypes import place_codes
from lenet98.recipes import longer, recipe
from lenet98.sdlm import ETAS
from lenet98.specs import Geometry, Spec
from lenet98.training import CHUNK, Config, inputs, train

# --- what is run ------------------------------------------------------------------------------------------------------


BLOCK = 250
"""Patterns classified between two reports of progress."""


@dataclass(frozen=True)
class NeighboursConfig(Config):
    """LeNet-4 trained, then K-NN on the states below its last layer."""

    neighbours: int = 5
    """k."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_neighbours(self.neighbours, self.train_size)


@dataclass(frozen=True)
class LocalConfig(Config):
    """LeNet-4 trained, then its last layer retrained for every pattern on the patterns nearest to it."""

    neighbours: int = 60
    """Training patterns on which the layer is retrained."""
    decay: float = 10.0
    """Weight decay toward the layer of the network, in units of the squared error summed over the neighbors."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_neighbours(self.neighbours, self.train_size)
        if not 0 < self.decay < float("inf"):
            raise ValueError(f"LocalConfig.decay is {self.decay!r}; it must be positive and finite")


@dataclass(frozen=True)
class GridConfig(Config):
    """LeNet-4 trained, then both classifiers with all of these settings, to choose theirs by."""

    votes: tuple[int, ...] = (1, 3, 5, 7, 15, 51)
    """k of K-NN."""
    neighbours: tuple[int, ...] = (15, 30, 60, 100)
    """Of local learning, with every decay."""
    decays: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for neighbours in (*self.votes, *self.neighbours):
            _check_neighbours(neighbours, self.train_size)


def _check_neighbours(neighbours: int, patterns: int) -> None:
    if not 1 <= neighbours <= patterns:
        raise ValueError(f"neighbours is {neighbours}; it must be 1..train_size, {patterns}")


# --- the parts of a network -------------------------------------------------------------------------------------------


class Linear(NamedTuple):
    """A layer of linear units: what a full layer is before its units are squashed."""

    weights: NDArray[np.floating[Any]]
    """Shape (units, inputs)."""
    biases: NDArray[np.floating[Any]]
    """Shape (units,)."""

    def __call__(self, x: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Weighted sums of states of shape (n, inputs), shape (n, units)."""
        return x @ self.weights.T + self.biases


def last_layer(spec: Spec, parameters: NDArray[np.float32]) -> Linear:
    """The layer of the ten outputs; ValueError for a network whose outputs are not full and place-coded."""
    layer: Geometry = spec.trainable[-1]
    if layer.kind != "full" or spec.geometry[-1].prototypes != "places":
        raise ValueError(f"{spec.name} has no full layer of place-coded outputs; take lenet4")
    return Linear(parameters[layer.weight_slice].reshape(layer.out_shape[0], -1), parameters[layer.bias_slice])


def states_below(
    spec: Spec, config: Config, parameters: NDArray[np.float32], images: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    """What the last layer sees of the digits: arrays of shape (CHUNK or less, inputs of that layer), one a chunk."""
    net = network(spec, parameters, config.reading)
    for start in range(0, len(images), CHUNK):
        with torch.no_grad():
            seen = torch.from_numpy(inputs(spec, images[start : start + CHUNK]))
            yield net.states(seen)[-2].flatten(1).numpy()


# --- the two classifiers ----------------------------------------------------------------------------------------------


def votes(distances: NDArray[np.floating[Any]], classes: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Outputs of K-NN: how many neighbors each class has, of equals the one with the nearest ahead.

    Parameters
    ----------
    distances
        To the neighbors of each pattern, the nearest first, shape (n, k).
    classes
        Theirs, shape (n, k).

    Returns
    -------
    Shape (n, 10): the number of votes, and 1/(1 + distance) of the nearest of the class, which is less than a vote.
    """
    members = classes[:, :, None] == np.arange(CLASSES)
    nearest = np.where(members, distances[:, :, None], np.inf).min(axis=1)
    return members.sum(axis=1) + 1 / (1 + nearest)


def local_outputs(
    layer: Linear,
    states: NDArray[np.floating[Any]],
    neighbours: NDArray[np.floating[Any]],
    classes: NDArray[np.integer[Any]],
    decay: float,
) -> NDArray[np.float64]:
    """Outputs of a linear layer retrained for each pattern on its neighbors (Bottou and Vapnik, 1992).

    With V the weights and the biases, V_0 those of `layer`, x an input with a 1 for the bias and t its place code, V
    minimizes sum_i |V x_i - t_i|^2 + decay |V - V_0|^2 over the neighbors: a ridge regression of V_0's errors.  The
    targets of the weighted sums are those of the units, since f(1) = 1 and f(-1) = -1.

    Parameters
    ----------
    layer
        The layer that the network was trained with.
    states
        Its inputs for n patterns, shape (n, inputs).
    neighbors, classes
        Inputs and classes of k training patterns near each, shapes (n, k, inputs) and (n, k).
    decay
        The greater, the closer to `layer`; infinity is `layer` itself.

    Returns
    -------
    Weighted sums, shape (n, 10), not squashed: the greatest is the answer.
    """
    known = np.pad(neighbours, ((0, 0), (0, 0), (0, 1)), constant_values=1)
    errors = place_codes()[classes] - layer(neighbours)
    curvature = known.swapaxes(1, 2) @ known + decay * np.eye(known.shape[2])
    changes = np.linalg.solve(curvature, known.swapaxes(1, 2) @ errors)
    seen = np.pad(states, ((0, 0), (0, 1)), constant_values=1)
    return layer(states) + (seen[:, None] @ changes)[:, 0]


def local_multiply_accumulates(layer: Linear, neighbours: int) -> int:
    """Of retraining `layer` on `neighbours` patterns and applying it once, the normal equations solved by Cholesky."""
    units, inputs = layer.weights.shape[0], layer.weights.shape[1] + 1
    errors = neighbours * inputs * units
    equations = neighbours * inputs * (inputs + 1) // 2 + neighbours * inputs * units
    solution = inputs**3 // 6 + units * inputs**2
    return errors + equations + solution + 2 * inputs * units


# --- the experiments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """LeNet-4 trained, and the neighbors of every judged pattern."""

    layer: Linear
    passes: list[dict[str, Any]]
    """Of the training."""
    parameters: NDArray[np.float32]
    stored: NDArray[np.float32]
    """States of the training patterns, shape (patterns, 120)."""
    classes: NDArray[np.uint8]
    """Theirs."""
    states: NDArray[np.float32]
    """Of the judged patterns, shape (n, 120)."""
    labels: NDArray[np.uint8]
    """Theirs."""

    @cached_property
    def _search(self) -> NearestNeighbors:
        return NearestNeighbors(algorithm="brute").fit(self.stored)

    def blocks(self, neighbours: int) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.intp]]]:
        """The patterns of a block, distances of their neighbors, nearest first, and the neighbors' indices."""
        for start in range(0, len(self.states), BLOCK):
            part = slice(start, min(start + BLOCK, len(self.states)))
            yield part, *self._search.kneighbors(self.states[part], neighbours)


def train_and_store(config: Config, seed: int, context: Context) -> Found | Outcome:
    """Train, and store the states of the training set; the outcome instead if the run diverged.

    Reports the passes of the training and one more, of which there are two after it.
    """
    spec, part = config.spec, split(context.mnist, config.train_size, config.held_out)

    def report(own: Progress) -> None:
        context.progress(replace(own, passes=_passes(config)))

    trained = train(config, seed, context.mnist, progress=report, checkpoint=context.checkpoint)
    passes = [asdict(entry) for entry in trained.history]
    if trained.diverged:
        return Outcome(passes, trained.distances.argmin(axis=1).astype(np.uint8), diverged=True)
    chunks: list[NDArray[np.float32]] = []
    for chunk in states_below(spec, config, trained.parameters, part.train_images):
        chunks.append(chunk)
        done = min(CHUNK * len(chunks), config.train_size)
        context.progress(Progress(len(config.etas) + 1, _passes(config), done, config.train_size))
    return Found(
        layer=last_layer(spec, trained.parameters),
        passes=passes,
        parameters=trained.parameters,
        stored=np.concatenate(chunks),
        classes=part.train_labels,
        states=np.concatenate(list(states_below(spec, config, trained.parameters, part.images))),
        labels=part.labels,
    )


def _passes(config: Config) -> int:
    """Of the training, one to store the states, one to classify."""
    return len(config.etas) + 2


@family("k-nearest states")
def nearest_states(config: NeighboursConfig, seed: int, context: Context) -> Outcome:
    """LeNet-4 with K-NN in place of its last layer."""
    found = train_and_store(config, seed, context)
    if isinstance(found, Outcome):
        return found

    def outputs(part: slice, distances: NDArray[np.float32], near: NDArray[np.intp]) -> NDArray[np.float64]:
        return votes(distances, found.classes[near])

    return _classify(config, found, context, outputs, found.stored.size)


@family("local learning")
def local_learning(config: LocalConfig, seed: int, context: Context) -> Outcome:
    """LeNet-4 with its last layer retrained for every pattern."""
    found = train_and_store(config, seed, context)
    if isinstance(found, Outcome):
        return found

    def outputs(part: slice, distances: NDArray[np.float32], near: NDArray[np.intp]) -> NDArray[np.float64]:
        return local_outputs(found.layer, found.states[part], found.stored[near], found.classes[near], config.decay)

    retraining = local_multiply_accumulates(found.layer, config.neighbours)
    return _classify(config, found, context, outputs, found.stored.size + retraining)


@family("last layers")
def compare_settings(config: GridConfig, seed: int, context: Context) -> Outcome:
    """LeNet-4 itself, and in `extra` the errors of K-NN and of local learning by setting."""
    found = train_and_store(config, seed, context)
    if isinstance(found, Outcome):
        return found
    settings = [(k, None) for k in config.votes] + [(k, decay) for k in config.neighbours for decay in config.decays]
    wrong = np.zeros(len(settings), int)
    for part, distances, near in found.blocks(max(k for k, _ in settings)):
        classes = found.classes[near]
        for i, (k, decay) in enumerate(settings):
            if decay is None:
                outputs = votes(distances[:, :k], classes[:, :k])
            else:
                known = found.stored[near[:, :k]]
                outputs = local_outputs(found.layer, found.states[part], known, classes[:, :k], decay)
            wrong[i] += (outputs.argmax(axis=1) != found.labels[part]).sum()
        context.progress(Progress(_passes(config), _passes(config), part.stop, len(found.labels)))
    return Outcome(
        passes=found.passes,
        predictions=found.layer(found.states).argmax(axis=1).astype(np.uint8),
        extra={
            "settings": [
                {"neighbours": k, "decay": decay, "errors": int(errors)}
                for (k, decay), errors in zip(settings, wrong, strict=True)
            ]
        },
    )


class Outputs(Protocol):
    """The outputs of the patterns of a block, shape (n, 10), from the distances and indices of their neighbors."""

    def __call__(self, part: slice, distances: NDArray[np.float32], near: NDArray[np.intp]) -> NDArray[np.float64]: ...


def _classify(
    config: NeighboursConfig | LocalConfig, found: Found, context: Context, outputs: Outputs, work: int
) -> Outcome:
    """Classify every judged pattern; `work` are the multiply-accumulates of a pattern above the states."""
    began, blocks, wrong = time.perf_counter(), [], 0
    for part, distances, near in found.blocks(config.neighbours):
        blocks.append(outputs(part, distances, near))
        wrong += int((blocks[-1].argmax(axis=1) != found.labels[part]).sum())
        context.progress(Progress(_passes(config), _passes(config), part.stop, len(found.labels), wrong))
    best = np.sort(np.concatenate(blocks), axis=1)
    total = accounting.table(config.spec)[-1]
    below = total["multiply_accumulates"] - found.layer.weights.size
    last = {
        "number": len(config.etas) + 1,
        "test_patterns": len(found.labels),
        "test_errors": wrong,
        "seconds": time.perf_counter() - began,
    }
    return Outcome(
        passes=[*found.passes, last],
        predictions=np.concatenate([block.argmax(axis=1) for block in blocks]).astype(np.uint8),
        scores=best[:, -1] - best[:, -2],
        weights=found.parameters,
        extra={
            "multiply_accumulates": below + work,
            "stored": total["stored"] + found.stored.size,
            "errors_of_the_network": found.passes[-1]["test_errors"],
        },
    )


# --- the experiments --------------------------------------------------------------------------------------------------


LENET1 = recipe(networks.LENET1)
LENET4 = recipe(networks.LENET4)
NEIGHBOURS = training(NeighboursConfig, networks.LENET4)
LOCAL = training(LocalConfig, networks.LENET4)

for experiment in (
    Experiment("16x16_lenet1", "[16x16] LeNet-1", LENET1, train_on_form, minutes=2.5),
    Experiment("lenet4", "LeNet-4", LENET4, train_network, minutes=2.5),
    Experiment("lenet4_local", "LeNet-4 / Local", LOCAL, local_learning, minutes=3),
    Experiment("lenet4_knn", "LeNet-4 / K-NN", NEIGHBOURS, nearest_states, minutes=3),
):
    register(replace(experiment, name=f"fig9/{experiment.name}", paper_error=paper.TEST_ERROR[experiment.name]))

ROOM = "lenet1-lenet4/held-out"
LAST_LAYERS = f"{ROOM}/lenet4-last-layer-replaced"

HELD_OUT_TIMES = (1, 4)
"""How many times as many passes as LeNet-5 LeNet-1 is given, each eta for as many of them."""

for times in HELD_OUT_TIMES:
    passes = times * len(ETAS)
    register(
        Experiment(
            f"{ROOM}/lenet1-passes{passes}",
            f"[16x16] LeNet-1 on 50,000 patterns, {passes} passes",
            replace(
                LENET1,
                etas=longer(times),
                train_size=50_000,
                held_out=10_000,
            ),
            train_on_form,
            minutes=0.6 * times,
            seeds=(0, 1, 2),
        )
    )

register(
    Experiment(
        LAST_LAYERS,
        "LeNet-4 on 50,000 patterns, its last layer replaced",
        training(GridConfig, networks.LENET4, train_size=50_000, held_out=10_000),
        compare_settings,
        minutes=4,
        seeds=(0, 1, 2),
    )
)


@tables.table("lenet1-passes")
def lenet1_passes(load: Loader) -> Table:
    """LeNet-1 trained for longer, on the training patterns that it did not learn."""
    passes = [times * len(ETAS) for times in HELD_OUT_TIMES]
    used = [load.one(f"{ROOM}/lenet1-passes{number}") for number in passes]
    header = ["passes", "training, %", "held-out error, %", "sd", "n", *tables.INTERVALS]
    body, records = [], []
    for number, runs in zip(passes, used, strict=True):
        row = tables.test_row(runs, str(number), None)
        learned = tables.training_error(runs)
        body.append([row.row, tables.number(learned), *tables.cells(row)[1:-1]])
        records.append({**row.as_json(), "training": learned})
    remark = (
        "Trained on the first 50,000 training patterns, errors on the last 10,000; training error is on the "
        f"fly, in the last pass. Each eta lasts for as many times more passes. {tables.COVER}"
    )
    caption = "LeNet-1 trained for longer: error on patterns held out of the training set."
    return Table("lenet1-passes", caption, header, body, records, tables.notes("lenet1-passes", used, remark))


@tables.table("last-layers")
def last_layers(load: Loader) -> Table:
    """LeNet-4's last layer replaced, by setting, on the training patterns that it did not learn."""
    runs = load.one(LAST_LAYERS)
    itself = tables.test_row(runs, "its own", None)
    rows = [itself, *(_setting(runs, i, itself) for i in range(len(runs.finished[0].extra["settings"])))]
    header = ["last layer", "held-out error, %", "sd", "n", *tables.INTERVALS]
    body = [[row.row, *tables.cells(row)[1:-1]] for row in rows]
    remark = (
        "LeNet-4 trained on the first 50,000 training patterns, errors on the last 10,000. The experiments "
        f"have k = {NEIGHBOURS.neighbours}, and local learning with {LOCAL.neighbours} neighbors and decay "
        f"{LOCAL.decay:g}. {tables.COVER}"
    )
    caption = "LeNet-4's last layer replaced: error on patterns held out of the training set."
    notes = tables.notes("last-layers", [runs], remark)
    return Table("last-layers", caption, header, body, [row.as_json() for row in rows], notes)


def _setting(runs: Runs, number: int, itself: Row) -> Row:
    """The row of one setting, on the patterns that the network `itself` was judged on."""
    found = [result.extra["settings"][number] for result in runs.finished]
    k, decay = found[0]["neighbours"], found[0]["decay"]
    title = f"K-NN, k = {k}" if decay is None else f"Local, {k} neighbors, decay {decay:g}"
    errors = [setting["errors"] for setting in found]
    return tables.summarize(title, None, errors, itself.patterns, diverged=itself.diverged, source=runs.source)
