"""The ladder, the ideas alone and the reverse: one change each, their tables and figures, devices."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from experiments.__main__ import _reproduced, main
from experiments.harness import registry, store, tables
from experiments.harness.identity import _leaves, plain
from experiments.harness.loader import Loader, NoResults
from experiments.harness.plan import Job
from experiments.harness.statistics import seeds_needed
from experiments.modern import ladder
from experiments.modern.held_out import CHOICES, TRIED
from experiments.modern.ladder import ALONE, LADDER, RATES, VARIANTS, size
from experiments.modern.popular import NETWORKS
from experiments.paper import comparison
from lenet98.evaluation import holm
from paper_figures import costs_today
from paper_figures import ladder as drawing
from tests.fakes import JUDGED, publish, stated
from tests.strategies import few


def leaves(config):
    """The fields of a configuration with their dotted names."""
    return dict(_leaves(plain(config)))


def changed(experiment, against):
    ours, theirs = (leaves(registry.named(name).config) for name in (experiment, against))
    return {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}


# --- what is run


def test_rungs_are_in_the_order_of_the_ladder():
    assert [rung.title for rung in LADDER] == [
        "LeNet-5 (1998)", "full C3", "average pooling", "max pooling", "softmax", "ReLU", "SGD", "AdamW",
        "batch normalization", "dropout", "affine distortions", "elastic distortions", "wider, deeper",
    ]  # fmt: skip
    assert [rung.against for rung in LADDER] == [None, *(rung.experiment for rung in LADDER[:-1])]
    assert [idea.title for idea in ALONE] == [*(rung.title for rung in LADDER), "wider, deeper, 0.25 eta"]


RATE = {"optimizer.method", "optimizer.rate", "optimizer.momentum", "optimizer.weight_decay", "schedule", "factors"}


@pytest.mark.parametrize(
    ("experiment", "against", "fields"),
    [
        *((rung.experiment, rung.against, {"spec.layers"}) for rung in LADDER[1:5]),
        ("modern/ladder/adamw", "modern/ladder/sgd", RATE),
        ("modern/ladder/batch-norm", "modern/ladder/adamw", {"network.batch_norm"}),
        ("modern/ladder/dropout", "modern/ladder/batch-norm", {"network.dropout"}),
        (
            "modern/ladder/wider-deeper",
            "modern/ladder/elastic-distortions",
            {"network.spec.input_shape", "network.spec.layers"},
        ),
        *((idea.experiment, "readings/former", {"spec.layers"}) for idea in (ALONE[2], ALONE[3], ALONE[4])),
        ("modern/alone/wider-deeper", "readings/former", {"spec.input_shape", "spec.layers"}),
        ("modern/alone/adamw", "modern/alone/sgd", RATE),
        ("modern/alone/adamw-batch-norm", "modern/alone/adamw", {"network.batch_norm"}),
        ("modern/alone/adamw-dropout", "modern/alone/adamw", {"network.dropout"}),
        ("modern/reverse/today-sdlm", "modern/ladder/relu", {"spec.input_shape", "spec.layers"}),
        ("modern/alone/wider-deeper-eta0.25", "modern/alone/wider-deeper", {"etas"}),
    ],
)
def test_one_change_at_a_time(experiment, against, fields):
    assert changed(experiment, against) <= fields
    assert changed(experiment, against)


def test_distortions_are_added_and_nothing_else():
    for experiment, against, field in (
        ("modern/ladder/affine-distortions", "modern/ladder/dropout", "affine"),
        ("modern/ladder/elastic-distortions", "modern/ladder/affine-distortions", "elastic"),
        ("modern/alone/adamw-elastic-distortions", "modern/alone/adamw", "elastic"),
    ):
        assert {name.partition(".")[0] for name in changed(experiment, against)} == {field}


def test_mini_batches_keep_the_network_its_reading_and_the_gray_levels_of_the_rung_before():
    sgd, before = registry.named("modern/ladder/sgd").config, registry.named("modern/ladder/relu").config
    assert (sgd.network.spec, sgd.network.reading) == (before.spec, before.reading)
    assert (sgd.levels, sgd.passes, sgd.train_size) == ((-0.1, 1.175), len(before.etas), before.train_size)
    # eta falls from 5e-4 to 1e-5 in 20 passes, and so does the rate.
    assert (sgd.factors[0], sgd.factors[-1]) == pytest.approx((1, 0.02))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.experiment)
def test_every_variant_can_be_shown(variant, capsys):
    experiment = registry.named(variant.experiment)
    if variant.config is not None:
        assert experiment.seeds == (0, 1, 2, 3, 4)
    assert variant.idea.endswith(".")
    assert main(["show", variant.experiment]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == plain(experiment.config)


def test_settings_in_use_are_among_those_that_are_tried_on_held_out_patterns():
    assert RATES.keys() == TRIED.keys()
    for key, rate in RATES.items():
        assert rate in TRIED[key]
    for choice in CHOICES:
        assert choice.used in [value for value, _ in choice.experiments.values()]
        for name in choice.experiments:
            config = registry.named(name).config
            learned = 15_000 if "wider" in name else 50_000
            assert (config.train_size, config.held_out) == (learned, 60_000 - learned)


def test_held_out_runs_differ_from_their_rungs_in_what_is_learned_alone():
    for name, rung in (
        (f"ladder-adamw-rate{RATES[ladder.LAST.name, 'adamw']:g}", "modern/ladder/adamw"),
        (f"1998-sgd-rate{RATES['lenet5', 'sgd']:g}", "modern/alone/sgd"),
        (f"ladder-dropout{ladder.DROPOUT:g}", "modern/ladder/dropout"),
    ):
        assert changed(f"modern/held-out/{name}", rung) == {"train_size", "held_out"}


def test_the_group_is_all_that_its_tables_show_within_ninety_minutes(tmp_path, capsys):
    names = {experiment.name for experiment in comparison.experiments(["modern"])}
    assert names == {variant.experiment for variant in VARIANTS} | set(NETWORKS)
    assert main(["plan", "modern", "--seeds", "0", "--jobs", "2", "--results", str(tmp_path)]) == 0
    plan = capsys.readouterr().out.splitlines()[-1]
    assert float(plan.partition("about ")[2].split()[0]) < 90
    with pytest.raises(ValueError, match="already something called modern"):
        registry.register_group("modern", [])
    with pytest.raises(
        ValueError, match=r"'ladder/softmx'; most like it are modern/ladder/softmax, .*, .*; `python -m"
    ):
        comparison.experiments(["ladder/softmx"])


def test_reproducing_the_group_shows_its_tables_first_the_ladder(tmp_path):
    fig9 = [["fig9"], ["fig5"], ["lenet5"]]
    for names, shown in (
        (["modern"], [["ladder"], ["alone"], ["reverse"], ["popular"]]),
        (["fig9"], fig9),
        (["knn"], fig9),
        (["readings/j*"], [["readings/j*"]]),
        (["lenet5", "j3"], [*fig9, ["lenet5", "j3"]]),
    ):
        assert [named for named, _ in _reproduced(Namespace(names=names))] == shown
    publish(tmp_path, "modern/ladder/relu", 0, predictions=np.zeros(10_000))
    load = Loader(("reference",), tmp_path, tmp_path)
    assert ladder.status(load) == "The ladder: 1 of 13 rungs"


# --- devices


def test_another_device_is_another_experiment(tmp_path):
    here = registry.named("modern/ladder/sgd")
    there = registry.on_device(here, "cuda")
    assert there.config.device == "cuda"
    assert there.identity().key != here.identity().key
    assert registry.on_device(here, "cpu").identity() == here.identity()
    online = registry.named("modern/ladder/relu")
    assert registry.on_device(online, "cuda") is online
    command = "python -m experiments run modern/ladder/sgd --seeds 3"
    assert Job(here, 3, here.identity(), tmp_path).command == command
    assert Job(there, 3, there.identity(), tmp_path).command == f"{command} --device cuda"


def test_tables_never_read_two_devices_together(tmp_path):
    here = registry.named("modern/ladder/sgd")
    for device, errors in (("cpu", 100), ("cuda", 200)):
        experiment = registry.on_device(here, device)
        identity = experiment.identity()
        predictions = registry.judged(identity.data, {}).copy()
        predictions[:errors] = (predictions[:errors] + 1) % 10
        result = publish(tmp_path, "made", 0, test=errors, predictions=predictions)
        record = {**result.record, "experiment": here.name, **stated(identity)}
        store.write(store.result_path(tmp_path / here.name / identity.key, 0), record, result.arrays())
    for device, errors in (("cpu", 100), ("cuda", 200)):
        (result,) = Loader(("results",), tmp_path, tmp_path, device).one(here.name).results
        assert result.last["test_errors"] == errors


def test_wrong_devices_are_one_line_that_lists_what_exists(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["run", "modern/ladder/sgd", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "experiments: --device is 'cuda'; this machine has cpu\n"
    with pytest.raises(SystemExit):
        main(["run", "modern/ladder/sgd", "--device", "tpu"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "'cpu', 'cuda'" in error
    assert main(["table", "ladder", "--device", "cuda"]) == 2
    assert "needs --source results" in capsys.readouterr().err


# --- tables and figures


def answers(labels, wrong):
    predictions = labels.copy()
    predictions[wrong] = (predictions[wrong] + 1) % 10
    return predictions


@pytest.fixture
def load(tmp_path, mnist):
    """LeNet-5 and three rungs, of which max pooling is not against the last one there is."""

    def result(name, *errors, first=0):
        for seed, count in enumerate(errors, first):
            predictions = answers(mnist.test_labels, np.arange(count))
            publish(tmp_path, name, seed, test=count, train=[1.0], seconds=60, predictions=predictions, identity=JUDGED)

    result("readings/former", 100, 102, 106)
    result("modern/ladder/full-c3", 90, 93, 94)
    result("modern/ladder/max-pooling", 60, 62, 66)
    result("modern/alone/adamw", 150, 162, 176, first=5)
    result("modern/alone/adamw-dropout", 120, first=5)
    result("popular/udacity-relu", 95, 97)
    return Loader(("reference",), tmp_path / "results", tmp_path)


def test_ladder(load):
    made = tables.named("ladder")(load)
    records = {record["experiment"]: record for record in json.loads(made.render("json"))}
    assert list(records) == ["readings/former", "modern/ladder/full-c3", "modern/ladder/max-pooling"]
    full = records["modern/ladder/full-c3"]
    assert (full["parameters"], full["multiply_accumulates"], full["passes"]) == (60_900, 418_096, 20)
    assert (full["seconds"], full["change"]) == (60, pytest.approx(-0.31 / 3))
    low, high = full["change_interval"]
    assert low < full["change_interval_over_seeds"][0] < full["change_interval_over_seeds"][1] < high
    deviations = (np.std(errors, ddof=1) / 100 for errors in ((90, 93, 94), (100, 102, 106)))
    assert full["seeds_needed"] == seeds_needed(-0.31 / 3, *deviations)
    assert made.body[1][-1] == str(full["seeds_needed"])
    assert full["p"] == full["p_holm"]  # the one comparison
    assert records["modern/ladder/max-pooling"]["change"] is None  # there is no average pooling to be against
    assert "against" not in made.header
    assert made.body[1][:2] == ["full C3", "Every map of C3 reads all of S2, not Table I's."]
    assert "Without results yet: modern/ladder/average-pooling, modern/ladder/softmax" in " ".join(made.notes)
    for form in tables.FORMATS:
        assert "full C3" in made.render(form)


def test_alone_and_reverse_name_what_they_are_against(load):
    made = tables.named("alone")(load)
    assert made.header.index("against") == 2
    assert [(line[0], line[2]) for line in made.body] == [
        ("LeNet-5 (1998)", ""), ("full C3", "LeNet-5 (1998)"), ("AdamW", "LeNet-5 (1998)"), ("dropout", "AdamW")
    ]  # fmt: skip
    p, corrected = ([record[name] for record in made.records if record["against"]] for name in ("p", "p_holm"))
    assert corrected == holm(p)
    reverse = tables.named("reverse")(load)
    assert [line[0] for line in reverse.body] == ["1998's network, SDLM", "1998's network, AdamW"]


def test_held_rates_compares_every_value_with_the_one_in_use(tmp_path, mnist):
    """Single runs, so over patterns alone, by McNemar's test; no spread tells how many seeds would do."""
    used = RATES[ladder.LAST.name, "sgd"]
    other = next(rate for rate in TRIED[ladder.LAST.name, "sgd"] if rate != used)
    labels = mnist.train_labels[50_000:]
    for rate, wrong in ((used, np.arange(100)), (other, np.arange(90, 210))):
        name = f"modern/held-out/ladder-sgd-rate{rate:g}"
        judged = replace(JUDGED, config={"held_out": 10_000})
        publish(tmp_path, name, 0, test=len(wrong), predictions=answers(labels, wrong), identity=judged)
    made = tables.named("held-rates")(Loader(("reference",), tmp_path, tmp_path))
    found = {record["value"]: record for record in made.records}
    assert found[used]["change"] is None
    assert found[other]["change"] == pytest.approx(0.2)
    assert found[other]["p"] == pytest.approx(stats.binomtest(90, 200).pvalue)
    assert found[other]["seeds_needed"] is None
    assert all(len(line) == len(made.header) for line in made.body)


def test_held_rates_says_whether_the_best_is_in_use(tmp_path):
    used = RATES[ladder.LAST.name, "sgd"]
    others = [rate for rate in TRIED[ladder.LAST.name, "sgd"] if rate != used]
    publish(tmp_path, f"modern/held-out/ladder-sgd-rate{used:g}", 0, test=100)
    publish(tmp_path, f"modern/held-out/ladder-sgd-rate{others[0]:g}", 0, test=120)
    load = Loader(("reference",), tmp_path, tmp_path)
    made = tables.named("held-rates")(load)
    assert [line[1] for line in made.body if "chosen" in line[1]] == [f"{used:g} (chosen)"]
    assert any(f"{used:g}, in use, has the fewest errors" in note for note in made.notes)
    publish(tmp_path, f"modern/held-out/ladder-sgd-rate{others[1]:g}", 0, test=80)
    notes = tables.named("held-rates")(load).notes
    assert any(f"{others[1]:g} has fewer errors than {used:g}, which is in use" in note for note in notes)


@pytest.mark.parametrize("name", ["ladder", "alone", "reverse", "held-rates"])
def test_without_results_there_is_no_table(name, tmp_path):
    publish(tmp_path, "readings/former", 0)
    with pytest.raises(NoResults, match="nothing is published of"):
        tables.named(name)(Loader(("reference",), tmp_path, tmp_path))


def test_sizes_of_all_kinds_of_networks():
    assert asdict(size("readings/former")) == {"parameters": 60_000, "multiply_accumulates": 328_096, "passes": 20}
    assert asdict(size("popular/udacity-relu")) == {"parameters": 61_706, "multiply_accumulates": 416_520, "passes": 10}
    assert size("popular/lush-three-stages").parameters == 51_046
    layer_rates = size("popular/mattwang44-layer-rates")
    assert asdict(layer_rates) == {"parameters": 59_872, "multiply_accumulates": 326_520, "passes": 20}
    assert size("modern/ladder/batch-norm").parameters == 61_706 + 452
    assert size("modern/ladder/batch-norm").multiply_accumulates == 416_520
    with pytest.raises(ValueError, match="knn trains no network"):
        size("fig9/knn")


def test_figure_of_the_ladder(load):
    left, right = drawing.figure(load).axes
    assert [text.get_text() for text in left.get_yticklabels()][:3] == [
        "LeNet-5 (1998)", "+ full C3", "+ average pooling"
    ]  # fmt: skip
    np.testing.assert_allclose(left.lines[0].get_xdata(), [3.08 / 3, 2.77 / 3, 1.88 / 3])
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0, 1, 3])
    assert [container.lines[0].get_ydata()[0] for container in right.containers] == [1, 7, 9]


def test_ladder_writes_a_change_that_is_beyond_its_axis(load, mnist):
    for name, errors in (("modern/alone/wider-deeper", 9026), ("modern/alone/wider-deeper-eta0.25", 103)):
        predictions = answers(mnist.test_labels, np.arange(errors))
        publish(load.reference, name, 0, test=errors, predictions=predictions)
    _, right = drawing.figure(load).axes
    assert [text.get_text() for text in right.texts] == ["+89"]
    assert max(right.get_xlim()) < 2
    # Both are of the same rung; what is trained with a share of eta has a mark of its own.
    assert [tuple(container.lines[0].get_ydata()) for container in right.containers][-1] == (12,)
    assert right.containers[-1].lines[0].get_marker() == "D"


def test_figure_of_costs(load, mnist):
    """The paper's networks, the ladder and the popular ones; LeNet-4 is timed on another processor."""
    predictions, identity = answers(mnist.test_labels, np.arange(115)), registry.named("fig9/lenet4").identity()
    made = publish(load.reference, "fig9/lenet4", 0, test=115, train=[1.0], predictions=predictions, identity=identity)
    store.write(made.path, made.record | {"machine": {"cpu": "Pentium", "cores": 1}}, made.arrays())
    points = costs_today.points(load)
    assert {name: point.mark for name, point in points.items()} == {
        "fig9/lenet4": "K", "readings/former": "0", "modern/ladder/full-c3": "1", "modern/ladder/max-pooling": "3",
        "popular/udacity-relu": "d",
    }  # fmt: skip
    lenet4, relu = points["fig9/lenet4"], points["popular/udacity-relu"]
    assert (lenet4.parameters, lenet4.multiply_accumulates) == (16.998, 245.568)
    assert (relu.error, relu.parameters, relu.multiply_accumulates) == (pytest.approx(0.96), 61.706, 416.52)
    *panels, key = costs_today.figure(load).axes
    names = {text.get_text() for text in key.texts}
    assert names > {"The paper's networks", "LeNet-4", "The ladder", "full C3", "What people write", "udacity-relu"}
    assert len(panels) == 3
    for panel in panels:
        assert [text.get_text() for text in panel.texts] == ["K", "0", "1", "3", "d"]
        places = panel.transData.transform([text.xy for text in panel.texts]) * 72 / panel.figure.dpi
        apart = np.hypot(*(places[:, None] - places).T) + np.diag([np.inf] * len(places))
        assert apart.min() >= costs_today.MARK * (1 - 1e-6)
    opacities = [{line.get_alpha() for line in panel.lines if line.get_marker() == "s"} for panel in panels]
    assert opacities == [{1}, {1}, {costs_today.FAINT}]


@few
@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(0, 40)))
def test_marks_stand_beside_each_other_and_no_farther_than_they_must(places):
    moved = costs_today.beside(places, 9)
    apart = np.hypot(moved[:, None] - moved, places[:, None, 1] - places[:, 1])[np.triu_indices(len(places), 1)]
    assert (apart >= 9).all()
    assert moved[0] == places[0, 0]
    alone = np.hypot(*(places[:, None] - places).T)[-1, :-1]
    if len(places) == 2 and alone >= 9:
        assert moved[1] == places[1, 0]


def test_the_front_has_what_nothing_cheaper_or_as_cheap_beats():
    costs, errors = [60, 3, 60, 17, 400, 50], [1.0, 2.0, 0.9, 1.2, 0.9, 1.3]
    assert costs_today.front(costs, errors) == ([3, 17, 60], [2.0, 1.2, 0.9])


@pytest.mark.parametrize("figure", [drawing, costs_today])
def test_figures_without_results(figure, tmp_path):
    publish(tmp_path, "readings/former", 0)
    with pytest.raises(NoResults):
        figure.figure(Loader(("reference",), tmp_path, tmp_path))


def test_outcome_of_a_run_of_1998s_network_in_batches(tmp_path, monkeypatch, mnist):
    monkeypatch.setattr(registry, "load_mnist", lambda data_dir: mnist)
    experiment = registry.named("modern/alone/sgd")
    config = replace(experiment.config, train_size=64, passes=1, factors=())
    context = registry.Context(progress=lambda _: None, checkpoint=tmp_path / "run.checkpoint")
    outcome = experiment.run(config, 0, context)
    assert outcome.passes[0]["test_errors"] == (outcome.predictions != mnist.test_labels).sum()
    assert (outcome.scores >= 0).all()
