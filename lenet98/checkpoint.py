"""Checkpoints: what an interrupted run resumes from.

A file is one line, the name of the format and the SHA-256 of what follows, and then an .npz of arrays.  It is replaced
whole or not at all, and reading it unpickles nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lenet98.files import atomic

FORMAT = b"lenet98-checkpoint-1"

Arrays = Mapping[str, NDArray[Any]]


class Checkpoint(NamedTuple):
    """What a run saved."""

    arrays: Arrays
    notes: Any
    """Values of JSON types."""


def save(path: Path, run: object, arrays: Arrays, notes: object = None) -> None:
    """Write a checkpoint, atomically.

    Parameters
    ----------
    path
        The file; an earlier checkpoint in it is replaced.
    run
        What the state is of; its `repr` tells it from other runs.
    arrays
        Of numbers; "run" and "notes" are no names for them.
    notes
        Whatever else the run needs, of JSON types.
    """
    content, named = io.BytesIO(), dict[str, Any](arrays)
    np.savez(content, run=np.array(repr(run)), notes=np.array(json.dumps(notes)), **named)
    body = content.getvalue()
    with atomic(path) as file:
        file.write(_header(body))
        file.write(body)


def load(path: Path, run: object) -> Checkpoint | None:
    """What `run` saved in `path`; None if there is no file, or, with one line of warning, if it is damaged.

    Raises ValueError if the state is that of another run.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    try:
        written, arrays, notes = _read(content)
    except (ValueError, KeyError, EOFError, BadZipFile):
        logging.getLogger(__name__).warning("%s is damaged or not a checkpoint; the run starts over", path)
        return None
    if written != repr(run):
        raise ValueError(f"{path} is the state of another run; delete it, or save this run elsewhere")
    return Checkpoint(arrays, notes)


def _header(body: bytes) -> bytes:
    return b"%s sha256 %s\n" % (FORMAT, hashlib.sha256(body).hexdigest().encode())


def _read(content: bytes) -> tuple[str, dict[str, NDArray[Any]], Any]:
    """The run, the arrays and the notes."""
    length = len(_header(b""))
    header, body = content[:length], content[length:]
    if header != _header(body):
        raise ValueError("these are not the bytes that were written")
    with np.load(io.BytesIO(body), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return str(arrays.pop("run")), arrays, json.loads(str(arrays.pop("notes")))
