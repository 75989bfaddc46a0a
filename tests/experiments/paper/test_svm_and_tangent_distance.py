"""Support vector machines and tangent distance as experiments: stages, resumption, costs, tables."""

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from experiments.harness import registry, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper import svm, tangent_distance
from experiments.paper.svm import Config, run_machines
from experiments.paper.tangent_distance import run_tangents
from lenet98.classifiers import svm as classifiers
from lenet98.threads import one_thread
from tests.fakes import publish
from tests.resumption import DAMAGES, warned

SMALL = Config(degree=5, directions=4, reduced=5, steps=3, train_size=200, held_out=500)


class Stopped(BaseException):
    pass


def context(tmp_path, after=None):
    """A run's context and the reports that it makes; Stopped at report number `after`."""
    reports = []

    def progress(report):
        reports.append(report)
        if after is not None and len(reports) == after:
            raise Stopped

    return Context(progress, tmp_path / "checkpoint"), reports


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return run_machines(SMALL, 0, context(tmp_path_factory.mktemp("run"))[0])


def test_rows_are_the_papers():
    poly4, rs_poly5, vsvm_poly9 = (
        registry.named(f"fig9/{name}").config for name in ("svm_poly4", "rs_svm_poly5", "dist_vsvm_poly9")
    )
    assert (poly4.degree, poly4.stages) == (4, ("regular",))
    assert (rs_poly5.degree, rs_poly5.stages) == (5, ("regular", "virtual", "reduced"))
    assert (vsvm_poly9.degree, vsvm_poly9.stages) == (9, ("regular", "virtual"))
    for config in (poly4, rs_poly5, vsvm_poly9, registry.named("fig9/16x16_tangent_distance").config):
        assert (config.train_size, config.held_out) == (60_000, 0)
    for name in ("svm_poly4", "rs_svm_poly5", "dist_vsvm_poly9", "16x16_tangent_distance"):
        assert registry.named(f"fig9/{name}").deterministic


def test_reduced_set_costs_what_fig_11_shows():
    """650 thousand, to the thousand and a half."""
    assert abs(10 * svm.REDUCED * (784 + 1) - 650_000) < 1_600


def test_tangent_distance_costs_what_fig_11_shows():
    """20 million: 60,000 prototypes of 256 pixels, and the candidates' planes."""
    config = tangent_distance.CHOSEN
    assert 256 * (60_000 + config.candidates * 63) == pytest.approx(20e6, rel=0.02)


def test_choices_are_made_on_training_patterns():
    for row, choices, chosen in (
        ("svm_poly4", svm.CHOICES, "svm/held-out/poly4-coef0-0-c10"),
        ("rs_svm_poly5", svm.CHOICES, "svm/held-out/poly5-coef0-0.3-shifts4-reduced"),
        ("dist_vsvm_poly9", svm.CHOICES, "svm/held-out/poly9-coef0-1-shifts8"),
        ("16x16_tangent_distance", tangent_distance.CHOICES, "tangent-distance/held-out/sigma0.5-candidates300"),
    ):
        config = registry.named(f"fig9/{row}").config
        size = choices[chosen][1].train_size
        assert size <= 50_000
        # What was chosen is what the row has.
        assert choices[chosen][1] == replace(config, train_size=size, held_out=10_000)
        assert all(config.held_out == 10_000 for _, config in choices.values())


def test_stages_follow_one_another(outcome):
    stages = outcome.extra["stages"]
    assert [stage["stage"] for stage in stages] == ["regular", "virtual", "reduced"]
    assert sum(stages[0]["vectors"]) < sum(stages[1]["vectors"])
    assert stages[2]["vectors"] == [5] * 10
    assert (outcome.extra["vectors"], outcome.extra["multiply_accumulates"]) == (50, 50 * 785)
    assert stages[1]["test_errors"] < stages[0]["test_errors"]
    assert outcome.passes[-1] == {"number": 1, "test_errors": stages[2]["test_errors"], "test_patterns": 500}
    assert outcome.predictions.shape == outcome.scores.shape == (500,)


def test_interrupted_run_goes_on_with_the_machines_that_it_has(outcome, tmp_path, monkeypatch):
    for after in (8, 31, 45):  # among the regular, the virtual, the reduced machines
        with pytest.raises(Stopped):
            run_machines(SMALL, 0, context(tmp_path, after)[0])
    fits = []
    fit = classifiers.fit_machine
    monkeypatch.setattr(classifiers, "fit_machine", lambda *given: fits.append(given) or fit(*given))
    again, reports = context(tmp_path)
    resumed = run_machines(SMALL, 0, again)
    assert not fits
    assert min(report.pass_number for report in reports) > 20
    np.testing.assert_array_equal(resumed.predictions, outcome.predictions)
    assert resumed.extra == outcome.extra


def test_checkpoint_of_another_run_is_refused_and_a_damaged_one_ignored(tmp_path, caplog):
    other, checkpoint = replace(SMALL, directions=0, reduced=0, C=0.01), tmp_path / "checkpoint"
    whole = run_machines(other, 0, context(tmp_path)[0])
    with pytest.raises(ValueError, match="state of another run"):
        run_machines(replace(other, C=1.0), 0, context(tmp_path)[0])
    content = checkpoint.read_bytes()
    for damage in DAMAGES.values():
        checkpoint.write_bytes(damage(content))
        stopping, reports = context(tmp_path, 1)
        with pytest.raises(Stopped):
            run_machines(other, 0, stopping)
        assert reports[0].pass_number == 1
        warned(caplog.records, checkpoint)
    again = run_machines(other, 0, context(tmp_path)[0])
    warned(caplog.records, checkpoint)
    assert again.predictions.tobytes() == whole.predictions.tobytes()
    assert again.scores.tobytes() == whole.scores.tobytes()
    assert again.extra == whole.extra


def test_any_number_of_threads_gives_the_same_bits(outcome, tmp_path):
    for threads in (1, 2):
        given = replace(context(tmp_path)[0], checkpoint=tmp_path / str(threads), threads=threads)
        with threadpool_limits(threads), one_thread():  # the latter as in the harness
            found = run_machines(SMALL, 0, given)
        assert found.predictions.tobytes() == outcome.predictions.tobytes()
        assert found.scores.tobytes() == outcome.scores.tobytes()
        assert found.extra == outcome.extra


def test_more_patterns_than_there_are_is_refused(tmp_path):
    with pytest.raises(ValueError, match="train_size is 60000; there are 59500 patterns to learn"):
        run_machines(replace(SMALL, train_size=60_000), 0, context(tmp_path)[0])
    with pytest.raises(ValueError, match="train_size is 60001; there are 60000 patterns to learn"):
        run_tangents(replace(tangent_distance.CHOSEN, train_size=60_001), 0, context(tmp_path)[0])


def test_tangent_distance_runs_and_says_how_far_it_is(tmp_path):
    config = replace(tangent_distance.CHOSEN, train_size=300, candidates=10, held_out=500)
    given, reports = context(tmp_path)
    outcome = run_tangents(config, 0, given)
    assert [report.done for report in reports] == [0, *range(100, 501, 100)]
    errors = outcome.passes[-1]["test_errors"]
    assert reports[-1].errors == errors == outcome.extra["errors_by_k"]["4"]
    assert errors == (outcome.predictions != given.mnist.train_labels[-500:]).sum() < 100
    assert outcome.extra["errors_by_k"]["1"] == outcome.extra["errors_by_k"]["2"]  # a tie goes to the nearest
    assert outcome.extra["stored"] == 300 * 8 * 256


def test_tables_of_choices(tmp_path):
    load = Loader(("reference",), tmp_path / "results", tmp_path)
    for name, room in (("machines", "svm"), ("tangents", "tangent-distance")):
        with pytest.raises(NoResults, match=f"run {room}/held-out/"):
            tables.named(name)(load)
    stages = [
        {"stage": "regular", "test_errors": 300, "vectors": [100] * 10},
        {"stage": "virtual", "test_errors": 200, "vectors": [250] * 10},
        {"stage": "reduced", "test_errors": 210, "vectors": [83] * 10},
    ]
    publish(tmp_path, "svm/held-out/poly5-coef0-0.3-shifts4-reduced", 0, test=210, extra={"stages": stages})
    made = tables.named("machines")(load)
    assert [(line[1], line[2], line[4]) for line in made.body] == [
        ("support vectors", "3.00", "1,000"),
        ("virtual support vectors", "2.00", "2,500"),
        ("reduced set", "2.10", "830"),
    ]
    by_k = {str(k): 100 + k for k in (1, 2, 3, 4, 5, 7)}
    publish(tmp_path, "tangent-distance/held-out/sigma0.5-candidates300", 0, test=104, extra={"errors_by_k": by_k})
    made = tables.named("tangents")(load)
    assert made.body[0][1:] == ["1.01", "1.02", "1.03", "1.04", "1.05", "1.07"]
    assert [record["k"] for record in made.records] == [1, 2, 3, 4, 5, 7]
