"""A network of one's own beside the paper's: the three steps of docs/your-own-variant.md, and what can go wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-variant.md").read_text()
FILE = "examples/my_variant.py"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def run(tmp_path):
    """Runs a command of the page as in a checkout, in a folder of its own."""
    (tmp_path / "reference").symlink_to(ROOT / "reference")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def command(*arguments, status=0):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    return command


def shortened(text):
    """One pass on a few patterns, where the file says nothing."""
    settings = "train_size=600"
    text = text.replace('title="full C3"', f'title="full C3", etas=(5e-4,), {settings}')
    return text.replace('title="today, by SDLM"', f'title="today, by SDLM", passes=1, {settings}')


def test_the_file_of_the_page_is_the_example():
    text = (ROOT / FILE).read_text()
    assert text.partition('"""\n\n')[2] == blocks("python")[0]


def test_the_three_steps(tmp_path, run):
    (tmp_path / "examples").mkdir()
    (tmp_path / FILE).write_text(shortened(blocks("python")[0]))
    for block in blocks("sh"):
        _, *arguments = shlex.split(block)
        assert f"--module {FILE}" in block
        out = run(*(argument.replace("0-4", "0-1") for argument in arguments))
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("seed-*.json")]
    found = {(record["experiment"], record["seed"]): record for record in records}
    assert set(found) == {(name, seed) for name in ("mine/full-c3", "mine/today") for seed in (0, 1)}
    for (name, seed), record in found.items():
        assert record["command"] == f"python -m experiments run --module {FILE} {name} --seeds {seed}"
        assert 300 < record["passes"][-1]["test_errors"] < 6000
    assert found["mine/today", 0]["family"] == "mini-batches, SDLM"
    assert set(found["mine/today", 0]["numerics"]) == {"mini-batches, SDLM", "mini-batches", "engine"}
    (short,) = (line for line in out.splitlines() if line.startswith("| LeNet-5"))
    assert "0.95" in short
    rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ")]
    assert [row.partition(" (")[0] for row in rows if row] == ["LeNet-5", "full C3", "today, by SDLM"]
    # Once more, and nothing is run; after an edit of the file the module is, the spec is not.
    plan = ("-m", "experiments", "plan", "--module", FILE, "mine/*", "--seeds", "0-1")
    assert "0 runs" in run(*plan)
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text() + "\n# edited\n")
    planned = run(*plan)
    assert "mine/full-c3 seeds 0-1: there already" in planned
    assert "mine/today seeds 0-1: run again: config network.source changed" in planned


def test_further_settings_of_the_page(tmp_path, run):
    (tmp_path / "my_variant.py").write_text(blocks("python")[0])
    (tmp_path / "more.py").write_text(blocks("python")[1])

    def shown(name):
        return json.loads(run("-m", "experiments", "show", "--module", "more.py", name))["config"]

    assert shown("mine/short")["etas"] == [0.0005, 0.0005, 0.0002, 0.0002, 0.0002]
    assert shown("mine/adam")["optimizer"]["method"] == "adam"
    assert (shown("mine/batches")["batch"], shown("mine/batches")["optimizer"]["rate"]) == (10, 0.005)
    assert len(shown("mine/batches")["factors"]) == 20
    listed = run("-m", "experiments", "list", "--module", "more.py", "mine/*")
    assert "full-c3" in listed
    assert "batches" in listed


HEAD = "from torch import nn\nfrom experiments.variant import variant\nfrom lenet98 import LENET5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"own.py: no such file; give a Python file"),
        ("x = 1", r"own.py: registers no experiment; see docs/your-own-variant.md"),
        ("\nvariant('own', 1)", r"own.py:2: NameError: name 'variant' is not defined"),
        ("a b", r"own.py:1: SyntaxError: invalid syntax"),
        (
            f"{HEAD}variant('fig9/lenet5', LENET5)",
            r"own.py:4: ValueError: there are two experiments called fig9/lenet5",
        ),
        (f"{HEAD}variant('Own', LENET5)", r"own.py:4: ValueError: an experiment cannot be called 'Own'"),
        (f"{HEAD}variant('own', LENET5, pases=3)", r"own.py:4: TypeError: .*'pases'"),
        (f"{HEAD}variant('own', lambda: nn.Linear(1, 1))", r"own.py:4: ValueError: .* must be a function that stands"),
        (f"{HEAD}def net():\n    return 3\nvariant('own', net)", r"own.py:6: ValueError: net\(\) of .*own.py gave 3"),
        (
            f"{HEAD}def net():\n    return nn.Linear(32, 10)\nvariant('own', net)",
            r"own.py:6: ValueError: net\(\) of .*: outputs for one image have shape \(1, 1, 32, 10\); they must have",
        ),
        (
            f"{HEAD}def net():\n    return nn.Conv2d(3, 10, 32)\nvariant('own', net)",
            r"own.py:6: ValueError: net\(\) of .*: the module does not take images of shape \(1, 1, 32, 32\)",
        ),
        (
            f"{HEAD}def net():\n    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(1024), nn.Linear(1024, 10))\n"
            "variant('own', net)",
            r"own.py:6: ValueError: no curvature of 1 \(BatchNorm1d\) is known",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line_with_its_place(tmp_path, run, text, message):
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    said = run("-m", "experiments", "plan", "--module", "own.py", "own", status=2)
    assert re.fullmatch(f"experiments: argument --module: {message}.*\n", said), said


def test_a_file_with_the_name_of_another_module_is_refused(tmp_path, run):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "random.py").write_text(f"{HEAD}variant('own', LENET5)")
    said = run("-m", "experiments", "plan", "--module", "own/random.py", "own", status=2)
    assert "own/random.py: there is another module called 'random'; give the file another name\n" in said


def test_without_results_the_command_that_makes_them_names_the_file(tmp_path, run):
    (tmp_path / "own file.py").write_text(f"{HEAD}variant('own', LENET5)")
    said = run("-m", "experiments", "table", "--module", "own file.py", "own", "--source", "results", status=2)
    assert "`python -m experiments run --module 'own file.py' own`" in said
