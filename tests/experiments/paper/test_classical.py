"""Rows, choices and the run of the classical classifiers."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper import classical
from experiments.paper import numbers as paper
from experiments.paper.classical import (
    CHOICES,
    CLASSIFIERS,
    OTHER_FORMS,
    ROWS,
    Config,
    binary,
    corner,
    fit_and_test,
    patterns,
)
from lenet98.data.preprocessing import FORMS, middle
from tests.fakes import publish


@pytest.fixture
def small(mnist):
    """The first 2,000 patterns of each part."""
    part = slice(2000)
    return replace(
        mnist,
        train_images=mnist.train_images[part],
        train_labels=mnist.train_labels[part],
        test_images=mnist.test_images[part],
        test_labels=mnist.test_labels[part],
    )


def run(config, data, tmp_path, seed=0):
    steps = []
    context = Context(steps.append, tmp_path / "checkpoint")
    context.__dict__["mnist"] = data
    return fit_and_test(replace(config, train_size=len(data.train_images)), seed, context), steps


def test_rows_are_the_papers_and_deterministic_but_for_k_means():
    in_order = [row.name for row in paper.ROWS if row.name not in ("linear", "deslant_linear")]  # those are trained
    assert list(ROWS) == in_order[: len(ROWS)]
    for name, config in CLASSIFIERS.items():
        experiment = registry.named(f"{'fig9' if name in ROWS else 'classical'}/{name}")
        assert experiment.config == config
        assert (config.train_size, config.held_out) == (60_000, 0)
        assert experiment.deterministic == (name != "rbf1000_linear")
    assert ROWS["knn"].parameters == ROWS["deslant_knn"].parameters == {"k": 3}  # III.C.2


@pytest.mark.parametrize(("name", "stored"), [("deslant_linear-least-squares", 4_010), ("deslant_knn", 2000 * 400)])
def test_a_run_counts_what_it_predicts(small, tmp_path, name, stored):
    outcome, steps = run(CLASSIFIERS[name], small, tmp_path)
    (entry,) = outcome.passes
    assert entry["test_errors"] == (outcome.predictions != small.test_labels).sum()
    assert entry["test_patterns"] == len(outcome.scores) == 2000
    assert steps[-1].errors == entry["test_errors"]
    assert outcome.extra["stored"] == stored


def test_the_seed_reaches_k_means(small, tmp_path):
    config = replace(ROWS["rbf1000_linear"], parameters={"per_class": 3, "spread": 1.0, "ridge": 1e-3})
    first, second = (run(config, small, tmp_path, seed)[0] for seed in (0, 1))
    assert not np.array_equal(first.scores, second.scores)


def test_held_out_patterns_are_not_learned(mnist):
    there = patterns(Config("k-nearest", "28x28", {"k": 1}, train_size=50_000, held_out=10_000), mnist)
    assert there.train_images.shape == (50_000, 28, 28)
    np.testing.assert_array_equal(there.train_images, mnist.train_images[:50_000])
    np.testing.assert_array_equal(there.images, mnist.train_images[50_000:])


def test_other_forms(mnist):
    images = mnist.test_images[:20]
    assert set(np.unique(binary(images))) == {0, 255}
    assert binary(np.uint8([[[127, 128]]])).tolist() == [[[0, 255]]]
    boxes = OTHER_FORMS["deslanted box"](images)
    assert not np.array_equal(boxes, middle(images))
    assert (boxes.sum((1, 2)) >= FORMS["deslanted"](images).sum((1, 2))).all()


def test_corner_puts_the_first_line_and_column_of_ink_first():
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, 5:9, 7] = 255  # a stroke of four
    images[1, 27, 27] = 1  # the last pixel of the field
    found = corner(images)
    assert found.shape == (3, 20, 20)
    assert np.argwhere(found[0]).tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert np.argwhere(found[1]).tolist() == [[0, 0]]
    assert not found[2].any()


def test_corner_loses_no_ink_of_mnist_in_black_and_white(mnist):
    ink = binary(mnist.test_images[:500])
    found = OTHER_FORMS["binary corner"](mnist.test_images[:500])
    np.testing.assert_array_equal((found > 0).sum((1, 2)), (ink > 0).sum((1, 2)))
    assert (found[:, 0].any(1) & found[:, :, 0].any(1)).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"form": "32x32"}, "Config.form is '32x32'; there are 28x28"),
        ({"train_size": 0}, "Config.train_size is 0"),
        ({"held_out": -1}, "Config.held_out is -1"),
    ],
)
def test_impossible_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        replace(ROWS["knn"], **fields)


def test_every_choice_is_the_row_but_for_what_it_names():
    assert len({repr(choice.config) for choice in CHOICES}) == len(CHOICES)
    assert {choice.classifier for choice in CHOICES} == set(CLASSIFIERS)
    for choice in CHOICES:
        held_out = replace(CLASSIFIERS[choice.classifier], train_size=50_000, held_out=10_000)
        changed = [
            field for field in ("form", "parameters", "train_size")
            if getattr(choice.config, field) != getattr(held_out, field)
        ]  # fmt: skip
        first = next(other for other in CHOICES if other.classifier == choice.classifier)
        assert len(changed) == (choice is not first)


def test_table_of_choices(tmp_path):
    publish(tmp_path, "classical/held-out/knn-k3", 0, test=310)
    publish(tmp_path, "classical/held-out/knn-k1", 0, test=343)
    load = Loader(("reference",), tmp_path / "results", tmp_path)
    made = tables.named("choices")(load)
    assert [line[:3] for line in made.body] == [["K-NN Euclidean", "k = 3", "3.10"], ["", "k = 1", "3.43"]]
    publish(tmp_path, classical.CORNER, 0, test=532)
    assert "corner errs on 5.32%; the paper's K-NN on 5.00%." in tables.named("choices")(load).render("md")
    assert "Without results yet: classical/held-out/linear-least-squares-ridge1e-3," in made.render("md")
    with pytest.raises(NoResults, match="run classical/held-out/linear-least-squares-ridge1e-3"):
        classical.choices(Loader(("reference",), tmp_path, tmp_path / "nothing"))
