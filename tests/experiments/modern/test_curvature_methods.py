"""Curvature methods: what is run, how diagonals are compared, their tables."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.harness import registry, statistics, store, tables
from experiments.harness.identity import changed, plain
from experiments.harness.loader import NoResults
from experiments.harness.registry import Context
from experiments.modern import curvature_methods
from experiments.modern.curvature_methods import (
    EXACT,
    IDEAS,
    MEASURED,
    RUNS,
    STANDARD,
    TRAINED,
    MeasuredConfig,
    compared,
    correlation,
    matched,
    measure,
    printed,
    ratio,
    seconds,
)
from lenet98.modern.curvatures import METHODS
from lenet98.networks import LENET5
from lenet98.readings import DEFAULT
from lenet98.training import Config
from tests.fakes import JUDGED, publish, record

NAMES = ("curvature-methods", "curvature-layers", "curvature-trained")
PARTS = [slice(layer.weight_slice.start, layer.bias_slice.stop) for layer in LENET5.trainable]


# --- what is run


def test_each_method_trains_as_it_is_and_matched():
    standard = plain(registry.named(printed(STANDARD)).config)
    for method in TRAINED:
        for name, changes in (
            (printed(method), {"curvature_method"}),
            (matched(method), {"curvature_method", "matched"}),
        ):
            experiment = registry.named(name)
            assert experiment.config == RUNS[name]
            assert experiment.seeds == tuple(range(5))
            assert set(changed(standard, plain(experiment.config))) == (set() if method == STANDARD else changes)
    assert len(RUNS) == 2 * len(TRAINED) - 1  # Appendix C's rates match themselves


def test_what_each_method_stands_for_is_exact():
    assert IDEAS.keys() == METHODS.keys() == EXACT.keys()
    assert set(EXACT.values()) == {"gauss-newton", "gauss-newton-of-eq8", "fisher", "hessian"}
    assert DEFAULT.output_curvature == "eq8"
    assert EXACT[STANDARD] == "gauss-newton-of-eq8"


def test_nothing_but_the_curvature_is_ours():
    """All other fields, those of the paper's training, have their values."""
    config = plain(registry.named(printed(STANDARD)).config)
    assert changed(plain(Config()), config) == ["curvature_method", "matched", "probes"]


# --- how diagonals are compared


def test_statistics_of_two_diagonals():
    random = np.random.default_rng(0)
    exact = random.uniform(0.1, 1, LENET5.parameters)
    other = 2 * exact
    c1 = PARTS[0]
    other[c1] = -exact[c1]
    standard = np.full_like(exact, 0.3)
    found = compared(
        {"hessian": exact, "hesscale": other, "gauss-newton-of-eq8": exact, STANDARD: standard}, LENET5, 0.02
    )
    assert found["correlation"][0].tolist() == pytest.approx([1] * 6)
    assert found["ratio"][0].tolist() == pytest.approx([1] * 6)
    assert found["rates"][0] == 0
    assert found["correlation"][1].tolist() == pytest.approx([-1, 1, 1, 1, 1, 1])
    assert found["ratio"][1].tolist() == pytest.approx([-1, 2, 2, 2, 2, 2])
    assert found["all_ratio"][:2].tolist() == pytest.approx([1, 2])
    assert found["negative"].tolist() == pytest.approx([0, 156 / 60_000, 0, 0])
    logarithms = np.log((0.02 + 2 * exact) / (0.02 + exact))
    logarithms[c1] = 0  # the sign does not enter the rates
    assert found["rates"][1] == pytest.approx(np.sqrt((logarithms**2).mean()))
    assert found["factor"][3] == pytest.approx(0)
    assert np.log(0.02 + np.exp(found["factor"][1]) * abs(other)).mean() == pytest.approx(np.log(0.32))


def test_what_has_no_order_or_no_ratio():
    assert np.isnan(correlation(np.ones(3), np.arange(3.0)))
    assert np.isnan(ratio(np.ones(3), np.zeros(3)))
    assert ratio(np.array([5.0, 6.0, -9.0]), np.array([0.0, 2.0, -3.0])) == 3


def test_times_are_taken_in_turns():
    ran, told = [], []
    found = seconds({name: lambda name=name: ran.append(name) for name in "abc"}, lambda *where: told.append(where))
    assert ran == [*"abcabcabc"]
    assert told == [(n, 9) for n in range(9)]
    assert found.keys() == set("abc")
    assert all(taken >= 0 for taken in found.values())


SMALL = MeasuredConfig(etas=(5e-4, 2e-4), train_size=60, curvature_patterns=4)


class _Stopped(Exception):
    pass


def test_a_measurement(monkeypatch, mnist, tmp_path):
    names = ("gauss-newton", "gauss-newton-of-eq8", STANDARD, "bbprop-of-loss")
    kept = {name: METHODS[name] for name in names}
    monkeypatch.setattr(curvature_methods, "EXACT", {**EXACT, **{name: name for name in names[:2]}})
    monkeypatch.setattr(curvature_methods, "METHODS", kept)

    def run(progress):
        context = Context(progress, tmp_path / "run.checkpoint")
        context.__dict__["mnist"] = replace(
            mnist, test_images=mnist.test_images[:50], test_labels=mnist.test_labels[:50]
        )
        return measure(SMALL, 0, context)

    def stop(report):
        if report.errors is None:  # training is over
            raise _Stopped

    with pytest.raises(_Stopped):
        run(stop)
    found = run(lambda _: None)
    assert found.extra["stages"] == [0, 1, 2]
    assert list(found.extra["seconds"]) == found.extra["methods"] == list(kept)
    assert found.arrays["correlation"].shape == found.arrays["ratio"].shape == (3, 4, 6)
    exact, of_eq8, standard, of_loss = np.moveaxis(found.arrays["ratio"], 1, 0)
    assert exact == pytest.approx(1)
    assert of_eq8 == pytest.approx(1)
    for each in (standard, of_loss):
        assert each[:, -1] == pytest.approx(1)  # Appendix C is exact in F6
        assert (each[:, 0] < 0.9).all()  # and not in C1
    assert found.arrays["factor"][:, 2] == pytest.approx(0)
    assert len({float(value) for value in found.arrays["rates"][:, 2]}) == 3  # the three networks differ


# --- tables


def publish_measured(reference, seed, *, diverged=False):
    chosen = list(METHODS)
    extra = {
        "methods": chosen,
        "layers": ["C1", "S2", "C3", "S4", "C5", "F6"],
        "stages": [0, 1, 20],
        "patterns_timed": 100,
        "seconds": {name: 2.0 if name == STANDARD else 2.0 + number for number, name in enumerate(chosen)},
        "diverged": diverged,
    }
    value = 0.5 + 0.1 * seed
    shapes = {"correlation": 6, "ratio": 6, "all_ratio": 0, "negative": 0, "rates": 0, "factor": 0}
    arrays = {name: np.full((3, len(chosen)) + ((n,) if n else ()), value) for name, n in shapes.items()}
    arrays["correlation"][:, chosen.index("fisher"), 2] = np.nan
    return store.write(store.result_path(reference / MEASURED, seed), record(MEASURED, seed, [], extra=extra), arrays)


@pytest.mark.parametrize("name", NAMES)
def test_without_results(load, name):
    with pytest.raises(NoResults, match="curvature"):
        tables.named(name)(load)


def test_table_of_measurements_alone(reference, load):
    publish_measured(reference, 0)
    publish_measured(reference, 1)
    table = tables.named("curvature-methods")(load)
    assert len(table.body) == len(IDEAS)
    rows = {line[0]: line for line in table.body}
    assert table.header[1:6] == ["exact", "r, start", "ratio, start", "off, start", "factor, start"]
    assert rows[IDEAS[STANDARD]][1:6] == [IDEAS["gauss-newton-of-eq8"], *["0.55"] * 3, f"{np.exp(0.55):.2f}"]
    assert rows[IDEAS["fisher"]][2:4] == ["", "0.55"]  # a layer without any order has no r
    assert rows[IDEAS[STANDARD]][-1] == "1.00"
    assert all(len(line) == len(table.header) for line in table.body)
    by_layer = tables.named("curvature-layers")(load)
    assert len(by_layer.body) == 3 * len(METHODS)
    assert by_layer.body[0][:4] == ["Gauss-Newton, exact", "Hessian, exact", "start", "0.55 (0.55)"]
    assert by_layer.body[-1][2] == "pass 20"
    for each in (table, by_layer):
        for form in tables.FORMATS:
            assert each.render(form)
    json.dumps(table.records, allow_nan=False)


def test_networks_that_diverged_are_left_out(reference, load):
    publish_measured(reference, 0)
    publish_measured(reference, 1, diverged=True)
    assert {row["ratio C1"] for row in tables.named("curvature-layers")(load).records} == {0.5}


def test_table_of_test_errors(reference, load):
    for name, errors in ((printed(STANDARD), 90), (printed("mean"), 180), (matched("mean"), 120)):
        for seed in range(5):
            predictions = registry.load_mnist(None).test_labels.copy()
            predictions[seed : errors + 2 * seed] = (predictions[seed : errors + 2 * seed] + 1) % 10
            identity = replace(
                JUDGED, family="curvature methods", numerics={"curvature methods": 1}, config=plain(RUNS[name])
            )
            publish(reference, name, seed, test=errors + seed, predictions=predictions, identity=identity)
    table = tables.named("curvature-trained")(load)
    assert [line[:3] for line in table.body] == [
        [IDEAS[STANDARD], "as printed", "0.92"],
        [IDEAS["mean"], "as printed", "1.82"],
        [IDEAS["mean"], "matched", "1.22"],
    ]
    assert [record["change"] for record in table.records] == [None, pytest.approx(0.9), pytest.approx(0.3)]
    assert all(len(line) == len(table.header) for line in table.body)
    assert any(matched("hesscale") in note for note in table.notes if note.startswith(tables.LACKING))
    standard, mean = load.one(printed(STANDARD)), load.one(matched("mean"))
    assert statistics.paired(mean, standard)
