"""A network of one's own beside the paper's: the three steps of docs/your-own-variant.md, and what can go wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.harness import files, registry
from experiments.harness.loader import Loader, NoResults
from lenet98.data.fields import BLACK, WHITE
from lenet98.modern.minibatch import BySDLM
from lenet98.sdlm import ETAS, MU
from lenet98.training import Config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "your-own-variant.md").read_text()
FILE = "examples/my_variant.py"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a file and loads it as `--module` does; afterward nothing of it is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_experiments", dict(registry.load()))
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = dict(sys.modules)

    def load(text, name="own.py"):
        if text is not None:
            Path(name).write_text(text)
        return files.load(name)

    yield load
    for name in sys.modules.keys() - modules.keys():
        del sys.modules[name]


def shortened(text):
    """One pass on a few patterns, where the file says nothing."""
    settings = "train_size=600"
    text = text.replace('title="full C3"', f'title="full C3", etas=(5e-4,), {settings}')
    return text.replace('title="today, by SDLM"', f'title="today, by SDLM", passes=1, {settings}')


def test_the_file_of_the_page_is_the_example():
    text = (ROOT / FILE).read_text()
    assert text.partition('"""\n\n')[2] == blocks("python")[0]


def test_the_three_steps(tmp_path, monkeypatch, capsys):
    """With one seed; the runs by a command of its own, what only shows them here."""
    monkeypatch.chdir(tmp_path)
    Path("reference").symlink_to(ROOT / "reference")
    Path("examples").mkdir()
    Path(FILE).write_text(shortened(blocks("python")[0]))

    def printed(*words):
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_experiments", dict(registry.load()))
            patch.setattr(sys, "path", [*sys.path])
            status = main([*words])
            sys.modules.pop(Path(FILE).stem, None)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    run, table = (shlex.split(block.replace("--seeds 0-4", "--seeds 0"))[1:] for block in blocks("sh"))
    assert run[:2] == table[:2] == ["-m", "experiments"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *run], env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in Path("results").rglob("seed-*.json")]
    found = {record["experiment"]: record for record in records}
    assert set(found) == {"mine/full-c3", "mine/today"}
    for name, record in found.items():
        assert record["command"] == f"python -m experiments run --module {FILE} {name} --seeds 0"
        assert 300 < record["passes"][-1]["test_errors"] < 7000
    assert found["mine/today"]["family"] == "mini-batches, SDLM"
    assert set(found["mine/today"]["numerics"]) == {"mini-batches, SDLM", "mini-batches", "engine"}
    shown = printed(*table[2:])
    rows = {line.split("|")[1].strip(): line for line in shown.splitlines() if line.startswith("| ")}
    assert [row.partition(" (")[0] for row in rows if row] == ["LeNet-5", "full C3", "today, by SDLM"]
    assert "0.95" in shown.partition("full C3")[0]
    # Once more, and nothing is run; after an edit of the file the module is, the spec is not.
    Path(FILE).write_text(Path(FILE).read_text() + "\n# edited\n")
    planned = printed("plan", *run[3:])
    assert "mine/full-c3 seeds 0: there already" in planned
    assert "mine/today seeds 0: run again: config network.source changed" in planned


def test_further_settings_of_the_page(own):
    Path("my_variant.py").write_text(blocks("python")[0])
    own(blocks("python")[1])
    short, adam, batches = (registry.named(f"mine/{name}").config for name in ("short", "adam", "batches"))
    assert short.etas == ETAS[:5]
    assert (adam.optimizer.method, adam.batch, adam.passes, adam.factors) == ("adam", 32, 10, ())
    assert (batches.batch, batches.optimizer.rate, len(batches.factors)) == (10, 10 * ETAS[0], 20)
    assert registry.named("mine/short").file == registry.named("mine/today").file == Path("own.py")


def test_a_module_is_trained_by_the_papers_recipe(own):
    own(blocks("python")[0])
    experiment = registry.named("today")
    config = experiment.config
    assert (config.optimizer, config.batch, config.levels) == (BySDLM(ETAS[0], MU, 500), 1, (WHITE, BLACK))
    assert [factor * ETAS[0] for factor in config.factors] == pytest.approx(ETAS)
    assert registry.named("mine/full-c3").config == Config(spec=registry.named("mine/full-c3").config.spec)
    assert [layer.kernels for layer in registry.named("mine/full-c3").config.spec.geometry][2] == 96


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
def test_what_is_wrong_with_a_file_is_said_in_one_line_with_its_place(own, text, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        own(text)


def test_the_command_says_it_in_one_line(own, capsys):
    Path("own.py").write_text("1 / 0")
    with pytest.raises(SystemExit) as end:
        main(["plan", "--module", "own.py", "own"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "experiments: argument --module: own.py:1: ZeroDivisionError: division by zero\n"


def test_a_file_with_the_name_of_another_module_is_refused(own):
    with pytest.raises(ValueError, match=r"random.py: there is another module called 'random'; give the file another"):
        own(f"{HEAD}variant('own', LENET5)", "random.py")


def test_a_file_may_be_loaded_twice(own):
    own(f"{HEAD}variant('own', LENET5)")
    assert own(None) == Path("own.py")


def test_without_results_the_command_that_makes_them_names_the_file(own):
    own(f"{HEAD}variant('own', LENET5)", "own file.py")
    with pytest.raises(NoResults, match=re.escape("run --module 'own file.py' own` makes them")):
        Loader(("results",))("own")
