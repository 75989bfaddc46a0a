"""Published results as data, and predictions made elsewhere beside them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import experiments
from experiments.__main__ import main
from experiments.harness import predictions, records, registry, store
from experiments.harness.loader import NoResults
from lenet98.evaluation import mcnemar
from tests.fakes import publish

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "reference"
PAGE = (REFERENCE / "README.md").read_text(encoding="utf-8")


# --- the page that says what is in a record


def fields(heading):
    """The names in the first column of the table below a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` ", part, re.MULTILINE)


def every_record():
    for path in sorted(REFERENCE.rglob("seed-*.json")):
        yield json.loads(path.read_text())


def test_the_page_has_every_field_of_the_published_records_and_no_other():
    of_records, of_passes = set(), set()
    for record in every_record():
        of_records |= set(record)
        of_passes |= {field for entry in record["passes"] for field in entry}
    assert set(fields("A record")) == of_records
    assert set(fields("A pass")) == of_passes
    assert {name.partition(".")[0] for name in records.FIELDS} | {"header", records.SEAL, "previous"} == of_records
    machine, versions = (re.search(rf"^\| `{name}` .*$", PAGE, re.MULTILINE)[0] for name in ("machine", "versions"))
    assert set(re.findall(r"`(\w+)`", machine)) == {"machine", *record["machine"]}
    assert {"git", "sources"} <= set(record["versions"]) & set(re.findall(r"`(\w+)`", versions))


def test_the_page_has_every_array_with_its_shape_and_type():
    assert set(fields("Arrays")) == store.ARRAYS
    lenet5 = experiments.results("fig9/lenet5").results[0]
    arrays = lenet5.arrays()
    assert set(arrays) == store.ARRAYS
    shapes = {"(patterns,)": (lenet5.last["test_patterns"],), "(parameters,)": (60_000,), "text": ()}
    for name, shape, kind in re.findall(r"^\| `(\w+)` +\| (\(\w+,\)|text) ?(\w*) ", PAGE, re.MULTILINE):
        assert arrays[name].shape == shapes[shape], name
        assert arrays[name].dtype == kind or (shape == "text" and arrays[name].dtype.kind == "U"), name
    own = set(re.findall(r"`(\w+)`", PAGE.partition("Measurements have arrays of their own: ")[2].partition(".")[0]))
    others = {
        name.partition(" ")[0]  # "wrong" and the name of a set of strings
        for path in REFERENCE.rglob("seed-0000.npz")
        for name in np.load(path).files
        if name not in store.ARRAYS
    }
    assert own | {"wrong"} == others
    assert "`wrong` and the\nset's name" in PAGE


# --- results in Python


def test_published_results_by_name(monkeypatch, tmp_path, mnist):
    monkeypatch.chdir(tmp_path)  # wherever one is
    runs = experiments.results("fig9/lenet4")
    assert [run.seed for run in runs.results] == list(range(5))
    for run in runs.results:
        wrong = int((run.arrays()["predictions"] != mnist.test_labels).sum())
        assert run.last["test_errors"] == run.record["passes"][-1]["test_errors"] == wrong
    assert experiments.results("16x16_lenet1").experiment == "fig9/16x16_lenet1"
    with pytest.raises(ValueError, match="no experiment called 'lenet6'"):
        experiments.results("lenet6")
    monkeypatch.setattr(experiments, "__file__", str(tmp_path / "experiments" / "__init__.py"))
    with pytest.raises(NoResults, match="no results of fig9/lenet4 yet"):
        experiments.results("fig9/lenet4", "results")


# --- predictions made elsewhere


def missing(labels, patterns):
    """Predictions that miss these patterns."""
    given = labels.copy()
    given[patterns] = (given[patterns] + 1) % 10
    return given


@pytest.mark.parametrize("name", ["given.npy", "given.txt"])
def test_a_file_of_predictions_against_published_ones(tmp_path, load, mnist, capsys, name):
    labels, identity = mnist.test_labels, registry.named("fig9/lenet5").identity()
    for seed, count in enumerate((100, 120, 90)):
        given = missing(labels, np.arange(count))
        publish(load.reference, "fig9/lenet5", seed, test=count, predictions=given, identity=identity)
    given, path = missing(labels, np.arange(60, 170)), tmp_path / name
    np.save(path, given) if name.endswith("npy") else np.savetxt(path, given, fmt="%d")
    assert main(["compare", str(path), "--reference", str(load.reference)]) == 0
    first, runs, middle, test = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{path}: error 1.10%: 110 of 10,000 (95% interval 0.91% to 1.32%, Wilson), the test set")
    assert runs == "fig9/lenet5: runs: 3; errors: 90 to 120; 2 have fewer than the file, 1 have more"
    assert middle == (
        "seed 0, the run of median error: 100 errors; both miss 40 patterns, only the file 70, only the run 60"
    )
    p = mcnemar(given, missing(labels, np.arange(100)), labels)
    assert test == f"McNemar's exact test against that run: p = {p:.2g}"


def test_predictions_of_held_out_patterns(tmp_path, load, mnist):
    name = "fully-connected/held-out/mlp_300-mu0.02"
    labels, identity = mnist.train_labels[-10_000:], registry.named(name).identity()
    publish(load.reference, name, 0, test=9, predictions=missing(labels, np.arange(9)), identity=identity)
    np.save(tmp_path / "given.npy", missing(labels, np.arange(5)))
    first, runs, *_ = predictions.compared(tmp_path / "given.npy", name, load)
    assert first.endswith("0.02% to 0.12%, Wilson), the last 10,000 training patterns, held out")
    assert runs.endswith("0 have fewer than the file, 1 have more")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("", "holds 0 predictions; fig9/lenet5 has 10,000 patterns, the test set"),
        ("seven\n", "holds no digits; give a .npy file of whole numbers 0 to 9, or a text file"),
        ("3\n10\n", "holds numbers from 3 to 10; "),
        ("3\n4\n", "holds 2 predictions; fig9/lenet5 has 10,000 patterns, the test set"),
        (np.zeros((3, 3), int), "holds no row of whole numbers; "),
        (np.zeros(3), "holds no row of whole numbers; "),
        (np.array([None]), "holds no digits; "),
    ],
)
def test_what_is_wrong_with_a_file_costs_one_line(tmp_path, load, capsys, content, said):
    identity = registry.named("fig9/lenet5").identity()
    labels = registry.judged(identity.data, identity.config)
    publish(load.reference, "fig9/lenet5", 0, test=0, predictions=labels, identity=identity)
    path = tmp_path / ("given.npy" if isinstance(content, np.ndarray) else "given.txt")
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        np.save(path, content)
    assert main(["compare", str(path), "--reference", str(load.reference)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"experiments: {path}: {said}")


def test_an_experiment_without_results_is_named(tmp_path, load, capsys):
    np.save(tmp_path / "given.npy", np.zeros(10_000, int))
    assert main(["compare", str(tmp_path / "given.npy"), "--reference", str(load.reference)]) == 2
    assert "nothing is published of fig9/lenet5" in capsys.readouterr().err
