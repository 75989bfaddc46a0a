"""Runs on a Dask cluster of two workers on this machine: the pool's results, nothing lost, nothing twice."""

import json
import re
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.harness import locks, plan, registry, runner, store
from tests import fakes
from tests.experiments.harness.test_runner import FAKE, PATIENCE

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'lenet98[dask]'")


@pytest.fixture(scope="module")
def started():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as made:
        yield made


@pytest.fixture
def cluster(started):
    """Two workers, each a process; one that was killed before has been started anew."""
    with distributed.Client(started, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=PATIENCE)
    return started


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """An experiment of which seed 1 kills its worker, once, and seed 3 fails; the only one."""
    config = {"log": str(tmp_path / "log"), "dies": 1, "fails": 3}
    made = replace(FAKE, name="logged", config=config, run=fakes.logged)
    monkeypatch.setattr(registry, "_import_all", lambda: None)
    monkeypatch.setattr(registry, "_experiments", {"logged": made})
    return made


def on(cluster, folder, *arguments):
    """Exit status of the command with its results in `folder`."""
    where = ("--dask", cluster.scheduler_address) if cluster else ()
    return main(["run", "logged", "--results", str(folder), "--seeds", "0-5", *where, *arguments])


def results(folder):
    """Of every result its arrays' bytes, and its record without what tells of time and place."""
    found = {}
    for path in folder.glob("logged/*/*.json"):
        record = json.loads(path.read_text())
        for name in ("started", "finished", "seconds", "machine", "record_sha256"):
            del record[name]
        found[path.stem] = json.dumps(record), path.with_suffix(".npz").read_bytes()
        store.read(path)
    return found


def test_a_killed_worker_loses_nothing_and_makes_nothing_twice(cluster, logged, tmp_path, capsys):
    assert on(cluster, tmp_path / "there") == 1
    out, err = capsys.readouterr()
    assert Counter((tmp_path / "log").read_text().split()) == {"0": 1, "1": 2, "2": 1, "3": 1, "4": 1, "5": 1}
    assert "6 runs, about 0 minutes on 2 workers of tcp://" in out
    assert out.count("errors in 100") == 5
    assert "logged seed 0: pass 2/2" in err
    (died,) = [line for line in err.splitlines() if "died" in line]
    assert died.startswith("logged seed 1: its process died (worker tcp://")
    assert died.endswith("is gone); tried once more, by another worker, from its start")
    (failed,) = [line for line in err.splitlines() if "failed" in line]
    assert failed.startswith("logged seed 3 failed: RuntimeError: no such luck; the traceback is in ")
    (log,) = tmp_path.glob("there/logged/*/seed-0003.log")
    assert 'raise RuntimeError("no such luck' in log.read_text()

    assert on(None, tmp_path / "here") == 1
    here, there = results(tmp_path / "here"), results(tmp_path / "there")
    assert sorted(here) == [f"seed-000{seed}" for seed in (0, 1, 2, 4, 5)]
    assert there == here
    assert {path.suffix for path in tmp_path.glob("there/logged/*/*")} == {".json", ".npz", ".log"}

    capsys.readouterr()
    assert on(cluster, tmp_path / "there") == 1  # only the one that failed
    assert "logged seeds 0-2,4-5: there already" in capsys.readouterr().out


def test_a_run_resumes_from_a_checkpoint_that_is_here(cluster, logged, tmp_path):
    (job,) = plan.plan([logged], (0,), tmp_path).jobs
    job.folder.mkdir(parents=True)
    job.checkpoint.write_text("an earlier command")
    assert runner.execute_on(cluster.scheduler_address, [job]) == runner.Summary()
    record = store.read(job.path).record
    assert (record["resumed"], record["extra"]) == (True, {"resumed from": "an earlier command"})
    assert not job.checkpoint.exists()


def test_a_run_that_another_command_makes_is_left_to_it(cluster, logged, tmp_path, capsys):
    (job,) = plan.plan([logged], (0,), tmp_path).jobs
    with locks.held(job.lock, "the other command"):
        assert runner.execute_on(cluster.scheduler_address, [job]).failed == 1
    assert "logged seed 0 is not made here: process " in capsys.readouterr().err
    assert not (tmp_path / "log").exists()
    assert runner.execute_on(cluster.scheduler_address, [job]).failed == 0  # the lock is free


def test_what_cannot_reach_a_worker_fails_alone(cluster, logged, tmp_path, capsys):
    here = replace(logged, name="here", run=lambda *_: None)
    jobs = plan.plan([here, logged], (0,), tmp_path).jobs
    assert runner.execute_on(cluster.scheduler_address, jobs).failed == 1
    assert "here seed 0 failed before it began: " in capsys.readouterr().err
    assert len(results(tmp_path)) == 1


def test_an_interrupted_command_stops_its_runs(cluster, tmp_path, monkeypatch):
    config = {"log": str(tmp_path / "log")}
    jobs = plan.plan([replace(FAKE, name="endless", config=config, run=fakes.endless)], (0, 1), tmp_path).jobs
    reports = threading.Event()

    def interrupt(self, label, report):
        reports.set()
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.progress.Lines, "report", interrupt)
    assert runner.execute_on(cluster.scheduler_address, jobs).interrupted
    assert reports.is_set()
    end = time.monotonic() + PATIENCE
    while not (tmp_path / "log").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert not list(tmp_path.glob("**/*.lock"))


# --- what is refused


@contextmanager
def workers_with(cluster, place, value):
    """In here every worker has another `value`, an expression in which `old` is the present one, at `place`."""
    module, _, name = place.rpartition(".")
    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(exec, f"import {module} as found; old = found.before = found.{name}; found.{name} = {value}", {})
        try:
            yield
        finally:
            client.run(exec, f"import {module} as found; found.{name} = found.before", {})


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("experiments.numerics.NUMERICS", "{'logged': 7}", "version 7 of the numerics of 'logged', the client 1"),
        (
            "experiments.harness.provenance.versions",
            "lambda old=old: {**old(), 'numpy': '1.0'}",
            f"numpy 1.0, the client {np.__version__}",
        ),
        ("experiments.harness.runner._LOADED", "'as it was'", "other code than the client"),
    ],
    ids=["numerics", "libraries", "code"],
)
def test_workers_that_would_compute_other_bits_are_refused(cluster, logged, tmp_path, capsys, place, value, said):
    with workers_with(cluster, place, value):
        assert on(cluster, tmp_path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r"experiments: worker tcp://[\d.:]+ is refused: "
        rf"it has {said}; start it anew from the same checkout \(and 1 more\)",
        line,
    )
    assert not (tmp_path / "log").exists()


def test_a_file_of_ones_own_goes_over_and_must_stay_as_it_was(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "_import_all", lambda: None)
    monkeypatch.setattr(registry, "_experiments", {})
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "one_of_ones_own", raising=False)
    file = tmp_path / "one_of_ones_own.py"
    file.write_text(OWN)
    words = ["run", "own", "--module", str(file), "--results", str(tmp_path / "results")]
    assert main([*words, "--seeds", "0", "--dask", cluster.scheduler_address]) == 0
    registry._experiments.clear()
    del sys.modules["one_of_ones_own"]
    file.write_text(OWN + "# edited\n")
    capsys.readouterr()
    assert main([*words, "--seeds", "1", "--dask", cluster.scheduler_address]) == 2
    assert "it has imported another one_of_ones_own.py; start it anew" in capsys.readouterr().err


OWN = """
import numpy as np
from experiments.harness.registry import Experiment, Outcome, register


def own(config, seed, context):
    return Outcome([{"test_errors": 1, "test_patterns": 100}], np.zeros(100, np.uint8))


register(Experiment("own", "Own", {}, own, 1, data="none"))
"""


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1: "),
        ("nowhere.json", "nowhere.json: no such file; a scheduler writes it with --scheduler-file"),
        ("a b", "no Dask scheduler answers at a b: "),
    ],
)
def test_a_cluster_that_is_not_there(logged, tmp_path, capsys, monkeypatch, where, said):
    monkeypatch.setattr("experiments.harness.cluster.ANSWER", 0.3)
    assert main(["run", "logged", "--seeds", "0", "--results", str(tmp_path), "--dask", where]) == 2
    assert capsys.readouterr().err.startswith(f"experiments: {said}")
