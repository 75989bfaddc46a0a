"""What the commands share: one-line mistakes, closed outputs, the place of a file to write, an error rate in words."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line: as `speaker`, or else in its own name with where its help is."""

    def __init__(self, *given: Any, speaker: str = "", **more: Any) -> None:
        super().__init__(*given, **more)
        self.speaker = speaker

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        line = f"{self.speaker}: {message}" if self.speaker else f"{self.prog}: {message}; see {self.prog} --help"
        self.exit(2, f"{line}\n")


def open_outputs() -> None:
    """Print to nowhere what was started with a closed output, `>&-`."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, it stays open as long as the command runs


def mute() -> None:
    """Print no more: the reader of our output, `head` say, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_place(path: Path, option: str) -> None:
    """ValueError unless a file can stand at `path`, which `option` named: no folder does, and its own folder is there.

    Whether one stands there already is for the caller.
    """
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give {option} a file in it")
    if path.parent.exists() and not path.parent.is_dir():
        raise ValueError(f"{path.parent}: is a file, not a folder; give another {option}")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent}: no such folder; make it or give another {option}")


def rate(errors: int, patterns: int) -> str:
    """An error rate in words, with its interval."""
    from lenet98.evaluation import wilson

    low, high = wilson(errors, patterns)
    return f"{errors / patterns:.2%}: {errors:,} of {patterns:,} (95% interval {low:.2%} to {high:.2%}, Wilson)"
