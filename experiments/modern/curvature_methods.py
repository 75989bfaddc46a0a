"""What the curvature is worth: Appendix C's h_kk beside exact and other diagonals, and SDLM trained with each.

None of it is in the paper.  How far the diagonals of `lenet98.modern.curvatures` are from the exact ones that they
stand for is measured on LeNet-5 as it starts, after its first pass and after its last.  Then LeNet-5 is trained with
each, mu as printed.  Methods differ in scale, too, and no one factor undoes that: the cap of the rates, eta / mu, stays
where it is.  So each also trains with the factor before every pass by which its rates have the geometric mean of
Appendix C's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.modern.ladder import register_training
from experiments.numerics import family
from lenet98 import training
from lenet98.loop import Progress
from lenet98.modern import curvatures
from lenet98.modern.curvatures import METHODS, PROBES, Method, estimate, matching
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.specs import Spec

STANDARD: Method = "bbprop"
"""The paper's."""
EXACT: Mapping[Method, Method] = {
    "gauss-newton": "hessian",
    "gauss-newton-of-eq8": "hessian",
    "fisher": "hessian",
    "hessian": "hessian",
    "bbprop": "gauss-newton-of-eq8",  # by `DEFAULT`, which has eq. 8's second derivatives at the output
    "bbprop-of-loss": "gauss-newton",
    "hesscale": "hessian",
    "hutchinson-gauss-newton": "gauss-newton",
    "hutchinson-hessian": "hessian",
    "squared-gradients": "gauss-newton",
    "fisher-sampled": "fisher",
    "layer-mean": "gauss-newton-of-eq8",
    "mean": "gauss-newton-of-eq8",
}
"""The exact diagonal that each stands for."""

IDEAS: Mapping[Method, str] = {
    "gauss-newton": "Gauss-Newton, exact",
    "gauss-newton-of-eq8": "Gauss-Newton of eq. 8, exact",
    "fisher": "Fisher, exact",
    "hessian": "Hessian, exact",
    "bbprop": "Appendix C (bbprop)",
    "bbprop-of-loss": "Appendix C from eq. 9",
    "hesscale": "HesScale",
    "hutchinson-gauss-newton": "Hutchinson, Gauss-Newton",
    "hutchinson-hessian": "Hutchinson, Hessian",
    "squared-gradients": "squared gradients",
    "fisher-sampled": "Fisher, a class drawn",
    "layer-mean": "Appendix C, mean of a layer",
    "mean": "Appendix C, mean of all",
}
"""Words for the methods, in the order of the tables."""

TRAINED: Mapping[Method, float] = {
    "bbprop": 1.5,
    "gauss-newton-of-eq8": 3.5,
    "gauss-newton": 4,
    "bbprop-of-loss": 1.5,
    "hesscale": 1.6,
    "hutchinson-gauss-newton": 3,
    "squared-gradients": 1.6,
    "fisher-sampled": 1.6,
    "layer-mean": 1.5,
    "mean": 1.5,
}
"""Minutes of one run on one core, by the methods that train a network."""

# --- SDLM with each ---------------------------------------------------------------------------------------------------

SEEDS = tuple(range(5))


def printed(method: Method) -> str:
    """The experiment with h_kk as they are."""
    return f"modern/curvature/{method}"


def matched(method: Method) -> str:
    """The experiment with rates as great as Appendix C's; of Appendix C it is `printed`."""
    return printed(method) + ("" if method == STANDARD else "-matched")


RUNS: Mapping[str, curvatures.Config] = {
    name: curvatures.Config(curvature_method=method, matched=name != printed(method))
    for method in TRAINED
    for name in (printed(method), matched(method))
}
"""What is trained, by experiment."""

for name, config in RUNS.items():
    words = f"LeNet-5, SDLM by {IDEAS[config.curvature_method]}" + (", matched" if config.matched else "")
    register_training(name, words, config, TRAINED[config.curvature_method], SEEDS)


# --- how far each is from the exact diagonal --------------------------------------------------------------------------

MEASURED = "modern/curvature/measured"
TIMED = 100
"""Patterns whose curvature is timed."""
ROUNDS = 3
"""The methods take turns so many times; their times are medians."""


@dataclass(frozen=True)
class MeasuredConfig(training.Config):
    """The network that is measured, and how: on `curvature_patterns` of those that it learns."""

    probes: int = PROBES
    """Of Hutchinson's estimates."""


@family("curvature methods")
def measure(config: MeasuredConfig, seed: int, context: Context) -> Outcome:
    """Train a network and compare the diagonals of its curvature as it starts, after the first and the last pass.

    The arithmetic is float64, on the patterns that the rates of the first pass are from.

    Returns
    -------
    A measurement: `correlation` and `ratio`, shape (3, methods, layers), Spearman's with the method's own exact
    diagonal over the parameters of a layer and the median ratio to it; and of shape (3, methods) `all_ratio`, that of
    all parameters; `negative`, the share of h_kk below zero; `rates`, the root mean square of the logarithm of the
    rates' ratio; `factor`, the logarithm of the one by which the rates are as great as Appendix C's.  NaN where nothing
    varies, or the h_kk are 0.  What was measured is `methods`, `layers` and `stages`; `seconds` are of one estimate in
    float32 on `patterns_timed` patterns, methods in turns.
    """
    trained = training.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    first = training.train(replace(config, etas=config.etas[:1]), seed, context.mnist, progress=context.progress)
    start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    sample = training.curvature_sample(config, seed, 1)
    images = training.network_input(config, seed, sample, context.mnist.train_images)
    labels = training.targets(config, seed, sample, context.mnist.train_labels)

    def by(method: Method, parameters: NDArray[Any], few: int) -> NDArray[Any]:
        rng = generator(seed, "hessian", 1, 1)
        return estimate(method, config.spec, config.reading, parameters, images[:few], labels[:few], rng, config.probes)

    found: list[dict[str, NDArray[np.float64]]] = []
    stages = (start, first.parameters, trained.parameters)
    for parameters in stages:
        diagonals: dict[Method, NDArray[np.float64]] = {}
        for method in METHODS:
            context.progress(Progress(len(found) + 1, len(stages), len(diagonals), len(METHODS), None))
            diagonals[method] = by(method, parameters.astype(np.float64), len(images))
        found.append(compared(diagonals, config.spec, config.mu))
    report = partial(Progress, len(stages), len(stages), errors=None)
    taken = seconds(
        {method: partial(by, method, trained.parameters, TIMED) for method in METHODS},
        lambda done, total: context.progress(report(done=done, total=total)),
    )
    return Outcome(
        extra={
            "methods": list(METHODS),
            "layers": [layer.name for layer in config.spec.trainable],
            "stages": [0, min(1, len(first.history)), len(trained.history)],
            "patterns_timed": min(TIMED, len(images)),
            "seconds": taken,
            "diverged": trained.diverged,
        },
        arrays={name: np.array([one[name] for one in found]) for name in found[0]},
    )


def compared(diagonals: Mapping[Method, NDArray[np.float64]], spec: Spec, mu: float) -> dict[str, NDArray[np.float64]]:
    """The numbers of `measure` at one stage, without its first axis, from h_kk by method."""
    parts = [slice(layer.weight_slice.start, layer.bias_slice.stop) for layer in spec.trainable]
    pairs = [(h, diagonals[EXACT[method]]) for method, h in diagonals.items()]

    def off(h: NDArray[np.float64], own: NDArray[np.float64]) -> float:
        return float(np.sqrt(np.mean(np.log((mu + abs(h)) / (mu + abs(own))) ** 2)))

    return {
        "correlation": np.array([[correlation(h[part], own[part]) for part in parts] for h, own in pairs]),
        "ratio": np.array([[ratio(h[part], own[part]) for part in parts] for h, own in pairs]),
        "all_ratio": np.array([ratio(h, own) for h, own in pairs]),
        "negative": np.array([(h < 0).mean() for h, _ in pairs]),
        "rates": np.array([off(h, own) for h, own in pairs]),
        "factor": np.log([matching(abs(h), diagonals[STANDARD], mu) for h, _ in pairs]),
    }


def correlation(h: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; NaN if either is constant."""
    if np.ptp(h) == 0 or np.ptp(exact) == 0:
        return float("nan")
    return float(stats.spearmanr(h, exact).statistic)


def ratio(h: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """The median of h / exact where exact is not 0; NaN if it is everywhere."""
    there = exact != 0
    return float(np.median(h[there] / exact[there])) if there.any() else float("nan")


def seconds(
    compute: Mapping[str, Callable[[], object]], progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, float]:
    """Median time of each over `ROUNDS` rounds in which they take turns; `progress` is told runs done, of how many."""
    taken: dict[str, list[float]] = {name: [] for name in compute}
    for number in range(ROUNDS):
        for place, (name, run) in enumerate(compute.items()):
            progress(number * len(compute) + place, ROUNDS * len(compute))
            began = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - began)
    return {name: median(times) for name, times in taken.items()}


register(
    Experiment(MEASURED, "LeNet-5, curvature methods measured", MeasuredConfig(), measure, minutes=15, seeds=(0, 1))
)


# --- tables -----------------------------------------------------------------------------------------------------------

SAYS = (
    "Exact is the diagonal that a method stands for: J'HJ, J the Jacobian of F6's states in the parameters and H the "
    "second derivatives in them of the loss or of eq. 8, the Fisher matrix, or the whole Hessian, which J'HJ itself "
    "stands for; in float64 on the 500 patterns from which the first pass has its rates. *r* is Spearman's "
    "correlation with it over a layer's parameters; *ratio* is the median of h_kk over the exact one. *Off* is the "
    "root mean square of ln((mu + |h_kk|) / (mu + |exact|)): how far the rates are from those of exact curvature. "
    "*Factor* is the one on |h_kk| by which the rates have the geometric mean of Appendix C's. Means over seeds. Cost "
    "is the time of an estimate over that of Appendix C, float32, one thread, methods in turns in one process, median. "
    f"Hutchinson's estimates have {PROBES} probes."
)


@dataclass(frozen=True)
class Measurement:
    """What `measure` found, each the mean over the runs."""

    n: int
    """Runs."""
    stages: tuple[int, ...]
    layers: tuple[str, ...]
    methods: tuple[Method, ...]
    values: Mapping[str, NDArray[np.float64]]
    cost: Mapping[str, float]
    """Time over that of Appendix C."""

    def at(self, name: str, stage: int, method: Method) -> NDArray[np.float64]:
        """A value of that name."""
        found: NDArray[np.float64] = self.values[name][stage, self.methods.index(method)]
        return found


def measured(runs: Runs) -> Measurement | None:
    """Of the runs whose network did not diverge; None if there are none."""
    results = [result for result in runs.results if not result.extra["diverged"]]
    if not results:
        return None
    first = results[0].extra
    arrays = [result.arrays() for result in results]
    names = ("correlation", "ratio", "all_ratio", "negative", "rates", "factor")
    taken = [result.extra["seconds"] for result in results]
    return Measurement(
        len(results), tuple(first["stages"]), tuple(first["layers"]), tuple(first["methods"]),
        {name: np.mean([each[name] for each in arrays], axis=0) for name in names},
        {name: median(each[name] / each[STANDARD] for each in taken) for name in first["methods"]},
    )  # fmt: skip


@tables.table("curvature-methods")
def methods_table(load: Loader) -> Table:
    """Each method: how far from the exact diagonal that it stands for, and at what cost."""
    runs = load.one(MEASURED)
    found = measured(runs)
    records = [_measured_record(found, method) for method in found.methods] if found else []
    columns = ("r", "ratio", "off", "factor")
    stages = list(map(_stage, found.stages)) if found else []
    body = [
        [
            record["row"],
            record["exact"],
            *(_shown(record[f"{column}, {stage}"]) for stage in stages for column in columns),
            _shown(record["cost"]),
        ]
        for record in records
    ]
    header = ["h_kk", "exact", *(f"{column}, {stage}" for stage in stages for column in columns), "cost"]
    remark = f"{SAYS} Here r is the mean over the layers, and ratio is over all parameters."
    caption = "Appendix C's and other diagonals of the curvature, beside the exact ones."
    notes = tables.notes("curvature-methods", [runs], remark)
    return Table("curvature-methods", caption, header, body, records, notes)


def _measured_record(found: Measurement, method: Method) -> Json:
    record: Json = {"row": IDEAS[method], "method": method, "exact": IDEAS[EXACT[method]]}
    for number, stage in enumerate(map(_stage, found.stages)):
        for column, value in (("r", "correlation"), ("ratio", "all_ratio"), ("off", "rates")):
            record[f"{column}, {stage}"] = _number(float(found.at(value, number, method).mean()))
        record[f"factor, {stage}"] = _number(float(np.exp(found.at("factor", number, method))))
    return record | {"cost": found.cost[method]}


@tables.table("curvature-trained")
def trained_table(load: Loader) -> Table:
    """The test error of SDLM with each method, its rates as they are and as great as Appendix C's."""
    used = load.there(RUNS)
    changes = statistics.compare_with(used, dict.fromkeys(RUNS, printed(STANDARD)))
    body, records = [], []
    for name, runs in used.items():
        method, scale = RUNS[name].curvature_method, "matched" if RUNS[name].matched else "as printed"
        row, change = tables.test_row(runs, IDEAS[method], None), changes.get(name)
        body.append([row.row, scale, *tables.cells(row)[1:-1], *tables.change_cells(change)])
        records.append(
            row.as_json() | {"method": method, "scale": scale, "experiment": name} | statistics.as_json(change)
        )
    header = ["h_kk", "scale", "error, %", "sd", "n", *tables.INTERVALS, *tables.change_header("less Appendix C")]
    remark = (
        "Test errors are of LeNet-5 after the last pass of SDLM, rates eta / (mu + |h_kk|), mu as printed. Matched: "
        "before every pass |h_kk| is multiplied by the one factor by which the rates have the geometric mean of those "
        "of Appendix C on the same patterns, so that methods differ only in which parameters have more. Where all h_kk "
        f"are 0, all rates are that mean. {tables.COVER} {tables.CHANGES}"
    )
    notes = tables.notes("curvature-trained", list(used.values()), remark, *tables.lacking(RUNS, used))
    caption = "What the curvature is worth: SDLM with Appendix C's and other diagonals."
    return Table("curvature-trained", caption, header, body, records, notes)


def _stage(passes: int) -> str:
    return "start" if passes == 0 else f"pass {passes}"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _shown(value: float | None) -> str:
    """Two digits, without an exponent from 0.001 to 100,000; blank for None."""
    if value is None:
        return ""
    if value != 0 and not 0.001 <= abs(value) < 100_000:
        return f"{value:.0e}".replace("-", "−")
    digits = 2 if abs(value) < 10 else 0
    text = f"{value:.{digits}f}" if abs(value) >= 0.095 or value == 0 else f"{value:.2g}"
    return text.replace("-", "−")


@tables.table("curvature-layers")
def layers_table(load: Loader) -> Table:
    """Rank correlation with the method's own exact diagonal and ratio to it, layer by layer."""
    runs = load.one(MEASURED)
    found = measured(runs)
    records = (
        [_layers_record(found, number, method) for number in range(3) for method in found.methods] if found else []
    )
    layers = found.layers if found else ()
    body = [
        [
            record["row"],
            record["exact"],
            record["stage"],
            *(f"{_shown(record[f'correlation {layer}'])} ({_shown(record[f'ratio {layer}'])})" for layer in layers),
            _shown(record["off"]),
            f"{100 * record['negative']:.0f}",
            _shown(record["cost"]),
        ]
        for record in records
    ]
    header = ["h_kk", "exact", "network", *(f"{layer}: r (ratio)" for layer in layers), "off", "negative, %", "cost"]
    caption = "Diagonals of the curvature of LeNet-5 by layer, beside the exact ones."
    return Table(
        "curvature-layers", caption, header, body, records, tables.notes("curvature-layers", [runs], SAYS)
    )  # fmt: skip


def _layers_record(found: Measurement, number: int, method: Method) -> Json:
    record: Json = {
        "row": IDEAS[method],
        "method": method,
        "exact": IDEAS[EXACT[method]],
        "stage": _stage(found.stages[number]),
    }
    for place, layer in enumerate(found.layers):
        for value in ("correlation", "ratio"):
            record[f"{value} {layer}"] = _number(found.at(value, number, method)[place])
    return record | {
        "off": _number(float(found.at("rates", number, method))),
        "negative": float(found.at("negative", number, method)),
        "cost": found.cost[method],
        "n": found.n,
    }
