"""The linear classifiers of Fig. 9: sigmoid units that learn beside linear units that are solved."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.paper import numbers as paper
from experiments.paper.linear import ROWS, WAYS
from lenet98.networks import mlp
from lenet98.readings import DEFAULT
from lenet98.sdlm import ETAS, MU
from tests.fakes import publish

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("name", "side", "form"), [("linear", 28, "28x28"), ("deslant_linear", 20, "deslanted")])
def test_rows_are_sigmoid_units_trained_by_the_recipe_of_the_paper(name, side, form):
    experiment = registry.named(f"fig9/{name}")
    config = experiment.config
    assert config == ROWS[name]
    assert config.spec == mlp(input_shape=(1, side, side))
    assert (config.form, config.distortions, config.reading) == (form, None, replace(DEFAULT, loss="eq8"))
    assert (config.etas, config.mu, config.train_size, config.held_out) == (ETAS, MU, 60_000, 0)
    assert (experiment.paper_error, experiment.deterministic) == (paper.TEST_ERROR[name], False)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.test)
def test_held_out_runs_are_those_of_the_test_set_on_fewer_patterns(way):
    held_out, test = (registry.named(name).config for name in (way.held_out, way.test))
    assert replace(held_out, train_size=60_000, held_out=0) == test
    assert (held_out.train_size, held_out.held_out) == (50_000, 10_000)


def test_held_out_patterns_choose_what_the_rows_are():
    made = tables.named("linear")(Loader(("reference",), ROOT / "results", ROOT / "reference"))
    errors = {way.test: record["held_out"] for way, record in zip(WAYS, made.records, strict=True)}
    for name in ROWS:
        others = [errors[way.test] for way in WAYS if way.row == name and way.test != f"fig9/{name}"]
        assert errors[f"fig9/{name}"] < min(others)


@pytest.mark.parametrize("name", ROWS)
def test_published_rows_are_within_0_8_of_the_paper(name):
    made = tables.named("fig9")(Loader(("reference",), ROOT / "results", ROOT / "reference"))
    (record,) = [record for record in made.records if record["experiment"] == f"fig9/{name}"]
    assert record["n"] == 5
    assert abs(record["difference"]) <= 0.8


def test_the_table_has_both_judges(tmp_path):
    for i, way in enumerate(WAYS):
        publish(tmp_path, way.held_out, 0, test=1000 + i)
        publish(tmp_path, way.test, 0, test=1200 + i)
    made = tables.named("linear")(Loader(("reference",), tmp_path / "results", tmp_path))
    assert made.body[0] == ["Linear, sigmoid units, gradient descent", "10.00", "", "1", "12.00", "12.00", "", "1"]
    assert made.body[3][0] == "[deslant] Linear, linear units, least squares"
    assert [row[5] for row in made.body] == ["12.00", "12.01", "12.02", "12.03"]
    assert np.isclose([record["held_out"] for record in made.records], [10.0, 10.01, 10.02, 10.03]).all()
