"""What the curvature is worth: Appendix C's h_kk beside exact and other diagonals, and SDLM trained with each.

None of it is in the paper.  How far the diagonals of `lenet98.modern.curvatures` are from the exact one is measured on
LeNet-5 as it starts, after its first pass and after its last.  Then LeNet-5 is trained with each, mu as printed.
Methods differ in scale, so each also has a factor on its h_kk, chosen on training patterns held out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from experiments.harness.statistics import NO_COMPARISON, Comparison
from experiments.harness.store import Runs
from experiments.harness.tables import Table
from experiments.modern.ladder import register_training
from experiments.numerics import family
from lenet98 import training
from lenet98.loop import Progress
from lenet98.modern import curvatures
from lenet98.modern.curvatures import METHODS, PROBES, Method, estimate
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.specs import Spec

STANDARD: Method = "bbprop"
"""The paper's."""
EXACT: Method = "gauss-newton"
"""What it approximates."""

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

CONTROLS: tuple[Method, ...] = ("layer-mean", "mean")
"""Methods that tell parameters of a layer not apart: no rank correlation."""

MINUTES: Mapping[Method, float] = {
    "gauss-newton": 4,
    "gauss-newton-of-eq8": 4,
    "hessian": 20,
    "hutchinson-gauss-newton": 4,
    "hutchinson-hessian": 4,
}
"""Of one run on one core, where it is more than `OTHERWISE`."""
OTHERWISE = 2.0

# --- SDLM with each ---------------------------------------------------------------------------------------------------

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""On h_kk: tried on held-out patterns by every method."""
GREATER = (30.0, 100.0)
"""Tried too by the methods whose h_kk are far below the exact ones in a trained network."""
SMALL: tuple[Method, ...] = ("fisher", "squared-gradients", "fisher-sampled")

CHOSEN: Mapping[Method, float] = dict.fromkeys(METHODS, 1.0)
"""The factor in use besides 1: of those tried, the one with the fewest errors on the held-out patterns."""

SEEDS = tuple(range(5))
HELD_OUT = 6_000


def trained_by(method: Method, factor: float = 1.0) -> curvatures.Config:
    """LeNet-5 by the procedure of III.B, h_kk by another method."""
    return curvatures.Config(curvature_method=method, factor=factor)


def by_printed(method: Method) -> str:
    """The experiment with h_kk as they are."""
    return f"modern/curvature/{method}"


def by_chosen(method: Method) -> str:
    """The experiment with the chosen factor on h_kk; it is `by_printed` if that is 1."""
    factor = CHOSEN[method]
    return by_printed(method) + ("" if factor == 1 else f"-factor{factor:g}")


def tried(method: Method) -> dict[str, float]:
    """The factors that are compared on held-out patterns, by experiment."""
    factors = FACTORS + (GREATER if method in SMALL else ())
    return {f"modern/held-out/curvature-{method}-factor{factor:g}": factor for factor in factors}


for method in (STANDARD, *(each for each in METHODS if each != STANDARD)):
    minutes = MINUTES.get(method, OTHERWISE)
    words = f"LeNet-5, SDLM by {IDEAS[method]}"
    register_training(by_printed(method), words, trained_by(method), minutes, SEEDS)
    if CHOSEN[method] != 1:
        config = trained_by(method, CHOSEN[method])
        register_training(by_chosen(method), f"{words}, factor {CHOSEN[method]:g}", config, minutes, SEEDS)
    for name, factor in tried(method).items():
        config = replace(trained_by(method, factor), train_size=60_000 - HELD_OUT, held_out=HELD_OUT)
        register_training(name, f"{words}, factor {factor:g}, held out", config, minutes, (0,))


# --- how far each is from the exact diagonal --------------------------------------------------------------------------

MEASURED = "modern/curvature/measured"
MORE = 10
"""Hutchinson's estimates are measured with so many times the probes, too."""
TIMED = 100
"""Patterns whose curvature is timed."""
ROUNDS = 3
"""The methods take turns so many times; their times are medians."""


@dataclass(frozen=True)
class MeasuredConfig(training.Config):
    """The network that is measured, and how: on `curvature_patterns` of those that it learns."""

    probes: int = PROBES
    """Of Hutchinson's estimates, and `MORE` times as many."""


def estimates(probes: int) -> dict[str, tuple[Method, int]]:
    """What is measured: method and probes by name."""
    found: dict[str, tuple[Method, int]] = {}
    for method in METHODS:
        if method.startswith("hutchinson"):
            found |= {f"{method}-probes{number}": (method, number) for number in (probes, MORE * probes)}
        elif method not in CONTROLS:
            found[method] = method, probes
    return found


@family("curvature methods")
def measure(config: MeasuredConfig, seed: int, context: Context) -> Outcome:
    """Train a network and compare the diagonals of its curvature as it starts, after the first and the last pass.

    The arithmetic is float64, on the patterns that the rates of the first pass are from.

    Returns
    -------
    A measurement: `correlation` and `ratio`, shape (3, estimates, layers), Spearman's with the exact Gauss-Newton
    diagonal over the parameters of a layer and the median ratio to it; `all_ratio`, (3, estimates), that of all
    parameters; `negative`, (3, estimates), the share of h_kk below zero; `rates`, (3, estimates), the root mean square
    of the logarithm of the rates' ratio.  NaN where nothing varies, or the exact h_kk are 0.  What was measured is
    `estimates`, `layers` and `stages`; `seconds` are of one estimate in float32 on `patterns_timed` patterns, methods
    in turns.
    """
    trained = training.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    first = training.train(replace(config, etas=config.etas[:1]), seed, context.mnist, progress=context.progress)
    start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    sample = training.curvature_sample(config, seed, 1)
    images = training.network_input(config, seed, sample, context.mnist.train_images)
    labels = training.targets(config, seed, sample, context.mnist.train_labels)
    chosen = estimates(config.probes)

    def by(name: str, parameters: NDArray[Any], few: int) -> NDArray[Any]:
        method, probes = chosen[name]
        rng = generator(seed, "hessian", 1, 1)
        return estimate(method, config.spec, config.reading, parameters, images[:few], labels[:few], rng, probes)

    found: list[dict[str, NDArray[np.float64]]] = []
    stages = (start, first.parameters, trained.parameters)
    for parameters in stages:
        diagonals: dict[str, NDArray[np.float64]] = {}
        for name in chosen:
            context.progress(Progress(len(found) + 1, len(stages), len(diagonals), len(chosen), None))
            diagonals[name] = by(name, parameters.astype(np.float64), len(images))
        found.append(compared(diagonals, config.spec, config.mu))
    report = partial(Progress, len(stages), len(stages), errors=None)
    taken = seconds(
        {name: partial(by, name, trained.parameters, TIMED) for name in chosen},
        lambda done, total: context.progress(report(done=done, total=total)),
    )
    return Outcome(
        extra={
            "estimates": list(chosen),
            "layers": [layer.name for layer in config.spec.trainable],
            "stages": [0, min(1, len(first.history)), len(trained.history)],
            "patterns_timed": min(TIMED, len(images)),
            "seconds": taken,
            "diverged": trained.diverged,
        },
        arrays={name: np.array([one[name] for one in found]) for name in found[0]},
    )


def compared(diagonals: Mapping[str, NDArray[np.float64]], spec: Spec, mu: float) -> dict[str, NDArray[np.float64]]:
    """The numbers of `measure` at one stage, without its first axis, from h_kk by estimate."""
    exact = diagonals[EXACT]
    parts = [slice(layer.weight_slice.start, layer.bias_slice.stop) for layer in spec.trainable]
    every = list(diagonals.values())

    def rates(h: NDArray[np.float64]) -> NDArray[np.float64]:
        return mu + abs(h)

    return {
        "correlation": np.array([[correlation(h[part], exact[part]) for part in parts] for h in every]),
        "ratio": np.array([[ratio(h[part], exact[part]) for part in parts] for h in every]),
        "all_ratio": np.array([ratio(h, exact) for h in every]),
        "negative": np.array([(h < 0).mean() for h in every]),
        "rates": np.array([np.sqrt(np.mean(np.log(rates(h) / rates(exact)) ** 2)) for h in every]),
    }


def correlation(h: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; NaN if either is constant."""
    if np.ptp(h) == 0 or np.ptp(exact) == 0:
        return float("nan")
    return float(stats.spearmanr(h, exact).statistic)


def ratio(h: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """The median of h / exact where exact is not 0; NaN if it is everywhere."""
    there = exact > 0
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
    Experiment(MEASURED, "LeNet-5, curvature methods measured", MeasuredConfig(), measure, minutes=20, seeds=(0, 1, 2))
)


# --- tables -----------------------------------------------------------------------------------------------------------

SAYS = (
    "Exact is the diagonal of J'HJ, J the Jacobian of F6's states in the parameters and H the second derivatives of "
    "the loss in them, in float64 on the 500 patterns from which the first pass has its rates. *r* is Spearman's "
    "correlation with it over a layer's parameters; *ratio* is the median of h_kk over the exact one. *Off* is the "
    "root mean square of ln((mu + |h_kk|) / (mu + exact)): how far the rates are from those of exact curvature. "
    "Means over seeds. Cost is the time of an estimate over that of Appendix C, float32, one thread, methods in turns "
    "in one process, median."
)


LESS = "less Appendix C"
"""Head of the column of what a method's error is above that of Appendix C."""


@dataclass(frozen=True)
class Measurement:
    """What `measure` found, each the mean over the runs."""

    n: int
    """Runs."""
    stages: tuple[int, ...]
    layers: tuple[str, ...]
    estimates: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    cost: Mapping[str, float]
    """Time over that of Appendix C."""

    def at(self, name: str, stage: int, estimate: str) -> NDArray[np.float64]:
        """A value of that name."""
        found: NDArray[np.float64] = self.values[name][stage, self.estimates.index(estimate)]
        return found


def measured(runs: Runs) -> Measurement | None:
    """Of the runs whose network did not diverge; None if there are none."""
    results = [result for result in runs.results if not result.extra["diverged"]]
    if not results:
        return None
    first = results[0].extra
    arrays = [result.arrays() for result in results]
    names = ("correlation", "ratio", "all_ratio", "negative", "rates")
    taken = [result.extra["seconds"] for result in results]
    return Measurement(
        len(results), tuple(first["stages"]), tuple(first["layers"]), tuple(first["estimates"]),
        {name: np.mean([each[name] for each in arrays], axis=0) for name in names},
        {name: median(each[name] / each[STANDARD] for each in taken) for name in first["estimates"]},
    )  # fmt: skip


def _measured_in(used: Mapping[str, Runs]) -> Measurement | None:
    return measured(used[MEASURED]) if MEASURED in used else None


def named_in(measurement: Measurement, method: Method) -> str | None:
    """The estimate by a method, by Hutchinson's with the fewer probes; None for a control."""
    found = [name for name in measurement.estimates if name == method or name.startswith(f"{method}-probes")]
    return found[0] if found else None


@tables.table("curvature-methods")
def methods_table(load: Loader) -> Table:
    """Each method: how far from the exact diagonal, at what cost, and the test error of SDLM with it."""
    names = [MEASURED, *(name for method in IDEAS for name in dict.fromkeys((by_printed(method), by_chosen(method))))]
    used = load.there(names)
    found = _measured_in(used)
    trainings = {name: runs for name, runs in used.items() if name != MEASURED}
    changes = statistics.compare_with(used, dict.fromkeys(trainings, by_printed(STANDARD)))
    records = [
        {
            **_measured_record(found, method),
            **_trained_record("", trainings.get(by_printed(method)), changes.get(by_printed(method))),
            "factor": CHOSEN[method],
            **_trained_record("chosen_", trainings.get(by_chosen(method)), changes.get(by_chosen(method))),
        }
        for method in IDEAS
    ]
    stages = found.stages if found else ()
    header = [
        "h_kk", *(f"{what}, {_stage(stage)}" for stage in stages for what in ("r", "ratio", "off")), "cost",
        "error, %", "sd", "n", *tables.INTERVALS, *tables.change_header(LESS),
        "factor", "error with it, %", *tables.change_header(LESS),
    ]  # fmt: skip
    body = [
        [
            IDEAS[method],
            *(_shown(value) for stage in stages for value in record["measured"].get(str(stage), (None,) * 3)),
            _shown(record["cost"]),
            *_trained_cells(trainings.get(by_printed(method)), changes.get(by_printed(method))),
            *_chosen_cells(method, trainings, changes),
        ]
        for method, record in zip(IDEAS, records, strict=True)
    ]
    remarks = [
        f"{SAYS} Here r is the mean over the layers, ratio over all parameters, and Hutchinson's estimates have "
        f"{PROBES} probes.",
        "Test errors are of LeNet-5 after the last pass of SDLM, rates eta / (mu + factor |h_kk|), mu as printed; a "
        "factor of 1 is h_kk as it is. Other factors are chosen on held-out patterns (curvature-factors). "
        f"{tables.COVER} {tables.CHANGES}",
    ]
    lacking = tables.lacking(names, used)
    notes = tables.notes("curvature-methods", list(used.values()), *remarks, *lacking)
    caption = "What the curvature is worth: Appendix C's beside exact and other diagonals."
    return Table("curvature-methods", caption, header, body, records, notes)


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


def _measured_record(found: Measurement | None, method: Method) -> Json:
    record: Json = {"row": IDEAS[method], "method": method, "measured": {}, "cost": None}
    name = named_in(found, method) if found else None
    if found is None or name is None:
        return record
    for number, stage in enumerate(found.stages):
        record["measured"][str(stage)] = [
            _number(found.at("correlation", number, name).mean()),
            _number(float(found.at("all_ratio", number, name))),
            _number(float(found.at("rates", number, name))),
        ]
    return record | {"cost": found.cost[name]}


def _trained_record(prefix: str, runs: Runs | None, change: Comparison | None) -> Json:
    row = tables.test_row(runs, "", None).as_json() if runs else {}
    compared_to = change.as_json() if change else NO_COMPARISON
    kept = {name: row.get(name) for name in ("mean", "sd", "n", "interval", "errors", "by_seed", "diverged")}
    return {f"{prefix}{name}": value for name, value in (kept | compared_to).items()}


def _trained_cells(runs: Runs | None, change: Comparison | None) -> list[str]:
    cells = tables.cells(tables.test_row(runs, "", None))[1:-1] if runs else [""] * 5
    return [*cells, *tables.change_cells(change)]


def _chosen_cells(method: Method, trainings: Mapping[str, Runs], changes: Mapping[str, Comparison]) -> list[str]:
    name, factor = by_chosen(method), f"{CHOSEN[method]:g}"
    change = tables.change_cells(changes.get(name))
    if CHOSEN[method] == 1:
        return [factor, "", *[""] * len(change)]
    return [factor, _trained_cells(trainings.get(name), None)[0], *change]


@tables.table("curvature-layers")
def layers_table(load: Loader) -> Table:
    """Rank correlation with the exact Gauss-Newton diagonal and ratio to it, layer by layer."""
    runs = load.one(MEASURED)
    found = measured(runs)
    records = [_layers_record(found, number, name) for number in range(3) for name in found.estimates] if found else []
    layers = found.layers if found else ()
    body = [
        [
            record["row"],
            record["stage"],
            *(f"{_shown(record[f'correlation {layer}'])} ({_shown(record[f'ratio {layer}'])})" for layer in layers),
            _shown(record["off"]),
            f"{100 * record['negative']:.0f}",
            _shown(record["cost"]),
        ]
        for record in records
    ]
    header = ["h_kk", "network", *(f"{layer}: r (ratio)" for layer in layers), "off", "negative, %", "cost"]
    caption = "Diagonals of the curvature of LeNet-5 by layer, beside the exact Gauss-Newton diagonal."
    return Table(
        "curvature-layers", caption, header, body, records, tables.notes("curvature-layers", [runs], SAYS)
    )  # fmt: skip


def _layers_record(found: Measurement, number: int, name: str) -> Json:
    method, _, probes = name.partition("-probes")
    words = next(words for each, words in IDEAS.items() if each == method)
    record: Json = {
        "row": words + (f", {probes} probes" if probes else ""),
        "estimate": name,
        "stage": _stage(found.stages[number]),
    }
    for place, layer in enumerate(found.layers):
        for value in ("correlation", "ratio"):
            record[f"{value} {layer}"] = _number(found.at(value, number, name)[place])
    return record | {
        "off": _number(float(found.at("rates", number, name))),
        "negative": float(found.at("negative", number, name)),
        "cost": found.cost[name],
        "n": found.n,
    }


@tables.table("curvature-factors")
def factors_table(load: Loader) -> Table:
    """The factor on each method's h_kk, on training patterns that were not learned."""
    names = [name for method in IDEAS for name in tried(method)]
    used = load.there(names)
    rows = {name: tables.test_row(runs, "", None) for name, runs in used.items()}
    in_use = {
        name: next(other for other, factor in tried(method).items() if factor == CHOSEN[method])
        for method in IDEAS
        for name in tried(method)
    }
    changes = statistics.compare_with(used, in_use)
    records: list[Json] = [
        rows[name].as_json()
        | {"row": IDEAS[method], "factor": factor, "in_use": factor == CHOSEN[method], "experiment": name}
        | (changes[name].as_json() if name in changes else NO_COMPARISON)
        for method in IDEAS
        for name, factor in tried(method).items()
        if name in used
    ]
    body = [
        [
            record["row"],
            f"{record['factor']:g}" + (" (chosen)" if record["in_use"] else ""),
            *tables.cells(rows[record["experiment"]])[1:-1],
            *tables.change_cells(changes.get(record["experiment"])),
        ]
        for record in records
    ]
    remark = (
        f"Learned are the first {60_000 - HELD_OUT:,} training patterns by all passes, errors are of the last "
        f"{HELD_OUT:,}. The test set has no part in it. {tables.COVER} {tables.CHANGES}"
    )
    verdicts = [words for method in IDEAS if (words := _verdict(method, records))]
    notes = tables.notes("curvature-factors", list(used.values()), remark, *verdicts, *tables.lacking(names, used))
    caption = "Factors on h_kk: error on held-out training patterns."
    header = [
        "h_kk", "factor", "held-out error, %", "sd", "n", *tables.INTERVALS, *tables.change_header("less that in use"),
    ]  # fmt: skip
    return Table("curvature-factors", caption, header, body, records, notes)


def _verdict(method: Method, records: Sequence[Json]) -> str:
    """What the held-out patterns say of the factor in use; nothing before all factors have results."""
    own = [record for record in records if record["row"] == IDEAS[method] and record["mean"] is not None]
    used = [record for record in own if record["in_use"]]
    if len(own) < len(tried(method)) or not used:
        return ""
    best = min(own, key=lambda record: float(record["mean"]))
    if best["mean"] == used[0]["mean"]:
        return f"{IDEAS[method]}: {used[0]['factor']:g}, in use, has the fewest errors."
    return f"{IDEAS[method]}: {best['factor']:g} has fewer errors than {used[0]['factor']:g}, which is in use."
