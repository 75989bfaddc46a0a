"""What is timed is the same work, and the tables say what was measured."""

import itertools
import shutil

import numpy as np
import pytest

from benchmarks import contenders, displacement, growth, machine, online_step, page, profile
from benchmarks.contenders import READING
from lenet98.networks import LENET5
from lenet98.online.engine import Engine


@pytest.fixture(scope="module")
def work(mnist):
    return contenders.work(mnist)


def after(work, updates):
    parameters = work.start.copy()
    Engine(LENET5, READING).sweep(parameters, work.rates, work.images[:updates], work.labels[:updates])
    assert np.abs(parameters - work.start).max() > 0.01
    return parameters


def test_numpy_makes_the_updates_of_the_engine(work):
    np.testing.assert_allclose(contenders.numpy_updates(work, 20), after(work, 20), rtol=0, atol=1e-6)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler called cc")
def test_both_c_loops_make_the_updates_of_the_engine(work, tmp_path):
    ready = contenders.compiled_c(work, tmp_path)  # which verifies the gradient and both sweeps
    assert set(ready) == {"c", "c_fused"}


def test_without_a_compiler_there_is_a_reason(work, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(contenders.Unavailable, match="no C compiler called cc"):
        contenders.compiled_c(work, tmp_path)
    with pytest.raises(contenders.Unavailable, match=r"no C\+\+ compiler"):
        contenders.torch_compiled(work)


def test_an_update_has_most_of_a_million_multiply_adds():
    """Those of Section II.B: 401,000 forward with biases; the first layer has nobody to pass derivatives to."""
    forward = 117_600 + 1_176 + 150_000 + 400 + 48_000 + 10_080 + 840
    assert machine.products(LENET5) == forward + (forward - 840) + (forward - 117_600)
    assert machine.floor_us(LENET5, 2.6) == pytest.approx(20.8, abs=0.1)


def test_the_wider_network_is_wider():
    spec = growth.widened(2)
    assert [layer.out_shape[0] for layer in spec.geometry[:5]] == [12, 12, 32, 32, 240]
    assert spec.geometry[2].kernels == 4 * LENET5.geometry[2].kernels
    assert machine.products(spec) > 3 * machine.products(LENET5)


def test_the_tables(monkeypatch, tmp_path):
    results = online_step.Results(
        online_us=40.0, eager_us=1600.0, ratio=40.0, c_us=None, c_fused_us=None, engine_over_c=None, floor_us=14.7,
        clock_ghz=3.69, evaluate_10000_s=0.1, peak_memory_mb=500,
        us_per_pattern={"NumPy": 500.0, "PyTorch, torch.compile": "not measured: no C++ compiler"},
        growth=growth.Growth({"lenet5": (865_848, 40.0)}, {15_000: 0.6, 60_000: 2.4}),
    )  # fmt: skip
    assert "no C compiler" in online_step.table(results)
    ratios = [[cell.strip() for cell in line.split("|")[1:-1]] for line in online_step.ratios(results).splitlines()]
    assert ["NumPy", "500.0", "12.5"] in ratios
    assert ["PyTorch, torch.compile", "not measured: no C++ compiler", ""] in ratios
    _, passes = growth.tables(results.growth)
    assert [cell.strip() for cell in passes.splitlines()[-1].split("|")[1:-1]] == ["600,000", "24 s", "extrapolated"]

    monkeypatch.setattr(page, "PAGE", tmp_path / "README.md")
    page.PAGE.write_text("a\n<!-- results -->\nold\n<!-- end of results -->\nz\n")
    page.put("results", passes)
    assert page.PAGE.read_text() == f"a\n<!-- results -->\n{passes}\n<!-- end of results -->\nz\n"
    with pytest.raises(ValueError, match="0 pairs of markers of profile"):
        page.put("profile", passes)


def test_the_profile_has_every_multiply_add(monkeypatch):
    ticks = itertools.count(1)
    monkeypatch.setattr(profile, "microseconds", lambda kernel, *arguments: lambda: 1.0 / next(ticks))
    measured = profile.measure()
    update = sum(phase.products for phase, _ in measured if "update" in phase.name)
    assert sum(phase.products for phase, _ in measured) == machine.products(LENET5) + LENET5.parameters
    assert update > LENET5.parameters
    assert profile.table(measured, 3.0).splitlines()[-1].startswith("| sum")


def test_all_ways_to_read_strings_give_the_same_penalties(mnist):
    values = displacement.fields(2, mnist)[:3]
    first, *others = (way() for way in displacement.ways(values))
    assert len(others) == 3
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-4, atol=1e-3)


def test_the_table_of_strings_counts_and_measures():
    line = displacement.table([displacement.Cost(1, 32, (1, 1), (1, 1)), displacement.Cost(5, 136, (2, 9), (1, 3))])
    first, second = (row.split("|")[1:-1] for row in line.splitlines()[2:])
    assert [cell.strip() for cell in first][2:6] == ["1", "328,096", "328,096", "1.0"]
    assert [cell.strip() for cell in second][6:] == ["2.00", "9.00", "4.5", "1.00", "3.00", "3.0"]
