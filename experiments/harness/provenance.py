"""What a result was made with: code, versions and machine, recorded in every result."""

from __future__ import annotations

import ast
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import lenet98
from experiments.harness.identity import CodeVersion, Json, digest

PACKAGES = {"lenet98": Path(lenet98.__file__).parent, "experiments": Path(__file__).parents[1]}
"""Where the code that computes results lies."""

NOT_COMPUTING = frozenset(
    {"lenet98.cli", "lenet98.files", "lenet98.data.mnist"}
    | {"experiments", "experiments.__main__", "experiments.paper", "experiments.paper.numbers", "experiments.modern"}
    | {
        f"experiments.harness{module}"
        for module in ("", *(f".{path.stem}" for path in Path(__file__).parent.glob("*.py") if path.stem != "__init__"))
    }
)
"""Modules that run, write and show results, and the one that finds the data, whose version a key holds anyway."""

LIBRARIES = ("torch", "numpy", "numba", "scipy", "scikit-learn", "lenet98")


def code_version(roots: Sequence[str], packages: Mapping[str, Path] = PACKAGES) -> CodeVersion:
    """Version of the modules `roots` and, transitively, of every module of `packages` that they import.

    Comments, layout and docstrings do not count, nor do the modules of `NOT_COMPUTING`.  The `__init__` of a package
    counts only where a name is imported from it.  Raises ValueError for a root that is not a module of `packages`.
    """
    modules: dict[str, str] = {}
    waiting = list(roots)
    for root in roots:
        if _source(root, packages) is None:
            raise ValueError(f"{root!r} is not a module of {' or '.join(packages)}: its code cannot be versioned")
    while waiting:
        name = waiting.pop()
        path = _source(name, packages)
        if path is None or name in modules or name in NOT_COMPUTING:
            continue
        tree, modules[name] = _parse(path.read_text(encoding="utf-8"))
        waiting += _imports(tree, name if path.name == "__init__.py" else name.rpartition(".")[0], packages)
    return CodeVersion(dict(sorted(modules.items())))


def _source(module: str, packages: Mapping[str, Path]) -> Path | None:
    """The file of a module of `packages`, None for any other."""
    top, *parts = module.split(".")
    if top not in packages:
        return None
    base = packages[top].joinpath(*parts)
    candidates = [base / "__init__.py", *([base.with_suffix(".py")] if parts else [])]
    return next((path for path in candidates if path.is_file()), None)


class _WithoutDocstrings(ast.NodeTransformer):
    """Drops every string that stands alone as a statement: of modules, classes, functions and fields."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node


@cache
def _parse(text: str) -> tuple[ast.Module, str]:
    """The syntax tree of a module without its docstrings, and the digest of that."""
    tree = _WithoutDocstrings().visit(ast.parse(text))
    return tree, digest(ast.unparse(tree))


def _imports(tree: ast.Module, package: str, packages: Mapping[str, Path]) -> Iterator[str]:
    """Modules that the imports anywhere in `tree`, a module of `package`, may name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield submodule if _source(submodule, packages) else base


def machine(threads: int) -> Json:
    """The machine, as far as it bears on time and on the last bits."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "os": platform.platform(), "threads": threads}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions() -> Json:
    """Versions of Python, of the libraries (null where not installed) and of the checkout (null outside one)."""
    found: Json = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    return {**found, "git": checkout(PACKAGES["lenet98"].parent)}


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
