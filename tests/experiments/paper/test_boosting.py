"""Boosting: filters by hand and as properties, the decision by hand, and a whole small run on real digits."""

import json
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.harness import registry, tables
from experiments.harness.loader import Loader
from experiments.harness.registry import Context
from experiments.paper import boosting
from experiments.paper.boosting import (
    BoostedConfig,
    boost,
    by_share,
    disagreement,
    filtered,
    halves,
    outputs,
    pool,
    seed_of,
    together,
    tossed,
)
from experiments.trainers import training
from lenet98.data.distortions import FIG7
from lenet98.networks import LENET4
from lenet98.online.engine import Engine
from lenet98.prototypes import place_codes
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.training import Config, network_input, train
from tests.fakes import publish
from tests.resumption import DAMAGES, Interrupted
from tests.strategies import few

SMALL = training(
    BoostedConfig,
    "lenet4",
    distortions=FIG7,
    train_size=1000,
    filtered=300,
    curvature_patterns=100,
    etas=(5e-4, 2e-4),
    confidence=1.0,
)


def context_in(folder, mnist, progress=lambda _: None):
    context = Context(progress, folder / "run.checkpoint")
    vars(context)["mnist"] = replace(mnist, test_images=mnist.test_images[:300], test_labels=mnist.test_labels[:300])
    return context


@pytest.fixture(scope="module")
def whole(mnist, tmp_path_factory):
    """A run that nobody interrupted, and the reports of its progress."""
    reports = []
    return boost(SMALL, 3, context_in(tmp_path_factory.mktemp("boost"), mnist, reports.append)), reports


# --- filters


def test_the_pool_shows_every_pattern_once_a_round():
    blocks = list(islice(pool(2500, 1), 9))
    assert [len(block.index) for block in blocks] == [1000, 1000, 500] * 3
    assert [set(block.copy) for block in blocks] == [{0}] * 3 + [{1}] * 3 + [{2}] * 3
    rounds = [np.concatenate([block.index for block in blocks[i : i + 3]]) for i in (0, 3, 6)]
    for order in rounds:
        assert sorted(order) == list(range(2500))
    assert not np.array_equal(*rounds[:2])


def test_tosses_by_hand():
    wrong = np.array([0, 0, 1, 0, 1, 1, 0], bool)
    # Heads waits until 2; tails takes 3; tails takes 6; heads finds none any more.
    assert list(tossed(wrong, np.array([1, 0, 0, 1], bool))) == [2, 3, 6]
    assert list(tossed(wrong, np.array([], bool))) == []


@few
@given(st.lists(st.booleans(), max_size=60), st.lists(st.booleans(), max_size=30))
def test_every_toss_takes_the_next_pattern_of_its_kind(wrong, heads):
    passed = list(tossed(np.array(wrong, bool), np.array(heads, bool)))
    after = 0
    for place, toss in zip(passed, heads, strict=False):
        assert wrong[place] == toss
        assert all(wrong[skipped] != toss for skipped in range(after, place))
        after = place + 1
    if len(passed) < len(heads):
        assert heads[len(passed)] not in wrong[after:]


def test_filters_on_real_digits(mnist):
    """An untrained network and another: what passes is half wrong for the first; where both disagree."""
    engine = Engine(LENET4, SMALL.reading)
    before = [initial_parameters(LENET4, SMALL.reading, generator(seed, "init")) for seed in (0, 1)]
    seed = seed_of(0, 2)
    reports = []
    found = filtered(SMALL, seed, mnist, before[:1], halves(seed, 300), 0, lambda *report: reports.append(report))
    images = network_input(SMALL, seed, found.sample, mnist.train_images)
    answers = [engine.distances(one, images).argmin(axis=1) for one in before]
    wrong = answers[0] != mnist.train_labels[found.sample.index]
    heads = generator(seed, "order", 2).integers(0, 2, 300).astype(bool)
    np.testing.assert_array_equal(wrong, heads)
    assert 0.4 < wrong.mean() < 0.6
    assert reports[-1] == (300, 300)
    assert found.candidates >= 300
    members = list(zip(found.sample.index, found.sample.copy, strict=True))
    assert len(set(members)) == 300
    third = seed_of(0, 3)  # new patterns: no originals
    found = filtered(SMALL, third, mnist, before, disagreement, 1, lambda *_: None)
    assert found.sample.copy.min() == 1
    images = network_input(SMALL, third, found.sample, mnist.train_images)
    assert (engine.distances(before[0], images).argmin(1) != engine.distances(before[1], images).argmin(1)).all()


def test_a_filter_that_nothing_passes_gives_up(mnist, monkeypatch):
    monkeypatch.setattr(boosting, "HOPELESS", 5)
    same = [initial_parameters(LENET4, SMALL.reading, generator(0, "init"))] * 2
    with pytest.raises(ValueError, match=r"only 0 of 2000 patterns pass the filter; lower BoostedConfig.filtered"):
        filtered(SMALL, 20_000, mnist, same, disagreement, 0, lambda *_: None)


# --- the decision


def test_outputs_are_those_of_the_units_less_their_mean():
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (5, 10))
    distances = ((x[:, None] - place_codes()) ** 2).sum(axis=2)
    np.testing.assert_allclose(outputs(distances), x - x.mean(axis=1, keepdims=True), atol=1e-6)


def distances_of(*rows):
    """y_i of units with such first three outputs, and -1 for the others."""
    x = np.full((len(rows), 10), -1.0)
    x[:, :3] = rows
    return ((x[:, None] - place_codes()) ** 2).sum(axis=2)


def test_outputs_are_added_but_where_the_first_is_confident():
    first = distances_of([1, -1, -1], [0.2, 0.1, -1], [1, -0.5, -1])
    second = distances_of([-1, 1, -1], [0, 1, -1], [-1, 1, -1])
    third = distances_of([-1, 1, -1], [0.4, -1, -1], [-1, 1, -1])
    found = together([first, second, third], confidence=1.5)
    # 0: margin 2, alone.  1: sums 0.6 and 0.1.  2: margin 1.5 does not exceed 1.5: sums -1 and 1.5.
    assert list(found.predictions) == [0, 0, 1]
    np.testing.assert_allclose(found.scores, [2, 0.5 / 3, 2.5 / 3], atol=1e-6)
    assert found.asked == pytest.approx(2 / 3)
    every = together([first, second, third], confidence=float("inf"))
    assert list(every.predictions) == [1, 0, 1]
    assert every.asked == 1


def test_errors_by_share():
    rng = np.random.default_rng(1)
    nets = [rng.normal(size=(400, 10)).astype(np.float32) ** 2 for _ in range(3)]
    labels = nets[0].argmin(axis=1)
    rows = by_share(nets, labels)
    for row in rows:
        assert together(nets, row["confidence"]).asked == pytest.approx(row["share"], abs=1 / 400)
    assert rows[0]["errors"] < rows[-1]["errors"]  # the labels are the first network's answers
    assert rows[3]["share"] == 0.375  # the paper's cost: 1 + 2 * 0.375 = 1.75
    assert 1 + 2 * rows[3]["share"] == 1.75


# --- runs


def test_a_run_put_together_by_hand(mnist, whole, tmp_path):
    outcome, _ = whole
    data = context_in(tmp_path, mnist).mnist
    nets = [train(SMALL.each, 3, data)]
    assert SMALL.each == training(
        Config, "lenet4", distortions=FIG7, train_size=1000, curvature_patterns=100, etas=SMALL.etas
    )
    for number, passing in ((2, halves(10_003, 300)), (3, disagreement)):
        seed = seed_of(3, number)
        found = filtered(SMALL, seed, data, [net.parameters for net in nets], passing, number - 2, lambda *_: None)
        nets.append(train(SMALL.each, seed, data, samples=lambda _, sample=found.sample: sample))
        assert outcome.extra["candidates"][number - 2] == found.candidates
    np.testing.assert_array_equal(outcome.weights, [net.parameters for net in nets])
    decided = together([net.distances for net in nets], 1.0)
    np.testing.assert_array_equal(outcome.predictions, decided.predictions)
    np.testing.assert_array_equal(outcome.scores, decided.scores)
    assert [entry["train_patterns"] for entry in outcome.passes[:3]] == [1000, 300, 300]
    assert [entry["test_errors"] for entry in outcome.passes[:3]] == [net.history[-1].test_errors for net in nets]
    assert outcome.passes[3]["test_errors"] == (decided.predictions != data.test_labels).sum()
    assert outcome.extra["stored"] == 3 * 16_998  # Fig. 12: 51,000
    assert outcome.extra["multiply_accumulates"] == round(245_568 * (1 + 2 * decided.asked))
    assert 0 < outcome.extra["asked"] < 1
    json.dumps([*outcome.passes, outcome.extra])


def test_progress_goes_forward_through_all_stages(whole):
    _, reports = whole
    # Two passes, a filter, two passes, a filter, two passes.
    assert [number for number, _ in dict.fromkeys((r.pass_number, r.passes) for r in reports)] == list(range(1, 9))
    assert {r.passes for r in reports} == {8}
    shares = [(r.pass_number - 1 + r.done / r.total) / r.passes for r in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("stop", [3, 5])
def test_a_run_interrupted_in_any_stage_goes_on(mnist, whole, tmp_path, stop):
    def stop_in_pass(report):
        if report.pass_number == stop:
            raise Interrupted

    with pytest.raises(Interrupted):
        boost(SMALL, 3, context_in(tmp_path, mnist, stop_in_pass))
    seen = []
    outcome = boost(SMALL, 3, context_in(tmp_path, mnist, lambda report: seen.append(report.pass_number)))
    assert min(seen) == stop
    np.testing.assert_array_equal(outcome.weights, whole[0].weights)
    np.testing.assert_array_equal(outcome.scores, whole[0].scores)
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint"]  # which the runner removes


def test_networks_left_without_their_run_are_not_taken_up(mnist, tmp_path):
    seen = []

    def stop_in_pass(report):
        seen.append(report.pass_number)
        if report.pass_number == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        boost(SMALL, 3, context_in(tmp_path, mnist, stop_in_pass))
    seen.clear()
    (tmp_path / "run.checkpoint").unlink()  # as `--force` does
    seen = []
    with pytest.raises(Interrupted):
        boost(
            SMALL,
            3,
            context_in(tmp_path, mnist, lambda report: (seen.append(report.pass_number), stop_in_pass(report))),
        )
    assert seen[0] == 1


def stop_at_once(report):
    assert report.pass_number == 1, "it did not start over"
    raise Interrupted


def test_the_state_of_another_run_is_refused_and_a_damaged_one_ignored(mnist, whole, tmp_path, caplog):
    def stop_in_pass(report):
        if report.pass_number == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        boost(SMALL, 3, context_in(tmp_path, mnist, stop_in_pass))
    with pytest.raises(ValueError, match="state of another run"):
        boost(SMALL, 4, context_in(tmp_path, mnist))
    left = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert {path.name for path in left} == {"run.checkpoint", "run.network-1", "run.network-2"}
    for damage in DAMAGES.values():
        for path, content in left.items():
            path.write_bytes(damage(content))
        with pytest.raises(Interrupted):
            boost(SMALL, 3, context_in(tmp_path, mnist, stop_at_once))
        assert len(caplog.records) == 2  # of the filtered patterns and of the first network
        assert all("the run starts over" in record.getMessage() for record in caplog.records)
        caplog.clear()
    outcome = boost(SMALL, 3, context_in(tmp_path, mnist))
    np.testing.assert_array_equal(outcome.weights, whole[0].weights)
    np.testing.assert_array_equal(outcome.scores, whole[0].scores)


def test_diverged_network_is_reported_as_such(mnist, tmp_path):
    outcome = boost(replace(SMALL, etas=(5e-4, 1e30)), 0, context_in(tmp_path, mnist))
    assert outcome.diverged
    assert len(outcome.passes) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distortions": None}, "BoostedConfig.distortions is None"),
        ({"filtered": 99}, "BoostedConfig.filtered is 99; it must be at least curvature_patterns, 100"),
        ({"confidence": -0.5}, "BoostedConfig.confidence"),
        ({"confidence": float("nan")}, "BoostedConfig.confidence"),
        ({"mu": 0.0}, "Config.mu"),
    ],
)
def test_bad_configurations_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_the_first_network_is_lenet4_with_distortions():
    config = registry.named("fig9/dist_boosted_lenet4").config
    assert config.each == registry.named("boosting/dist_lenet4").config
    assert config.distortions == FIG7.scaled(0.75)
    assert seed_of(7, 1) == 7
    assert len({seed_of(seed, number) for seed in (0, 9999) for number in (1, 2, 3)}) == 6
    assert config.spec.parameters * 3 == pytest.approx(51_000, abs=500)  # Fig. 12


def test_boosting_table(tmp_path):
    extra = {"asked": 0.4, "by_share": [{"share": 0.375, "confidence": 1.8, "errors": 71}]}
    for seed in (0, 1):
        publish(tmp_path, "fig9/dist_boosted_lenet4", seed, test=70 + seed, train=(3, 20, 10, 9), extra=extra)
    made = tables.named("boosting")(Loader(("reference",), tmp_path / "results", tmp_path))
    assert [line[0] for line in made.body][-2:] == [
        "added, where the first is within 1.86", "added, for 37.5% of the patterns"
    ]  # fmt: skip
    assert made.body[3][-2:] == ["40.0", "1.80"]
    assert made.body[4][-2:] == ["37.5", "1.75"]
    assert made.records[3]["paper"] == 0.7
    assert made.records[3]["errors"] == [70, 71]
