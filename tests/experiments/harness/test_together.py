"""Seeds of one experiment that are computed at once: their results, and what is done with those of other ways."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments import trainers
from experiments.__main__ import main
from experiments.harness import locks, progress, registry, store
from experiments.harness.registry import Experiment
from experiments.trainers import train_network
from lenet98.loop import Trained
from lenet98.networks import LENET1
from lenet98.training import Config, train

CONFIG = Config(spec=LENET1, train_size=100, curvature_patterns=20, etas=(5e-4, 2e-4), held_out=200)
TINY = Experiment("tiny", "Tiny", CONFIG, train_network, minutes=0.1, seeds=(0, 1, 2))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """A registry of one small experiment, of another that cannot be together, and of one that diverges."""
    other = replace(TINY, name="other", run=lambda config, seed, context: None)
    fast = replace(TINY, name="fast", config=replace(CONFIG, etas=(1e38,)))
    monkeypatch.setattr(registry, "_import_all", lambda: None)
    monkeypatch.setattr(registry, "_experiments", {"tiny": TINY, "other": other, "fast": fast})


def run(folder, *arguments, name="tiny"):
    return main(["run", name, "--replicas", "--device", "cpu", "--results", str(folder), *arguments])


def made(folder, name="tiny"):
    """Results by seed."""
    paths = sorted(folder.glob(f"{name}/*/seed-*.json"))
    return {result.seed: result for result in (store.read(path, name) for path in paths)}


def test_each_seed_is_recorded_as_a_run_of_its_own(tmp_path, mnist, capsys):
    assert run(tmp_path) == 0
    shown = capsys.readouterr()
    assert "tiny seed 2: " in shown.out
    assert "tiny seeds 0-2: pass 2/2" in shown.err
    assert "error" not in shown.err  # of patterns that a GPU may not have come to
    results = made(tmp_path)
    assert sorted(results) == [0, 1, 2]
    for seed, result in results.items():
        alone, record = train(CONFIG, seed, mnist), result.record
        assert [entry["test_errors"] for entry in result.passes] == [entry.test_errors for entry in alone.history]
        np.testing.assert_allclose(result.arrays()["weights"], alone.parameters, rtol=0, atol=2e-5)
        assert (record["family"], record["config"]["device"]) == ("online, replicas", "cpu")
        assert record["extra"] == {"device": "cpu", "together": [0, 1, 2]}
        assert record["command"] == f"python -m experiments run tiny --replicas --device cpu --seeds {seed}"
        assert record["seconds"] == pytest.approx(sum(entry["seconds"] for entry in result.passes), abs=0.01)
    assert [path.suffix for path in tmp_path.glob("tiny/*/*") if path.suffix not in (".json", ".npz")] == []
    assert run(tmp_path) == 0
    assert "there already" in capsys.readouterr().out


def test_results_of_one_way_are_never_read_as_those_of_another(tmp_path, capsys):
    run(tmp_path, "--seeds", "0-1")
    table = ["table", "tiny", "--source", "results", "--results", str(tmp_path), "--reference", str(tmp_path)]
    capsys.readouterr()
    assert main(table) == 2
    assert "no results of tiny yet" in capsys.readouterr().err
    assert main([*table, "--replicas", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "Tiny" in out
    assert "`python -m experiments table tiny --source results --replicas --device cpu` from" in out
    assert "cores, 2 seeds at once." in out
    assert main([*table, "--replicas", "--device", "cuda"]) == 2
    assert "run tiny --replicas` makes them" in capsys.readouterr().err


def test_each_way_and_device_has_a_key_of_its_own():
    together = registry.as_replicas(TINY)
    ways = [TINY, together, registry.on_device(together, "cuda")]
    assert len({way.identity().key for way in ways}) == 3


class Stopping(progress.Lines):
    """Ctrl-C in the second pass."""

    def report(self, label, report):
        if report.pass_number == 2:
            raise KeyboardInterrupt


def test_an_interrupted_command_resumes_all_of_them(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(progress, "display", lambda runs: Stopping())
        assert run(tmp_path / "a") == 130
    assert made(tmp_path / "a") == {}
    assert run(tmp_path / "a") == 0
    assert run(tmp_path / "b") == 0
    again, whole = made(tmp_path / "a"), made(tmp_path / "b")
    for seed in (0, 1, 2):
        assert (again[seed].record["resumed"], whole[seed].record["resumed"]) == (True, False)
        assert again[seed].arrays()["weights"].tobytes() == whole[seed].arrays()["weights"].tobytes()


def test_those_that_diverge_are_recorded_so(tmp_path):
    assert run(tmp_path, "--seeds", "0,4", name="fast") == 0
    assert {seed: result.diverged for seed, result in made(tmp_path, "fast").items()} == {0: True, 4: True}


def test_an_error_fails_each_of_them_with_a_line(tmp_path, monkeypatch, capsys):
    def fail(*given, **more) -> list[Trained]:
        raise RuntimeError("no such luck\nsecond line")

    monkeypatch.setattr(trainers, "train_replicas", fail)
    assert run(tmp_path, "--seeds", "0-1") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert len(lines) == 2
    assert lines[1].startswith("tiny seed 1 failed: RuntimeError: no such luck; the traceback is in ")


def test_one_process_at_a_time(tmp_path, capsys):
    key = registry.as_replicas(TINY).identity().key
    with locks.held(tmp_path / "tiny" / key / "replicas.lock", "something"):
        assert run(tmp_path, "--seeds", "0") == 1
    assert "tiny is not made here: process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["other", "--device", "cpu"], "other is not computed as replicas; leave --replicas out"),
        (["tiny", "--device", "cpu", "--jobs", "2"], "--replicas are one process here; leave --jobs and --dask out"),
        (["tiny", "--device", "cpu", "--dask", "x"], "--replicas are one process here; leave --jobs and --dask out"),
        (["tiny"], "--replicas need a GPU, and PyTorch finds none here; --device cpu puts them on the CPU"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["run", *arguments, "--replicas", "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"experiments: {message}\n"
    assert main(["table", "tiny", "--replicas"]) == 2
    assert "needs --source results" in capsys.readouterr().err
    assert json.dumps(sorted(tmp_path.iterdir())) == "[]"
