"""Shares of the runs for the jobs of an array."""

from dataclasses import replace

import pytest

from experiments.harness import plan, shards
from experiments.harness.shards import Shard
from tests.experiments.harness.test_runner import FAKE, finish

EXPERIMENTS = [replace(FAKE, name=name, minutes=minutes) for name, minutes in (("a", 1), ("b", 9), ("c", 2), ("d", 2))]


def runs(tmp_path, shard, experiments=EXPERIMENTS):
    made = plan.plan(experiments, range(5), tmp_path, shard=shard)
    return {job.label: job.experiment.minutes for job in (*made.jobs, *made.there)}


@pytest.mark.parametrize("of", [1, 2, 3, 7, 30])
def test_shares_are_disjoint_complete_and_of_like_size(tmp_path, of):
    every = runs(tmp_path, None)
    shares = [runs(tmp_path, Shard(number, of)) for number in range(1, of + 1)]
    assert sorted(label for share in shares for label in share) == sorted(every)
    loads = [sum(share.values()) for share in shares]
    assert max(loads) - min(loads) <= (1 if of == 2 else 9)  # minutes of the longest


def test_a_share_depends_neither_on_what_is_there_nor_on_the_order_of_names(tmp_path):
    shares = [runs(tmp_path, Shard(number, 3)) for number in (1, 2, 3)]
    finish(tmp_path, EXPERIMENTS[1], seed=0, seconds=6000.0)
    finish(tmp_path, EXPERIMENTS[2], seed=3, seconds=0.1)
    assert [runs(tmp_path, Shard(number, 3), EXPERIMENTS[::-1]) for number in (1, 2, 3)] == shares


def test_shares_are_written_as_fractions():
    assert shards.parse("2/8") == Shard(2, 8)
    assert str(Shard(2, 8)) == "2/8"


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "1/0", "-1/8", "1/8/2", "a/b", "1.5/2", "²/3"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="is no share of the runs; write 1/8 for the first of eight"):
        shards.parse(text)
