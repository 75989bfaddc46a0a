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
    CHOSEN,
    EXACT,
    HELD_OUT,
    IDEAS,
    MEASURED,
    STANDARD,
    MeasuredConfig,
    by_printed,
    compared,
    correlation,
    estimates,
    measure,
    ratio,
    seconds,
    tried,
)  # fmt: skip
from lenet98.modern.curvatures import METHODS, PROBES
from lenet98.networks import LENET5
from lenet98.readings import Reading
from lenet98.training import Config
from tests.fakes import JUDGED, publish, record

NAMES = ("curvature-methods", "curvature-layers", "curvature-factors")
PARTS = [slice(layer.weight_slice.start, layer.bias_slice.stop) for layer in LENET5.trainable]


# --- what is run


def test_every_method_is_trained_and_tried():
    assert IDEAS.keys() == METHODS.keys() == CHOSEN.keys()
    standard = registry.named(by_printed(STANDARD))
    for method in IDEAS:
        experiment = registry.named(by_printed(method))
        assert experiment.seeds == tuple(range(5))
        assert set(changed(plain(standard.config), plain(experiment.config))) <= {"curvature_method"}
        for name, factor in tried(method).items():
            config = registry.named(name).config
            assert (config.curvature_method, config.factor) == (method, factor)
            assert (config.train_size, config.held_out) == (60_000 - HELD_OUT, HELD_OUT)
        assert CHOSEN[method] in tried(method).values()


def test_nothing_but_the_curvature_is_ours():
    """All other fields, those of the paper's training, have their values."""
    config = plain(registry.named(by_printed(STANDARD)).config)
    assert changed(plain(Config()), config) == ["curvature_method", "factor", "probes"]


# --- how diagonals are compared


def test_statistics_of_two_diagonals():
    random = np.random.default_rng(0)
    exact = random.uniform(0.1, 1, LENET5.parameters)
    other = 2 * exact
    c1 = PARTS[0]
    other[c1] = -exact[c1]
    found = compared({EXACT: exact, "other": other}, LENET5, mu=0.02)
    assert found["correlation"][0].tolist() == pytest.approx([1] * 6)
    assert found["ratio"][0].tolist() == pytest.approx([1] * 6)
    assert found["rates"][0] == 0
    assert found["correlation"][1].tolist() == pytest.approx([-1, 1, 1, 1, 1, 1])
    assert found["ratio"][1].tolist() == pytest.approx([-1, 2, 2, 2, 2, 2])
    assert found["all_ratio"].tolist() == pytest.approx([1, 2])
    assert found["negative"].tolist() == pytest.approx([0, 156 / 60_000])
    logarithms = np.log((0.02 + 2 * exact) / (0.02 + exact))
    logarithms[c1] = 0  # the sign does not enter the rates
    assert found["rates"][1] == pytest.approx(np.sqrt((logarithms**2).mean()))


def test_what_has_no_order_or_no_ratio():
    assert np.isnan(correlation(np.ones(3), np.arange(3.0)))
    assert np.isnan(ratio(np.ones(3), np.zeros(3)))
    assert ratio(np.array([5.0, 6.0, 9.0]), np.array([0.0, 2.0, 3.0])) == 3


def test_times_are_taken_in_turns():
    ran, told = [], []
    found = seconds({name: lambda name=name: ran.append(name) for name in "abc"}, lambda *where: told.append(where))
    assert ran == [*"abcabcabc"]
    assert told == [(n, 9) for n in range(9)]
    assert found.keys() == set("abc")
    assert all(taken >= 0 for taken in found.values())


def test_what_is_measured():
    chosen = estimates(PROBES)
    assert chosen["hutchinson-hessian-probes100"] == ("hutchinson-hessian", 100)
    assert {method for method, _ in chosen.values()} == METHODS.keys() - {"layer-mean", "mean"}


SMALL = MeasuredConfig(reading=Reading(), etas=(5e-4, 2e-4), train_size=60, curvature_patterns=4)


class _Stopped(Exception):
    pass


def test_a_measurement(monkeypatch, mnist, tmp_path):
    kept = {name: METHODS[name] for name in (EXACT, STANDARD, "bbprop-of-loss")}
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
    assert list(found.extra["seconds"]) == found.extra["estimates"] == list(kept)
    assert found.arrays["correlation"].shape == found.arrays["ratio"].shape == (3, 3, 6)
    exact, standard, of_loss = np.moveaxis(found.arrays["ratio"], 1, 0)
    assert exact == pytest.approx(1)
    assert (standard == of_loss).all()  # the reading's second derivatives are those of the loss
    assert standard[:, -1] == pytest.approx(1)  # Appendix C is exact in F6
    assert (standard[:, 0] < 0.9).all()  # and not in C1
    assert len({float(value) for value in found.arrays["rates"][:, 1]}) == 3  # the three networks differ


# --- tables


def publish_measured(reference, seed, *, diverged=False):
    chosen = list(estimates(PROBES))
    extra = {
        "estimates": chosen,
        "layers": ["C1", "S2", "C3", "S4", "C5", "F6"],
        "stages": [0, 1, 20],
        "patterns_timed": 100,
        "seconds": {name: 2.0 if name == STANDARD else 2.0 + number for number, name in enumerate(chosen)},
        "diverged": diverged,
    }
    value = 0.5 + 0.1 * seed
    shapes = {"correlation": 6, "ratio": 6, "all_ratio": 0, "negative": 0, "rates": 0}
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
    assert table.header[1:4] == ["r, start", "ratio, start", "off, start"]
    assert rows[IDEAS[STANDARD]][1:4] == ["0.55"] * 3
    assert rows[IDEAS["fisher"]][1:3] == ["", "0.55"]  # a layer without any order has no r
    assert rows[IDEAS[STANDARD]][10] == "1.00"
    assert set(rows[IDEAS["mean"]][1:11]) == {""}
    assert all(len(line) == len(table.header) for line in table.body)
    by_layer = tables.named("curvature-layers")(load)
    assert len(by_layer.body) == 3 * len(estimates(PROBES))
    assert by_layer.body[0][:3] == ["Gauss-Newton, exact", "start", "0.55 (0.55)"]
    assert by_layer.body[-1][1] == "pass 20"
    for each in (table, by_layer):
        for form in tables.FORMATS:
            assert each.render(form)
    json.dumps(table.records, allow_nan=False)


def test_networks_that_diverged_are_left_out(reference, load):
    publish_measured(reference, 0)
    publish_measured(reference, 1, diverged=True)
    assert {row["ratio C1"] for row in tables.named("curvature-layers")(load).records} == {0.5}


def test_table_of_test_errors_alone(reference, load):
    for method, errors in ((STANDARD, 90), ("mean", 180)):
        for seed in range(5):
            predictions = registry.load_mnist(None).test_labels.copy()
            predictions[seed : errors + 2 * seed] = (predictions[seed : errors + 2 * seed] + 1) % 10
            identity = replace(
                JUDGED,
                family="curvature methods",
                numerics={"curvature methods": 1},
                config={"curvature_method": method},
            )
            publish(reference, by_printed(method), seed, test=errors + seed, predictions=predictions, identity=identity)
    table = tables.named("curvature-methods")(load)
    rows = {line[0]: dict(zip(table.header, line, strict=True)) for line in table.body}
    records = {row["method"]: row for row in table.records}
    assert rows[IDEAS["mean"]]["error, %"] == "1.82"
    assert records["mean"]["change"] == pytest.approx(0.9)
    assert rows[IDEAS["fisher"]]["error, %"] == ""
    assert any("modern/curvature/fisher" in note for note in table.notes if note.startswith(tables.LACKING))
    standard, mean = (load.one(by_printed(method)) for method in (STANDARD, "mean"))
    assert statistics.paired(mean, standard)


def test_held_out_patterns_choose_the_factor(reference, load, monkeypatch):
    for n, name in enumerate(tried(STANDARD)):
        publish(reference, name, 0, test=100 - n, test_patterns=HELD_OUT)
    table = tables.named("curvature-factors")(load)
    assert [line[1] for line in table.body] == ["0.1", "0.3", "1 (chosen)", "3", "10"]
    assert "Appendix C (bbprop): 10 has fewer errors than 1, which is in use." in table.notes
    monkeypatch.setitem(CHOSEN, STANDARD, 10.0)
    assert "Appendix C (bbprop): 10, in use, has the fewest errors." in tables.named("curvature-factors")(load).notes
    assert not [note for note in table.notes if note.startswith("HesScale")]
