"""Experiments of one's own: files anywhere that register them, named on the command line by `--module`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from experiments.harness import registry


def load(file: str) -> Path:
    """Import a file that registers experiments, so that their names are known here and in worker processes; its path.

    Raises ValueError, with file and line, if it cannot be imported or registers none.
    """
    path = Path(file)
    known = set(registry.load())  # those of the project first: it is the file's experiment whose name is then taken
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"{path}: no such file; give a Python file")
    folder, name = str(path.resolve().parent), path.stem
    # Workers have the same sys.path, and find there what their runs were pickled with.  At its end nothing is hidden.
    if folder not in sys.path:
        sys.path.append(folder)
    importlib.invalidate_caches()
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None or Path(found.origin).resolve() != path.resolve():
        raise ValueError(f"{path}: there is another module called {name!r}; give the file another name")
    try:
        importlib.import_module(name)
    except Exception as error:
        raise ValueError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error
    experiments = registry.load()
    experiments.update({name: replace(experiments[name], file=path) for name in experiments.keys() - known})
    if not any(experiment.file == path for experiment in experiments.values()):
        raise ValueError(f"{path}: registers no experiment; see docs/your-own-variant.md")
    return path


def _place(path: Path, error: Exception) -> str:
    """The file with the line at which it failed."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path.resolve()
    ]
    line = lines[-1] if lines else getattr(error, "lineno", None)
    return f"{path}:{line}" if line else str(path)
