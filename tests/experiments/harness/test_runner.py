"""Which runs are made and why, several at a time, interrupted, killed, failing and resumed."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.harness import plan, progress, provenance, registry, runner, store
from experiments.harness.identity import Identity
from experiments.harness.registry import Experiment, Outcome
from lenet98.data.mnist import MNIST
from lenet98.loop import Progress
from tests.fakes import record, stated

ROOT = Path(__file__).parents[3]


def main(arguments):
    from experiments.__main__ import main  # which takes seconds, and every worker imports this file

    return main(arguments)


def count(config, seed, context):
    """A quick fake experiment: seed + 1 errors in 100; one seed fails and one diverges."""
    passes = []
    for number in range(1, config["passes"] + 1):
        context.progress(Progress(number, config["passes"], 50, 50, errors=seed))
        if seed == config["diverges"] and number == 2:
            return Outcome(passes, np.zeros(100, np.uint8), diverged=True, extra={"loss": float("nan")})
        passes.append({"number": number, "test_errors": seed + 1, "test_patterns": 100})
    if seed == config["fails"]:
        raise RuntimeError("no such luck\nsecond line")
    extra = {"process": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}
    return Outcome(passes, np.full(100, seed, np.uint8), weights=np.ones(3), extra=extra)


FAKE = Experiment(
    "fake",
    "Fake",
    {"passes": 2, "fails": 1, "diverges": 3},
    count,
    minutes=0.1,
    data="none",
)


def measure(config, seed, context):
    """A quick fake measurement."""
    name = config["array"]
    return Outcome(extra={"mean": float(seed)}, arrays={name: np.full(3, seed)})


MEASURED = Experiment("measured", "Measured", {"array": "states"}, measure, minutes=0.1, data="none")


@pytest.fixture
def fakes(monkeypatch):
    """A registry of fakes only."""
    fixed = replace(FAKE, name="fixed", deterministic=True)
    reserved = replace(MEASURED, name="measured-twice", config={"array": "weights"})
    found = {experiment.name: experiment for experiment in (FAKE, fixed, MEASURED, reserved)}
    monkeypatch.setattr(registry, "_import_all", lambda: None)
    monkeypatch.setattr(registry, "_experiments", found)


def run(tmp_path, *arguments):
    return main(["run", "fake", "--results", str(tmp_path), *arguments])


def made(tmp_path):
    return {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("fake/*/seed-*.json")}


def test_a_run_alone_has_the_threads_that_other_runs_would_have_had(tmp_path, fakes):
    assert run(tmp_path, "--seeds", "0", "--jobs", "3") == 0
    assert made(tmp_path)["seed-0000"]["machine"]["threads"] == 3


# --- a network of one's own


def train_own(config, seed, context):
    """Train on digits of noise, in the worker."""
    from experiments.trainers import outcome
    from lenet98.training import train

    rng = np.random.default_rng(seed)
    images, labels = rng.integers(0, 256, (40, 28, 28), np.uint8), rng.integers(0, 10, 40, np.uint8)
    digits = MNIST(images, labels, images[:20], labels[:20])
    return outcome(train(config, seed, digits, progress=context.progress, checkpoint=context.checkpoint))


def test_a_network_of_a_module_of_ones_own_is_trained_in_a_worker(tmp_path, monkeypatch, capfd):
    from lenet98.training import Config

    (tmp_path / "mine.py").write_text(
        "from lenet98.specs import Convolution, Softmax, Spec, Subsampling\n"
        "NET = Spec('mine', (1, 28, 28), (Convolution('C1', 2, 5), Subsampling('S2'), Softmax('output')))\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        config = Config(importlib.import_module("mine").NET, etas=(5e-4,), train_size=40, curvature_patterns=10)
    monkeypatch.delitem(sys.modules, "mine")  # and its folder is not where the worker looks for modules
    own = replace(FAKE, name="own", config=config, run=train_own)
    jobs = plan.plan([own], (0,), tmp_path).jobs
    runner.execute(jobs, 1)
    (record,) = [json.loads(path.read_text()) for path in tmp_path.glob("own/*/seed-*.json")]
    assert (record["status"], record["passes"][0]["test_patterns"]) == ("finished", 20)
    assert record["config"]["spec"]["layers"][0] == {
        "kind": "convolution", "name": "C1", "maps": 2, "kernel": 5, "table": None
    }  # fmt: skip
    assert "mine" not in json.dumps(record["config"])


# --- a real run in two processes


def test_two_processes_with_a_failing_and_a_diverging_seed(tmp_path, fakes, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert run(tmp_path, "--seeds", "0-3", "--jobs", "2") == 1
    out, err = capfd.readouterr()

    records = made(tmp_path)
    assert sorted(records) == ["seed-0000", "seed-0002", "seed-0003"]
    first, diverged = records["seed-0000"], records["seed-0003"]
    assert (first["status"], diverged["status"]) == ("finished", "diverged")
    assert first["passes"][-1] == {"number": 2, "test_errors": 1, "test_patterns": 100, "test_error_percent": 1.0}
    assert len(diverged["passes"]) == 1
    assert diverged["extra"] == {"loss": None}
    assert first["key"] == FAKE.identity().key
    assert first["config"] == FAKE.config
    assert first["command"] == "python -m experiments run fake --seeds 0"
    assert first["extra"]["process"] != os.getpid()
    assert first["extra"]["threads"] == "1"
    assert first["machine"]["threads"] == 1
    assert {"python", "torch", "numpy", "numba", "scipy", "scikit-learn", "lenet98", "git"} <= set(first["versions"])

    assert re.search(r"^fake seed 2: 3 errors in 100, 3\.00%, \d+ s$", out, re.M)
    assert re.search(r"^fake seed 3 diverged in pass 2: .*in no mean$", err, re.M)
    failures = re.findall(r"^.*failed.*$", err, re.M)
    assert len(failures) == 1
    assert failures[0].startswith("fake seed 1 failed: RuntimeError: no such luck; the traceback is in ")
    log = Path(failures[0].rpartition(" ")[2])
    assert "in count" in log.read_text()
    # Not a terminal: a line a pass and no bars.
    assert "fake seed 0: pass 2/2, error 0.00%" in err
    assert "\r" not in err

    # Only the failed run is made again, and it is said why the others are not.
    assert run(tmp_path, "--seeds", "0-3") == 1
    out, _ = capfd.readouterr()
    assert "fake seeds 0,2-3: there already" in out
    assert "fake seeds 1: no result yet" in out


def test_code_edited_after_the_key_was_taken_fails_the_run(tmp_path, fakes, capfd, monkeypatch):
    jobs = plan.plan([FAKE], (0,), tmp_path).jobs
    monkeypatch.setattr(provenance, "sources", lambda: "as they were")
    assert runner.execute(jobs, 1).failed == 1
    assert "the code was edited while the command ran" in capfd.readouterr().err
    assert not made(tmp_path)


def test_arrays_hold_predictions_weights_and_the_configuration(tmp_path, fakes):
    assert run(tmp_path, "--seeds", "2") == 0
    (path,) = tmp_path.glob("fake/*/seed-0002.json")
    arrays = store.read(path).arrays()
    assert sorted(arrays) == ["config", "predictions", "weights"]
    assert arrays["predictions"].dtype == np.uint8
    assert json.loads(str(arrays["config"])) == FAKE.config


# --- what runs and why


def planned(tmp_path, experiment=FAKE, seeds=(0,), **options):
    return plan.plan([experiment], seeds, tmp_path, **options)


def finish(tmp_path, experiment=FAKE, seed=0, **changes):
    """Write a result of the experiment as if it had run."""
    identity = experiment.identity()
    passes = [{"test_errors": 1, "test_patterns": 100, "test_error_percent": 1.0}]
    made = {**record(experiment.name, seed, passes), **stated(identity), **changes}
    path = store.result_path(tmp_path / experiment.name / identity.key, seed)
    return store.write(path, made, {"predictions": np.zeros(100, np.uint8)}).path


def test_what_is_there_is_not_run_again_unless_forced(tmp_path):
    finish(tmp_path)
    plan = planned(tmp_path, seeds=(0, 1))
    assert [job.seed for job in plan.there] == [0]
    assert [(job.seed, job.reason) for job in plan.jobs] == [(1, "no result yet")]
    forced = planned(tmp_path, force=True)
    assert [(job.reason, job.afresh) for job in forced.jobs] == [("run again: --force", True)]


def test_why_after_a_change_of_configuration(tmp_path):
    finish(tmp_path)
    (job,) = planned(tmp_path, replace(FAKE, config={**FAKE.config, "passes": 3})).jobs
    assert job.reason == "run again: config passes changed from 2 to 3"


def test_why_after_a_change_of_numerics_and_data(tmp_path, monkeypatch):
    finish(tmp_path)
    changed = Identity(FAKE.config, "none-2", "count", {"count": 2})
    monkeypatch.setattr(Experiment, "identity", lambda self: changed)
    (job,) = planned(tmp_path).jobs
    assert job.reason == "run again: data changed from none to none-2; numerics of count changed from 1 to 2"


def test_why_after_damage(tmp_path):
    finish(tmp_path).write_text("half a fi")
    (job,) = planned(tmp_path).jobs
    assert job.reason == "run again: the result could not be read"


def test_a_checkpoint_is_continued_and_with_force_thrown_away(tmp_path):
    (job,) = planned(tmp_path).jobs
    job.folder.mkdir(parents=True)
    job.checkpoint.touch()
    (resumed,) = planned(tmp_path).jobs
    assert resumed.reason == "resumes from its last completed pass"
    (forced,) = planned(tmp_path, force=True).jobs
    assert forced.afresh


def test_a_deterministic_experiment_runs_once(tmp_path, fakes, capsys):
    assert main(["plan", "fixed", "--seeds", "0-4", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "does not depend on the seed" in out
    assert "1 runs, about 0 minutes" in out


def test_plan_estimates_the_time(tmp_path):
    plan = planned(tmp_path, replace(FAKE, minutes=6.0), seeds=range(10))
    assert plan.minutes(2) == pytest.approx(30)
    assert plan.minutes(100) == pytest.approx(6)
    assert plan.minutes(4) == pytest.approx(18)  # 10 runs on 4 cores: three rounds


def test_plan_names_the_slowest_of_all_their_runs(tmp_path):
    others = [replace(FAKE, name="once", minutes=5), replace(FAKE, name="never", minutes=1)]
    made = plan.plan([replace(FAKE, minutes=4), *others], (0, 1), tmp_path)
    assert made.slowest(2) == [("once", 10), ("fake", 8)]
    assert planned(tmp_path, seeds=()).total(1) == "0 runs, about 0 minutes with --jobs 1"


@pytest.mark.parametrize(
    ("text", "seeds"), [("4", (4,)), ("0-3", (0, 1, 2, 3)), ("0,3,5", (0, 3, 5)), ("7, 0-1", (7, 0, 1))]
)
def test_seeds(text, seeds):
    assert plan.parse_seeds(text) == seeds
    assert plan.parse_seeds(plan.format_seeds(seeds)) == tuple(sorted(seeds))


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "1-", "3-1", "0,0", "0-2,1", "1.5", "0;1", "10000", "0-99999999999", "²"]
)
def test_seeds_that_are_none(text):
    with pytest.raises(ValueError, match="seed"):
        plan.parse_seeds(text)


def test_seeds_are_written_short():
    assert plan.format_seeds([9, 0, 1, 2, 5]) == "0-2,5,9"


@pytest.mark.parametrize("entry", [(101, 100), (-1, 100), (0, 0)])
def test_a_count_that_cannot_be_is_refused(entry):
    with pytest.raises(ValueError, match="cannot be"):
        runner._pass_record({"test_errors": entry[0], "test_patterns": entry[1]})


def test_a_rate_cannot_stand_for_a_count():
    with pytest.raises(TypeError):
        runner._pass_record({"test_errors": 0.95, "test_patterns": 10_000})


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "lenet6"], "no experiment called 'lenet6'; `python -m experiments list` shows all"),
        (["show", "lenet6"], "no experiment called 'lenet6'; `python -m experiments list` shows all"),
        (["publish", "lenet6"], "no experiment called 'lenet6'; `python -m experiments list` shows all"),
        (["list", "faked"], "no experiment called 'faked'; most like it are fake, fixed; `python -m experiments list`"),
        (
            ["run", "room/*"],
            "no experiment matches 'room/*'; `*` does not cross /, `**` does; `python -m experiments list`",
        ),
        (["table", "lenet6"], "no experiment called 'lenet6'; "),
        (["run", "fake", "--seeds", "3-1"], "'3-1' names a seed twice or none"),
        (["run", "fake", "--seeds", "x"], "'x' are no seeds; write them as 0-9"),
        (["run", "fake", "--jobs", "0"], "'0' is not a number of runs"),
        (["table", "lenet5", "--format", "pdf"], "invalid choice: 'pdf'"),
        (["jump"], "invalid choice: 'jump'"),
        (["publish", "fake", "--results", "nowhere"], "no results of fake yet; `python -m experiments run fake`"),
    ],
)
def test_wrong_arguments_get_one_line_and_exit_2(fakes, capsys, arguments, message):
    try:
        status = main(arguments)
    except SystemExit as exit:
        status = exit.code
    err = capsys.readouterr().err
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_show_and_list(tmp_path, fakes, capsys):
    finish(tmp_path, seed=3)
    assert main(["show", "fake", "--results", str(tmp_path), "--reference", str(tmp_path / "none")]) == 0
    shown = json.loads(capsys.readouterr().out)
    key = FAKE.identity().key
    assert (shown["config"], shown["key"]) == (FAKE.config, key)
    assert shown["results"] == {
        "folder": str(tmp_path / "fake" / key),
        "seeds": "3",
        "of the present key": True,
        "of the present key or vouched for": True,
    }
    assert main(["list"]) == 0
    assert re.search(r"^  fake +0-9 +0\.1 +Fake$", capsys.readouterr().out, re.M)


@pytest.fixture
def rooms(monkeypatch):
    """A registry of experiments in rooms."""
    names = (
        "fig9/lenet5",
        "fig9/knn",
        "readings/sum",
        "readings/saturation/sum",
        "readings/mu0.1",
        "modern/held-out/a",
    )
    monkeypatch.setattr(registry, "_import_all", lambda: None)
    monkeypatch.setattr(registry, "_experiments", {name: replace(FAKE, name=name, title=80 * "T") for name in names})
    monkeypatch.setattr(registry, "_groups", {"some": ("fig9/knn", "readings/mu0.1")})


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("fig9/lenet5", "fig9/lenet5"),
        ("lenet5", "fig9/lenet5"),
        ("some", "fig9/knn readings/mu0.1"),
        ("readings/*", "readings/sum readings/mu0.1"),
        ("readings/**", "readings/sum readings/saturation/sum readings/mu0.1"),
        ("**/sum", "readings/sum readings/saturation/sum"),
        ("readings/*/sum", "readings/saturation/sum"),
        ("*/[a-m]*", "fig9/lenet5 fig9/knn readings/mu0.1"),
        ("**/lenet?", "fig9/lenet5"),
    ],
)
def test_names_stand_for_experiments(rooms, name, members):
    assert [experiment.name for experiment in registry.members(name)] == members.split()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sum", "'sum' may be any of readings/sum, readings/saturation/sum"),
        ("lenet", "no experiment called 'lenet'; most like it are fig9/lenet5; `python -m experiments list` shows all"),
        ("readings", "no experiment called 'readings'"),
        ("lenet*", "no experiment matches 'lenet*'"),
    ],
)
def test_names_that_stand_for_none_or_too_many(rooms, name, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        registry.members(name)


@pytest.mark.parametrize("name", ["", "Fake", "fig9/", "/fake", "a//b", "a b", "../a", "a/-b", "a.", "a/*"])
def test_names_that_are_no_paths(name):
    with pytest.raises(ValueError, match="cannot be called"):
        replace(FAKE, name=name)


def test_lists_of_some_fit_the_screen(rooms, capsys):
    assert main(["list", "readings/*", "lenet5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [head.split() for head in heads] == [
        [folder, "seeds", "minutes", "paper,", "%", "row"] for folder in ("fig9/", "readings/")
    ]
    words = [line.split()[0] for line in lines if line not in heads]
    assert [word for word in words if word != 80 * "T"] == ["lenet5", "mu0.1", "sum"]
    assert words.count(80 * "T") == 3  # a title that does not fit has a line of its own
    assert max(map(len, lines)) <= 100


def test_results_lie_in_the_folder_of_the_name(tmp_path, rooms):
    assert main(["run", "readings/**", "--seeds", "0", "--results", str(tmp_path)]) == 0
    folders = {path.parents[1].relative_to(tmp_path).as_posix() for path in tmp_path.rglob("seed-0000.json")}
    assert folders == {"readings/sum", "readings/mu0.1", "readings/saturation/sum"}


def test_no_experiment_is_a_folder_of_others():
    names = list(registry.load())
    assert not [name for name in names for other in names if other.startswith(f"{name}/")]


def test_two_experiments_cannot_share_a_name(fakes):
    with pytest.raises(ValueError, match="two experiments called fake"):
        registry.register(FAKE)


# --- interruption: a program of its own, so that signals are real

SLOW = """
    import errno, os, sys, time
    from pathlib import Path
    import numpy as np
    from experiments.harness import plan, registry, runner
    from experiments.harness.registry import Experiment, Outcome
    from lenet98.files import atomic
    from lenet98.loop import Progress

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def slow(config, seed, context):
        with Path("pids").open("a") as file:
            file.write(f"{seed} {os.getpid()}\\n")
        done = int(context.checkpoint.read_text()) if context.checkpoint.exists() else 0
        for number in range(done + 1, 4):
            for patterns in range(0, 101, 5):
                context.progress(Progress(number, 3, patterns, 100, 1))
                time.sleep(float(os.environ["STEP"]) if number > 1 else 0)
            with atomic(context.checkpoint) as file:
                file.write(str(number).encode())
            if os.environ["DISK"] == "full":
                os.fsync = full
        entry = {"test_errors": 1, "test_patterns": 100, "first": done + 1}
        return Outcome([entry], np.zeros(100, np.uint8))

    if __name__ == "__main__":
        registry._import_all = lambda: None
        experiment = registry.register(Experiment("slow", "Slow", {}, slow, 1, data="none"))
        if len(sys.argv) > 1:
            from experiments.__main__ import main  # which takes seconds

            sys.exit(main())
        jobs = plan.plan([experiment], (0, 1, 2), Path("results"), force=bool(os.environ["FORCE"])).jobs
        sys.exit(runner.execute(jobs, 2).failed > 0)
"""


@pytest.fixture
def slow(tmp_path):
    """Starts the slow experiment, two seeds at a time: a quick first pass, then two with `step` seconds a report.

    `whole` is by the command line, else by the runner alone.
    """
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    started = []

    def start(step, *, whole=False, force="", disk="", ignored=None, closed=False):
        command = [sys.executable, "slow.py", *(["run", "slow", "--seeds", "0-2", "--jobs", "2"] if whole else ())]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STEP": str(step), "DISK": disk, "FORCE": force}

        def set_signals():
            # As under a terminal, even where the tests themselves run in the background, deaf to SIGINT.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)
            if closed:
                os.close(1)

        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=set_signals,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the workers too, should they live on
        process.wait()


PATIENCE = 120
"""Seconds for what takes two or three on an idle machine."""


def await_checkpoints(tmp_path, number):
    for _ in range(20 * PATIENCE):
        if len(list(tmp_path.glob("results/slow/*/*.checkpoint"))) >= number:
            return
        time.sleep(0.05)
    raise AssertionError("no pass finished")


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def workers(tmp_path, of=None):
    """The processes of all runs so far, or of one seed's."""
    lines = [line.split() for line in (tmp_path / "pids").read_text().splitlines()]
    return [int(pid) for seed, pid in lines if of in (None, int(seed))]


def await_worker(tmp_path, seed, number):
    """The process that makes the run of a seed for the `number`-th time."""
    for _ in range(20 * PATIENCE):
        if (tmp_path / "pids").exists() and len(found := workers(tmp_path, seed)) >= number:
            return found[number - 1]
        time.sleep(0.05)
    raise AssertionError("no such run began")


def made_slowly(tmp_path):
    """The records, by seed."""
    return {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("results/slow/*/*.json")}


def ignores_interrupts(pid):
    (mask,) = re.findall(r"^SigIgn:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.M)
    return bool(int(mask, 16) >> (signal.SIGINT - 1) & 1)


def await_end(pids):
    for _ in range(20 * PATIENCE):
        if not any(map(alive, pids)):
            return
        time.sleep(0.05)
    raise AssertionError("workers live on")


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


@needs_proc
def test_ctrl_c_stops_all_and_the_same_command_resumes(tmp_path, slow):
    process = slow(0.5, whole=True)
    await_checkpoints(tmp_path, 2)
    assert all(map(ignores_interrupts, workers(tmp_path)))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted; the same command resumes each run from its last completed pass"
    assert "Traceback" not in err
    await_end(workers(tmp_path))
    assert not list(tmp_path.glob("results/slow/*/*.json"))

    again = slow(0, whole=True)
    out, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert "slow seeds 0-1: resumes from its last completed pass" in out
    records = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("results/slow/*/*.json")}
    assert [records[f"seed-000{seed}"]["resumed"] for seed in range(3)] == [True, True, False]
    assert records["seed-0000"]["passes"][0]["first"] > 1
    assert records["seed-0002"]["passes"][0]["first"] == 1
    assert not list(tmp_path.glob("results/slow/*/*.checkpoint"))


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_is_one_line_and_the_same_command_resumes(tmp_path, slow, number):
    process = slow(0.5, whole=True)
    await_checkpoints(tmp_path, 2)
    process.send_signal(number)  # to the parent alone, as `kill` does
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    said = f"ended by {number.name}; the same command resumes each run from its last completed pass"
    assert err.splitlines()[-1] == said
    assert "Traceback" not in err
    await_end(workers(tmp_path))
    assert not made_slowly(tmp_path)
    again = slow(0)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert [record["resumed"] for _, record in sorted(made_slowly(tmp_path).items())] == [True, True, False]


@needs_proc
def test_a_hangup_that_nohup_ignores_is_ignored(tmp_path, slow):
    process = slow(0.05, whole=True, ignored=signal.SIGHUP)
    await_checkpoints(tmp_path, 2)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


# --- workers that die


@needs_proc
def test_a_killed_worker_costs_its_run_which_is_resumed(tmp_path, slow):
    process = slow(0.1)
    await_checkpoints(tmp_path, 2)
    os.kill(await_worker(tmp_path, 0, 1), signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert [line.partition("; tried")[0] for line in err.splitlines() if "died" in line or "failed" in line] == [
        "slow seed 0: its process died (killed by SIGKILL; out of memory?)"
    ]
    records = made_slowly(tmp_path)
    assert [records[f"seed-000{seed}"]["resumed"] for seed in range(3)] == [True, False, False]
    assert records["seed-0000"]["passes"][0]["first"] > 1
    assert [len(workers(tmp_path, seed)) for seed in range(3)] == [2, 1, 1]  # the others went on untouched
    assert out.count("errors in 100") == 3
    assert not [path for path in tmp_path.glob("results/slow/*/*") if path.suffix not in (".json", ".npz")]


@needs_proc
def test_a_run_whose_process_dies_twice_fails_alone(tmp_path, slow):
    process = slow(0.1)
    for number in (1, 2):
        pid = await_worker(tmp_path, 0, number)
        await_checkpoints(tmp_path, 1)
        os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "slow seed 0 failed: its process died twice (killed by SIGKILL; out of memory?); the same command" in err
    assert sorted(made_slowly(tmp_path)) == ["seed-0001", "seed-0002"]


@needs_proc
def test_with_force_a_killed_run_resumes_from_its_own_checkpoint_not_from_an_earlier_one(tmp_path, slow):
    slow(0).communicate(timeout=PATIENCE)
    (path,) = tmp_path.glob("results/slow/*/seed-0000.json")
    path.with_suffix(".checkpoint").write_text("3")  # it would leave nothing to do
    process = slow(0.1, force="yes")
    pid = await_worker(tmp_path, 0, 2)
    while not path.with_suffix(".checkpoint").exists():
        assert alive(pid)
    os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert made_slowly(tmp_path)["seed-0000"]["passes"][0]["first"] in (2, 3)


def end(config, seed, context):
    """A run that ends its process."""
    os._exit(3)


def test_what_cannot_reach_a_worker_fails_alone(tmp_path, fakes, capfd):
    here = replace(FAKE, name="here", run=lambda *_: None)
    ends = replace(FAKE, name="ends", run=end)
    jobs = plan.plan([here, ends, FAKE], (0,), tmp_path).jobs
    assert runner.execute(jobs, 2).failed == 2
    err = capfd.readouterr().err
    assert re.search(r"^here seed 0 failed before it began: .*pickle", err, re.M)
    assert "ends seed 0 failed: its process died twice (status 3)" in err
    assert len(made(tmp_path)) == 1


# --- one process at a time makes a run


@needs_proc
def test_a_second_command_leaves_runs_to_the_first_and_says_so(tmp_path, slow):
    slow(3)
    await_checkpoints(tmp_path, 2)
    at_work = {seed: await_worker(tmp_path, seed, 1) for seed in (0, 1)}
    second = slow(0)
    out, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 1
    for seed, pid in at_work.items():
        said = (
            f"slow seed {seed} is not made here: process {pid} on .* has worked on it since .*: python -m experiments"
        )
        assert re.search(said, err)
    assert "slow seed 2: 1 errors" in out
    assert [len(workers(tmp_path, seed)) for seed in range(3)] == [1, 1, 1]
    assert len(list(tmp_path.glob("results/slow/*/*.lock"))) == 2  # the first's


def test_what_a_killed_process_was_writing_is_removed(tmp_path, fakes):
    (job,) = plan.plan([FAKE], (0,), tmp_path).jobs
    job.folder.mkdir(parents=True)
    for name in (".seed-0000.checkpoint.4242", ".seed-0000.npz.4242", ".seed-0001.npz.4242"):
        (job.folder / name).touch()
    runner.execute([job], 1)
    assert [path.name for path in job.folder.glob(".*")] == [".seed-0001.npz.4242"]  # another run's


def test_a_run_that_another_command_made_meanwhile_is_not_made_again(tmp_path, fakes):
    jobs = plan.plan([FAKE], (0,), tmp_path).jobs
    runner.execute(jobs, 1)
    before = made(tmp_path)
    assert runner.execute(jobs, 1) == runner.Summary()
    assert made(tmp_path) == before


@needs_proc
def test_locks_of_dead_processes_are_taken_over(tmp_path, slow):
    first = slow(0.5)
    await_checkpoints(tmp_path, 2)
    os.killpg(first.pid, signal.SIGKILL)
    await_end(workers(tmp_path))
    assert len(list(tmp_path.glob("results/slow/*/*.lock"))) == 2
    second = slow(0)
    second.communicate(timeout=PATIENCE)
    assert second.returncode == 0
    assert not list(tmp_path.glob("results/slow/*/*.lock"))


def miscount(config, seed, context):
    """Errors that are not those of the predictions."""
    return Outcome([{"test_errors": 1, "test_patterns": 50}], np.zeros(100, np.uint8))


def test_a_result_that_contradicts_itself_fails_at_once(tmp_path, fakes, capfd):
    jobs = plan.plan([replace(FAKE, run=miscount)], (0,), tmp_path).jobs
    assert runner.execute(jobs, 1).failed == 1
    assert "fake seed 0 failed: Unreadable: " in (err := capfd.readouterr().err)
    assert "passes[0].test_patterns is 50, and there are 100 predictions" in err


# --- where nothing can be written


def test_a_full_disk_is_called_that(tmp_path, slow):
    process = slow(0, disk="full")
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    said = [line for line in err.splitlines() if "failed" in line]
    assert len(said) == 3
    assert all("failed: no space is left to write in results/slow/" in line for line in said)
    assert all(
        line.endswith("; free some, and the same command resumes it from its last completed pass") for line in said
    )
    again = slow(0)
    again.communicate(timeout=PATIENCE)
    assert again.returncode == 0
    assert [record["passes"][0]["first"] for _, record in sorted(made_slowly(tmp_path).items())] == [2, 2, 1]


def test_closed_output_goes_nowhere(tmp_path, slow):
    process = slow(0, whole=True, closed=True)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Error" not in err
    assert len(made_slowly(tmp_path)) == 3


@needs_proc
def test_workers_end_when_their_parent_is_killed(tmp_path, slow):
    process = slow(0.5)
    await_checkpoints(tmp_path, 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    await_end(workers(tmp_path))


# --- what is shown


def test_lines_give_error_and_time_left(capsys):
    lines = progress.Lines()
    for number in (1, 2):
        for done in (0, 500, 1000):
            lines.report("lenet5 seed 3", Progress(number, 4, done, 1000, done // 50))
    written = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in written] == ["lenet5 seed 3: pass 1/4", "lenet5 seed 3: pass 2/4"]
    assert "error 2.00%" in written[0]
    assert "00:00 left" in written[0]


def test_bars_show_every_run_and_the_total(monkeypatch, capsys):
    bars = progress.Bars(2)
    bars.report("lenet5 seed 3", Progress(1, 2, 500, 1000, 10))
    assert bars._bars["lenet5 seed 3"].n == pytest.approx(0.25)
    bars.end("lenet5 seed 3")
    bars.report("lenet5 seed 4", Progress(1, 2, 1000, 1000, 10))
    assert bars._all.n == pytest.approx(1.5)
    bars.say("lenet5 seed 3: done")
    bars.close()
    captured = capsys.readouterr()
    assert "lenet5 seed 3: pass 1/2, error 2.00%" in captured.err
    assert captured.out == "lenet5 seed 3: done\n"


# --- measurements, which classify nothing


def test_a_measurement_keeps_its_numbers_and_arrays_and_is_published_with_them(fakes, tmp_path, capsys):
    assert main(["run", "measured", "--results", str(tmp_path), "--seeds", "4"]) == 0
    assert "measured seed 4: measured, 0 s" in capsys.readouterr().out
    identity = registry.named("measured").identity()
    runs = store.latest("measured", identity, tmp_path)
    folder = store.publish(runs, identity, [4], tmp_path / "reference", force=True)
    (result,) = store.read_folder(folder, "measured")
    assert (result.passes, result.extra) == ([], {"mean": 4.0})
    assert {name: array.tolist() for name, array in result.arrays().items()} == {"states": [4, 4, 4]}


def test_an_array_with_a_name_of_the_harness_is_refused(fakes, tmp_path, capsys):
    assert main(["run", "measured-twice", "--results", str(tmp_path), "--seeds", "0"]) == 1
    assert "an array of its own is called weights; call it otherwise" in "".join(capsys.readouterr())
