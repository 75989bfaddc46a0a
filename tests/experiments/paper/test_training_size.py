"""Fig. 6 as table and figure, from results made by hand."""

import json

import numpy as np
import pytest

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from paper_figures import fig06_training_set_size as fig06
from tests.fakes import publish


@pytest.fixture
def load(tmp_path):
    """Two seeds each of 15,000, 60,000 and with distortions; none of 30,000."""
    for experiment, size, errors in (
        ("training-size/patterns15000", 15_000, (160, 180)),
        ("fig9/lenet5", 60_000, (90, 110)),
        ("fig9/dist_lenet5", 60_000, (80, 90)),
    ):
        for seed, test in enumerate(errors):
            publish(tmp_path, experiment, seed, test=test, train=[4.0, 0.2], train_patterns=size)
    return Loader(("reference",), tmp_path / "results", tmp_path)


def test_sizes_are_the_papers_and_differ_from_lenet5_in_nothing_else():
    for size in (15_000, 30_000):
        config = registry.named(f"training-size/patterns{size}").identity().config
        assert config == {**registry.named("fig9/lenet5").identity().config, "train_size": size}


def test_as_many_updates_as_on_all_patterns():
    for size, times in ((15_000, 4), (30_000, 2)):
        config = registry.named(f"training-size/patterns{size}-passes{20 * times}").identity().config
        etas = registry.named("fig9/lenet5").identity().config["etas"]
        assert config["etas"][::times] == config["etas"][times - 1 :: times] == etas
        assert len(config["etas"]) * size == 20 * 60_000


def test_table(load):
    made = tables.named("fig6")(load)
    assert [line[:5] for line in made.body] == [
        ["15,000 patterns", "1.68", "1.70", "0.14", "2"],
        ["60,000 patterns", "0.94", "1.00", "0.14", "2"],
        ["60,000 patterns, distortions", "0.82", "0.85", "0.07", "2"],
    ]
    by_row = {row["row"]: row for row in json.loads(made.render("json"))}
    train = by_row["15,000 patterns, training on the fly"]
    assert (train["paper"], train["mean"], train["errors"]) == (0.05, pytest.approx(0.2), [30, 30])
    assert by_row["60,000 patterns, distortions, training on the fly"]["paper"] is None
    assert made.body[0][-3:] == ["0.05", "0.20", "+0.15"]


def test_without_a_smaller_set_there_is_no_table(tmp_path):
    publish(tmp_path, "fig9/lenet5", 0)
    with pytest.raises(NoResults, match="run training-size/patterns15000"):
        tables.named("fig6")(Loader(("reference",), tmp_path, tmp_path))


def test_figure_has_the_papers_points_and_ours(load):
    (axes,) = fig06.figure(load).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["Test, paper"].get_xydata(), [[15, 1.68], [30, 1.14], [60, 0.94]])
    np.testing.assert_allclose(lines["Training, paper"].get_ydata(), [0.05, 0.31, 0.35])
    np.testing.assert_allclose(lines["Test,\nwith distortions, paper"].get_xydata(), [[60, 0.82]])
    bars = {container.get_label(): container for container in axes.containers}
    mean, _, (ranges,) = bars["Test, ours"]
    np.testing.assert_allclose(mean.get_xydata(), [[15, 1.7], [60, 1.0]])
    np.testing.assert_allclose(ranges.get_segments()[0], [[15, 1.6], [15, 1.8]])
    assert axes.get_xlim() == (0, 100)
    assert axes.get_ylim()[0] == 0


def test_figure_without_distorted_runs_keeps_the_papers_point(load):
    for path in (load.reference / "fig9/dist_lenet5").iterdir():
        path.unlink()
    (axes,) = fig06.figure(load).axes
    assert "Test,\nwith distortions, paper" in [line.get_label() for line in axes.lines]
    assert len(axes.containers) == 2
