"""What README and docs/ say can be done: links lead somewhere, commands and Python run, numbers are the code's.

A long command is planned instead of run, or run with small settings.  One that needs the network, or that other tests
run, is only parsed.
"""

import re
import shlex
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from experiments.__main__ import _parser as experiments_parser
from experiments.__main__ import main as experiments
from experiments.harness import documents, registry, store
from experiments.paper import numbers as paper
from lenet98 import accounting, cli, evaluation, weights
from lenet98.catalog import SPECS
from lenet98.data.fields import pad_and_scale
from lenet98.modules import Net
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.prototypes import bitmaps
from lenet98.published import LeNet5Weights
from lenet98.training import distances
from paper_figures.__main__ import main as paper_figures

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "reference")
DOCUMENTS = [
    ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / folder / "README.md" for folder in FOLDERS),
    *(ROOT / "docs").rglob("*.md"),
]  # fmt: skip
TESTED_ELSEWHERE = [ROOT / "docs/your-own-variant.md"]
"""Pages whose blocks another test runs: tests/experiments/test_variant.py."""
TO_RUN = [path for path in DOCUMENTS if path not in TESTED_ELSEWHERE]


def name(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


# --- links ------------------------------------------------------------------------------------------------------------


def links(path):
    """Files to which a document links, and the anchor in them."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("https://", "http://")):
            place, _, anchor = target.partition("#")
            yield (path.parent / place).resolve() if place else path, anchor


def anchors(path):
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_to_files_and_headings(path):
    for target, anchor in links(path):
        assert target.is_file(), target
        assert not anchor or anchor in anchors(target), (target, anchor)


def test_every_page_and_figure_can_be_reached_from_readme():
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [target for target, _ in links(path)] if path.suffix == ".md" else []
    figures = set((ROOT / "docs/figures").glob("*.png"))
    assert {*DOCUMENTS, *figures} - found == set()


def test_readme_fits_three_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


# --- commands ---------------------------------------------------------------------------------------------------------

COMMANDS = ("make", "lenet98", "python -m experiments", "python -m paper_figures", "python -m benchmarks.")


def commands(path):
    """Commands in blocks, and those in the text that have an argument."""
    for block in blocks(path, "sh"):
        for line in block.splitlines():
            yield shlex.join(shlex.split(line, comments=True))
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", text):
        if any(code.startswith(f"{command} ") for command in COMMANDS):
            yield code.replace("...", "")


NAMED = {command: name(path) for path in TO_RUN for command in commands(path)}
"""Every command once, and a document that names it."""
EVERY = sorted((document, command) for command, document in NAMED.items())


def test_there_are_commands_and_all_are_known():
    assert len(EVERY) > 40
    assert [command for _, command in EVERY if not command.startswith(COMMANDS)] == []


@pytest.fixture
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(("document", "command"), EVERY, ids=lambda text: text)
def test_command(document, command, at_root, mnist, tmp_path, capsys):
    words = shlex.split(command)
    if words[0] == "make":
        makes(words[1:])
    elif words[0] == "lenet98":
        lenet98(words[1:], mnist, tmp_path)
    elif words[2] == "experiments":
        on_experiments(words[3:], tmp_path)
    elif words[2] == "paper_figures" and "--pdf" in words:  # the authors' PDF is not part of this project
        with pytest.raises(SystemExit):
            paper_figures([*words[3:], "--output", str(tmp_path)])
        assert "lecun-01a.pdf: cannot be read" in capsys.readouterr().err
    elif words[2] == "paper_figures":
        assert paper_figures([*words[3:], "--output", str(tmp_path)]) == 0
    else:
        assert subprocess.run([sys.executable, *words[1:3], "--help"], check=False).returncode == 0


def makes(words):
    """`make` has the target, and what it would run is there."""
    recipe = subprocess.run(["make", "-n", *words], capture_output=True, text=True, check=False)
    assert recipe.returncode == 0, recipe.stderr
    for arguments in re.findall(r"-m experiments ([a-z][^;|&\n'`]*)", recipe.stdout):
        known(shlex.split(arguments))


def known(words):
    """`python -m experiments` takes these arguments, and there are experiments of these names."""
    if len(words) == 1:  # the command alone, in the text
        with pytest.raises(SystemExit) as left:
            experiments_parser().parse_args([*words, "--help"])
        assert left.value.code == 0
        return
    chosen = experiments_parser().parse_args(words)
    for each in getattr(chosen, "names", []):
        assert each == "fig9" or registry.members(each)


ON_PAGES = {name for question in documents.QUESTIONS.values() for name in question.tables}


def on_experiments(words, tmp_path):
    words = ["cpu" if word == "cuda" else word for word in words]  # wherever the tests run
    if words[0] in ("run", "reproduce") and "--dask" not in words:  # no cluster is here
        words = ["plan", *words[1:], "--results", str(tmp_path)]
    if words[0] == "table" and words[1] in ON_PAGES:  # tests/experiments/test_reference.py makes them
        experiments_parser().parse_args(words)
        return
    if words[0] == "table":
        words = [word for word in words if word != "--replicas"]  # of which nothing is published
        words = ["reference" if word in ("results", "both") else word for word in words]
    if words[0] in ("plan", "list", "show", "table"):
        assert experiments(words) == 0
    else:
        known(words)


def lenet98(words, mnist, tmp_path):
    np.save(tmp_path / "digit.npy", mnist.test_images[0])
    given = {"IMAGE": str(tmp_path / "digit.npy"), "WEIGHTS": "paper", "NAME": "alake-padded"}
    given["SCORE"] = "0"
    words = [given.get(word, word) for word in words]
    small = {"train": ["--passes", "1", "--train-size", "600", "--out", str(tmp_path / "weights.npz")]}
    if words[0].startswith("-"):
        pytest.skip("an option in the text")
    if words == ["predict"] or words[0] in ("data", "demo"):  # without its arguments; needs the network; serves a page
        cli._parser().parse_args([*words, *([given["IMAGE"]] if words == ["predict"] else [])])
        return
    if words == ["compare"]:
        words.append(given["NAME"])
    assert cli.main([*words, *small.get(words[0], [])]) == 0


def test_the_first_command_of_readme_starts_and_stops(at_root, tmp_path):
    (first, *_) = commands(ROOT / "README.md")
    recipe = subprocess.run(["make", "-n", *shlex.split(first)[1:]], capture_output=True, text=True, check=True).stdout
    (arguments,) = re.findall(r"-m experiments (reproduce [^;|&\n]*?)(?: \|\|.*)?$", recipe, re.MULTILINE)[:1] or [""]
    command = [sys.executable, "-u", "-m", "experiments", *shlex.split(arguments), "--results", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("4 runs"):
                break
        run.send_signal(signal.SIGINT)
        rest = run.stdout.read()
    assert run.returncode == 130, rest


# --- Python -----------------------------------------------------------------------------------------------------------

SMALL = {
    "lenet98.Config()": "lenet98.Config(etas=(5e-4,), train_size=600, curvature_patterns=100)",
    "Config(reading=": "Config(etas=(5e-4,), train_size=50, curvature_patterns=20, held_out=50, reading=",
    'device="cuda"': 'device="cpu"',
}
"""Settings with which long lines are run."""

PYTHON = [(name(path), block) for path in TO_RUN for block in blocks(path, "python")]


def test_every_block_has_a_language():
    for path in DOCUMENTS:
        opened = re.findall(r"^```(\w*)$", path.read_text(encoding="utf-8"), re.MULTILINE)[::2]
        assert set(opened) <= {"sh", "python", "text"}, path


@pytest.mark.parametrize(("document", "block"), PYTHON, ids=lambda text: text.splitlines()[0])
def test_python(document, block, at_root, mnist, capsys):
    for long, small in SMALL.items():
        block = block.replace(long, small)
    exec(compile(block, document, "exec"), {"__name__": document})


def test_readme_has_python():
    assert ("README.md", *blocks(ROOT / "README.md", "python")) in PYTHON


# --- numbers of the FAQ -----------------------------------------------------------------------------------------------


@cache
def faq():
    return " ".join((ROOT / "docs/faq.md").read_text(encoding="utf-8").split())


LAYERS = {layer.name: layer for layer in LENET5.geometry}


def test_counts():
    connections = {name: accounting.connections(layer) for name, layer in LAYERS.items()}
    assert sum(connections.values()) == 340_908
    assert " + ".join(f"{count:,} ({name})" for name, count in connections.items()) in faq()
    assert " + ".join(f"{layer.parameters:,}" for layer in LAYERS.values() if layer.parameters) in faq()
    assert LENET5.parameters == 60_000
    in_print = sum(connections.values()) - connections["C3"] + 156_000
    assert in_print == 345_308
    assert f"156,000 for C3 and {in_print:,} in all" in faq()
    assert connections["C3"] == 10 * 10 * LAYERS["C3"].parameters == 151_600


def test_kernels_of_c3():
    reads = [len(maps) for maps in LAYERS["C3"].table]
    assert (reads.count(3), reads.count(4), reads.count(6), len(reads)) == (6, 9, 1, 16)
    assert LAYERS["C3"].kernels == 60
    full = next(layer for layer in SPECS["lenet5-full-c3"].geometry if layer.name == "C3")
    assert f"{full.kernels} kernels and {full.parameters:,} parameters" in faq()


def test_layers():
    assert LAYERS["C5"].full
    assert f"reads all {LAYERS['C5'].inputs} states" in faq()
    assert LAYERS["C5"].in_shape[1:] == LAYERS["C5"].kernel == (5, 5)
    assert bitmaps().shape == (10, 7 * 12) == (10, LAYERS["F6"].units)
    assert f"{LAYERS['S2'].parameters} parameters in S2, {LAYERS['S4'].parameters} in S4" in faq()


def test_what_counters_miss():
    steps = ("lenet5", "lenet5-full-c3", "lenet5-full-c3-max", "lenet5-full-c3-max-softmax")
    counts = [SPECS[step].parameters for step in steps]
    more, less, softmax = np.diff(counts)
    assert f"(+{more})" in faq()
    assert f"({less})" in faq()
    assert f"(+{softmax})" in faq()
    assert f"say {counts[-1]:,}" in faq()
    net = Net(LENET5)
    assert sum(p.numel() for p in net.parameters()) == 60_000
    assert dict(net.named_buffers())["output.prototypes"].numel() == 840


def test_argmax_of_distances(mnist):
    parameters, config = weights.load(LeNet5Weights.PAPER.path)
    images = pad_and_scale(mnist.test_images)
    found = distances(Engine(config.spec, config.reading), parameters, mnist.test_images)
    assert len(images) == 10_000
    right = int((found.argmax(1) == mnist.test_labels).sum())
    assert f"right on {right} of 10,000 test digits" in faq()
    assert evaluation.errors(evaluation.predict(found), mnist.test_labels) < 150


def test_published_error(mnist):
    runs = store.published(paper.LENET5, ROOT / "reference").finished
    errors = [int((run.arrays()["predictions"] != mnist.test_labels).sum()) for run in runs]
    assert f"Why {100 - np.mean(errors) / 100:.2f}% and not {100 - 0.95:.2f}%" in faq()
    assert f"the mean of {len(errors)} seeds, {np.mean(errors) / 100:.2f}%" in faq()
    assert f"between {min(errors) / 100:.2f}% and {max(errors) / 100:.2f}%" in faq()
    assert f"{sum(count <= 95 for count in errors)} of {len(errors)} have 0.95% or less" in faq()


def test_the_headline_is_what_is_published():
    plain, distorted = (
        np.array([run.last["test_errors"] for run in store.published(name, ROOT / "reference").finished])
        for name in (paper.LENET5, paper.DIST_LENET5)
    )
    headline = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{len(plain)} seeds each, LeNet-5 errs {plain.mean() / 100:.2f}% without distortions" in headline
    assert f"and {distorted.mean() / 100:.2f}% with them" in headline
    assert f"{(plain <= 95).sum()} and {(distorted <= 82).sum()} of our {len(distorted)} are as good" in headline
