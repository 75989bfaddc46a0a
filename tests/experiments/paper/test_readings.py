"""The study of the open points: what varies, the distance that judges, its tables, figure and page."""

import json
import re
from dataclasses import fields
from math import log
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.paper import numbers as paper
from experiments.paper import readings
from experiments.paper.readings import VARIATIONS, look
from lenet98.data.fields import pad_and_scale
from lenet98.networks import LENET5
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, LITERAL, Reading, initial_parameters
from lenet98.training import Config
from paper_figures import readings as drawing
from tests.fakes import LAYERS, publish

CURVE = np.array(paper.FIG5_TRAIN[:20])


@pytest.fixture
def load(tmp_path):
    """DEFAULT twice the paper's training error, "loss1" on it; "literal" far off, "init1" diverged in part."""
    reference = tmp_path / "reference"
    for seed in range(3):
        publish(reference, paper.LENET5, seed, train=list(2 * CURVE), test=100 + seed)
        publish(reference, "readings/literal", seed, train=[90.0] * 20, test=9_000, rates=(7e-4, 0.016), curvature=1e-5)
        publish(reference, "readings/loss1", seed, train=list(CURVE), test=120)
    publish(reference, paper.LENET5, 7, train=[50.0] * 20, test=500)  # no seed of the study
    publish(reference, "readings/init1-over-sqrt-fan-in", 0, train=list(3 * CURVE))
    publish(reference, "readings/init1-over-sqrt-fan-in", 1, train=[80.0], rates=(7e-5, 0.032), status="diverged")
    publish(reference, "readings/sum", 0, train=[], status="diverged")
    return Loader(("reference",), tmp_path / "results", reference)


# --- what varies


def test_every_open_point_is_varied_and_no_variation_is_the_default():
    configs = [Config(), *(variation.config for variation in VARIATIONS)]
    assert len({repr(config) for config in configs}) == len(configs)
    varied = {f.name for v in VARIATIONS for f in fields(Reading) if getattr(v.config.reading, f.name) != _default(f)}
    assert varied == {f.name for f in fields(Reading)}


def _default(field):
    return getattr(DEFAULT, field.name)


def test_all_but_the_literal_and_two_pairs_vary_one_field():
    for variation in VARIATIONS:
        changed = {f.name for f in fields(Reading) if getattr(variation.config.reading, f.name) != _default(f)}
        if variation.point not in ("all", "init", "subsampling"):
            assert changed == {variation.point}, variation.name
        assert registry.named(variation.experiment).config == variation.config


# --- the distance


def test_distance_by_hand(load):
    default, scale_1 = load.one(paper.LENET5).results[:3], load.one("readings/loss1").results
    assert readings.distance(scale_1) == pytest.approx(0, abs=1e-12)
    assert readings.curve_distance(default) == pytest.approx(log(2))
    # The least rate is ten times the paper's, the greatest is the paper's: (ln 10 + 0) / 2.
    assert readings.rates_distance(load.one("readings/literal").results) == pytest.approx(log(10) / 2)


def test_distance_is_of_the_mean_curve_and_of_the_geometric_mean_of_the_rates(tmp_path):
    two = [
        publish(tmp_path, paper.LENET5, 0, train=list(0.5 * CURVE), rates=(3.5e-5, 0.016)),
        publish(tmp_path, paper.LENET5, 1, train=list(1.5 * CURVE), rates=(14e-5, 0.016)),
    ]
    assert readings.distance(two) == pytest.approx(0, abs=1e-12)
    # As far as the paper's one run would be: each run from the other.
    assert readings.yardstick(two) == pytest.approx((log(3) + log(4) / 2,) * 2)


def test_standard_error_is_that_of_a_mean():
    values = [3.0, 5.0, 10.0, 2.0]
    assert readings.standard_error(np.mean, values) == pytest.approx(np.std(values, ddof=1) / 2)
    assert readings.standard_error(np.mean, values[:1]) is None


# --- the table


def test_rows_are_default_then_the_nearest_first(load):
    records = json.loads(tables.named("readings")(load).render("json"))
    assert [r["experiment"] for r in records] == [
        paper.LENET5, "readings/loss1", "readings/init1-over-sqrt-fan-in", "readings/literal", "readings/sum",
    ]  # fmt: skip
    default, scale_1, init_1, literal, failed = records
    assert (default["n"], default["errors"], default["distance"]) == (3, [100, 101, 102], pytest.approx(log(2)))
    assert (scale_1["point"], scale_1["distance"]) == ("loss_scale", pytest.approx(0))
    assert scale_1["train"] == pytest.approx(0.36)
    assert literal["rate_min"] == [7e-4] * 3
    assert (literal["train"], literal["mean"]) == (90, 90)
    # A diverged run counts for the rates shown and the share, and in no distance.
    assert (init_1["n"], init_1["diverged_share"], init_1["rate_max"]) == (1, 0.5, [0.016, 0.032])
    assert init_1["curve_distance"] == pytest.approx(log(3))
    assert (failed["distance"], failed["mean"], failed["train"], failed["rate_min"]) == (None, None, None, [])
    assert {"row", "paper", "mean", "sd", "n", "interval", "errors"} <= set(default)


def test_test_error_has_no_part_in_the_order(load):
    for seed in range(3):
        publish(load.reference, "readings/loss1", seed, train=list(CURVE), test=5_000)
    assert tables.named("readings")(load).records[1]["experiment"] == "readings/loss1"


def test_table_as_it_is_read(load):
    made = tables.named("readings")(load)
    text = made.render("md")
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|")]
    lines = {line[1]: line for line in cells}
    assert lines["**the paper**"][3:5] == ["7.0e-5", "1.6e-2"]
    assert lines["weights within 1/sqrt F"][4] == "1.6e-2–3.2e-2"
    assert lines["DEFAULT"][5:8] == ["0.00", "0.69", "0.69 (0.00)"]
    assert lines["weights within 1/sqrt F"][-2] == "1 of 2"
    assert "readings/j10" in text.split("Without results yet:")[1]
    assert "|ln(ours/paper)|" in text
    assert "loss without the 1/2, by 0.69 (0.00)" in text
    assert "/readings/{loss1,literal}`" in text
    assert made.render("csv").count("\n") == 6
    assert made.render("latex")


def test_nothing_to_judge(tmp_path):
    publish(tmp_path, paper.LENET5, 0)
    with pytest.raises(NoResults, match="run readings/literal"):
        tables.named("readings")(Loader(("reference",), tmp_path, tmp_path))


def test_no_reading_is_nearer(tmp_path):
    publish(tmp_path, paper.LENET5, 0)
    publish(tmp_path, "readings/literal", 0, train=[90.0] * 20)
    notes = tables.named("readings")(Loader(("reference",), tmp_path, tmp_path)).notes
    assert "No variation is nearer than DEFAULT." in notes


# --- mechanism


def test_curvature_by_pass(load):
    records = tables.named("curvature")(load).records
    assert {(r["row"], r["pass"]): r["C5"] for r in records} == {
        **{("DEFAULT", p): 2.0 ** (1 - p) for p in (1, 2, 3, 20)},
        **{("Appendix A to the letter", p): 1e-5 * 2.0 ** (1 - p) for p in (1, 2, 3, 20)},
    }


def test_no_curvature_by_pass_without_the_default(tmp_path):
    publish(tmp_path, "readings/literal", 0)
    with pytest.raises(NoResults, match="run fig9/lenet5"):
        tables.named("curvature")(Loader(("reference",), tmp_path, tmp_path))


def test_a_look_at_the_start(mnist):
    """App. A's weights let the signal die before F6, the default's keep it; neither saturates anything yet."""
    images = pad_and_scale(mnist.train_images[:50])
    start = {
        reading: look(LENET5, reading, initial_parameters(LENET5, reading, generator(0, "init")), images)
        for reading in (DEFAULT, LITERAL)
    }
    assert list(start[DEFAULT]) == list(LAYERS)
    assert start[DEFAULT]["F6"]["spread"] > 100 * start[LITERAL]["F6"]["spread"]
    assert all(layer["saturated"] < 0.01 for looked in start.values() for layer in looked.values())


def test_large_weights_saturate_all_units(mnist):
    parameters = np.full(LENET5.parameters, 10, np.float32)
    images = pad_and_scale(mnist.train_images[:5])
    looked = look(LENET5, DEFAULT, parameters, images)
    assert looked["F6"] == {"saturated": 1.0, "spread": pytest.approx(0, abs=1e-6)}


def test_the_sum_that_starts_the_same_computes_what_default_does(mnist):
    images = pad_and_scale(mnist.train_images[:5])
    ours, theirs = (
        look(LENET5, one, initial_parameters(LENET5, one, generator(0, "init")), images)
        for one in (DEFAULT, registry.named("readings/sum-same-start").config.reading)
    )
    assert ours == theirs


def test_saturation_table(load):
    looks = [{layer: {"saturated": share, "spread": 0.5} for layer in LAYERS} for share in (0.0, 0.25, 1.0)]
    for seed in range(2):
        publish(load.reference, "readings/saturation/literal", seed, extra={"looks": looks})
    made = tables.named("saturation")(load)
    assert {line[0] for line in made.body} == {"Appendix A to the letter"}
    assert [line[1:3] for line in made.body] == [["0", "0"], ["1", "25"], ["2", "100"]]
    assert made.records[1]["spread"] == 0.5


def test_saturation_experiments_are_two_passes_of_their_readings():
    config = registry.named("readings/saturation/literal").config
    assert (config.reading, config.etas) == (LITERAL, (0.0005, 0.0005))


# --- the figure and the page


def test_figure_has_default_and_the_papers_markers_in_every_panel(load):
    axes = drawing.figure(load).axes
    for panel in axes[:6]:
        np.testing.assert_allclose(panel.lines[0].get_ydata(), 2 * CURVE)
        np.testing.assert_allclose(panel.lines[-1].get_ydata(), CURVE)
    by_title = {panel.get_title(): panel for panel in axes}
    labels = {line.get_label() for line in by_title["Initial weights"].lines}
    assert {"Appendix A to the letter", "weights within 1/sqrt F"} <= labels
    h = {line.get_label(): line.get_ydata() for line in by_title["DEFAULT"].lines}
    np.testing.assert_allclose(h["S4"][:3], [1, 0.5, 0.25])


def test_every_variation_has_a_panel():
    grouped = [point for points in drawing.GROUPS.values() for point in points]
    assert sorted(grouped) == sorted({variation.point for variation in VARIATIONS})
    assert {*drawing.BESIDE, *readings.MECHANISM} <= {variation.name for variation in VARIATIONS}
    assert max(len([v for v in VARIATIONS if v.point in g]) for g in drawing.GROUPS.values()) <= len(drawing.CURVES)


def test_the_page_names_every_open_point_once():
    page = (Path(__file__).parents[3] / "docs/readings.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- ((?:`\w+`(?:, )?)+): ", page.partition("## The open points")[2], re.M)
    assert sorted(re.findall(r"`(\w+)`", " ".join(listed))) == sorted(field.name for field in fields(Reading))
