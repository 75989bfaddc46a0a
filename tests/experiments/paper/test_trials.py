"""Readings trained through all passes: the nearest to what is printed of training comes first, whatever it errs."""

from math import log, sqrt

import numpy as np
import pytest

from experiments.harness import store, tables
from experiments.harness.loader import Loader
from experiments.paper import numbers as paper
from experiments.paper.readings import PAPER_RATES
from experiments.paper.trials import CANDIDATES, DISTORTED, ROOM, ROUNDED, Tried, curve_spread, distances, results
from paper_figures import search
from tests import fakes

CURVE = np.array(paper.FIG5_TRAIN[:20])
NAMES = list(CANDIDATES)[:2]


def publish(
    reference, name, seed, *, curve=1.0, rates=1.0, small=1.0, test=100, diverged=False, sizes=(15_000, 30_000, 60_000)
):
    """A run whose training curve, rates and training error with 15,000 patterns are the paper's times a factor."""
    train = np.stack([CURVE * 150 * small, CURVE * 300, CURVE * 600 * curve]).round().astype(np.int32)
    train[0, -1], train[1, -1] = round(0.05 * 150 * small), round(0.31 * 300)
    if diverged:
        train[2, 5:] = -1
    train = train[3 - len(sizes) :]
    arrays = {"train": train, "test": np.full(train.shape, test, np.int32), "trunk": np.zeros(1716, np.float32)}
    record = fakes.record(name, seed, [], extra={"rates": [[[rates * rate for rate in PAPER_RATES]]] * 3})
    record["config"] = {"sizes": list(sizes)}
    record["key"] = fakes.stated(fakes.replace(fakes.IDENTITY, config=record["config"]))["key"]
    store.write(store.result_path(reference / name, seed), record, arrays)


@pytest.fixture
def load(tmp_path):
    """A reading that is the paper's and errs much on the test set; one that is far and errs little."""
    for seed, factor in enumerate((0.9, 1 / 0.9)):
        publish(tmp_path, NAMES[0], seed, curve=factor, rates=factor, test=120)
        publish(tmp_path, NAMES[1], seed, curve=1.5 * factor, rates=2 * factor, test=80)
    return Loader(reference=tmp_path)


def test_distances_are_in_units_of_the_spread_over_seeds(load):
    found = results(load)
    apart = 2 * log(1 / 0.9)
    assert curve_spread(found) == pytest.approx(apart, rel=0.01)
    near, far = distances(found).values()
    # Both rates are ln 2 apart, the curve ln 1.5; the other two facts are met.
    units = [sqrt(apart**2 / 2 + rounded**2) for rounded in ROUNDED[:2]]
    expected = sqrt((sum((log(2) / unit) ** 2 for unit in units) + (log(1.5) / apart) ** 2) / 5)
    assert far == pytest.approx(expected, rel=0.01)
    assert near < far / 5


def test_the_nearest_reading_comes_first_whatever_its_test_error(load):
    table = tables.named("trials")(load)
    first, second = table.records
    assert first["reading"] == NAMES[0].removeprefix(f"{ROOM}/")
    assert first["test"] == pytest.approx([1.2, 1.2, 1.2])
    assert first["training"] == pytest.approx([0.05, 0.31, 0.36], abs=0.01)
    assert second["curve"] == pytest.approx(log(1.5), abs=0.01)
    assert second["rates"] == pytest.approx([2 * rate for rate in PAPER_RATES])


def test_runs_that_diverged_are_left_out(tmp_path):
    publish(tmp_path, NAMES[0], 0)
    publish(tmp_path, NAMES[0], 1, diverged=True)
    (found,) = results(Loader(reference=tmp_path)).values()
    assert len(found.rates) == 1


def test_no_training_error_counts_as_half_of_one():
    none = {size: np.zeros((1, 20)) for size in paper.FIG6_TRAIN_SIZES}
    one = Tried(None, np.array([PAPER_RATES]), none, none)
    assert one.facts[0].tolist() == pytest.approx([0, 0, log(50 / 15_000 / 0.05), log(50 / 30_000 / 0.31)])


def test_the_figure_draws_the_curves_of_the_nearest(load):
    import matplotlib.pyplot as plt

    axes = plt.figure().subplots()
    search._curves(axes, results(load))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), CURVE * (0.9 + 1 / 0.9) / 2, rtol=0.01)


def test_readings_trained_with_distortions_have_their_errors_by_magnitude(tmp_path):
    name = next(name for name in DISTORTED if name.endswith("-distort0.5"))
    for seed, test in enumerate((80, 90)):
        publish(tmp_path, name, seed, test=test, sizes=(60_000,))
    (record,) = tables.named("trials-distorted")(Loader(reference=tmp_path)).records
    assert (record["magnitudes"], record["n"]) == (0.5, 2)
    assert record["test"] == pytest.approx([0.8, 0.9])
    assert record["training"] == pytest.approx(CURVE[-1], abs=0.01)
