"""The figures carry our results and the paper's points, and the same results give the same bytes."""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.harness.loader import Loader, NoResults
from experiments.paper import numbers as paper
from lenet98.networks import LENET5
from lenet98.trunk1998.numbers import recovered
from paper_figures import fig02_lenet5 as fig02
from paper_figures import fig05_learning_curve as fig05
from paper_figures import fig08_errors as fig08
from paper_figures import invariance, search
from paper_figures.__main__ import main
from paper_figures._style import save as save_figure
from tests.experiments.harness.test_tables import save


@pytest.fixture
def load(tmp_path):
    """Three published seeds, with 85, 95 and 120 errors after 20 passes; one more diverged."""
    for seed, errors in enumerate((85, 95, 120)):
        save(tmp_path / "reference" / "fig9/lenet5", seed, errors)
    save(tmp_path / "reference" / "fig9/lenet5", 3, 9000, status="diverged", passes=2)
    return Loader(("reference",), tmp_path / "results", tmp_path / "reference")


def test_curves_are_the_rates_of_the_runs_that_did_not_diverge(load):
    curves = fig05.curves(load.one("fig9/lenet5"))
    np.testing.assert_allclose(curves.test[:, -1], [0.85, 0.95, 1.2])
    np.testing.assert_allclose(curves.test[:, 0], [1.04, 1.14, 1.39])
    np.testing.assert_allclose(curves.train[:, -1], 0.35)
    assert curves.test.shape == (3, 20)


def test_fig05_shows_our_mean_our_range_and_the_papers_markers(load):
    (axes,) = fig05.figure(load).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["Test, ours"].get_ydata()[-1], 1.0)
    np.testing.assert_allclose(lines["Test, ours"].get_xdata(), np.arange(1, 21))
    np.testing.assert_allclose(lines["Test, paper"].get_ydata(), paper.FIG5_TEST[:20])
    np.testing.assert_allclose(lines["Training, paper"].get_ydata(), paper.FIG5_TRAIN[:20])
    band = axes.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(sorted(set(band[band[:, 0] == 20][:, 1])), [0.85, 1.2])
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 20), (0, 5))


def test_same_results_same_bytes(load, tmp_path):
    first = save_figure(fig05.figure(load), tmp_path / "a", "fig05")
    second = save_figure(fig05.figure(load), tmp_path / "b", "fig05")
    assert [path.suffix for path in first] == [".pdf", ".png"]
    assert first[0].read_bytes().startswith(b"%PDF")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_curves_of_diverged_runs_only(tmp_path):
    save(tmp_path / "fig9/lenet5", 0, 9000, status="diverged", passes=0)
    with pytest.raises(NoResults, match="diverged"):
        fig05.figure(Loader(("reference",), tmp_path, tmp_path))


def test_command_line_writes_the_files(load, tmp_path, capsys):
    assert main(["fig05", "--reference", str(load.reference), "--output", str(tmp_path / "figures")]) == 0
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "fig05_learning_curve.pdf",
        "fig05_learning_curve.png",
    ]


def test_without_results_one_line_names_the_command(tmp_path, capsys):
    assert main(["fig05", "--reference", str(tmp_path), "--output", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "`python -m experiments run fig9/lenet5`" in err
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_drawn_from_its_spec(load):
    (axes,) = fig02.figure(load).axes
    texts = [text.get_text() for text in axes.texts]
    sizes = ["32x32", "C1: 6@28x28", "S2: 6@14x14", "C3: 16@10x10", "S4: 16@5x5", "C5: 120", "F6: 84", "output: 10"]
    assert [size for size in sizes if size not in texts] == []
    parameters = [int(text.split()[0].replace(",", "")) for text in texts if re.fullmatch(r"[\d,]+ parameters", text)]
    assert parameters == [layer.parameters for layer in LENET5.trainable]
    assert len(axes.patches) == 1 + 6 + 6 + 16 + 16 + 3 * 2


@pytest.mark.parametrize("arguments", [["fig99"], [], ["fig05", "--all"]])
def test_wrong_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert "fig05" in err
    assert err.count("\n") == 1


def test_all_draws_what_has_results_and_says_what_has_not(load, tmp_path, capsys):
    folder = tmp_path / "figures"
    assert main(["--all", "--reference", str(load.reference), "--output", str(folder)]) == 0
    # What shows the specification, MNIST or the network of 1998 needs no results; Fig. 8 has the 82 without any.
    assert sorted(path.stem for path in folder.glob("*.png")) == [
        "fig01_modules",
        "fig02_lenet5",
        "fig03_codes",
        "fig04_examples",
        "fig05_learning_curve",
        "fig07_distortions",
        "fig08_errors",
        "fig23_replicated",
        "recovered",
        "table1",
    ]
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "costs",
        "fig06",
        "fig09",
        "fig10",
        "fig11",
        "fig12",
        "fig13",
        "fig24",
        "fig25",
        "fig26",
        "invariance",
        "ladder",
        "readings",
        "search",
        "seeds",
        "strings",
    ]
    assert "run training-size/patterns15000" in lines[1]


def test_changed_digits_have_both_readings_of_a_factor_of_two():
    found = {name: invariance.Curve(f, np.full((2, len(f.values)), 3.0)) for name, f in invariance.FACTORS.items()}
    drawn = invariance.draw({"invariance/default": found})
    scale = drawn.axes[0]
    assert [round(patch.get_x(), 3) for patch in scale.patches] == [0.5, 0.707]
    assert "40 px in a field of 32" in scale.get_xlabel()
    labels = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert labels[:2] == ["claimed in III.E", "largest / smallest = 2"]


def test_fig08_of_results_that_are_not_there_yet(tmp_path):
    """The experiment is known, in either source, and nothing has been run."""
    for source in ("reference", "results"):
        (axes,) = fig08.figure(Loader((source,), tmp_path, tmp_path)).axes
        assert "82 errors" in axes.get_title()


def test_first_layers_are_shown_in_units_of_those_of_1998():
    """A mark a seed; C1's weights and C3's of the default come nearer than those of FORMER."""
    load = Loader(("reference",), Path("results"), Path(__file__).parents[2] / "reference")
    axes = search.figure(load).axes[3]
    drawn = {name: load.one(experiment).finished for name, (experiment, *_) in search.KINDS.items()}
    lines = [line.get_ydata() for line in axes.lines if line.get_marker() not in ("None", "", None)]
    assert len(lines) == sum(len(runs) for runs in drawn.values()) == 9
    first = drawn["DEFAULT"][0].extra["fingerprint"]["C1 weights"]
    theirs = np.sqrt(np.mean(np.square(recovered().layers["C1"].weights)))
    assert lines[0][0] == pytest.approx(first / theirs)
    default, former = np.abs(np.log(lines[:3])), np.abs(np.log(lines[3:6]))
    assert (default.mean(axis=0) < former.mean(axis=0)).sum() >= 6
