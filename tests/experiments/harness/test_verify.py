"""Published records are what they say: every one is, and every way in which one could not be is found."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments import numerics
from experiments.__main__ import main
from experiments.harness import records, registry, store
from experiments.harness.identity import counts_as, of_record
from experiments.harness.verify import verify
from lenet98.published import every

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "reference"


def test_every_published_record_has_the_identity_of_its_experiment_and_the_errors_of_its_predictions(capsys):
    assert main(["verify", "--reference", str(REFERENCE)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("experiments, 0 not as they should be, 0 orphans")
    assert int(last.split()[0]) == len(list(REFERENCE.rglob("seed-*.json"))) > 600


def test_the_published_records_are_small():
    """At most 30 MB; scores are of ten seeds of the paper's rows, for Fig. 10, weights of the runs that are shown."""
    shown = {member.value: 1 for member in every()} | {"fingerprint/default-strings": 1, "strings/sdnn": 4}
    weights = [REFERENCE / name / f"seed-{seed:04}.npz" for name, seeds in shown.items() for seed in range(seeds)]
    files = [path for path in REFERENCE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6
    for path in files:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                names = set(arrays.files)
            experiment = registry.named(path.parent.relative_to(REFERENCE).as_posix())
            assert ("scores" in names) == (experiment.paper_error is not None and int(path.stem[-4:]) < store.SCORED)
            assert ("weights" in names) == (path in weights)


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(REFERENCE / "fig9" / "pairwise_linear", tmp_path / "fig9" / "pairwise_linear")
    assert verify(tmp_path).lines == ["1 records of 1 experiments, 0 not as they should be, 0 orphans"]
    return tmp_path


def edit(path, **changes):
    """Change fields, and with them the key unless it is one of them."""
    record = json.loads(path.read_text())
    record |= {"key": of_record(record | changes).key} | changes
    path.write_text(json.dumps(records.sealed(record)))


PASS = {"number": 1, "test_errors": 5, "test_patterns": 10_000, "test_error_percent": 0.05}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": 3}, "seed is 3, in the file of seed 0"),
        ({"experiment": "fig9/knn"}, "experiment is 'fig9/knn', in the folder of fig9/pairwise_linear"),
        ({"data": "mnist-0"}, "data changed from mnist-0 to"),
        ({"family": "online"}, "family changed from online to fitted"),
        ({"numerics": {"fitted": 0}}, "numerics of fitted changed from 0 to 1"),
        ({"key": "0123456789abcdef"}, "key is 0123456789abcdef, that of its config"),
        ({"passes": [PASS]}, "passes[0].test_errors is 5, and its predictions have 672 errors"),
    ],
)
def test_a_contradicting_record_is_named(copy, changes, line):
    edit(copy / "fig9" / "pairwise_linear" / "seed-0000.json", **changes)
    found = verify(copy)
    assert any(line in problem for problem in found.problems)
    assert main(["verify", "--reference", str(copy)]) == 1


def test_a_changed_configuration_is_named(copy):
    path = copy / "fig9" / "pairwise_linear" / "seed-0000.json"
    config = json.loads(path.read_text())["config"]
    edit(path, config={**config, "train_size": 1000})
    assert any("config train_size changed from 1000 to 60000" in problem for problem in verify(copy).problems)


def test_the_page_of_the_folder_is_no_orphan(copy):
    shutil.copy(REFERENCE / "README.md", copy)
    assert verify(copy).orphans == ()
    shutil.copy(REFERENCE / "README.md", copy / "fig9")
    assert verify(copy).orphans == (copy / "fig9" / "README.md",)


def test_files_of_nothing_are_orphans(copy):
    linear = copy / "fig9" / "pairwise_linear"
    shutil.copytree(linear, copy / "fig9" / "no_such")
    (linear / "notes.txt").touch()
    shutil.copy(linear / "seed-0000.npz", linear / "seed-0001.npz")
    assert len(verify(copy).orphans) == 4
    assert main(["verify", "--reference", str(copy)]) == 1


def test_a_damaged_file_is_a_problem(copy):
    (copy / "fig9" / "pairwise_linear" / "seed-0000.npz").write_bytes(b"half")
    assert "is missing or not the file" in verify(copy).problems[0]


def test_no_folder_is_one_clear_line(tmp_path, capsys):
    assert main(["verify", "--reference", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_record_states_the_identity_of_its_experiment_or_one_that_counts_as_it():
    found = store.read(REFERENCE / "fig9" / "lenet5" / "seed-0000.json")
    assert counts_as(of_record(found.record), registry.named("fig9/lenet5").identity())


@pytest.mark.parametrize("vouched", [True, False])
def test_records_by_an_earlier_version_are_accepted_and_counted_if_it_is_vouched_for(copy, monkeypatch, vouched):
    monkeypatch.setitem(numerics.NUMERICS, "fitted", numerics.NUMERICS["fitted"] + 1)
    if vouched:
        monkeypatch.setitem(numerics.VOUCHED, ("fitted", numerics.NUMERICS["fitted"]), "evidence")
    found = verify(copy)
    assert (found.vouched, len(found.problems)) == (int(vouched), int(not vouched))
    assert ("1 of them by earlier numerics that are vouched for" in found.lines) == vouched
    record = json.loads((copy / "fig9" / "pairwise_linear" / "seed-0000.json").read_text())
    assert record["numerics"] == {"fitted": 1}  # it keeps the version that made it
