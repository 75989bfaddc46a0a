"""Runs that are stopped and go on, for the tests of every trainer."""

from dataclasses import replace

import pytest


class Interrupted(Exception):
    """What stops a run from within its progress, as Ctrl-C does."""


def same(a, b):
    """That two runs of `lenet98.training.Trained` are the same to the bit but for the time that they took."""
    assert a.parameters.tobytes() == b.parameters.tobytes()
    assert a.distances.tobytes() == b.distances.tobytes()
    assert [replace(entry, seconds=0) for entry in a.history] == [replace(entry, seconds=0) for entry in b.history]


def interrupted(train, config, seed, data, checkpoint, last):
    """Stop a run in pass `last`, its state after the pass before left in `checkpoint`."""

    def stop(report):
        if report.pass_number == last:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, seed, data, progress=stop, checkpoint=checkpoint)


def resumed(train, config, seed, data, checkpoint):
    """A run that goes on from `checkpoint`, and the pass of each of its reports."""
    passes = []
    run = train(config, seed, data, progress=lambda report: passes.append(report.pass_number), checkpoint=checkpoint)
    return run, passes
