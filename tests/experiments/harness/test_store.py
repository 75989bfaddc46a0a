"""Results are found by what made them, and no crash leaves a wrong one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from experiments.harness import provenance, store
from experiments.harness.identity import Identity, differences, of_record, plain
from experiments.harness.store import Runs
from tests import fakes

ONLINE = ("online", {"online": 1, "engine": 1})
CONFIG = {"reading": {"j": 1.0, "loss": "eq9"}, "etas": [0.0005, 0.0002]}
IDENTITY = Identity(CONFIG, "mnist-1", *ONLINE)


def record(seed=0, status="finished", errors=(95,), identity=IDENTITY, **changes):
    passes = [
        {"number": i, "test_errors": e, "test_patterns": 10_000, "test_error_percent": e / 100}
        for i, e in enumerate(errors, 1)
    ]
    return {**fakes.record("fake", seed, passes, status), **fakes.stated(identity), **changes}


def arrays():
    return {"predictions": np.arange(10_000).astype(np.uint8), "weights": np.ones(3, np.float32)}


def save(folder, seed=0, **changes):
    return store.write(store.result_path(folder, seed), record(seed, **changes), arrays())


# --- keys


@pytest.mark.parametrize(
    "other",
    [
        Identity({**CONFIG, "etas": [0.0005, 0.0001]}, "mnist-1", *ONLINE),
        Identity({**CONFIG, "reading": {"j": 3.0, "loss": "eq9"}}, "mnist-1", *ONLINE),
        Identity(CONFIG, "mnist-2", *ONLINE),
        Identity(CONFIG, "mnist-1", "lush", {"online": 1, "engine": 1}),
        Identity(CONFIG, "mnist-1", "online", {"online": 2, "engine": 1}),
        Identity(CONFIG, "mnist-1", "online", {"online": 1, "engine": 2}),
    ],
)
def test_key_changes_with_config_data_family_and_numerics(other):
    assert other.key != IDENTITY.key


def test_key_does_not_depend_on_field_order_or_on_how_a_number_is_written():
    reordered = {"etas": [0.0005, 0.0002], "reading": {"loss": "eq9", "j": 1}}
    assert Identity(reordered, "mnist-1", *ONLINE).key == IDENTITY.key


def test_key_does_not_depend_on_the_hash_seed():
    program = (
        "from experiments.harness.identity import *; "
        "print(Identity({'b': [1, 2], 'a': {'x': 0.1, 'y': None}}, 'd', 'f', {'f': 1, 'e': 2}).key)"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 16


def test_dataclasses_and_tuples_become_json():
    @dataclass(frozen=True)
    class Inner:
        j: float = 0.5

    @dataclass(frozen=True)
    class Config:
        inner: Inner = Inner()
        etas: tuple[float, ...] = (1e-4, 1e-5)
        size: np.int64 = np.int64(3)  # noqa: RUF009

    assert plain(Config()) == {"inner": {"j": 0.5}, "etas": [1e-4, 1e-5], "size": 3}


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), ({1, 2}, TypeError), (np.ones(2), TypeError)])
def test_what_json_cannot_hold_is_refused(value, error):
    with pytest.raises(error, match="configuration"):
        plain({"x": value})


# --- why a run is made again


def test_differences_name_what_changed():
    other = Identity(
        {"reading": {"j": 3.0, "loss": "eq9"}, "etas": [0.0005, 0.0002], "mu": 0.02},
        "mnist-2",
        "online",
        {"online": 1, "engine": 2},
    )
    assert differences(IDENTITY, other) == [
        "config reading.j changed from 1.0 to 3.0",
        "config mu changed from null to 0.02",
        "data changed from mnist-1 to mnist-2",
        "numerics of engine changed from 1 to 2",
    ]
    assert differences(IDENTITY, of_record(record())) == []
    assert differences(Identity(CONFIG, "mnist-1", "lush", {"lush": 1}), IDENTITY) == [
        "family changed from lush to online"
    ]


# --- files


def test_a_result_comes_back_as_it_was_written(tmp_path):
    written = save(tmp_path, 7, errors=(200, 95))
    back = store.read(tmp_path / "seed-0007.json")
    assert back.record == written.record
    assert (back.seed, back.last["test_errors"], back.diverged) == (7, 95, False)
    assert back.arrays()["predictions"].dtype == np.uint8
    np.testing.assert_array_equal(back.arrays()["predictions"][:10], np.arange(10))


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_crash_while_saving_leaves_the_old_file(tmp_path, monkeypatch, moment):
    path = tmp_path / "page.txt"
    store.write_text(path, "old")

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync" if moment == "write" else "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        store.write_text(path, "new and longer")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_between_the_two_files_leaves_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "write_text", lambda *_: (_ for _ in ()).throw(OSError("killed")))
    with pytest.raises(OSError, match="killed"):
        save(tmp_path)
    assert store.load(tmp_path / "seed-0000.json") is None


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def _learn_more(path):
    """Other weights beside the same predictions, in a file that can be read."""
    np.savez_compressed(path, **{**arrays(), "weights": np.full(3, 2, np.float32)})


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: _truncate(folder / "seed-0000.json"),
        lambda folder: (folder / "seed-0000.json").write_text("null"),
        lambda folder: (folder / "seed-0000.json").write_text("{}"),
        lambda folder: (folder / "seed-0000.json").write_bytes(b"\xff\xfe"),
        lambda folder: _truncate(folder / "seed-0000.npz"),
        lambda folder: (folder / "seed-0000.npz").unlink(),
        lambda folder: _learn_more(folder / "seed-0000.npz"),
    ],
)
def test_a_damaged_result_counts_as_absent_and_says_so(tmp_path, caplog, damage):
    save(tmp_path)
    damage(tmp_path)
    assert store.load(tmp_path / "seed-0000.json") is None
    assert "treated as absent" in caplog.text
    assert store.read_folder(tmp_path) == ()


# --- which results


def test_latest_takes_the_present_key_before_newer_ones(tmp_path):
    old_code = Identity(CONFIG, "mnist-1", "online", {"online": 0})
    other_config = Identity({**CONFIG, "etas": [0.1]}, "mnist-1", *ONLINE)
    for identity, finished in ((IDENTITY, "1998-01-01"), (old_code, "1999-01-01"), (other_config, "2000-01-01")):
        save(tmp_path / "fake" / identity.key, identity=identity, finished=finished)
    assert store.latest("fake", IDENTITY, tmp_path).folder.name == IDENTITY.key


def test_latest_falls_back_on_older_code_but_never_on_another_configuration(tmp_path):
    code = [Identity(CONFIG, "mnist-1", "online", {"online": version}) for version in (-1, 0)]
    other_config = Identity({**CONFIG, "etas": [0.1]}, "mnist-1", *ONLINE)
    for identity, finished in ((code[0], "1998-01-01"), (code[1], "1999-01-01"), (other_config, "2000-01-01")):
        save(tmp_path / "fake" / identity.key, identity=identity, finished=finished)
    assert store.latest("fake", IDENTITY, tmp_path).folder.name == code[1].key


# --- publishing


def runs(folder):
    return Runs("fake", "results", folder, store.read_folder(folder))


def test_publish_adds_to_runs_of_the_same_identity(tmp_path):
    reference = tmp_path / "reference"
    save(reference / "fake", 8)
    save(reference / "fake", 9, seconds=1.0)
    save(tmp_path / "new", 9, seconds=2.0)
    save(tmp_path / "new", 10)
    with pytest.raises(ValueError, match="no result for seed 7;"):
        store.publish(runs(tmp_path / "new"), IDENTITY, range(7, 11), reference)
    store.publish(runs(tmp_path / "new"), IDENTITY, range(8, 11), reference)
    published = store.published("fake", reference).results
    assert [one.seed for one in published] == [8, 9, 10]
    assert published[1].record["seconds"] == 2


def test_publish_replaces_runs_of_another_identity_and_leaves_weights_out(tmp_path):
    reference = tmp_path / "reference"
    save(reference / "fake", 9, identity=Identity({**CONFIG, "etas": [0.1]}, "mnist-1", *ONLINE))
    save(tmp_path / "new", 0)
    save(tmp_path / "new", 1, status="diverged")
    store.publish(runs(tmp_path / "new"), IDENTITY, (0, 1), reference)
    published = store.published("fake", reference)
    assert [result.seed for result in published.results] == [0, 1]
    assert [result.seed for result in published.finished] == [0]
    assert sorted(published.results[0].arrays()) == ["predictions"]
    header = json.loads((reference / "fake" / "seed-0001.json").read_text())["header"]
    assert header == "Made by: python -m experiments run fake --seeds 1"


@pytest.mark.parametrize(
    ("seeds", "changes", "message"),
    [
        ((0, 1, 2), {}, "no result for seed 1, 2"),
        ((0,), {"versions": {"git": {"commit": "abc", "dirty": True}}}, "uncommitted"),
        ((0,), {"versions": {"git": None}}, "git checkout"),
        ((0,), {"identity": Identity(CONFIG, "mnist-1", "online", {"online": 0, "engine": 1})}, "numerics of online"),
    ],
)
def test_publish_refuses_what_nobody_could_reproduce(tmp_path, seeds, changes, message):
    save(tmp_path / "new", 0, **changes)
    with pytest.raises(ValueError, match=message):
        store.publish(runs(tmp_path / "new"), IDENTITY, seeds, tmp_path / "reference")
    assert not (tmp_path / "reference").exists()
    folder = store.publish(runs(tmp_path / "new"), IDENTITY, seeds, tmp_path / "reference", weights=(0,), force=True)
    assert sorted(store.read_folder(folder)[0].arrays()) == ["predictions", "weights"]


def test_checkout_tells_clean_from_dirty(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert provenance.checkout(tmp_path) is None
    (tmp_path / "lenet98").mkdir()
    (tmp_path / "lenet98" / "__init__.py").touch()
    git("init")
    assert provenance.checkout(tmp_path) is None  # not tracked: somebody else's repository
    git("add", ".")
    git("commit", "-m", "first")
    clean = provenance.checkout(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "notes.md").touch()
    assert provenance.checkout(tmp_path)["dirty"] is False
    (tmp_path / "lenet98" / "new.py").touch()
    assert provenance.checkout(tmp_path)["dirty"] is True
