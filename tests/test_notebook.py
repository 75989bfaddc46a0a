"""The notebook runs from top to bottom, and is published without outputs."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples/lenet98.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
SMALL = {"Config(etas=lenet98.ETAS[:1])": "Config(etas=lenet98.ETAS[:1], train_size=600, curvature_patterns=100)"}
"""Settings with which long lines are run."""


def test_it_is_a_notebook():
    nbformat = pytest.importorskip("nbformat", reason="checking the format needs the extra `notebook`")
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))


def test_it_holds_no_outputs():
    assert [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []


def test_it_runs_from_top_to_bottom(mnist, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # wherever it is opened
    monkeypatch.setattr(plt, "show", lambda: None)
    plt.switch_backend("agg")
    code = "\n".join(CODE)
    for long, small in SMALL.items():
        assert long in code
        code = code.replace(long, small)
    names = {"__name__": "notebook"}
    try:
        exec(compile(code, NOTEBOOK.name, "exec"), names)
        drawn = [axes.images for axes in names["figure"].axes]
    finally:
        plt.close("all")
    said = capsys.readouterr().out
    assert "60000" in said.replace(",", "")
    assert "pass 1: " in said
    assert "the answer is 7 and the label 7" in said
    assert [len(images) for images in drawn] == [1] * 7 + [0]
    assert np.asarray(drawn[1][0].get_array()).shape == (30, 6 * 30)  # C1: six maps of 28x28, each in a frame
