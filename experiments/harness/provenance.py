"""What a result was made with: code, versions and machine.  It is recorded in every result and is part of no key."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

import lenet98
from experiments.harness.identity import Json

PACKAGES = {"lenet98": Path(lenet98.__file__).parent, "experiments": Path(__file__).parents[1]}
"""Where the code that computes results lies."""

LIBRARIES = ("torch", "numpy", "numba", "scipy", "scikit-learn", "scikit-learn-intelex", "lenet98")


def machine(threads: int) -> Json:
    """The machine, as far as it bears on time and on the last bits."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "os": platform.platform(), "threads": threads}


@cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> Json:
    """Versions of Python, of the libraries (null where not installed) and of the checkout (null outside one).

    "sources" is a digest of the text of every module, which tells uncommitted states apart.
    """
    found: Json = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    return {**found, "git": checkout(PACKAGES["lenet98"].parent), "sources": sources()}


def sources() -> str:
    """A digest of the text of every module of `PACKAGES`."""
    hashed = hashlib.sha256()
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            hashed.update(f"{package}/{path.relative_to(folder).as_posix()}".encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


def checkout(root: Path) -> Json | None:
    """Commit of the checkout at `root` and whether its code differs from it; None if there is no checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", "lenet98/__init__.py"):
            return None  # an installed copy that happens to lie inside somebody's repository
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", *PACKAGES))}
    except (OSError, subprocess.CalledProcessError):
        return None


def written(record: Json) -> str:
    """By what code a run was made, in a few words: its commit, or a digest of its sources where there was none."""
    git = record["versions"].get("git")
    if git is None:
        return f"code {record['versions'].get('sources', 'unknown')}, in no checkout"
    return f"commit {git['commit'][:10]}" + (" with changes" if git["dirty"] else "")
