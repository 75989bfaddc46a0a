"""The published results hold what the paper's reader may expect of them, and the documents show them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments import __main__ as experiments
from experiments.harness import documents, store, tables
from experiments.harness.loader import Loader
from experiments.modern import held_out
from experiments.paper import numbers as paper
from lenet98 import weights
from lenet98.evaluation import predict, rejection_score
from lenet98.online.engine import Engine
from lenet98.training import distances

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "reference"


@pytest.fixture(scope="module")
def runs():
    return store.published(paper.LENET5, REFERENCE).finished


def percent(runs, part):
    """Error by run and pass, shape (runs, 20)."""
    return np.array([[100 * p[f"{part}_errors"] / p[f"{part}_patterns"] for p in run.passes] for run in runs])


def test_the_first_seeds_none_left_out_end_near_the_paper(runs):
    last = percent(runs, "test")[:, -1]
    assert len(runs) >= 20
    assert [run.seed for run in runs] == list(range(len(runs)))
    assert last.mean() <= 1.15
    assert last.min() <= paper.TEST_ERROR["lenet5"] <= last.max()


def test_mean_curves_follow_fig_5(runs):
    test, train = percent(runs, "test").mean(0), percent(runs, "train").mean(0)
    assert np.abs(test - paper.FIG5_TEST[:20])[2:].max() <= 0.35
    assert np.abs(train - paper.FIG5_TRAIN[:20])[5:].max() <= 0.2


def test_rates_of_the_first_pass_are_of_the_papers_size(runs):
    first = [run.passes[0] for run in runs]
    assert min(p["rate_min"] for p in first) >= 5e-5
    assert max(p["rate_max"] for p in first) <= 2.5e-2


def test_every_classifier_of_fig_9_is_near_the_paper_or_its_distance_is_explained():
    """On either side; what docs/deviations.md explains by name are these rows and no others."""
    text = (ROOT / "docs/deviations.md").read_text(encoding="utf-8")
    explained = text.partition("## Rows of Fig. 9 far from the paper's\n")[2].partition("\n## ")[0]
    far = set()
    for row in paper.ROWS:
        runs = store.published(row.experiment, REFERENCE).finished
        distance = np.mean([run.last["test_error_percent"] for run in runs]) - row.test_error
        if abs(distance) > max(0.3, 0.2 * row.test_error):
            far.add(row.title)
            assert distance < 0, f"{row.title} errs more than the paper's, and the text says that none does"
    assert set(re.findall("`([^`]+)`", explained)) == far


def test_settings_of_the_modern_networks_have_the_fewest_held_out_errors():
    notes = tables.named("held-rates")(Loader(("reference",), ROOT / "results", REFERENCE)).notes
    for choice in held_out.CHOICES:
        if choice.why == "chosen":
            assert f"{choice.title}: {choice.used:g}, in use, has the fewest errors." in notes


@pytest.mark.parametrize(
    "path", sorted(REFERENCE.rglob("seed-*.json")), ids=lambda path: path.relative_to(REFERENCE).as_posix()
)
def test_every_published_file_says_how_it_was_made(path):
    result = store.read(path)
    record = result.record
    assert record["header"] == f"Made by: python -m experiments run {record['experiment']} --seeds {record['seed']}"
    assert record["versions"]["git"]["dirty"] is False
    assert record["machine"]["cpu"]
    assert str(ROOT) not in json.dumps(record)


def test_published_predictions_count_the_published_errors(mnist):
    for path in sorted(REFERENCE.rglob("seed-*.json")):
        result = store.read(path)
        if result.passes and not result.diverged:  # a measurement has none
            patterns = result.last["test_patterns"]
            config = result.record["config"]
            held_out = config.get("held_out") or config.get("evaluate_on") == "held out"
            labels = mnist.train_labels[-patterns:] if held_out else mnist.test_labels
            wrong = int((result.arrays()["predictions"] != labels).sum())
            assert (wrong, len(labels)) == (result.last["test_errors"], patterns), path


def test_published_weights_give_the_published_predictions(mnist):
    path = store.result_path(REFERENCE / paper.LENET5, 0)
    parameters, config = weights.load(path.with_suffix(".npz"))
    y = distances(Engine(config.spec, config.reading), parameters, mnist.test_images)
    arrays = store.read(path).arrays()
    # Another processor rounds otherwise, which can decide a tie.
    assert np.count_nonzero(predict(y) != arrays["predictions"]) <= 2
    np.testing.assert_allclose(rejection_score(y), arrays["scores"], rtol=1e-3, atol=1e-3)


def test_documents_show_the_published_results(monkeypatch):
    """Each table that one of them shows is made, so that tests/test_documents.py need not."""
    monkeypatch.chdir(ROOT)
    made = set()

    def for_documents(name, load, really=documents.for_documents):
        table = really(name, load)
        made.add(name)
        return table

    monkeypatch.setattr(documents, "for_documents", for_documents)
    assert experiments.main(["readme", "--check"]) == 0
    texts = [path.read_text(encoding="utf-8") for path in (*documents.BLOCKS, *documents.PAGES) if path.is_file()]
    shown = {
        name for text in texts for name in re.findall("^Generated by `python -m experiments table (.*?)`", text, re.M)
    }
    assert shown <= made
    assert len(shown) > 30
