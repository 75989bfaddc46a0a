"""The tables of LeNet-5 with distortions, from results made by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import trainers
from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper.distortions import CHOSEN, MAGNITUDES
from lenet98.data.distortions import FIG7
from lenet98.readings import DEFAULT, FORMER, FORMER_DISTORTED
from lenet98.training import Config
from tests.fakes import JUDGED, publish

PLAIN, DISTORTED = (100, 110, 95, 105), (80, 92, 85, 83)


@pytest.fixture
def load(tmp_path):
    return Loader(("reference",), tmp_path / "results", tmp_path)


def test_one_reading_serves_with_and_without_distortions():
    """III.B: the same training parameters were used as without deformations."""
    plain, distorted = (registry.named(f"fig9/{name}").config for name in ("lenet5", "dist_lenet5"))
    assert plain.reading == distorted.reading == DEFAULT
    assert distorted == replace(plain, distortions=FIG7.scaled(CHOSEN))


def test_experiments_differ_from_lenet5_in_what_their_names_say():
    plain = registry.named("fig9/lenet5").config
    assert registry.named("distortions/distort1").config == replace(plain, distortions=FIG7)
    assert registry.named("distortions/former").config == replace(plain, reading=FORMER, distortions=FIG7)
    former = registry.named("distortions/former-distorted").config
    assert former == replace(plain, reading=FORMER_DISTORTED, distortions=FIG7)
    assert registry.named("distortions/former-distorted-plain").config == replace(former, distortions=None)
    for name in MAGNITUDES:
        config = registry.named(name).config
        assert (config.train_size, config.held_out, config.etas) == (54_000, 6_000, plain.etas)
        assert config.reading == DEFAULT
    assert registry.named("distortions/held-out/distort0").config.distortions is None
    assert registry.named("distortions/held-out/distort0.25").config.distortions.shear == FIG7.shear / 4
    different = {(repr(registry.named(name).config), registry.named(name).run) for name in MAGNITUDES}
    assert len(different) == len(MAGNITUDES)


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


def test_magnitudes_are_compared_with_no_distortions(load):
    none, half = "distortions/held-out/distort0", "distortions/held-out/distort0.5"
    for seed, (errors, fewer) in enumerate(((66, 54), (60, 60))):
        publish(load.reference, none, seed, test=errors, test_patterns=6_000, train=[3.0, 0.5])
        publish(load.reference, half, seed, test=fewer, test_patterns=6_000, train=[9.0, 1.5])
    made = tables.named("magnitudes")(load)
    assert [line[:3] for line in made.body] == [
        ["no distortions", "0.50", "1.05"],
        ["half of Fig. 7's", "1.50", "0.95"],
    ]
    base, found = json.loads(made.render("json"))
    assert base["change"] is None
    assert found["change"] == pytest.approx(-0.1)
    assert found["patterns"] == 6_000
    assert "distort0.25, distortions/held-out/distort0.75, distortions/held-out/distort1" in made.notes[1]
    assert made.render("csv").count("\n") == 3


def test_magnitudes_need_something_to_compare(load):
    publish(load.reference, "distortions/held-out/distort0", 0, test=60, test_patterns=6_000)
    with pytest.raises(NoResults, match=r"run distortions/held-out/distort0\.25"):
        tables.named("magnitudes")(load)
