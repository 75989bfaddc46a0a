"""What the trainers hand the harness, on outputs written by hand."""

from dataclasses import fields

import numpy as np
import pytest

from experiments import trainers
from experiments.harness import registry
from experiments.harness.identity import canonical_json
from experiments.harness.registry import Context
from lenet98 import weights
from lenet98.evaluation import rejection_score
from lenet98.loop import SDLMPass, Trained
from lenet98.modern import minibatch
from lenet98.training import Config

# Three patterns; the distances of three classes.
DISTANCES = np.array([[3, 1, 6], [0.5, 9, 2], [7, 7, 4]], np.float32)
PASS = SDLMPass(1, 7e-5, 0.02, 600, 30, 0.5, 3, 1, 2.0, eta=5e-4, curvature={"C1": 1.0})


def trained(diverged=False):
    return Trained(np.arange(4, dtype=np.float32), [PASS], DISTANCES, diverged)


def test_the_least_distance_is_the_answer_and_its_lead_over_the_second_the_score():
    outcome = trainers.outcome(trained())
    assert outcome.predictions.tolist() == [1, 0, 2]
    assert outcome.predictions.dtype == np.uint8
    assert outcome.scores.tolist() == [2, 1.5, 3]
    np.testing.assert_array_equal(outcome.scores, rejection_score(DISTANCES))
    assert (outcome.weights.tolist(), outcome.diverged) == ([0, 1, 2, 3], False)
    assert outcome.passes[0]["test_errors"] == 1
    assert trainers.outcome(trained(diverged=True)).diverged


def test_of_linear_outputs_the_greatest_is_the_answer(monkeypatch, mnist, tmp_path):
    """And the score is the logarithm of the ratio of the two greatest probabilities of a softmax."""
    config = minibatch.Config(train_size=40, batch=20, passes=1)
    given = {}

    def train(*arguments, **more):
        given["run"] = whole(*arguments, **more)
        return given["run"]

    whole = minibatch.train
    monkeypatch.setattr(minibatch, "train", train)
    context = Context(lambda _: None, tmp_path / "checkpoint")
    context.__dict__["mnist"] = mnist
    outcome = trainers.train_in_batches(config, 0, context)
    outputs = given["run"].outputs.astype(float)
    np.testing.assert_array_equal(outcome.predictions, outputs.argmax(axis=1))
    probabilities = np.sort(np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True), axis=1)
    np.testing.assert_allclose(outcome.scores, np.log(probabilities[:, -1] / probabilities[:, -2]), atol=1e-5)
    assert outcome.weights.tobytes() == minibatch.flat(given["run"].model).tobytes()


KINDS = {(e.family, type(e.config)): e for e in registry.load().values() if isinstance(e.config, Config)}


@pytest.mark.parametrize("of", KINDS.values(), ids=lambda of: of.name)
def test_weights_of_every_family_are_loaded(tmp_path, of):
    """Whatever else the configuration says that the results hold beside them."""
    zeros = np.zeros(of.config.spec.parameters, np.float32)
    np.savez(tmp_path / "run.npz", weights=zeros, config=np.array(canonical_json(of.identity().config)))
    parameters, config = weights.load(tmp_path / "run.npz")
    assert parameters.tobytes() == zeros.tobytes()
    for field in fields(Config):
        assert getattr(config, field.name) == getattr(of.config, field.name)
