"""The state of a training run in a file, so that an interrupted one goes on after its last finished pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenet98.files import atomic
from lenet98.training import Pass


def save(path: Path, run: object, history: Sequence[Pass], **arrays: NDArray[Any]) -> None:
    """Write the finished passes and arrays of `run`, whose `repr` tells it from others, all or nothing."""
    text = json.dumps([asdict(entry) for entry in history])
    contents: dict[str, Any] = {**arrays, "run": np.array(repr(run)), "history": np.array(text)}
    with atomic(path) as file:
        np.savez(file, **contents)


def load(path: Path, run: object) -> tuple[list[Pass], dict[str, NDArray[Any]]] | None:
    """The finished passes and arrays that `save` wrote; None, so that the run starts afresh, if the file is damaged.

    Raises ValueError if the file is that of another run.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file.items())
            written, text = str(arrays.pop("run")), str(arrays.pop("history"))
            history = [Pass(**entry) for entry in json.loads(text)]
    except (OSError, ValueError, KeyError, TypeError, BadZipFile):
        return None
    if written != repr(run):
        raise ValueError(f"{path} is the state of another run; delete it, or save this run elsewhere")
    return history, arrays
