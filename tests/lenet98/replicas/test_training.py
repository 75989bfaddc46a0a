"""Networks trained together against the same networks trained alone, on real digits and few of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lenet98.data.distortions import FIG7
from lenet98.data.mnist import MNIST
from lenet98.data.strings import Strings
from lenet98.networks import LENET1, LENET5
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, Reading, initial_parameters
from lenet98.replicas.training import train_replicas
from lenet98.training import Config, train
from tests.resumption import interrupted, resumed, same

SMALL = Config(train_size=100, curvature_patterns=30, etas=(5e-4, 2e-4))
SEEDS = (3, 8)
TOO_FAST = replace(SMALL, etas=(1e38, 2e-4))  # of the first pass most rates are infinite


@pytest.fixture(scope="module")
def digits(mnist) -> MNIST:
    """The real training set with a test set of 200."""
    return replace(mnist, test_images=mnist.test_images[:200], test_labels=mnist.test_labels[:200])


@pytest.fixture(scope="module")
def together(digits):
    """Two runs that nobody interrupted."""
    return train_replicas(SMALL, SEEDS, digits)


def assert_alike(ours, alone):
    np.testing.assert_allclose(ours.parameters, alone.parameters, rtol=0, atol=2e-5)
    np.testing.assert_allclose(ours.distances, alone.distances, rtol=1e-4, atol=1e-3)
    assert ours.diverged == alone.diverged
    assert len(ours.history) == len(alone.history)
    for entry, expected in zip(ours.history, alone.history, strict=True):
        for field in ("number", "eta", "train_patterns", "train_errors", "test_patterns", "test_errors"):
            assert getattr(entry, field) == getattr(expected, field)
        for field in ("rate_min", "rate_max", "train_loss", "curvature"):
            assert getattr(entry, field) == pytest.approx(getattr(expected, field), rel=1e-4)


def test_each_seed_is_that_of_a_run_alone(digits, together):
    for seed, ours in zip(SEEDS, together, strict=True):
        assert_alike(ours, train(SMALL, seed, digits))


def test_each_replica_may_have_its_own_reading_rates_and_distortions(digits, monkeypatch):
    for module in ("lenet98.training", "lenet98.replicas.training"):
        monkeypatch.setattr(f"{module}.CHUNK", 40)  # after which the weights count that are averaged
    small = replace(SMALL, train_size=90)
    configs = [
        replace(small, distortions=FIG7),
        replace(small, strings=Strings(blanks=0.5), reading=Reading(j=20.0)),
        replace(small, reading=Reading(order="reshuffled", final_weights="average", curvature_patterns="first")),
        replace(small, reading=replace(DEFAULT, loss="eq8", subsampling="sum"), etas=(1e-4, 1e-4), mu=0.1),
    ]
    for config, ours in zip(configs, train_replicas(configs, (1, 2, 3, 4), digits), strict=True):
        assert_alike(ours, train(config, 1 + configs.index(config), digits))


def test_what_judges_may_be_held_out(digits):
    config = Config(spec=LENET1, train_size=100, curvature_patterns=20, etas=(5e-4,), held_out=300)
    (ours,) = train_replicas(config, (0,), digits)
    assert_alike(ours, train(config, 0, digits))


def test_progress_counts_patterns_and_passes(digits, monkeypatch):
    monkeypatch.setattr("lenet98.replicas.training.CHUNK", 60)
    reports = []
    config = Config(spec=LENET1, train_size=100, curvature_patterns=20, etas=(5e-4, 2e-4))
    train_replicas(config, (0, 1), digits, progress=reports.append)
    assert [(r.pass_number, r.passes, r.done, r.total) for r in reports] == [
        (1, 2, 60, 100), (1, 2, 100, 100), (2, 2, 60, 100), (2, 2, 100, 100)
    ]  # fmt: skip


def test_resumed_runs_are_those_that_were_not_interrupted(digits, together, tmp_path):
    file = tmp_path / "state"
    interrupted(train_replicas, SMALL, SEEDS, digits, file, last=2)
    again, passes = resumed(train_replicas, SMALL, SEEDS, digits, file)
    assert passes == [2]
    for ours, whole in zip(again, together, strict=True):
        same(ours, whole)


def test_a_state_of_other_replicas_is_refused(digits, tmp_path):
    file = tmp_path / "state"
    interrupted(train_replicas, SMALL, SEEDS, digits, file, last=2)
    with pytest.raises(ValueError, match="the state of another run"):
        train_replicas(SMALL, (3, 9), digits, checkpoint=file)


def test_a_replica_that_diverges_is_reported_and_the_others_go_on(digits, together, tmp_path):
    """It ends as it was before that pass; the others are interrupted and resumed without it."""
    configs, file = [SMALL, TOO_FAST, SMALL], tmp_path / "state"
    seeds = (SEEDS[0], 5, SEEDS[1])
    interrupted(train_replicas, configs, seeds, digits, file, last=2)
    runs, _ = resumed(train_replicas, configs, seeds, digits, file)
    for ours, whole in zip((runs[0], runs[2]), together, strict=True):
        assert_alike(ours, whole)
    np.testing.assert_array_equal(runs[1].parameters, initial_parameters(LENET5, DEFAULT, generator(5, "init")))
    assert np.isfinite(runs[1].distances).all()
    assert runs[1].diverged
    assert runs[1].history == []


def test_all_may_diverge(digits):
    runs = train_replicas(TOO_FAST, SEEDS, digits)
    assert [(run.diverged, run.history) for run in runs] == [(True, []), (True, [])]
    assert all(np.isfinite(run.parameters).all() for run in runs)


@pytest.mark.parametrize(
    ("configs", "seeds", "message"),
    [
        (SMALL, (), "no seeds"),
        ([SMALL], SEEDS, "1 configurations for 2 seeds"),
        ([SMALL, replace(SMALL, spec=LENET1)], SEEDS, "share spec, but it is lenet5 and lenet1; train them apart"),
        ([SMALL, replace(SMALL, train_size=150)], SEEDS, "share train_size, but it is 100 and 150"),
        ([SMALL, replace(SMALL, etas=(1e-4,))], SEEDS, "share the number of passes, but it is 2 and 1"),
    ],
)
def test_what_cannot_be_together_is_refused(digits, configs, seeds, message):
    with pytest.raises(ValueError, match=message):
        train_replicas(configs, seeds, digits)
