"""A key changes with what changes a result, and with nothing else."""

from dataclasses import dataclass, replace

import pytest

from experiments import numerics
from experiments.harness.identity import counts_as, plain
from experiments.harness.registry import Experiment, Outcome
from experiments.trainers import train_network
from lenet98.networks import LENET5
from lenet98.readings import FORMER, Reading
from lenet98.training import Config

BASE = Experiment("a/name", "A title", Config(), train_network, 2)


def key(**changes):
    return replace(BASE, **changes).identity().key


def test_names_titles_times_and_seeds_are_no_part_of_a_key():
    assert key(name="other/name", title="Other", minutes=5, seeds=(7,), paper_error=1.0) == key()


def test_a_function_may_move_and_change_its_name():
    @numerics.family("online")
    def moved(config, seed, context) -> Outcome:
        raise AssertionError("never called")

    assert key(run=moved) == key()


def test_a_configuration_may_change_the_name_of_its_class():
    @dataclass(frozen=True)
    class Renamed(Config):
        pass

    assert key(config=Renamed()) == key()


def test_a_field_that_came_later_changes_no_key_while_it_says_what_was_done_before():
    config = plain(Config(reading=FORMER))
    assert "rbf_scale" not in config["reading"]
    assert "curvature_scale" not in config["reading"]
    assert plain(Reading(rbf_scale=0.5, curvature_scale=1.0)) == {
        **config["reading"],
        "rbf_scale": 0.5,
        "curvature_scale": 1.0,
    }


def test_a_network_may_change_its_name():
    assert key(config=Config(spec=replace(LENET5, name="another"))) == key()
    assert key(config=Config(spec="lenet5")) == key()


@pytest.mark.parametrize(
    "config",
    [
        Config(reading=Reading(j=2.0)),
        Config(reading=Reading(rbf_scale=0.5)),
        Config(reading=Reading(coefficient_init=(1.0, 1.0))),
        Config(mu=0.03),
        Config(spec=replace(LENET5, squashing="relu")),
        Config(
            spec=replace(LENET5, layers=(*LENET5.layers[:4], replace(LENET5.layers[4], maps=121), *LENET5.layers[5:]))
        ),
    ],
)
def test_what_changes_a_result_changes_its_key(config):
    assert key(config=config) != key()


def test_a_new_version_of_a_family_or_of_what_it_builds_on_is_a_new_key(monkeypatch):
    before = key()
    monkeypatch.setitem(numerics.NUMERICS, "online", 8)
    online = key()
    monkeypatch.setitem(numerics.NUMERICS, "engine", 9)
    assert len({before, online, key()}) == 3
    assert numerics.versions("boosting") == {"boosting": 1, "online": 8, "engine": 9}


def test_every_version_after_the_first_says_why():
    assert {(name, v) for name, version in numerics.NUMERICS.items() for v in range(2, version + 1)} == set(
        numerics.HISTORY
    )
    assert set(numerics.BUILDS_ON) <= set(numerics.NUMERICS)


VOUCHED = {("engine", 2): "evidence", ("engine", 3): "evidence"}


@pytest.mark.parametrize(
    ("present", "vouched", "counts"),
    [
        ({}, {}, True),
        ({"engine": 2}, VOUCHED, True),
        ({"engine": 3}, VOUCHED, True),
        ({"engine": 2}, {}, False),
        ({"engine": 4}, VOUCHED, False),
        ({"engine": 3}, {("engine", 3): "evidence"}, False),  # 2 differed from 1
        ({"engine": 2, "online": 2}, VOUCHED, False),
        ({"engine": 0}, VOUCHED, False),  # a later result is none of an earlier version
    ],
)
def test_results_of_an_earlier_version_count_if_every_version_since_is_vouched_for(
    present, vouched, counts, monkeypatch
):
    monkeypatch.setattr(numerics, "VOUCHED", vouched)
    for name in ("engine", "online"):
        monkeypatch.setitem(numerics.NUMERICS, name, 1)
    before = BASE.identity()
    for name, version in present.items():
        monkeypatch.setitem(numerics.NUMERICS, name, version)
    now = BASE.identity()
    assert counts_as(before, now) == counts
    assert not counts_as(replace(before, data="other"), now)
    assert not counts_as(replace(before, config={**before.config, "etas": []}), now)


def test_what_is_vouched_for_is_a_version_with_a_history_and_evidence_in_numbers():
    assert set(numerics.VOUCHED) <= set(numerics.HISTORY)
    assert all(any(c.isdigit() for c in evidence) for evidence in numerics.VOUCHED.values())


def test_an_unknown_family_is_refused_and_a_function_without_one_is_its_own():
    with pytest.raises(ValueError, match="no family called 'onlin'"):
        numerics.family("onlin")

    def mine(config, seed, context):
        raise AssertionError("never called")

    assert replace(BASE, run=mine).identity().numerics == {"mine": 1}


def test_layers_say_what_kind_they_are():
    config = plain(Config())
    assert [layer["kind"] for layer in config["spec"]["layers"]] == [
        "convolution", "subsampling", "convolution", "subsampling", "convolution", "full", "rbf",
    ]  # fmt: skip
    assert "lenet5" not in str(config)
