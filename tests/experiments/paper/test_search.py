"""The search: what is drawn, what is given up and when, and what the tables say of what is left."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest

from experiments.harness import store, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context
from experiments.paper import numbers as paper
from experiments.paper import posterior
from experiments.paper.search import START, Prior, Start, Trial, compare, explore
from lenet98.readings import Reading
from lenet98.training import train
from tests import fakes

SMALL = Start(train_size=500, etas=(5e-4, 2e-4), draws=3, rates_within=1e9, curve_within=(50, 50, 50))


@pytest.fixture(scope="module")
def few(mnist):
    """MNIST with 100 test digits."""
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


def context(mnist, tmp_path, progress=lambda _: None):
    tmp_path.mkdir(exist_ok=True)
    given = Context(progress, tmp_path / "checkpoint")
    given.__dict__["mnist"] = mnist
    return given


def test_a_number_is_one_reading_of_the_prior():
    readings = [Prior().draw(number) for number in range(400)]
    assert readings == [Prior().draw(number) for number in range(400)]
    assert len(set(readings)) == 400
    gains = np.log([reading.init_gain for reading in readings])
    assert log(0.7) <= gains.min() < -0.3
    assert 1.05 < gains.max() <= log(3)
    for name in ("fan_in_counts_bias", "bias_init", "loss", "subsampling", "curvature_scale"):
        assert {getattr(reading, name) for reading in readings} == set(getattr(Prior(), name))
    # Coefficients are drawn as on the average: on the sum they are a quarter.
    for reading in readings:
        assert all(0.25 <= c <= 4 for c in posterior.on_the_average(reading))
        largest = 4 if reading.subsampling == "average" else 1
        assert max(reading.coefficient_init) <= largest


def test_a_block_has_the_rates_and_errors_of_runs_of_its_readings(few, tmp_path):
    found = explore(SMALL, 2, context(few, tmp_path))
    for n in range(3):
        number = 2 * SMALL.draws + n
        history = train(replace(SMALL, reading=SMALL.prior.draw(number)), number, few).history
        assert found.arrays["errors"][n].tolist() == [entry.train_errors for entry in history]
        assert found.arrays["rates"][n] == pytest.approx([history[0].rate_min, history[0].rate_max])


def test_readings_far_from_the_rates_are_not_trained_and_those_far_from_the_curve_not_for_long(few, tmp_path):
    found = explore(replace(SMALL, rates_within=0.0), 0, context(few, tmp_path))
    assert (found.arrays["errors"] == -1).all()
    assert (found.arrays["rates"] > 0).all()
    # 2,000 patterns are too few for any pass to err as little as Fig. 5's first: it ends before it is complete.
    found = explore(
        replace(SMALL, train_size=2000, curve_within=(0.15, 0.25, 0.35)), 0, context(few, tmp_path / "other")
    )
    assert (found.arrays["errors"] == -1).all()
    # That errors are too few is known after the pass.
    all_wrong = replace(SMALL, curve=(99.0, 99.0, 99.0), curve_within=(0.0, 0.0, 0.0))
    found = explore(all_wrong, 0, context(few, tmp_path / "all wrong"))
    assert (found.arrays["errors"][:, 0] > 0).all()
    assert (found.arrays["errors"][:, 1:] == -1).all()


def test_an_interrupted_block_resumes(few, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(report):
        if report.pass_number == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        explore(SMALL, 0, context(few, tmp_path, stop))
    seen = []
    resumed = explore(SMALL, 0, context(few, tmp_path, lambda report: seen.append(report.pass_number)))
    assert min(seen) == 3
    whole = explore(SMALL, 0, context(few, tmp_path / "whole"))
    for name, array in whole.arrays.items():
        assert (resumed.arrays[name] == array).all()


def test_a_trial_is_the_runs_on_each_of_its_sizes(few, tmp_path):
    config = Trial(etas=(5e-4, 2e-4), sizes=(500, 1000), train_size=1000, reading=Reading(bias_init="zero"))
    found = compare(config, 3, context(few, tmp_path))
    for n, size in enumerate(config.sizes):
        trained = train(replace(config, train_size=size, sizes=(size,)), 3, few)
        assert found.arrays["train"][n].tolist() == [entry.train_errors for entry in trained.history]
        assert found.arrays["test"][n].tolist() == [entry.test_errors for entry in trained.history]
    assert found.arrays["trunk"].tobytes() == trained.parameters[: 156 + 12 + 1516 + 32].tobytes()


def test_sizes_that_no_trial_can_have_are_refused():
    with pytest.raises(ValueError, match=r"Trial.sizes is \(60001,\); each must be curvature_patterns..train_size"):
        Trial(sizes=(60_001,))


@pytest.fixture
def load(tmp_path):
    """Two blocks of three readings: exact, half as many errors again in pass 1, and given up."""
    for seed in (0, 1):
        fakes.publish(tmp_path, paper.FORMER, seed, train=[e * (1 + seed / 2) for e in paper.FIG5_TRAIN[:20]])
        record = fakes.record(START, seed, [], extra={"trained to the end": 2})
        errors = np.array([[2934, 1824, 1062], [4401, 1824, 1062], [2934, -1, -1]], np.int32)
        arrays = {"rates": np.array([[7e-5, 0.016], [7e-5, 0.016], [7e-6, 0.16]], np.float32), "errors": errors}
        store.write(store.result_path(tmp_path / START, seed), record, arrays)
    return Loader(reference=tmp_path)


def test_the_nearest_readings_come_first_at_their_distance(load):
    table = tables.named("search")(load)
    assert [record["number"] for record in table.records] == [0, 500, 1, 501]
    assert table.records[0]["distance"] == pytest.approx(0, abs=1e-6)
    # Training errors differ by half between two seeds: their logarithms have the standard deviation ln 1.5 / sqrt 2.
    assert table.records[2]["distance"] == pytest.approx(sqrt(2 / 5), rel=1e-3)
    assert "6 readings were drawn. 4 have first-pass rates near" in table.notes[0]


def test_shares_and_quartiles_are_of_the_readings_at_each_stage(load):
    rows = {(row["point"], row["value"]): row for row in tables.named("posterior")(load).records}
    drawn = [Prior().draw(number) for number in (0, 1, 2, 500, 501, 502)]
    zero = [reading.bias_init == "zero" for reading in drawn]
    assert rows["bias_init", "zero"]["prior"] == pytest.approx(100 * np.mean(zero))
    near = [zero[n] for n in (0, 1, 3, 4)]
    assert rows["bias_init", "zero"]["rates"] == rows["bias_init", "zero"]["and curve"] == 100 * np.mean(near)
    median = np.median([reading.init_gain for reading in drawn])
    assert rows["init_gain", "quartiles"]["prior"][1] == pytest.approx(median)
