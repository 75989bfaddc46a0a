"""Experiments of one's own: files anywhere that register them, named on the command line by `--module`.

A worker on another machine gets the text of such a file.  Modules of one's own that it imports must be there.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

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


# --- on another machine -----------------------------------------------------------------------------------------------

_received: dict[str, str] = {}
"""Texts of the files that came here, by the names of their modules."""


def texts(experiments: Iterable[registry.Experiment]) -> dict[str, str]:
    """Texts of the files that register some experiments, by the names of their modules."""
    files = {experiment.file for experiment in experiments if experiment.file is not None}
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def receive(sent: Mapping[str, str]) -> str:
    """Let modules of such texts be imported in this process; why they cannot be, nothing if they can."""
    for name, text in sent.items():
        if name not in sys.modules and name not in _received:
            folder = Path(mkdtemp(prefix="lenet98-"))
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
            sys.path.insert(0, str(folder))
            importlib.invalidate_caches()
            _received[name] = text
        if _received.get(name) != text:
            return f"it has imported another {name}.py"
    return ""
