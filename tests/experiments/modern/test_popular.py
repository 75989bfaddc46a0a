"""Networks that people call LeNet-5: their settings as stated, their experiments, their table."""

import json

import numpy as np
import pytest

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.harness.tables import summarize
from experiments.modern.popular import overlap
from experiments.trainers import train_by_layer_rates, train_by_stages, train_in_batches
from lenet98.modern import lenet_from_scratch, lush, minibatch
from lenet98.modern.networks import ConvNet
from lenet98.modern.popular import POPULAR, STANDARDIZED
from tests.fakes import publish

IN_BATCHES = [name for name, popular in POPULAR.items() if isinstance(popular.config, minibatch.Config)]


@pytest.mark.parametrize(
    ("name", "method", "rate", "batch", "passes", "parameters"),
    [
        ("keras-adam", "adam", 0.001, 32, 10, 44_426),
        ("caceres-adadelta", "adadelta", 1.0, 128, 12, 44_426),  # as its author's own summary counts
        ("alake-padded", "adam", 0.001, 32, 5, 61_706),
        ("udacity-relu", "adam", 0.001, 128, 10, 61_706),
        ("d2l-sigmoid", "sgd", 0.9, 256, 10, 61_706),
        ("harrypnh-numpy", "sgd", 0.05, 8, 20, 61_706),
    ],
)
def test_settings_are_the_authors(name, method, rate, batch, passes, parameters):
    config = POPULAR[name].config
    assert (config.optimizer.method, config.optimizer.rate) == (method, rate)
    assert (config.batch, config.passes, config.network.parameters) == (batch, passes, parameters)


def test_rates_of_the_numpy_network_are_those_of_its_readme():
    config = POPULAR["harrypnh-numpy"].config
    rates = [minibatch.rate(config, number * config.updates) for number in range(20)]
    expected = [0.05] * 2 + [0.02] * 3 + [0.01] * 3 + [0.005] * 4 + [0.001] * 4 + [0.0005] * 4
    assert rates == pytest.approx(expected)


def test_standardized_levels_are_those_of_the_padded_training_set(mnist):
    padded = mnist.train_images.astype(np.float64).sum() / 255 / (60_000 * 32 * 32)
    squares = (mnist.train_images.astype(np.float64) ** 2).sum() / 255**2 / (60_000 * 32 * 32)
    deviation = (squares - padded**2) ** 0.5
    assert pytest.approx((-padded / deviation, (1 - padded) / deviation), abs=2e-5) == STANDARDIZED


@pytest.mark.parametrize("name", POPULAR)
def test_experiments(name):
    experiment = registry.named(f"popular/{name}")
    assert experiment.seeds == (0, 1, 2, 3, 4)
    identity = experiment.identity()
    if name in IN_BATCHES:
        assert identity.config["device"] == "cpu"


def context(tmp_path, monkeypatch, mnist):
    monkeypatch.setattr(registry, "load_mnist", lambda data_dir: mnist)
    return Context(progress=lambda _: None, checkpoint=tmp_path / "run.checkpoint")


def test_outcome_of_a_mini_batch_run(tmp_path, monkeypatch, mnist):
    config = minibatch.Config(network=ConvNet(maps=(2, 2), units=(4,)), train_size=100, passes=1)
    outcome = train_in_batches(config, 0, context(tmp_path, monkeypatch, mnist))
    assert outcome.predictions.shape == outcome.scores.shape == (10_000,)
    assert (outcome.scores >= 0).all()
    assert outcome.passes[0]["test_errors"] == (outcome.predictions != mnist.test_labels).sum()
    assert outcome.weights.shape == (config.network.parameters,)


@pytest.mark.parametrize(
    ("train", "config", "parameters"),
    [
        (train_by_stages, lush.Config(etas=(1e-4,), passes=1, curvature_patterns=20, train_size=20), 51_046),
        (
            train_by_layer_rates,
            lenet_from_scratch.Config(etas=(0.01,), curvature_patterns=20, train_size=20),
            lenet_from_scratch.SPEC.parameters,
        ),
    ],
    ids=["lush", "layer rates"],
)
def test_outcome_of_a_network_of_distances(tmp_path, monkeypatch, mnist, train, config, parameters):
    outcome = train(config, 0, context(tmp_path, monkeypatch, mnist))
    assert outcome.passes[0]["test_errors"] == (outcome.predictions != mnist.test_labels).sum()
    assert (outcome.scores >= 0).all()
    assert outcome.weights.shape == (parameters,)


def test_overlap_is_of_our_interval_with_wilsons():
    # 141 errors in 10,000: 1.20 to 1.66.
    assert overlap(summarize("", None, [100, 105, 110], 10_000), 1.41) is False
    assert overlap(summarize("", None, [115, 120, 125], 10_000), 1.41) is True
    assert overlap(summarize("", None, [170, 180, 190], 10_000), 1.41) is True  # 1.55 to 2.05
    assert overlap(summarize("", None, [178, 180, 182], 10_000), 1.41) is False
    assert overlap(summarize("", None, [178, 180, 182], 10_000), None) is None
    assert overlap(summarize("", None, [], 0), 1.41) is None


def test_table(tmp_path):
    for seed in range(3):
        publish(tmp_path, "fig9/lenet5", seed, test=104 + seed)
        publish(tmp_path, "popular/alake-padded", seed, test=140 + seed, seconds=60)
    publish(tmp_path, "popular/udacity-relu", 0, test=90, seconds=90)
    made = tables.named("popular")(Loader(("reference",), tmp_path / "results", tmp_path))
    assert [line[:4] for line in made.body] == [
        ["LeNet-5 (1998)", "60,000", "340,908", "20"],
        ["32x32, tanh, average pooling, Adam", "61,706", "429,342", "5"],
        ["32x32, ReLU, max pooling, Adam", "61,706", "429,342", "10"],
    ]
    padded = made.body[1]
    assert padded[4:8] == ["60", "1.41", "0.01", "3"]
    assert padded[15:17] == ["1.41", "yes"]
    assert "C3, pooling, squashing, output" in padded[17]
    assert made.body[0][9:] == [""] * 9
    assert made.body[2][15:17] == ["", ""]  # its author reports none
    assert any("Without results yet: popular/keras-adam" in note for note in made.notes)
    assert any("Towards Data Science" in note for note in made.notes)
    assert json.loads(made.render("json"))[1]["overlap"] is True


def test_without_results_there_is_no_table(tmp_path):
    publish(tmp_path, "fig9/lenet5", 0)
    with pytest.raises(NoResults, match="run popular/keras-adam"):
        tables.named("popular")(Loader(("reference",), tmp_path, tmp_path))
