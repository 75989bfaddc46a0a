"""Strings that are read: how they are judged, the experiments, and the tables."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from experiments.harness import registry, store, tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context
from experiments.paper import strings as study
from lenet98.data import rows
from lenet98.data.strings import Strings
from lenet98.decoding import decode
from lenet98.displacement import penalties
from lenet98.modules import network
from lenet98.readings import DEFAULT
from lenet98.training import train
from tests.fakes import publish, record


def test_a_string_is_wrong_if_it_is_not_the_right_one():
    right = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.uint8)
    found = study.score([(1, 2), (3, 4, 4), (5,), (8, 7)], right)
    assert found == {"strings": 4, "errors": 3, "too_long": 1, "too_short": 1}


def test_sets_cover_lengths_and_gaps():
    sets = study.sets(7, 3)
    assert sets[study.FIVE] == rows.Rows(5, (-1, 4), 7)
    assert [some.digits for name, some in sets.items() if name.startswith("length")] == list(range(2, 11))
    assert [some.gap for name, some in sets.items() if name.startswith("gap")] == [(g, g) for g in range(-4, 5)]
    assert list(study.sets(7, 0)) == [study.FIVE]


def test_beyond_a_rows_own_field_there_are_blanks():
    costs = study.masked(np.zeros((2, 3, 10), np.float32), np.array([3, 1]))
    assert np.isfinite(costs[0]).all()
    assert decode(costs[1], 5.0).path == (0, -1, -1)


def test_held_out_runs_vary_one_point_of_vii_b_at_a_time():
    def points(varied):
        return asdict(varied.strings) | {name: value for name, value in varied._asdict().items() if name != "title"}

    base, moved = study.VARIED["vii-b"], study.VARIED["moved"]
    assert base.strings == Strings()
    assert study.VARIED["vii-b-j1"].config((1.0,)).reading == DEFAULT
    for name, varied in study.VARIED.items():
        near = points(moved if "moved-" in name else base)
        differs = {point for point, value in points(varied).items() if value != near[point]} - {"strings"}
        if varied is moved:
            assert differs == {"shift_x", "blanks", "between", "clear", "missing"}
        else:
            assert len(differs) == (0 if varied is base else 2 if name == "moved-distorted-passes60" else 1), name
    for config in [*study.CHOICES.values(), *study.OF_RATES.values()]:
        assert (config.train_size, config.held_out) == (50_000, 10_000)
    assert registry.named(study.SDNN).config.held_out == 0


@pytest.fixture(scope="module")
def small(mnist, tmp_path_factory):
    """A run so small that it is wrong nearly always."""
    config = replace(
        study.CHOICES[f"{study.ROOM}/vii-b"], train_size=500, held_out=300, etas=(5e-4,), five=20, each=2,
        blank=(1.0, 6.0),
    )  # fmt: skip
    context = Context(lambda _: None, tmp_path_factory.mktemp("strings") / "state")
    context.__dict__["mnist"] = mnist
    return config, study.train_and_read(config, 1, context)


def test_what_a_run_records_is_what_reading_each_string_alone_gives(mnist, small):
    config, outcome = small
    ways = outcome.extra["strings"]
    assert list(ways) == ["1", "6"]
    assert all(list(found) == list(study.sets(20, 2)) for found in ways.values())
    net = network(config.spec, train(config, 1, mnist).parameters, config.reading)
    images, labels = mnist.train_images[-300:], mnist.train_labels[-300:]
    fields, right = rows.fields(rows.Rows(5, strings=20), study.DRAWN_BY, images, labels)
    for blank in config.blank:
        answers = []
        for values, width in zip(fields.values, fields.width, strict=True):
            (costs,) = penalties(net, np.ascontiguousarray(values[None, :, :width]))
            answers.append(decode(costs, blank).digits)
        assert ways[f"{blank:g}"][study.FIVE] == study.score(answers, right)
    assert outcome.predictions.shape == (300,)
    assert outcome.passes[-1]["test_patterns"] == 300


def test_a_run_by_ctc_is_a_measurement(mnist, tmp_path):
    context = Context(lambda _: None, tmp_path / "state")
    context.__dict__["mnist"] = mnist
    config = study.CtcConfig(passes=1, train_size=200, batch=8, five=10, each=1)
    outcome = study.train_by_ctc(config, 0, context)
    assert outcome.passes == ()
    assert outcome.predictions is None
    assert list(outcome.extra["strings"]["best path"]) == list(study.sets(10, 1))
    assert outcome.extra["passes"][0]["train_patterns"] > 0
    assert outcome.arrays["parameters"].shape == (61_791,)


# --- tables


def found(errors, five=100):
    return {"strings": five, "errors": errors, "too_long": errors // 2, "too_short": 1}


def by_length(errors):
    return {name: found(errors) for name in study.sets(100, 100)}


@pytest.mark.parametrize("name", ["strings", "strings-held-out"])
def test_without_results(reference, name):
    with pytest.raises(NoResults, match="strings/"):
        tables.named(name)(Loader(reference=reference))


def test_table_of_both_readers(reference):
    for seed in range(3):
        publish(reference, study.SDNN, seed, extra={"strings": {"3": by_length(10 + seed)}})
        extra = {"strings": {"best path": by_length(2)}, "diverged": False}
        store.write(store.result_path(reference / study.CTC, seed), record(study.CTC, seed, [], extra=extra), {})
    extra = {"strings": {"best path": {}}, "diverged": True}
    store.write(store.result_path(reference / study.CTC, 3), record(study.CTC, 3, [], extra=extra), {})
    table = tables.named("strings")(Loader(reference=reference))
    assert len(table.body) == 1 + 9 + 9
    assert table.body[0][:4] == ["5 digits, gap −1 to 4", "11.00", "1.00", "3"]
    assert table.body[0][5:8] == ["2.00", "0.00", "3 (+1 diverged)"]
    assert table.body[1][0] == "2 digits"
    assert table.body[-1][0] == "5 digits, gap 4"
    assert all(len(line) == len(table.header) for line in table.body)
    assert {one["reader"] for one in table.records} == {"SDNN", "CTC"}
    for form in tables.FORMATS:
        assert table.render(form)


def test_the_table_stands_with_one_reader(reference):
    publish(reference, study.SDNN, 0, extra={"strings": {"3": by_length(10)}})
    table = tables.named("strings")(Loader(reference=reference))
    assert table.body[0][:4] == ["5 digits, gap −1 to 4", "10.00", "", "1"]
    assert "–" in table.body[0][4]
    assert any(study.CTC in note for note in table.notes if note.startswith(tables.LACKING))


def test_held_out_strings_choose_the_blank(reference, monkeypatch):
    ways = {"1": {study.FIVE: found(40)}, "4": {study.FIVE: found(30)}, "8": {study.FIVE: found(35)}}
    for name in study.CHOICES:
        publish(reference, name, 0, test_patterns=study.HELD_OUT, extra={"strings": ways})
    table = tables.named("strings-held-out")(Loader(reference=reference))
    assert len(table.body) == len(study.CHOICES)
    assert table.body[1][0] == "VII.B as printed, j = 10 (chosen)"
    assert table.body[0][1] == "30.00"
    assert table.body[0][5:8] == ["4", "15.00", "1.00"]
    assert [line[0] for line in table.body if "chosen" in line[0]] == [table.body[1][0]]
    monkeypatch.setattr(study, "CHOSEN", "clear5")
    table = tables.named("strings-held-out")(Loader(reference=reference))
    assert [one["experiment"] for one in table.records if one["in_use"]] == [f"{study.ROOM}/clear5"]
