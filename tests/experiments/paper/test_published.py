"""The package's files of weights are those that the published records give, and the command says what is wrong."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.__main__ import main
from experiments.harness import store
from experiments.paper.published import _reading
from lenet98 import published, weights
from lenet98.published import LeNet5Weights
from lenet98.readings import DEFAULT, FORMER

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "reference"


def test_the_package_has_what_is_published(capsys):
    assert main(["weights", "--check", "--reference", str(REFERENCE)]) == 0
    assert capsys.readouterr() == ("", "")


def test_errors_and_parameters_are_those_of_the_record():
    for member in published.every():
        result = store.read(store.result_path(REFERENCE / member.value, published.SEED))
        assert member.meta["errors"] == result.last["test_errors"]
        assert weights.load(member.path)[0].tobytes() == result.arrays()["weights"].tobytes()


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A package without files, and a reference of the runs that they are made of."""
    monkeypatch.setattr(published, "FOLDER", tmp_path / "published")
    for member in published.every():
        target = tmp_path / "reference" / member.value
        target.mkdir(parents=True)
        for path in (REFERENCE / member.value).glob("seed-0000.*"):
            shutil.copy(path, target)
    return tmp_path / "reference"


def test_files_are_written_once_and_strays_are_named(copied, capsys):
    arguments = ["weights", "--reference", str(copied)]
    assert main([*arguments, "--check"]) == 1
    assert "lenet5-paper.safetensors is stale; `python -m experiments weights` rewrites it" in capsys.readouterr().err
    assert main(arguments) == 0
    path = LeNet5Weights.PAPER.path
    assert path.read_bytes() == (ROOT / "lenet98" / "published" / path.name).read_bytes()
    shutil.copy(path, path.with_name("lenet5-older.safetensors"))
    assert main(arguments) == 1
    assert "lenet5-older.safetensors belongs to no name in lenet98.published" in capsys.readouterr().err


def test_without_weights_the_remedy_is_said(copied, capsys):
    path = store.result_path(copied / LeNet5Weights.PAPER.value, published.SEED)
    result = store.read(path)
    arrays = {name: array for name, array in result.arrays().items() if name not in ("weights", "config")}
    record = {name: value for name, value in result.record.items() if not name.endswith("_sha256")}
    store.write(path, record, arrays)
    assert main(["weights", "--reference", str(copied)]) == 2
    error = capsys.readouterr().err
    assert "LeNet5Weights.PAPER: " in error
    assert "has no weights; `python -m experiments publish fig9/lenet5 --weights 0` publishes them" in error
    path.unlink()
    assert main(["weights", "--reference", str(copied)]) == 2
    assert "LeNet5Weights.PAPER: there is no " in capsys.readouterr().err


def test_a_reading_is_told_by_what_is_not_the_default():
    assert _reading(DEFAULT) == "DEFAULT"
    assert _reading(replace(DEFAULT, loss="eq8", j=2.0)) == 'DEFAULT but loss = "eq8", j = 2.0'
    assert "curvature_scale = " in _reading(FORMER)  # which a record leaves out
