"""The tables of LeNet-5 with distortions, from results made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import trainers
from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper.distortions import CHOSEN, HELD_OUT, READINGS
from lenet98.data.distortions import FIG7
from lenet98.training import Config
from tests.fakes import JUDGED, publish

PLAIN, DISTORTED = (100, 110, 95, 105), (80, 92, 85, 83)


@pytest.fixture
def load(tmp_path):
    return Loader(("reference",), tmp_path / "results", tmp_path)


def test_experiments_differ_from_lenet5_in_what_their_names_say():
    plain, chosen = registry.named("fig9/lenet5").config, READINGS[CHOSEN][1]
    assert registry.named("fig9/dist_lenet5").config == replace(chosen, distortions=FIG7)
    assert registry.named("distortions/default").config == replace(plain, distortions=FIG7)
    assert registry.named("distortions/j10-curvature-eq8-loss0.05-distort0").config == chosen
    assert registry.named("distortions/held-out/default").config.distortions == FIG7
    assert registry.named("distortions/held-out/default-distort0").config.distortions is None
    assert registry.named(f"{CHOSEN}-distort0.5").config.distortions.shear == FIG7.shear / 2
    for name in HELD_OUT:
        config = registry.named(name).config
        assert (config.train_size, config.held_out, config.etas) == (54_000, 6_000, plain.etas)
    different = {(repr(registry.named(name).config), registry.named(name).run) for name in HELD_OUT}
    assert len(different) == len(HELD_OUT)


def test_fresh_distortions_are_never_shown_twice(mnist, tmp_path, monkeypatch):
    seen = []

    def train(config, seed, data, *, samples, **_):
        seen.extend((samples(number).index, samples(number).copy) for number in (1, 2, 3))
        raise InterruptedError

    monkeypatch.setattr(trainers, "train", train)
    with pytest.raises(InterruptedError):
        trainers.train_on_fresh(
            Config(train_size=50, curvature_patterns=5, distortions=FIG7),
            3,
            Context(lambda _: None, tmp_path / "state"),
        )
    members = [member for patterns, copies in seen for member in zip(patterns, copies, strict=True)]
    assert len(set(members)) == 3 * 50
    assert {int(copy) for _, copy in members} == {1, 2, 3}  # 0 would be the original
    assert sorted(seen[1][0]) == list(range(50))


def test_dist_beside_the_paper(load, mnist):
    for seed, counts in enumerate(zip(PLAIN, DISTORTED, strict=True)):
        for name, errors in zip(("fig9/lenet5", "fig9/dist_lenet5"), counts, strict=True):
            predictions = np.where(np.arange(10_000) < errors, 255, mnist.test_labels)
            publish(load.reference, name, seed, test=errors, predictions=predictions, identity=JUDGED)
    made = tables.named("dist")(load)
    assert [(line[0], line[1]) for line in made.body] == [("LeNet-5", "0.95"), ("[dist] LeNet-5", "0.80")]
    (said,) = [note for note in made.notes if note.startswith("[dist] LeNet-5 less LeNet-5: ")]
    assert said.startswith(("[dist] LeNet-5 less LeNet-5: −0.17 (", "[dist] LeNet-5 less LeNet-5: −0.18 ("))
    # Differences -20, -18, -10, -22 errors: mean -17.5, sd 5.26; t = 3.182: 17.5 -+ 3.182 * 5.26 / 2.
    assert "over seeds alone −0.26 to −0.09, paired" in said
    assert any("Holm" in note for note in made.notes)


def test_single_seeds_have_no_interval_over_seeds(load, mnist):
    for name, errors in (("fig9/lenet5", 100), ("fig9/dist_lenet5", 80)):
        predictions = np.where(np.arange(10_000) < errors, 255, mnist.test_labels)
        publish(load.reference, name, 0, test=errors, predictions=predictions, identity=JUDGED)
        publish(load.reference, name, 1, status="diverged", train=[90.0])
    made = tables.named("dist")(load)
    assert "over seeds alone" not in " ".join(made.notes)
    assert "less LeNet-5: −0.20 (−0.29 to −0.11, p <0.001)" in " ".join(made.notes)
    assert made.records[1]["diverged"] == 1


def test_held_out_tables_compare_with_their_base(load):
    for seed, (errors, fig7) in enumerate(((66, 54), (60, 60))):
        publish(load.reference, f"{CHOSEN}-distort0", seed, test=errors, test_patterns=6_000, train=[3.0, 0.5])
        publish(load.reference, CHOSEN, seed, test=fig7, test_patterns=6_000, train=[9.0, 1.5])
        default = "distortions/held-out/default"
        publish(load.reference, default, seed, test=fig7 + 6 + seed, test_patterns=6_000, train=[9.0, 1.5])
    made = tables.named("magnitudes")(load)
    assert [line[:3] for line in made.body] == [["no distortions", "0.50", "1.05"], ["Fig. 7's", "1.50", "0.95"]]
    none, fig7 = json.loads(made.render("json"))
    assert none["change"] == pytest.approx(0.1)
    assert fig7["change"] is None
    assert none["patterns"] == 6_000
    assert f"{CHOSEN}-distort0.5, {CHOSEN}-distort0.75, {CHOSEN}-distort1.25" in made.notes[2]
    assert made.render("csv").count("\n") == 3
    readings = json.loads(tables.named("held-out")(load).render("json"))
    assert [row["experiment"] for row in readings] == ["distortions/held-out/default", CHOSEN]
    assert readings[1]["change"] == pytest.approx(-100 * 6.5 / 6_000)


def test_magnitudes_need_something_to_compare(load):
    publish(load.reference, CHOSEN, 0, test=60, test_patterns=6_000)
    with pytest.raises(NoResults, match=f"run {CHOSEN}-distort0"):
        tables.named("magnitudes")(load)
