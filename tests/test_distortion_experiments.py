"""The tables of LeNet-5 with distortions, from results made by hand."""

import json

import pytest
from fakes import publish
from scipy import stats

from experiments import registry, tables
from experiments.distortion import HELD_OUT, difference
from experiments.tables import Loader, NoResults
from lenet98.data.distortions import FIG7

PLAIN, DISTORTED = (100, 110, 95, 105), (80, 92, 85, 83)


@pytest.fixture
def load(tmp_path):
    return Loader(("reference",), tmp_path / "results", tmp_path)


def test_experiments_differ_from_lenet5_in_what_their_names_say():
    plain = registry.named("lenet5").config
    assert registry.named("dist_lenet5").config.distortions == FIG7
    assert registry.named("held-0.5").config.distortions.shear == FIG7.shear / 2
    assert registry.named("held-1").config.distortions == FIG7
    assert registry.named("held-none").config.distortions is None
    for name in HELD_OUT:
        config = registry.named(name).config
        assert (config.train_size, config.evaluate_on, config.reading) == (54_000, "held out", plain.reading)
    assert len({repr(registry.named(name).config) for name in HELD_OUT}) == len(HELD_OUT)


def test_dist_beside_the_paper_with_a_paired_test(load):
    for seed, (plain, distorted) in enumerate(zip(PLAIN, DISTORTED, strict=True)):
        publish(load.reference, "lenet5", seed, test=plain)
        publish(load.reference, "dist_lenet5", seed, test=distorted)
    publish(load.reference, "lenet5", 9, test=500)  # no partner
    made = tables.named("dist")(load)
    assert [(line[0], line[1]) for line in made.body] == [("LeNet-5", "0.95"), ("[dist] LeNet-5", "0.80")]
    # Differences -20, -18, -10, -22 errors: mean -17.5, sd 5.26; t = -17.5 / (5.26 / 2) = -6.655, 3 degrees.
    found = difference(load.one("dist_lenet5"), load.one("lenet5"))
    assert found.seeds == (0, 1, 2, 3)
    assert found.mean == pytest.approx(-0.175)
    assert found.p == pytest.approx(2 * stats.t.sf(6.655, 3), rel=1e-3)
    assert found.interval == pytest.approx((-0.2587, -0.0913), abs=1e-3)
    assert "−0.17 percentage points" in made.notes[1] or "−0.18 percentage points" in made.notes[1]


def test_diverged_runs_and_single_seeds_have_no_difference(load):
    publish(load.reference, "lenet5", 0)
    publish(load.reference, "lenet5", 1)
    publish(load.reference, "dist_lenet5", 0)
    publish(load.reference, "dist_lenet5", 1, status="diverged", train=[90.0])
    assert difference(load.one("dist_lenet5"), load.one("lenet5")) is None
    made = tables.named("dist")(load)
    assert "2 (+" not in made.body[1][4]
    assert made.records[1]["diverged"] == 1


def test_magnitudes_less_fig7s(load):
    for seed, (errors, fig7) in enumerate(((66, 54), (60, 60))):
        publish(load.reference, "held-none", seed, test=errors, test_patterns=6_000)
        publish(load.reference, "held-1", seed, test=fig7, test_patterns=6_000)
    made = tables.named("magnitudes")(load)
    assert [line[:2] for line in made.body] == [["no distortions", "1.05"], ["Fig. 7's", "0.95"]]
    none, fig7 = json.loads(made.render("json"))
    assert none["less_fig7"] == pytest.approx(0.1)
    assert (fig7["less_fig7"], fig7["scale"], none["scale"]) == (None, 0.29, None)
    assert none["patterns"] == 6_000
    assert "held-0.5, held-0.75, held-1.25" in made.notes[1]
    assert made.render("csv").count("\n") == 3


def test_magnitudes_need_something_to_compare(load):
    publish(load.reference, "held-1", 0, test=60, test_patterns=6_000)
    with pytest.raises(NoResults, match="run held-none"):
        tables.named("magnitudes")(load)
