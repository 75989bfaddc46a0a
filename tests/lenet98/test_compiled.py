"""Compiled functions follow the constants of other files, though Numba keeps what it compiled on disk.

Numba compiles a function anew only if the file that defines it has changed.
"""

import ast
import importlib
import json
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import benchmarks
import experiments
import lenet98
import paper_figures

PACKAGES = (lenet98, experiments, paper_figures, benchmarks)
ALLOWED = {"numpy", "numba", "math"}
"""What a compiled function may import."""

# --- the sources ------------------------------------------------------------------------------------------------------


def compiled_functions():
    """Every compiled function of the packages."""
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if isinstance(value, Dispatcher) and value.py_func.__module__ == found.name:
                    yield value


def names(node):
    """The names that a piece of code reads; annotations are never evaluated and do not count."""
    if isinstance(node, ast.FunctionDef):
        parts = [*node.body, *node.decorator_list, *node.args.defaults]
    elif isinstance(node, ast.AnnAssign):
        parts = [node.value] if node.value else []
    else:
        parts = list(ast.iter_child_nodes(node))
    own = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else set()
    return own.union(*map(names, parts))


def foreign(source, function):
    """What `function` and all that it reads in its file take from files outside `ALLOWED`."""
    imported, defined = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            imported |= {alias.asname or alias.name: node.module or "" for alias in node.names}
        elif isinstance(node, ast.Import):
            imported |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in ast.walk(node):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    defined[target.id] = node
    reached, waiting = set(), [function]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += names(defined[name]) if name in defined else []
    return {name for name in reached if name in imported and imported[name].partition(".")[0] not in ALLOWED}


def test_compiled_functions_use_nothing_that_another_file_defines():
    functions = list(compiled_functions())
    assert {"sweep", "evaluate", "gradient", "_resample"} <= {function.__name__ for function in functions}
    for function in functions:
        code = function.py_func.__code__
        assert not function.py_func.__closure__, code.co_qualname
        assert foreign(Path(code.co_filename).read_text(), function.__name__) == set(), code.co_qualname


def test_no_compiled_function_is_hidden_in_another():
    """All of them are at the top of a module, where the test above finds them."""
    found = {function.py_func.__code__.co_filename for function in compiled_functions()}
    using = {
        str(path)
        for package in PACKAGES
        for path in Path(package.__path__[0]).rglob("*.py")
        if any(word in path.read_text() for word in ("import numba", "from numba"))
    }
    assert using == found


def test_what_is_foreign_is_found_behind_constants_and_functions():
    source = """
import numpy as np
from lenet98.specs import A, Spec
SQUARE: float = np.float32(A) ** 2
def helper(x): return SQUARE * x
def kernel(x: Spec): return helper(x)
def other(x): return np.exp(x)
"""
    assert foreign(source, "kernel") == {"A"}
    assert foreign(source, "other") == set()


# --- the cache --------------------------------------------------------------------------------------------------------

SCRIPT = """
import json, sys
from lenet98 import specs
if len(sys.argv) > 1:
    specs.A = float(sys.argv[1])

import numpy as np, torch
from lenet98.losses import loss
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.online import kernels
from lenet98.online.engine import Engine
from lenet98.readings import DEFAULT

net, engine = Net(LENET5), Engine(LENET5, DEFAULT)
image = np.random.default_rng(0).normal(0, 1, LENET5.input_shape).astype(np.float32)
distances = net(torch.tensor(image)[None])
loss(distances, torch.tensor([3]), DEFAULT).backward()
print(json.dumps({
    "torch": distances[0].tolist(),
    "torch gradient": torch.cat([p.grad.flatten() for p in net.parameters()]).tolist(),
    "engine": engine.distances(net.flat(), image[None])[0].tolist(),
    "engine gradient": engine.gradient(net.flat(), image, 3).tolist(),
    "compiled": sum(sum(f.stats.cache_misses.values()) for f in (kernels.evaluate, kernels.gradient)),
    "loaded": sum(sum(f.stats.cache_hits.values()) for f in (kernels.evaluate, kernels.gradient)),
}))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with a copy of the package, and the arguments -> outcome of `SCRIPT` there, by one cache.

    What is compiled already is copied with it, so that this is not done twice.
    """
    folder = tmp_path_factory.mktemp("copy")
    unfinished = shutil.ignore_patterns("*.tmp*")  # of other tests that compile now
    shutil.copytree(lenet98.__path__[0], folder / "lenet98", ignore=unfinished)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("NUMBA_CACHE_DIR", None)

    def run(*arguments):
        command = [sys.executable, "-c", SCRIPT, *arguments]
        printed = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(printed.stdout)

    return folder, run


def assert_agree(found):
    np.testing.assert_allclose(found["engine"], found["torch"], rtol=1e-5)
    scale = np.abs(found["torch gradient"]).max()
    np.testing.assert_allclose(found["engine gradient"], found["torch gradient"], rtol=0, atol=1e-5 * scale)


def test_another_amplitude_changes_both_engines_with_the_cache_kept(package):
    folder, run = package
    before = run()
    assert before["compiled"] + before["loaded"] == 2
    assert_agree(before)

    assigned = run("1.2")  # nothing but the attribute, before the other modules are imported

    path = folder / "lenet98" / "specs.py"
    source = path.read_text()
    assert source.count("A = 1.7159\n") == 1
    path.write_text(source.replace("A = 1.7159\n", "A = 1.2\n"))
    edited = run()

    for after in (assigned, edited):
        assert (after["compiled"], after["loaded"]) == (0, 2)
        assert_agree(after)
        for part in ("torch", "engine", "torch gradient", "engine gradient"):
            assert np.abs(np.subtract(after[part], before[part])).max() > 0.1 * np.abs(before[part]).max(), part
    assert assigned == edited
