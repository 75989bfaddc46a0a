"""The fingerprint of a network: its figures, how far two are apart, the experiments and the table."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness import golden, registry
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper import fingerprint as study
from experiments.paper.candidates import FINALISTS, ROUND
from experiments.paper.fingerprint import (
    ENDS,
    FIGURES,
    LAYERS,
    OF_1998,
    deviations,
    distance,
    fingerprint,
    kept,
    saturated,
    spread,
    trunk,
)
from experiments.paper.readings import look
from lenet98.data.fields import pad_and_scale
from lenet98.data.strings import NOISE, Strings
from lenet98.networks import LENET5, mlp
from lenet98.readings import DEFAULT, FORMER, initial_parameters
from tests.fakes import publish

SUM = replace(DEFAULT, subsampling="sum")


def drawn(seed=0, scale=1.0):
    """The parameters of a LeNet-5, by no training."""
    parameters = initial_parameters(LENET5, DEFAULT, np.random.default_rng(seed))
    return (scale * (parameters + np.random.default_rng(seed).normal(0, 0.1, parameters.size))).astype(np.float32)


def like(seed, spread=0.1, of=OF_1998):
    """A fingerprint whose figures are those of another but for a log-normal factor."""
    random = np.random.default_rng(seed)
    return {name: float(value * np.exp(random.normal(0, spread))) for name, value in of.items()}


# --- one network


def test_the_figures_by_hand():
    layers = {name: (np.zeros(4), np.array([2.0, -2.0])) for name in LAYERS}
    layers["C1"] = np.array([3.0, -4.0]), np.array([1.0, -7.0])
    layers["S2"] = np.array([0.5, -1.0, 1.5]), np.array([0.0, 0.0, 3.0])
    found = fingerprint(layers)
    assert set(found) == {*FIGURES, *ENDS}
    assert found["C1 weights"] == pytest.approx(np.sqrt(12.5))
    assert found["C1 biases"] == 5
    assert found["S2 coefficients"] == 1
    assert (found["S2 least"], found["S2 greatest"]) == (-1, 1.5)
    assert found["S2 biases"] == pytest.approx(np.sqrt(3))
    assert (found["C3 weights"], found["C3 biases"], found["S4 coefficients"]) == (0, 2, 0)


def test_the_layers_of_a_network():
    parameters = drawn()
    layers = trunk(LENET5, DEFAULT, parameters)
    assert {name: (len(weights), len(biases)) for name, (weights, biases) in layers.items()} == {
        "C1": (150, 6), "S2": (6, 6), "C3": (1500, 16), "S4": (16, 16)
    }  # fmt: skip
    np.testing.assert_array_equal(np.concatenate([np.concatenate(layers[name]) for name in LAYERS]), parameters[:1716])
    of_sums = trunk(LENET5, SUM, parameters)
    np.testing.assert_array_equal(of_sums["S4"][0], 4 * layers["S4"][0])  # 1/4 on the sum is 1 on the average
    np.testing.assert_array_equal(of_sums["S4"][1], layers["S4"][1])
    np.testing.assert_array_equal(of_sums["C3"][0], layers["C3"][0])
    perceptron = mlp(9)
    with pytest.raises(ValueError, match="has no C1, C3, S2, S4; a fingerprint is that of a LeNet-5"):
        trunk(perceptron, DEFAULT, np.zeros(perceptron.parameters))


def test_a_map_turned_in_sign_with_its_coefficient_is_the_same_network_and_has_the_same_figures(mnist):
    parameters = drawn()
    turned = parameters.copy()
    turned[:25] *= -1  # the first map's kernel,
    turned[150] *= -1  # bias
    turned[156] *= -1  # and coefficient
    images = pad_and_scale(mnist.train_images[:20])
    one, other = (look(LENET5, DEFAULT, p, images) for p in (parameters, turned))
    assert one["C3"]["spread"] == pytest.approx(other["C3"]["spread"], rel=1e-5)
    figures, theirs = (fingerprint(trunk(LENET5, DEFAULT, p)) for p in (parameters, turned))
    assert [figures[name] for name in FIGURES] == pytest.approx([theirs[name] for name in FIGURES])


def test_saturated_states_are_those_of_the_whole_network(mnist):
    images = pad_and_scale(mnist.train_images[:9])
    for scale in (1.0, 3.0):
        parameters = drawn(scale=scale)
        found = saturated(trunk(LENET5, SUM, parameters), images)
        whole = look(LENET5, SUM, parameters, images)
        assert found == {name: pytest.approx(whole[name]["saturated"], abs=1e-4) for name in LAYERS}
    assert found["C1"] > 0.05


# --- two


def test_distances_are_in_units_of_how_far_one_run_is_from_the_mean_of_others():
    logs = np.array([[0.1, -0.1, 0.3], [0.0, 0.2, 0.4]])
    groups = [[dict.fromkeys(FIGURES, float(np.exp(value))) for value in row] for row in logs]
    units, freedom = spread(groups)
    assert freedom == 4
    assert units["C1 weights"] == pytest.approx(np.sqrt(logs.var(axis=1, ddof=1).mean()))
    theirs = dict.fromkeys(FIGURES, float(np.exp(0.5)))
    z = deviations(groups[1], theirs, units)
    assert z["S4 biases"] == pytest.approx((0.2 - 0.5) / (units["S4 biases"] * np.sqrt(4 / 3)))
    assert distance(groups[1], theirs, units) == pytest.approx(abs(z["S4 biases"]))
    assert distance(groups[1], groups[1][1], units) == pytest.approx(0, abs=1e-12)
    assert spread([*groups, groups[0][:1], []]) == (units, 4)  # a single run says nothing of the spread


def test_another_run_of_the_same_kind_is_at_a_distance_of_about_one():
    found = []
    units, _ = spread([[like(10_000 + n) for n in range(300)]])
    for trial in range(200):
        runs = [like(4 * trial + n) for n in range(4)]
        found.append(distance(runs[1:], runs[0], units) ** 2)
    assert np.mean(found) == pytest.approx(1, abs=0.15)


def test_what_has_no_spread_or_no_logarithm_is_refused():
    with pytest.raises(ValueError, match="no experiment has two seeds"):
        spread([[OF_1998]])
    dead = {**OF_1998, "S4 biases": 0.0}
    with pytest.raises(ValueError, match="S4 biases of a network are all zero"):
        spread([[OF_1998, dead]])


# --- 1998


def test_the_estimate_of_1998_has_the_figures_of_another_one():
    """One by plain least squares on the displayed states, neither rounding nor clipping considered."""
    another = {
        "C1 weights": 2.07, "C1 biases": 1.66,
        "S2 coefficients": 0.76, "S2 least": 0.43, "S2 greatest": 1.28, "S2 biases": 0.46,
        "C3 weights": 0.77, "C3 biases": 1.36,
        "S4 coefficients": 0.22, "S4 least": -0.03, "S4 greatest": 0.31, "S4 biases": 0.14,
    }  # fmt: skip
    assert pytest.approx(another, rel=0.07) == OF_1998


# --- the experiments and the table


def test_what_is_trained():
    experiments = {name: experiment.config for name, experiment in registry.load().items() if name in study.EXPERIMENTS}
    assert len(experiments) == 11
    assert {config.strings for config in experiments.values()} == {NOISE, Strings()}
    assert {config.reading for config in experiments.values()} == {
        DEFAULT,
        FORMER,
        *(ROUND[name] for name in FINALISTS),
    }
    assert all(config.distortions is None for config in experiments.values())


def test_a_run_keeps_its_first_layers_and_their_figures(mnist, tmp_path):
    config = golden.small(registry.named("fingerprint/default-strings").config, few=True)
    context = Context(lambda _: None, tmp_path / "state")
    context.__dict__["mnist"] = golden.digits(config, mnist)
    made = study.train_and_keep(config, 0, context)
    np.testing.assert_array_equal(made.arrays["trunk"], made.weights[:1716])
    assert fingerprint(kept(made.arrays["trunk"])) == made.extra["fingerprint"]


def test_the_table_has_1998_beside_ours(tmp_path):
    reference = tmp_path / "reference"
    far = {name: 2 * value for name, value in OF_1998.items()}
    for seed in range(3):
        publish(reference, "fingerprint/default-noise", seed, extra={"fingerprint": like(seed, of=far)})
        publish(reference, "fingerprint/default-strings", seed, extra={"fingerprint": like(seed + 10)})
    load = Loader(("reference",), tmp_path / "results", reference)
    table = study.fingerprint_table(load)
    paper, far_off, _, near, z = table.body
    assert paper[:4] == ["**1998**", "", "2.10", "1.70"]
    assert paper[4] == "0.78 (0.44 to 1.31)"
    assert (far_off[0], far_off[1]) == ("DEFAULT, 10% of the pixels inverted", "3")
    assert float(near[-1]) < 2 < 4 < float(far_off[-1])
    assert all(abs(float(cell.replace("−", "-"))) < 4 for cell in z[2:-1])
    for record in table.records:
        assert record["n"] == 3
        assert record["C1 weights 1998"] == OF_1998["C1 weights"]
        assert record["C1 weights sd"] > 0
    assert any("4 degrees of freedom" in note for note in table.notes)
    with pytest.raises(NoResults, match="fingerprint/former-noise"):
        study.fingerprint_table(Loader(("reference",), tmp_path / "results", tmp_path / "nothing"))
