"""Checkpoints: what is saved comes back; nothing else does, and nothing is unpickled."""

import logging

import numpy as np
import pytest

from lenet98.checkpoint import load, save
from tests.resumption import DAMAGES, Trap, Unpickled, flipped, warned

RUN = ("a configuration", 3)
ARRAYS = {"w": np.arange(5, dtype=np.float32) / 7, "model a.b": np.array(2), "none": np.zeros((0, 3), np.uint8)}
NOTES = [{"loss": 0.1 + 0.2, "curvature": {"C1": 1e-300}}, None]


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "run.checkpoint", RUN, ARRAYS, NOTES)
    return tmp_path / "run.checkpoint"


def test_what_is_saved_comes_back_to_the_bit(path):
    found = load(path, RUN)
    assert found.notes == NOTES
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()
    assert [file.name for file in path.parent.iterdir()] == ["run.checkpoint"]


def test_no_file_no_state_and_no_warning(tmp_path, caplog):
    assert load(tmp_path / "run.checkpoint", RUN) is None
    assert not caplog.records


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_one_line_of_warning(path, caplog, damage):
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert load(path, RUN) is None
    warned(caplog.records, path)
    save(path, RUN, ARRAYS, NOTES)
    assert load(path, RUN).notes == NOTES


def test_bits_that_flip_and_bytes_that_are_missing_are_noticed_anywhere(path, caplog):
    caplog.set_level(logging.CRITICAL)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(flipped(content, place))
        assert load(path, RUN) is None
        path.write_bytes(content[:place])
        assert load(path, RUN) is None


def test_traps_work():
    import pickle

    with pytest.raises(Unpickled):
        pickle.loads(pickle.dumps(Trap()))


def test_the_state_of_another_run_is_refused(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"run.checkpoint is the state of another run; delete it, or save this run"):
        load(path, ("a configuration", 4))
    assert path.read_bytes() == before


def test_a_state_that_cannot_be_saved_leaves_the_one_before(path):
    with pytest.raises(TypeError, match="multiple values for keyword argument 'run'"):
        save(path, RUN, {"run": np.zeros(2)})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(path, RUN, ARRAYS, {1, 2})
    assert load(path, RUN).notes == NOTES
