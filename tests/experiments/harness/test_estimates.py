"""How long runs take, and in which order that puts them."""

from dataclasses import replace

import pytest

from experiments.harness import plan, provenance, store
from tests.experiments.harness.test_runner import FAKE, finish
from tests.fakes import publish

HERE = provenance.machine(1)
GUESS = FAKE.minutes


def estimate(tmp_path, experiment=FAKE, seed=9):
    (job,) = plan.plan([experiment], (seed,), tmp_path / "results", reference=tmp_path / "reference").jobs
    return job.estimate.minutes, job.estimate.source


def ran(tmp_path, seed, minutes, *, machine=HERE, **changes):
    """A run of the experiment is there that took so long."""
    finish(tmp_path / "results", seed=seed, seconds=60 * minutes, machine=machine, **changes)


def test_without_runs_the_registered_minutes_are_a_guess(tmp_path):
    assert estimate(tmp_path) == (GUESS, "a guess")


def test_the_median_of_the_last_three_runs_on_this_machine(tmp_path):
    for seed, minutes in enumerate((50, 1, 9, 3)):
        ran(tmp_path, seed, minutes, finished=f"2026-11-0{seed + 1}")
    assert estimate(tmp_path) == (3, "as last here")


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": {**HERE, "cpu": "R10000"}},
        {"machine": {**HERE, "cores": 1000}},
        {"machine": {**HERE, "threads": 4}},
        {"resumed": True},
        {"status": "diverged"},
    ],
)
def test_runs_that_tell_nothing_of_the_time(tmp_path, changes):
    ran(tmp_path, 0, 7, **changes)
    assert estimate(tmp_path) == (GUESS, "a guess")


def test_runs_of_another_configuration_tell_nothing(tmp_path):
    ran(tmp_path, 0, 7)
    assert estimate(tmp_path, replace(FAKE, config={**FAKE.config, "passes": 3})) == (GUESS, "a guess")


def test_published_runs_of_a_like_machine_tell_where_there_are_none_here(tmp_path):
    path = publish(tmp_path / "reference", "fake", 0, seconds=300, identity=FAKE.identity()).path
    assert estimate(tmp_path) == (GUESS, "a guess")  # of another machine
    result = store.read(path)
    store.write(path, {**result.record, "machine": HERE}, result.arrays())
    assert estimate(tmp_path) == (5, "as published")
    ran(tmp_path, 0, 2)
    assert estimate(tmp_path) == (2, "as last here")


def test_the_longest_come_first_by_what_was_learned(tmp_path):
    ran(tmp_path, 0, 7)
    guessed = [replace(FAKE, name=name, minutes=minutes) for name, minutes in (("short", 1), ("long", 9), ("b", 1))]
    made = plan.plan([*guessed, FAKE], (1, 2), tmp_path / "results", first=("b",))
    assert [job.label for job in made.jobs] == [
        f"{name} seed {seed}" for name in ("b", "long", "fake", "short") for seed in (1, 2)
    ]
    assert list(made.lines())[2] == "fake seeds 1-2: no result yet, about 14 minutes, as last here"
    # On two cores: b beside b; long beside long, to 10; fake beside fake, to 17; short beside short.
    assert made.minutes(2) == 18
