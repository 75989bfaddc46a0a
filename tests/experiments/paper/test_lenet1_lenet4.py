"""LeNet-4's last layer replaced: against scikit-learn, by hand, and whole runs on few real digits."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context
from experiments.paper.lenet1_lenet4 import (
    GridConfig,
    Linear,
    LocalConfig,
    NeighboursConfig,
    compare_settings,
    last_layer,
    local_learning,
    local_multiply_accumulates,
    local_outputs,
    nearest_states,
    states_below,
    votes,
)
from experiments.trainers import training
from lenet98.networks import LENET4, LENET5
from lenet98.online.engine import Engine
from lenet98.prototypes import place_codes
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.recipes import MEAN_SQUARED_ERROR
from lenet98.specs import A, S
from lenet98.threads import one_thread
from lenet98.training import Config, inputs, train
from tests.fakes import publish
from tests.resumption import DAMAGES, warned
from tests.strategies import few

SMALL = {"train_size": 1000, "curvature_patterns": 100, "etas": (5e-4,)}


@pytest.fixture
def context(mnist, tmp_path):
    """A run on the real training set with a test set of 300; `reports` are its reports of progress."""
    reports = []
    made = Context(reports.append, tmp_path / "run.checkpoint")
    vars(made)["mnist"] = replace(mnist, test_images=mnist.test_images[:300], test_labels=mnist.test_labels[:300])
    vars(made)["reports"] = reports
    return made


def test_states_and_last_layer_are_those_of_the_network(mnist):
    parameters = initial_parameters(LENET4, MEAN_SQUARED_ERROR, generator(0, "init"))
    config = training(Config, "lenet4")
    states = np.concatenate(list(states_below(LENET4, config, parameters, mnist.train_images[:7])))
    assert states.shape == (7, 120)
    outputs = A * np.tanh(S * last_layer(LENET4, parameters)(states))
    y = Engine(LENET4, MEAN_SQUARED_ERROR).distances(parameters, inputs(LENET4, mnist.train_images[:7]))
    np.testing.assert_allclose(((outputs[:, None] - place_codes()) ** 2).sum(2), y, rtol=1e-4)
    with pytest.raises(ValueError, match="lenet5 has no full layer of place-coded outputs"):
        last_layer(LENET5, np.zeros(60_000, np.float32))


def test_votes_by_hand():
    outputs = votes(np.array([[1.0, 2, 3], [1, 2, 3], [0, 4, 4]]), np.array([[7, 3, 3], [7, 3, 5], [2, 0, 0]]))
    assert outputs[0, 3] == 2 + 1 / 3
    assert outputs[0, 7] == 1.5
    assert outputs[0, 5] == 0
    assert list(outputs.argmax(axis=1)) == [3, 7, 0]  # one vote each: the nearest; two votes beat a distance of 0


def test_votes_are_those_of_scikit_learn(mnist):
    known, labels = mnist.train_images[:600].reshape(600, -1).astype(float), mnist.train_labels[:600]
    asked = mnist.test_images[:200].reshape(200, -1).astype(float)
    theirs = KNeighborsClassifier(5).fit(known, labels)
    distances, near = theirs.kneighbors(asked)
    outputs = votes(distances, labels[near])
    ours, ranked = outputs.argmax(axis=1), np.sort(np.floor(outputs), axis=1)
    clear = ranked[:, -1] > ranked[:, -2]  # scikit-learn settles equals by the number of the class
    assert 0.5 < clear.mean() < 1
    np.testing.assert_array_equal(ours[clear], theirs.predict(asked)[clear])
    np.testing.assert_array_equal(np.floor(outputs), 5 * theirs.predict_proba(asked))


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0.01, 100))
def test_local_outputs_are_ridge_regressions_of_the_errors_of_the_layer(seed, k, decay):
    rng = np.random.default_rng(seed)
    layer = Linear(rng.normal(size=(10, 4)), rng.normal(size=10))
    states, near, classes = rng.normal(size=(3, 4)), rng.normal(size=(3, k, 4)), rng.integers(0, 10, (3, k))
    found = local_outputs(layer, states, near, classes, decay)
    for i in range(3):
        # The bias decays like a weight: an input of its own.
        known = np.column_stack((near[i], np.ones(k)))
        fit = Ridge(decay, fit_intercept=False).fit(known, place_codes()[classes[i]] - layer(near[i]))
        expected = layer(states[i]) + fit.predict([[*states[i], 1]])[0]
        np.testing.assert_allclose(found[i], expected, rtol=1e-7, atol=1e-7)


def test_local_output_by_hand():
    """One input, one neighbor: V_0 = (w, b) = 0, x = (2, 1), t = 1: V = x t / (|x|^2 + decay) = (2, 1) / 10."""
    layer = Linear(np.zeros((10, 1)), np.zeros(10))
    outputs = local_outputs(layer, np.array([[3.0]]), np.array([[[2.0]]]), np.array([[4]]), 5.0)
    assert outputs[0, 4] == pytest.approx((2 * 3 + 1) / 10)
    assert outputs[0, 0] == pytest.approx(-(2 * 3 + 1) / 10)


def test_multiply_accumulates_of_local_learning_by_hand():
    """Two units, one input and a bias, three neighbors."""
    layer = Linear(np.zeros((2, 1)), np.zeros(2))
    errors, equations, solution, output = 3 * 2 * 2, 3 * 3 + 3 * 2 * 2, 8 // 6 + 2 * 4, 2 * 2 * 2
    assert local_multiply_accumulates(layer, 3) == errors + equations + solution + output


def test_k_nn_on_lenet4(context):
    config = training(NeighboursConfig, "lenet4", neighbours=3, **SMALL)
    outcome = nearest_states(config, 4, context)
    network = train(training(Config, "lenet4", **SMALL), 4, context.mnist)
    np.testing.assert_array_equal(outcome.weights, network.parameters)  # the experiment lenet4's of the same seed
    images = context.mnist.train_images[:1000], context.mnist.test_images
    known, asked = (np.concatenate(list(states_below(LENET4, config, network.parameters, some))) for some in images)
    theirs = KNeighborsClassifier(3).fit(known, context.mnist.train_labels[:1000])
    agree = outcome.predictions == theirs.predict(asked)
    assert agree[outcome.scores >= 0.99].all()
    first, last = outcome.passes
    assert first["test_errors"] == network.history[0].test_errors == outcome.extra["errors_of_the_network"]
    assert last["test_errors"] == (outcome.predictions != context.mnist.test_labels).sum()
    assert last["test_errors"] < 0.2 * 300
    # LeNet-4 up to C5 (all but 1,200), then one product a component.
    assert outcome.extra["multiply_accumulates"] == 245_568 - 1_200 + 1000 * 120
    assert outcome.extra["stored"] == 16_998 + 1000 * 120
    assert [(r.pass_number, r.passes) for r in context.reports] == [(1, 3), (2, 3), (3, 3), (3, 3)]
    assert all(r.done <= r.total for r in context.reports)
    json.dumps([*outcome.passes, outcome.extra])


def test_local_learning_on_lenet4_and_a_resumed_run(context):
    config = training(LocalConfig, "lenet4", neighbours=20, **SMALL)
    outcome = local_learning(config, 4, context)
    assert outcome.passes[-1]["test_errors"] < outcome.extra["errors_of_the_network"]
    assert outcome.extra["stored"] == 16_998 + 1000 * 120
    assert outcome.extra["multiply_accumulates"] > 245_568 + 1000 * 120
    assert (outcome.scores >= 0).all()
    before = len(context.reports)
    again = local_learning(config, 4, context)  # the network is in the checkpoint
    assert min(report.pass_number for report in context.reports[before:]) == 2
    np.testing.assert_array_equal(again.predictions, outcome.predictions)
    np.testing.assert_array_equal(again.scores, outcome.scores)
    # So much decay leaves the layer what it was.
    stiff = local_learning(replace(config, decay=1e9), 4, replace_checkpoint(context))
    assert stiff.passes[-1]["test_errors"] == stiff.extra["errors_of_the_network"]


def test_local_learning_interrupted_damaged_or_on_more_threads_is_the_same(context, caplog):
    config = training(LocalConfig, "lenet4", neighbours=20, **{**SMALL, "etas": (5e-4, 2e-4)})
    with one_thread():  # as in the harness
        whole = local_learning(config, 4, context)
    saved = context.checkpoint.read_bytes()

    def same():
        with threadpool_limits(2), one_thread():
            again = local_learning(config, 4, context)
        return all(getattr(again, part).tobytes() == getattr(whole, part).tobytes() for part in ("scores", "weights"))

    with pytest.raises(ValueError, match="state of another run"):
        local_learning(replace(config, decay=1.0), 4, context)
    context.checkpoint.write_bytes(saved)
    assert same()
    for damage in ("a bit in the middle", "empty", "truncated", "3 bytes", "a pickle"):
        context.checkpoint.write_bytes(DAMAGES[damage](saved))
        assert same()
        warned(caplog.records, context.checkpoint)


def replace_checkpoint(context):
    """The same without the state of an earlier run."""
    context.checkpoint.unlink()
    return context


def test_settings_compared_are_those_of_runs_of_their_own(context):
    small = {**SMALL, "train_size": 1000}
    grid = training(GridConfig, "lenet4", votes=(1, 5), neighbours=(20,), decays=(10.0,), **small)
    settings = compare_settings(grid, 4, context).extra["settings"]
    assert [(one["neighbours"], one["decay"]) for one in settings] == [(1, None), (5, None), (20, 10.0)]
    single = nearest_states(training(NeighboursConfig, "lenet4", **small), 4, replace_checkpoint(context))
    assert settings[1]["errors"] == single.passes[-1]["test_errors"]
    local = local_learning(training(LocalConfig, "lenet4", neighbours=20, **small), 4, replace_checkpoint(context))
    assert settings[2]["errors"] == local.passes[-1]["test_errors"]


def test_diverged_network_is_reported_as_such(context):
    config = training(NeighboursConfig, "lenet4", **{**SMALL, "etas": (1e30,)})
    assert nearest_states(config, 0, context).diverged


@pytest.mark.parametrize("kind", [NeighboursConfig, LocalConfig])
def test_impossible_neighbors_are_refused(kind):
    with pytest.raises(ValueError, match=r"neighbours is 0; it must be 1\.\.train_size, 60000"):
        training(kind, "lenet4", neighbours=0)
    with pytest.raises(ValueError, match="neighbours is 1001"):
        training(kind, "lenet4", neighbours=1001, **SMALL)


@pytest.mark.parametrize("decay", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_decay_is_refused(decay):
    with pytest.raises(ValueError, match=r"LocalConfig\.decay"):
        training(LocalConfig, "lenet4", decay=decay)


def test_experiments_of_lenet4_share_their_training():
    plain = registry.named("fig9/lenet4").config
    assert (plain.spec, plain.reading.loss, plain.distortions) == (LENET4, "eq8", None)
    for name in ("lenet4_knn", "lenet4_local"):
        config = registry.named(name).config
        assert {field: getattr(config, field) for field in vars(plain)} == vars(plain)


def test_last_layers_table(tmp_path):
    settings = [{"neighbours": 5, "decay": None, "errors": 90}, {"neighbours": 60, "decay": 10.0, "errors": 80}]
    for seed in (0, 1):
        extra = {"settings": [{**one, "errors": one["errors"] + 10 * seed} for one in settings]}
        publish(tmp_path, "lenet1-lenet4/held-out/lenet4-last-layer-replaced", seed, test=110, extra=extra)
    made = tables.named("last-layers")(Loader(("reference",), tmp_path / "results", tmp_path))
    assert [line[:2] for line in made.body] == [
        ["its own", "1.10"], ["K-NN, k = 5", "0.95"], ["Local, 60 neighbors, decay 10", "0.85"]
    ]  # fmt: skip
    assert made.records[2]["errors"] == [80, 90]
