"""The trunk of 1998 under a head of today, and its tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lenet98
from experiments.harness import registry, store, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper import recovered as study
from lenet98.networks import LENET5, TABLE_I
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.trunk1998.numbers import SIZE, digest
from tests.fakes import record


@pytest.fixture
def start():
    return initial_parameters(LENET5, DEFAULT, generator(0, "init"))


def test_shuffling_keeps_the_weights_of_each_kernel(start):
    before = lenet98.recovered().into(start)
    after = study.shuffled(before, np.random.default_rng(0))
    for name, kernels in (("C1", 6), ("C3", 60)):
        layer = next(layer for layer in LENET5.geometry if layer.name == name)
        old, new = (vector[layer.weight_slice].reshape(kernels, 25) for vector in (before, after))
        assert (old != new).any(axis=1).all()
        np.testing.assert_array_equal(np.sort(old, axis=1), np.sort(new, axis=1))
        np.testing.assert_array_equal(before[layer.bias_slice], after[layer.bias_slice])
    np.testing.assert_array_equal(before[SIZE:], after[SIZE:])


def test_configurations_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"TrunkConfig.trunk is '1989'; it must be one of 1998, "):
        study.TrunkConfig(trunk="1989")
    with pytest.raises(ValueError, match=r"TrunkConfig.spec is lenet1; the trunk of 1998 is that of lenet5"):
        study.TrunkConfig(spec=lenet98.LENET1)


def small(mnist):
    return replace(
        mnist,
        train_images=mnist.train_images[:300],
        train_labels=mnist.train_labels[:300],
        test_images=mnist.test_images[:100],
        test_labels=mnist.test_labels[:100],
    )


def trained(which, mnist, tmp_path):
    config = registry.named(f"recovered/trunk-{which}").config
    config = replace(config, etas=config.etas[:2], train_size=300, curvature_patterns=50)
    context = Context(lambda _: None, tmp_path / "checkpoint")
    context.__dict__["mnist"] = small(mnist)
    return study.train_head(config, 0, context)


def test_the_trunk_stays_and_the_head_learns(mnist, start, tmp_path):
    found = trained("1998", mnist, tmp_path)
    np.testing.assert_array_equal(found.weights[:SIZE], lenet98.recovered().parameters)
    assert (found.weights[SIZE:] != start[SIZE:]).mean() > 0.9
    assert found.passes[0]["rate_min"] > 0
    assert found.passes[-1]["train_errors"] < 0.5 * 300


def test_our_own_trunk_is_that_of_a_network_trained_before(mnist, start, tmp_path):
    found = trained("ours", mnist, tmp_path)
    config = lenet98.Config(reading=DEFAULT, etas=lenet98.ETAS[:2], train_size=300, curvature_patterns=50)
    ours = lenet98.train(config, 0, small(mnist)).parameters
    np.testing.assert_array_equal(found.weights[:SIZE], ours[:SIZE])
    assert (found.weights[SIZE:] != ours[SIZE:]).mean() > 0.9
    assert not list(Path(tmp_path).glob("*.trunk"))


def test_the_numbers_are_part_of_the_configuration():
    with_them = {name for name in study.TRUNKS if registry.named(f"recovered/trunk-{name}").config.numbers == digest()}
    assert with_them == {"1998", "shuffled"}


def test_every_map_has_a_row():
    made = tables.named("recovered")(None)
    assert len(made.records) == 6 + 6 + 16 + 16
    assert {row["map"] for row in made.records if row["layer"] == "C3" and row["identified"]} == set(
        lenet98.recovered().identified
    )
    assert "C3.15" in made.render("md")


def test_table_i_stands_on_every_map():
    records = tables.named("recovered-table1")(None).records
    assert [tuple(row["sources"]) for row in records] == list(TABLE_I)
    assert {row["verdict"] for row in records[:15]} == {"as Table I"}
    assert records[15]["verdict"] == "reads all six"
    # What Table I does not connect is nothing but error, on every map; what it connects is far from that.
    assert max(chi2 for row in records for chi2 in row["unconnected_chi2"]) < 1.5
    assert min(chi2 for row in records for chi2 in row["connected_chi2"]) > 20


def save(folder, name, seed, errors):
    entry = {"number": 1, "test_errors": errors, "test_patterns": 10_000, "test_error_percent": errors / 100}
    arrays = {"predictions": np.zeros(10_000, np.uint8)}
    store.write(store.result_path(folder / name, seed), record(name, seed, [entry]), arrays)


def test_trunks_stand_beside_lenet5(tmp_path):
    load = Loader(("reference",), tmp_path, tmp_path)
    with pytest.raises(NoResults, match="recovered/trunk-1998"):
        study.worth(load)
    for name, errors in (("fig9/lenet5", 95), ("recovered/trunk-1998", 90), ("recovered/trunk-shuffled", 150)):
        for seed in range(2):
            save(tmp_path, name, seed, errors + seed)
    made = study.worth(load)
    assert [row["row"] for row in made.records] == [
        "trunk of 1998, frozen",
        "trunk of 1998, each kernel's weights shuffled, frozen",
        "LeNet-5, all of it trained at once",
    ]
    assert [row["mean"] for row in made.records] == pytest.approx([0.905, 1.505, 0.955])
