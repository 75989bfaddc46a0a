"""The tree is the one that docs/architecture.md draws, and its arrows run one way."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("lenet98", "experiments", "paper_figures")


def drawn():
    """Files and folders in the page's tree; figures of the paper stand there as one pattern."""
    (tree,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    places, open_folders = [], []
    for line in tree.splitlines():
        name = line.split("  ")[0].strip() if not line.startswith(" ") else line.strip().split("  ")[0]
        depth = (len(line) - len(line.lstrip())) // 2
        open_folders = open_folders[:depth]
        for part in name.split(", "):
            place = "/".join([*open_folders, part.rstrip("/")])
            places.append(place)
        if name.endswith("/"):
            open_folders.append(name.rstrip("/"))
    return places


def there():
    """Modules and packages of the tree."""
    found = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name == "__init__.py":
                found.append(path.parent.relative_to(ROOT).as_posix())
            elif not re.fullmatch(r"fig\d\d_.*\.py", path.name):
                found.append(path.relative_to(ROOT).as_posix())
    return found


def test_the_page_draws_the_tree():
    places = [place for place in drawn() if place.split("/")[0] in PACKAGES and "*" not in place]
    assert len(set(places)) == len(places)
    assert sorted(places) == sorted(there())


def test_every_other_place_on_the_page_exists():
    for place in drawn():
        assert list(ROOT.glob(place)), place


# --- arrows


def modules():
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }


def imports(path, known):
    """Modules of this project that a module imports, at its top or in a function."""
    tree = ast.parse(path.read_text())
    waiting, found = list(tree.body), set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [
                child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)
            ]
    # A package's own __init__ counts only where something is taken from it.
    taken = {name for name in found if name in known}
    return {name for name in taken if not any(other.startswith(f"{name}.") for other in taken)}


GRAPH = {name: imports(path, modules()) for name, path in modules().items()}


def test_no_circle_of_imports():
    list(TopologicalSorter(GRAPH).static_order())


ABOVE = {
    "lenet98": ("experiments", "paper_figures"),
    "lenet98.data": ("lenet98.online", "lenet98.modern", "lenet98.training", "lenet98.modules", "lenet98.curvature"),
    "lenet98.evaluation": ("lenet98.modules", "lenet98.online", "lenet98.training"),
    "lenet98.classifiers": ("lenet98.online", "lenet98.modern", "lenet98.training", "lenet98.modules"),
    "lenet98.online": ("lenet98.training", "lenet98.modern", "lenet98.curvature", "lenet98.modules"),
    "lenet98.training": ("lenet98.modern", "lenet98.replicas"),
    "lenet98.replicas": ("lenet98.modern", "lenet98.online"),
    "experiments.harness": ("experiments.paper", "experiments.modern", "experiments.trainers", "paper_figures"),
    "experiments.paper": ("experiments.modern", "paper_figures"),
    "experiments.modern": ("paper_figures",),
}
"""What may not be imported, by package or module."""


@pytest.mark.parametrize("place", ABOVE)
def test_arrows_run_one_way(place):
    for name, used in GRAPH.items():
        if name == place or name.startswith(f"{place}."):
            for other in used:
                assert not any(other == above or other.startswith(f"{above}.") for above in ABOVE[place]), (name, other)
