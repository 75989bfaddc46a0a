"""Numbers of tables against hand computation, and the tables in every format."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.harness import documents, registry, store, tables
from experiments.harness.loader import Loader, NoResults, sources
from experiments.harness.registry import Experiment
from experiments.harness.statistics import Comparison
from experiments.paper import numbers as paper
from lenet98.evaluation import Interval
from tests.fakes import IDENTITY, record

# Ten seeds whose mean is 0.95% exactly.
ERRORS = (85, 90, 92, 94, 95, 95, 96, 98, 100, 105)


def save(folder, seed, errors, *, status="finished", passes=20, train=21):
    """A run of 20 passes that ends with that many test errors in 10,000; pass p has p more before that."""
    entries = [
        {
            "number": p,
            "test_errors": errors + passes - p,
            "test_patterns": 10_000,
            "train_errors": train * 10 + passes - p,
            "train_patterns": 60_000,
        }
        for p in range(1, passes + 1)
    ]
    for entry in entries:
        for part in ("test", "train"):
            entry[f"{part}_error_percent"] = 100 * entry[f"{part}_errors"] / entry[f"{part}_patterns"]
    arrays = {"predictions": np.zeros(10_000, np.uint8)}
    store.write(store.result_path(folder, seed), record("fig9/lenet5", seed, entries, status), arrays)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A loader of an empty place, with lenet5 known."""

    @dataclass(frozen=True)
    class Known(Experiment):
        def identity(self):
            return IDENTITY

    lenet5 = Known("fig9/lenet5", "LeNet-5", {}, lambda *_: None, minutes=1, data="none", paper_error=0.95)
    registry.load()  # tables come with the modules of experiments: those first, then only this experiment
    monkeypatch.setattr(registry, "_experiments", {lenet5.name: lenet5})
    monkeypatch.chdir(tmp_path)
    return Loader(("reference",), tmp_path / "results", tmp_path / "reference")


@pytest.fixture
def reference(load):
    """Ten published seeds."""
    for seed, errors in enumerate(ERRORS):
        save(load.reference / "fig9/lenet5", seed, errors)
    return load


# --- numbers, worked by hand


def test_mean_sd_and_interval_over_seeds():
    # Deviations from 95: -10 -5 -3 -1 0 0 1 3 5 10; squares sum to 270; sd = sqrt(270 / 9) = 5.4772 errors = 0.054772%.
    # Student's t for 9 degrees of freedom is 2.26216 at 95%: half = 2.26216 * 0.054772 / sqrt(10) = 0.039182.
    row = tables.summarize("LeNet-5", 0.95, ERRORS, 10_000)
    assert row.mean == pytest.approx(0.95)
    assert row.sd == pytest.approx(0.0547723, abs=1e-6)
    assert row.interval == pytest.approx((0.95 - 0.039182, 0.95 + 0.039182), abs=1e-5)
    assert row.difference == pytest.approx(0)
    assert row.n == 10


def test_interval_of_a_single_run_is_wilsons():
    # p = 0.0095, n = 10000, z = 1.959964: center (p + z^2/2n)/(1 + z^2/n) = 0.009688358,
    # half width z/(1 + z^2/n) sqrt(p(1 - p)/n + z^2/4n^2) = 0.001910, so 0.778% to 1.160%.
    row = tables.summarize("LeNet-5", 0.82, (95,), 10_000)
    assert row.sd is None
    assert row.interval == pytest.approx((0.7778, 1.1599), abs=2e-4)
    assert row.difference == pytest.approx(0.13)


def test_no_run_has_no_numbers():
    row = tables.summarize("LeNet-5", 0.95, (), 0, diverged=5)
    assert (row.mean, row.sd, row.interval, row.difference, row.n, row.diverged) == (None, None, None, None, 0, 5)


def test_runs_on_different_numbers_of_patterns_cannot_share_a_row(load):
    save(load.reference / "fig9/lenet5", 0, 95)
    save(load.reference / "fig9/lenet5", 1, 95)
    results = load.one("fig9/lenet5").results
    results[1].record["passes"][-1]["test_patterns"] = 5000
    with pytest.raises(ValueError, match=r"\[5000, 10000\]"):
        tables.counts(results)


# --- the table of LeNet-5


def test_lenet5_in_json(reference):
    (row,) = json.loads(tables.named("lenet5")(reference).render("json"))
    assert {"row", "paper", "mean", "sd", "n", "interval", "errors"} <= set(row)
    assert row["errors"] == list(ERRORS)
    assert (row["row"], row["paper"], row["n"], row["source"]) == ("LeNet-5", 0.95, 10, "reference")
    assert row["mean"] == pytest.approx(0.95)
    assert row["interval"] == pytest.approx([0.910818, 0.989182], abs=1e-5)


def test_headline_is_the_last_pass_and_not_the_best(load):
    save(load.reference / "fig9/lenet5", 0, 95)
    path = load.reference / "fig9/lenet5" / "seed-0000.json"
    record = json.loads(path.read_text())
    record["passes"][3] |= {"test_errors": 1, "test_error_percent": 0.01}
    store.write(path, record, store.read(path).arrays())
    assert tables.named("lenet5")(load).records[0]["errors"] == [95]


def test_lenet5_in_markdown(reference):
    lines = tables.named("lenet5")(reference).render("md").splitlines()
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert cells == ["LeNet-5", "0.95", "0.95", "0.05", "10", "0.91–0.99", "", "0.00"]
    assert lines[-1].startswith("Generated by `python -m experiments table lenet5` from `")
    assert "reference/fig9/lenet5`, seeds 0-9, commit cccccccccc, on R10000, 1 cores" in lines[-1]


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    assert tables.number(-0.001, signed=True) == tables.number(0.001, signed=True) == "0.00"
    assert tables.number(-0.006, signed=True) == "−0.01"


@pytest.mark.parametrize(
    ("interval", "shown"),
    [
        ((-0.308, -0.004), "−0.308 to −0.004"),
        ((-0.31, 0.004), "−0.310 to +0.004"),
        ((0.0004, 0.31), "+0.0004 to +0.3100"),
        ((-0.306, -0.005001), "−0.31 to −0.01"),
        ((-0.3, 0.2), "−0.30 to +0.20"),
        ((0.0, 0.25), "0.00 to +0.25"),
        (None, ""),
    ],
)
def test_an_interval_is_printed_on_its_side_of_zero(interval, shown):
    assert tables.span(interval) == shown


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (None, ""), (0.0009999, "<0.001"), (0.001, "0.001"), (0.04999, "0.04999"), (0.0499, "0.0499"), (0.05, "0.05"),
        (0.0501, "0.05"), (0.078, "0.078"), (0.123, "0.12"), (1.0, "1"), (0.0, "<0.001"),
    ],
)  # fmt: skip
def test_p_is_printed_on_its_side_of_five_percent(p, shown):
    assert tables.probability(p) == shown


@pytest.mark.parametrize(
    ("needed", "shown"),
    [(None, ""), (2, "2"), (1000, "1,000"), (1001, "more than 1,000"), (float("inf"), "more than 1,000")],
)
def test_seeds_beyond_a_thousand_are_not_counted(needed, shown):
    assert tables.seeds(needed) == shown


def test_a_change_has_a_cell_below_every_head():
    found = Comparison(-0.15, Interval(-0.27, -0.04), "Welch", 0.02, Interval(-0.28, -0.02), 0.03, 0.09, 12)
    cells = dict(zip(tables.change_header("less"), tables.change_cells(found), strict=True))
    assert cells == {
        "less": "−0.15", "its 95%, seeds": "−0.27 to −0.04", "95%, seeds and patterns": "−0.28 to −0.02", "p": "0.09",
        "seeds to tell": "12",
    }  # fmt: skip
    for nothing in (None, Comparison(0.3)):
        assert tables.change_cells(nothing) == [""] * len(cells)


def test_lenet5_in_csv(reference):
    (row,) = csv.DictReader(io.StringIO(tables.named("lenet5")(reference).render("csv")))
    assert row["errors"] == " ".join(map(str, ERRORS))
    assert float(row["mean"]) == pytest.approx(0.95)


def test_lenet5_in_latex(reference):
    text = " ".join(tables.named("lenet5")(reference).render("latex").split())
    assert r"\toprule" in text
    assert r"LeNet-5 & 0.95 & 0.95 & 0.05 & 10 & 0.91--0.99 & & 0.00 \\" in text
    assert r"paper, \%" in text
    assert text.isascii()


def test_both_sources_stand_side_by_side(reference):
    save(reference.results / "fig9/lenet5" / IDENTITY.key, 0, 110)
    both = Loader(sources("both"), reference.results, reference.reference)
    made = tables.named("lenet5")(both)
    assert [(row["source"], row["n"]) for row in made.records] == [("reference", 10), ("results", 1)]
    assert [line[0] for line in made.body] == ["LeNet-5 (reference)", "LeNet-5 (results)"]
    assert "--source both" in made.notes[-1]


def runs(name, *seeds, cpu="R10000"):
    """Runs of an experiment on a machine."""
    results = [record(name, seed, []) | {"machine": {"cpu": cpu, "cores": 1}} for seed in seeds]
    return store.Runs(
        name, "reference", Path("reference", name), tuple(store.Result(Path(), result) for result in results)
    )


def test_experiments_alike_are_named_together():
    code = "commit cccccccccc"
    alike = [runs("knn", 0), runs("linear", 0), runs("lenet5", 0, 1)]
    assert tables.made_from(alike[0]) == f"`reference/knn`, seeds 0, {code}, on R10000, 1 cores"
    assert tables.made_from(*alike) == (
        f"`reference/{{knn,linear}}`, seeds 0, {code}; `reference/lenet5`, seeds 0-1, {code}; all on R10000, 1 cores"
    )
    assert tables.made_from(alike[0], runs("linear", 0, cpu="Alpha")) == (
        f"`reference/knn`, seeds 0, {code}, on R10000, 1 cores; `reference/linear`, seeds 0, {code}, on Alpha, 1 cores"
    )


def test_diverged_runs_are_counted_beside_the_mean(load):
    for seed, errors in enumerate((90, 100)):
        save(load.reference / "fig9/lenet5", seed, errors)
    save(load.reference / "fig9/lenet5", 2, 9000, status="diverged", passes=1)
    made = tables.named("lenet5")(load)
    (row,) = made.records
    assert (row["mean"], row["n"], row["diverged"], row["errors"]) == (0.95, 2, 1, [90, 100])
    assert "2 (+1 diverged)" in made.body[0]
    assert "1 diverged and left out of the mean" in made.notes[-1]
    json.dumps(tables.named("fig5")(load).records)  # the curve, too, is that of the others


def test_when_every_run_diverged_there_is_a_row_without_a_mean(load):
    save(load.reference / "fig9/lenet5", 0, 9000, status="diverged", passes=0)
    (row,) = tables.named("lenet5")(load).records
    assert (row["mean"], row["n"], row["diverged"]) == (None, 0, 1)
    with pytest.raises(NoResults, match="diverged"):
        tables.named("fig5")(load)


# --- Fig. 5


def test_fig5_compares_pass_p_with_the_marker_at_p(reference):
    made = tables.named("fig5")(reference)
    assert len(made.body) == 20
    by_row = {row["row"]: row for row in made.records}
    first, last = by_row["pass 1, test"], by_row["pass 20, training on the fly"]
    # Pass 1 has 19 errors more than the last pass: mean 95 + 19.
    assert (first["paper"], first["mean"]) == (2.65, pytest.approx(1.14))
    assert first["difference"] == pytest.approx(1.14 - 2.65)
    assert (last["paper"], last["mean"]) == (0.36, pytest.approx(0.35))
    assert made.body[2][:3] == ["3", "1.48", "1.12 (0.05)"]
    assert "21" in made.notes[0]


# --- the paper's numbers


def test_the_papers_numbers():
    """Facts of the text that the measured series must meet (III.B, Fig. 9, Fig. 10)."""
    assert len(paper.FIG5_TEST) == len(paper.FIG5_TRAIN) == 21
    assert paper.FIG5_TEST[19] == pytest.approx(0.95, abs=paper.FIG5_TOLERANCE)
    assert paper.FIG5_TRAIN[18] == pytest.approx(0.35, abs=paper.FIG5_TOLERANCE)
    assert paper.TEST_ERROR["lenet5"] == 0.95
    assert (len(paper.ROWS), len(paper.TEST_ERROR)) == (27, 27)
    assert {row.name for row in paper.ROWS if row.rejected is not None} == {
        "deslant_knn", "16x16_tangent_distance", "svm_poly4", "deslant_20x20_mlp_300", "16x16_lenet1",
        "lenet4", "lenet4_local", "lenet4_knn", "dist_boosted_lenet4",
    }  # fmt: skip
    # III.C: the RS-SVM needs "650,000 multiply-adds, only about 60% more than LeNet-5".
    macs = {row.name: row.kilo_macs for row in paper.ROWS}
    assert macs["rs_svm_poly5"] / macs["lenet5"] == pytest.approx(1.6, abs=0.05)
    assert macs["dist_boosted_lenet4"] / macs["lenet4"] == pytest.approx(1.75, abs=0.05)


# --- documents and the command line


def arguments(load):
    return ["--results", str(load.results), "--reference", str(load.reference)]


def test_readme_is_rewritten_between_its_markers_and_only_there(reference, tmp_path, capsys, monkeypatch):
    before, after = "# lenet98\n\n<!-- table lenet5 -->", "<!-- end table -->\n\n## Use\n"
    (tmp_path / "README.md").write_text(f"{before}\nold\n{after}")
    monkeypatch.setattr(documents, "BLOCKS", {Path("README.md"): ("lenet5",)})
    command = ["readme", *arguments(reference)]
    assert main([*command, "--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "README.md is stale; `make tables` rewrites it",
        "docs/results/lenet5.md is stale; `make tables` rewrites it",
        "docs/results/fig7.md is stale; `make tables` rewrites it",
        "docs/results/recovered.md is stale; `make tables` rewrites it",
        "docs/results/README.md is stale; `make tables` rewrites it",
    ]
    assert main(command) == 0
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(before)
    assert text.endswith(after)
    assert "| LeNet-5 |" in text
    assert "old" not in text
    page = (tmp_path / "docs/results/lenet5.md").read_text()
    assert "## Fig. 5, pass by pass." in page
    assert main([*command, "--check"]) == 0
    save(reference.reference / "fig9/lenet5", 0, 185)
    assert main([*command, "--check"]) == 1


def test_readme_without_markers(reference, tmp_path, capsys):
    (tmp_path / "README.md").write_text("# lenet98\n")
    assert main(["readme", *arguments(reference)]) == 2
    assert "<!-- table lenet5 -->" in capsys.readouterr().err


@pytest.mark.parametrize(("source", "remedy"), [("reference", "--source results"), ("results", "makes them")])
def test_without_results_one_line_names_the_command(load, capsys, source, remedy):
    assert main(["table", "lenet5", "--source", source, *arguments(load)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "`python -m experiments run fig9/lenet5`" in err
    assert remedy in err


def test_table_to_a_file(reference, tmp_path):
    assert main(["table", "lenet5", "--format", "json", "--output", "t.json", *arguments(reference)]) == 0
    assert json.loads((tmp_path / "t.json").read_text())[0]["n"] == 10
