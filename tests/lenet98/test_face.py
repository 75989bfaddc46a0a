"""What `import lenet98` offers: all of it documented, importable, and not before it is needed."""

import ast
import inspect
import re
import subprocess
import sys
import textwrap
import time
from importlib import import_module
from pathlib import Path

import pytest

import lenet98
from lenet98.accounting import describe

HEAVY = ("torch", "numba", "sklearn")


def python(code):
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", lenet98.__all__)
def test_every_name_is_there(name):
    assert getattr(lenet98, name) is not None
    assert name in dir(lenet98)


def test_the_docstring_has_a_line_for_each_name():
    listed = re.findall(r"^    (\w+)  +\S", lenet98.__doc__, re.MULTILINE)
    assert sorted([*listed, "__version__"]) == sorted(lenet98.__all__)


def test_editors_see_the_names_where_they_are_found_at_run_time():
    tree = ast.parse(inspect.getsource(lenet98))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (alias.asname or alias.name): (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*seen, "__version__"} == set(lenet98.__all__)
    assert len(set(lenet98.__all__)) == len(lenet98.__all__)
    for name, (module, called) in seen.items():
        assert getattr(lenet98, name) is getattr(import_module(module), called), name


def test_no_name_is_that_of_a_submodule():
    """Python would put the submodule in its place as soon as somebody imports it."""
    folder = Path(lenet98.__file__).parent
    assert {path.stem for path in folder.iterdir()}.isdisjoint(lenet98.__all__)
    assert (folder / "py.typed").is_file()


def test_importing_is_quick_and_loads_nothing_heavy():
    began = time.perf_counter()
    loaded = python("import sys, lenet98; dir(lenet98), lenet98.__all__, lenet98.__version__; print(*sys.modules)")
    assert time.perf_counter() - began < 2
    assert set(loaded.split()).isdisjoint({*HEAVY, "numpy", "scipy"})


@pytest.mark.parametrize(
    ("names", "loads"),
    [
        (("LENET5", "mlp", "Spec", "Reading", "DEFAULT", "describe", "load_mnist", "fig8", "predict", "wilson"), ()),
        (("Net",), ("torch",)),
        (("lenet5",), ("torch", "numba")),
        (("train",), ("torch", "numba")),
    ],
)
def test_heavy_libraries_are_loaded_by_the_names_that_need_them(names, loads):
    loaded = python(f"import sys, lenet98; [getattr(lenet98, name) for name in {names}]; print(*sys.modules)")
    assert {library for library in HEAVY if library in loaded.split()} == set(loads)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("lenet6", "; nearest: LENET5, lenet5, "), ("confussion", "; nearest: confusion"), ("zzz", "$")],
)
def test_an_unknown_name_gets_the_nearest(name, nearest):
    with pytest.raises(AttributeError, match=f"^module 'lenet98' has no attribute '{name}'({nearest})"):
        getattr(lenet98, name)
    assert not hasattr(lenet98, name)
    with pytest.raises(ImportError):
        exec(f"from lenet98 import {name}")


def test_star_imports_all_names():
    names = {}
    exec("from lenet98 import *", names)
    assert set(lenet98.__all__) <= set(names)


def test_the_five_lines_run(mnist):
    """With fewer passes and patterns."""
    (code,) = re.findall(r":\n\n(    import lenet98\n.*?)\n\n", lenet98.__doc__, re.DOTALL)
    assert len(code.splitlines()) == 5
    short = "lenet98.Config(etas=lenet98.ETAS[:1], train_size=1500)"
    assert "lenet98.Config()" in code
    printed = python(textwrap.dedent(code).replace("lenet98.Config()", short))
    wrong = re.fullmatch(r"(\d+) errors on 10000 test digits\n", printed)
    assert wrong, printed
    assert 300 < int(wrong[1]) < 3000


def test_describe_takes_a_spec_or_its_name():
    text = describe("lenet5")
    assert text == describe(lenet98.LENET5)
    assert "340,908" in text
    assert "3,001" not in describe(lenet98.mlp(7))
    with pytest.raises(ValueError, match="no network called 'lenet6'"):
        describe("lenet6")
