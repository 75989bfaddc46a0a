"""Runs that are interrupted and resumed, and what can befall a checkpoint, for the tests of every trainer."""

import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from lenet98 import checkpoint as checkpoints
from lenet98.modern.minibatch import flat


class Interrupted(Exception):
    """What stops a run from within its progress, as Ctrl-C does."""


def bits(run):
    """All bits of a run of `lenet98.training.Trained`, or that of `minibatch`, but for the time that it took."""
    model, outputs = (flat(run.model), run.outputs) if hasattr(run, "model") else (run.parameters, run.distances)
    return model.tobytes(), outputs.tobytes(), repr([replace(entry, seconds=0) for entry in run.history])


def same(a, b):
    assert bits(a) == bits(b)


def interrupted(train, config, seed, data, checkpoint, last):
    """Stop a run in pass `last`, its state after the pass before left in `checkpoint`."""

    def stop(report):
        if report.pass_number == last:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(config, seed, data, progress=stop, checkpoint=checkpoint)


def resumed(train, config, seed, data, checkpoint):
    """A run that resumes from `checkpoint`, and the pass of each of its reports."""
    passes = []
    run = train(config, seed, data, progress=lambda report: passes.append(report.pass_number), checkpoint=checkpoint)
    return run, passes


# --- what can befall a checkpoint -------------------------------------------------------------------------------------


class Unpickled(BaseException):
    """Raised when a `Trap` is unpickled."""


def spring():
    raise Unpickled


class Trap:
    """Raises once it is unpickled."""

    def __reduce__(self):
        return spring, ()


def flipped(content, place):
    """The same bytes but for one bit."""
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def _saved(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def sealed(body):
    """Some bytes after the header that would be right for them."""
    return checkpoints._header(body) + body


DAMAGES = {
    "a bit of the header": lambda content: flipped(content, 3),
    "a bit of the checksum": lambda content: flipped(content, content.index(b"\n") - 1),
    "a bit in the middle": lambda content: flipped(content, len(content) // 2),
    "the last bit": lambda content: flipped(content, len(content) - 1),
    "empty": lambda content: b"",
    "3 bytes": lambda content: content[:3],
    "the header alone": lambda content: content[: content.index(b"\n") + 1],
    "truncated": lambda content: content[: len(content) // 2],
    "a byte short": lambda content: content[:-1],
    "a byte too long": lambda content: content + b"\0",
    "text": lambda content: b"nothing of ours\n",
    "an .npz": lambda content: _saved(lambda file: np.savez(file, parameters=np.ones(3))),
    "of PyTorch": lambda content: _saved(lambda file: torch.save({"run": "?"}, file)),
    "a pickle": lambda content: pickle.dumps(Trap()),
    "a pickle, sealed": lambda content: sealed(pickle.dumps(Trap())),
    "a pickle in an .npz, sealed": lambda content: sealed(_saved(lambda file: np.savez(file, run=np.array([Trap()])))),
    "an .npz, sealed": lambda content: sealed(_saved(lambda file: np.savez(file, parameters=np.ones(3)))),
    "nothing, sealed": lambda content: sealed(b""),
}
"""From the bytes of a checkpoint to those of a file that is none, by what is wrong with it."""


def warned(records, path):
    """That one line was logged, about `path`."""
    assert [record.getMessage() for record in records] == [
        f"{path} is damaged or not a checkpoint; the run starts over"
    ]
    records.clear()
