"""Strings that are read: how they are judged, the experiments, and the tables."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from experiments.harness import registry, runner, store, tables
from experiments.harness.identity import changed, plain
from experiments.harness.loader import Loader, NoResults
from experiments.harness.plan import Job
from experiments.harness.registry import Context, Experiment
from experiments.harness.runner import Task
from experiments.paper import strings as study
from experiments.paper.distortions import DISTORTED
from lenet98 import checkpoint
from lenet98.data import rows
from lenet98.data.strings import Strings
from lenet98.decoding import decode
from lenet98.displacement import penalties
from lenet98.modern import ctc
from lenet98.modules import network
from lenet98.readings import DEFAULT
from lenet98.training import train
from paper_figures import strings as drawing
from tests.fakes import publish, record
from tests.resumption import interrupted


def test_a_string_is_wrong_if_it_is_not_the_right_one():
    right = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.uint8)
    found = study.score([(1, 2), (3, 4, 4), (5,), (8, 7)], right)
    assert found == {"strings": 4, "errors": 3, "too_long": 1, "too_short": 1, "merged": 0}


def test_neighbors_that_are_read_as_one_are_counted():
    right = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3], [4, 4, 5]], np.uint8)
    assert study.score([(1, 2), (1, 1, 2), (3, 3), (4, 4, 5, 5)], right)["merged"] == 2
    assert study.score([(2,), (1, 3), (3, 3, 3, 3), (4, 5, 4)], right)["merged"] == 0


def test_sets_cover_lengths_and_gaps():
    sets = study.sets(7, 3)
    assert sets[study.FIVE] == rows.Rows(5, (-1, 4), 7)
    assert sets[study.NOISY] == rows.Rows(5, (-1, 4), 7, inverted=0.1)
    assert [some.digits for name, some in sets.items() if name.startswith("length")] == list(range(2, 11))
    assert [some.gap for name, some in sets.items() if name.startswith("gap")] == [(g, g) for g in range(-4, 5)]
    assert list(study.sets(7, 0)) == [study.FIVE, study.NOISY]


def test_each_of_10_000_digits_stands_in_one_string_at_most():
    for candidate in study.CANDIDATES.values():
        for some in study.sets(candidate.config.five, candidate.config.each).values():
            assert some.strings * some.digits <= 10_000
        assert candidate.config.five * 5 == 10_000


def test_beyond_a_rows_own_field_there_are_blanks():
    costs = study.masked(np.zeros((2, 3, 10), np.float32), np.array([3, 1]))
    assert np.isfinite(costs[0]).all()
    assert decode(costs[1], 5.0).path == (0, -1, -1)


def test_stage_one_varies_one_point_of_vii_b_at_a_time():
    base, moved = (dict(study.PATTERNS)[name][1] for name in ("vii-b", "moved"))
    assert base == Strings()
    for name, (_, strings) in study.PATTERNS.items():
        points = changed(plain(moved if name.startswith("moved-") else base), plain(strings))
        if name == "moved":
            assert set(points) == {"shift_x", "blanks", "between", "clear", "missing"}
        else:
            assert len(points) == (name not in ("vii-b", "moved")), name
        assert study.CANDIDATES[name].config.reading == replace(DEFAULT, j=10.0)


def points_of_stage_two(base):
    """What each candidate named after `base` changes of it, by the rest of its name."""
    return {
        name.removeprefix(f"{base}-"): changed(plain(study.CANDIDATES[base].config), plain(candidate.config))
        for name, candidate in study.CANDIDATES.items()
        if name.startswith(f"{base}-")
    }


def test_stage_two_varies_j_and_then_all_else_with_the_best():
    best = study.BEST_PATTERNS
    of_j = {name: points for name, points in points_of_stage_two(best).items() if re.fullmatch(r"j\d+", name)}
    assert set(of_j) == {f"j{j:g}" for j in study.OTHER_J}
    assert all({name.partition("[")[0] for name in points} == {"reading.j", "blank"} for points in of_j.values())
    assert study.BEST_J in study.OTHER_J


SDNN_BASE = f"{study.BEST_PATTERNS}-j{study.BEST_J:g}"
CTC_BASE = f"ctc-rate{study.BEST_RATE:g}"


@pytest.mark.parametrize("base", [SDNN_BASE, CTC_BASE])
def test_the_best_is_trained_for_longer_and_on_distorted_digits(base):
    points = points_of_stage_two(base)
    both = points.pop("distorted-passes60", {})
    assert set(both) == ({name for point in ("distorted", "passes60") for name in points[point]} if both else set())
    assert all(len({name.partition(".")[0].partition("[")[0] for name in of}) == 1 for of in points.values())
    assert study.CANDIDATES[f"{base}-distorted"].config.distortions == DISTORTED


def test_long_runs_have_their_passes():
    passes = {name: len(study.CANDIDATES[f"{SDNN_BASE}-{name}"].config.etas) for name in ("passes60", "passes180")}
    assert passes == {"passes60": 60, "passes180": 180}
    assert study.CANDIDATES[f"{CTC_BASE}-passes60"].config.passes == 60
    assert study.CANDIDATES[f"{CTC_BASE}-distorted-passes60"].config.passes == 60


def test_each_stage_takes_the_fewest_held_out_errors():
    records = tables.named("strings-held-out")(Loader(reference=Path(__file__).parents[3] / "reference")).records
    errors = {one["experiment"].rpartition("/")[2]: one["mean"] for one in records}

    def best(names):
        return min(names, key=errors.__getitem__)

    assert best(study.PATTERNS) == study.BEST_PATTERNS
    assert best([study.BEST_PATTERNS, *(f"{study.BEST_PATTERNS}-j{j:g}" for j in study.OTHER_J)]) == SDNN_BASE
    assert best(f"ctc-rate{rate:g}" for rate in study.RATES) == CTC_BASE


def test_held_out_runs_learn_no_digit_that_judges_and_long_ones_take_longer():
    for name, candidate in study.CANDIDATES.items():
        experiment = registry.named(f"{study.ROOM}/{name}")
        assert (experiment.config.train_size, experiment.config.held_out) == (50_000, 10_000)
        assert candidate.config.held_out == 0
    base = f"{study.BEST_PATTERNS}-j{study.BEST_J:g}"
    minutes = [registry.named(f"{study.ROOM}/{name}").minutes for name in (base, f"{base}-passes60")]
    assert minutes[1] == pytest.approx(3 * minutes[0])


def test_what_is_not_chosen_is_no_experiment():
    there = {reader for reader in study.READERS if reader in registry.load()}
    assert there == {reader for reader, name in study.CHOSEN.items() if name is not None}
    assert list(study.finals({study.SDNN: None, study.CTC: None})) == []


def test_finals_learn_all_digits_and_try_every_blank():
    used = f"{study.BEST_PATTERNS}-j4"
    sdnn, by_ctc = study.finals({study.SDNN: used, study.CTC: "ctc-rate0.001"})
    assert (sdnn.name, by_ctc.name) == (study.SDNN, study.CTC)
    assert sdnn.config == replace(study.CANDIDATES[used].config, blank=study.BLANKS_OF_STAGE_TWO)
    assert by_ctc.config.rate == 1e-3
    assert {one.config.train_size for one in (sdnn, by_ctc)} == {60_000}
    assert {one.config.held_out for one in (sdnn, by_ctc)} == {0}
    assert (sdnn.family, by_ctc.family) == ("strings", "strings, CTC")


@pytest.mark.parametrize("name", [f"{study.BEST_PATTERNS}-j{study.BEST_J:g}-clean", "ctc-rate0.001"])
def test_what_vii_b_does_not_print_and_what_another_reader_learns_cannot_be_chosen(name):
    with pytest.raises(ValueError, match=f"{name} cannot be chosen for strings/sdnn"):
        list(study.finals({study.SDNN: name}))


@pytest.mark.skipif(None in study.CHOSEN.values(), reason="the held-out runs have not decided")
def test_what_is_chosen_has_the_fewest_held_out_errors_of_what_may_be():
    records = tables.named("strings-held-out")(Loader(reference=Path(__file__).parents[3] / "reference")).records
    for reader, name in study.CHOSEN.items():
        eligible = [one for one in records if one["reader"] == study.READERS[reader] and one["eligible"]]
        best = min(eligible, key=lambda one: one["mean"])
        assert best["experiment"] == f"{study.ROOM}/{name}"
        assert reader == study.CTC or best["way"] == f"{study.CHOSEN_BLANK:g}"


def unpacked(outcome, way, name):
    """Which strings of a set were wrong."""
    ways = outcome.extra["strings"]
    packed = outcome.arrays[f"wrong {name}"][list(ways).index(way)]
    return np.unpackbits(packed, count=ways[way][name]["strings"]).astype(bool).tolist()


@pytest.fixture(scope="module")
def small(mnist, tmp_path_factory):
    """A run so small that it is wrong nearly always."""
    config = replace(
        study.CANDIDATES["vii-b"].config, train_size=500, held_out=300, etas=(5e-4,), five=20, each=2,
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
        assert unpacked(outcome, f"{blank:g}", study.FIVE) == [
            answer != tuple(string) for answer, string in zip(answers, right.tolist(), strict=True)
        ]
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
    counts = outcome.extra["strings"]["best path"]
    assert all(sum(unpacked(outcome, "best path", name)) == found["errors"] for name, found in counts.items())


def test_the_time_of_a_resumed_run_by_ctc_is_that_of_all_passes(mnist, tmp_path, monkeypatch):
    config = study.CtcConfig(passes=2, train_size=100, batch=8, five=0, each=1)
    experiment = Experiment("strings/timed", "timed", config, study.train_by_ctc, 1, seeds=(0,))
    job = Job(experiment, 0, experiment.identity(), tmp_path)
    monkeypatch.setattr(registry, "load_mnist", lambda _: mnist)
    interrupted(ctc.train, config, 0, mnist, job.checkpoint, 2)
    saved = checkpoint.load(job.checkpoint, (config, 0))
    saved.notes[0]["seconds"] = 1000.0
    checkpoint.save(job.checkpoint, (config, 0), saved.arrays, saved.notes)
    made = runner._make(Task(job, None, 1, {}), Context(lambda _: None, job.checkpoint))
    assert made.record["resumed"]
    assert 1000 < made.record["seconds"] < 1100


# --- tables


def found(errors, five=100):
    return {"strings": five, "errors": errors, "too_long": errors // 2, "too_short": 3, "merged": 1}


def by_length(errors):
    return {name: found(errors) for name in study.sets(100, 100)}


def written(reference, name, seed, extra, arrays):
    """Publish a measurement."""
    store.write(store.result_path(reference / name, seed), record(name, seed, [], extra=extra), arrays)


def packed(first, errors, ways=1):
    """The arrays of a run that reads so many of 100 strings wrong, from the first on, in each way."""
    missed = np.zeros((ways, 100), bool)
    missed[:, first : first + errors] = True
    return {f"wrong {name}": np.packbits(missed, axis=1) for name in study.sets(100, 100)}


@pytest.fixture
def chosen(monkeypatch):
    monkeypatch.setitem(study.CHOSEN, study.SDNN, "moved")
    monkeypatch.setitem(study.CHOSEN, study.CTC, "ctc-rate0.003")
    monkeypatch.setattr(study, "CHOSEN_BLANK", 3.0)


@pytest.mark.parametrize("name", ["strings", "strings-held-out"])
def test_without_results(reference, name):
    with pytest.raises(NoResults, match="strings/"):
        tables.named(name)(Loader(reference=reference))


def test_without_a_choice_the_table_says_what_is_missing(reference, monkeypatch):
    monkeypatch.setitem(study.CHOSEN, study.SDNN, None)
    monkeypatch.setitem(study.CHOSEN, study.CTC, None)
    with pytest.raises(NoResults, match="strings/sdnn and strings/ctc are not there yet: strings of held-out digits"):
        tables.named("strings")(Loader(("reference", "results"), reference=reference))


def test_table_of_both_readers(reference, chosen):
    for seed in range(3):
        ways = {"1": by_length(90), "3": by_length(10 + seed)}
        written(reference, study.SDNN, seed, {"strings": ways}, packed(0, 10 + seed, 2))
        extra = {"strings": {"best path": by_length(2 + seed)}, "diverged": False}
        written(reference, study.CTC, seed, extra, packed(0, 2 + seed))
    written(reference, study.CTC, 3, {"strings": {}, "diverged": True}, {})
    table = tables.named("strings")(Loader(reference=reference))
    assert len(table.body) == 2 + 9 + 9
    assert table.body[0][:4] == ["5 digits, gap −1 to 4", "11.00", "1.00", "3"]
    assert table.body[0][5:8] == ["3.00", "1.00", "3 (+1 diverged)"]
    assert table.body[1][0] == "5 digits, gap −1 to 4, noise"
    assert table.body[2][0] == "2 digits"
    assert table.body[-1][0] == "5 digits, gap 4"
    assert all(len(line) == len(table.header) for line in table.body)
    assert {one["reader"] for one in table.records} == {"SDNN", "CTC"}
    assert table.records[0]["merged"] == 1
    for form in tables.FORMATS:
        assert table.render(form)


def test_figure_of_both_readers(reference, chosen):
    names = list(study.sets(100, 100))
    for seed in range(3):
        ways = {"3": {name: found(10 + seed + place) for place, name in enumerate(names)}}
        written(reference, study.SDNN, seed, {"strings": ways}, {})
    written(reference, study.CTC, 0, {"strings": {"best path": by_length(4)}, "diverged": False}, {})
    panels = drawing.figure(Loader(reference=reference)).axes
    for axes, kind, values in zip(panels, ("length", "gap"), (study.LENGTHS, study.GAPS), strict=True):
        sdnn, by_ctc = (container.lines[0] for container in axes.containers)
        assert list(sdnn.get_xdata()) == list(by_ctc.get_xdata()) == list(values)
        assert list(sdnn.get_ydata()) == pytest.approx([11 + names.index(f"{kind} {value}") for value in values])
        assert set(by_ctc.get_ydata()) == {4.0}
    (learned,) = panels[1].patches
    assert (learned.get_x(), learned.get_x() + learned.get_width()) == (-1, 4)
    assert len(panels[0].get_legend().get_texts()) == 2


def test_readers_are_compared_string_by_string(reference, chosen):
    """Of single runs by McNemar's test, on the two sets of five digits, by Holm."""
    written(reference, study.SDNN, 0, {"strings": {"1": by_length(9), "3": by_length(9)}}, packed(3, 9, 2))
    extra = {"strings": {"best path": by_length(4)}, "diverged": False}
    written(reference, study.CTC, 0, extra, packed(2, 4))
    (remark,) = (note for note in tables.named("strings")(Loader(reference=reference)).notes if "less CTC" in note)
    only_sdnn, only_ctc = 6, 1
    p = 2 * binomtest(only_sdnn, only_sdnn + only_ctc).pvalue
    assert remark.startswith("SDNN less CTC, string by string: 5 digits, gap −1 to 4: +5.00 (95% ")
    assert f"p {p:.2g}); 5 digits, gap −1 to 4, noise: +5.00" in remark


def test_the_table_stands_with_one_reader(reference, chosen):
    written(reference, study.SDNN, 0, {"strings": {"3": by_length(10)}}, packed(0, 10))
    table = tables.named("strings")(Loader(reference=reference))
    assert table.body[0][:4] == ["5 digits, gap −1 to 4", "10.00", "", "1"]
    assert "–" in table.body[0][4]
    assert any(study.CTC in note for note in table.notes if note.startswith(tables.LACKING))


def test_the_blank_of_the_table_must_have_been_tried(reference, chosen, monkeypatch):
    monkeypatch.setattr(study, "CHOSEN_BLANK", None)
    written(reference, study.SDNN, 0, {"strings": {"3": by_length(10)}}, packed(0, 10))
    with pytest.raises(ValueError, match="CHOSEN_BLANK is None; it must be one of BLANKS_OF_STAGE_TWO"):
        tables.named("strings")(Loader(reference=reference))


def test_held_out_strings_choose_the_blank(reference, monkeypatch):
    counts = {"1": 40, "4": 30, "8": 35}
    ways = {way: {study.FIVE: found(n), study.NOISY: found(n + 9)} for way, n in counts.items()}
    for name, candidate in study.CHOICES.items():
        if candidate.reader == study.SDNN:
            publish(reference, name, 0, test_patterns=study.HELD_OUT, extra={"strings": ways})
    for seed in range(3):  # a finalist has more seeds
        extra = {"strings": {"best path": {study.FIVE: found(5), study.NOISY: found(6)}}, "diverged": False}
        written(reference, f"{study.ROOM}/ctc-rate0.01", seed, extra, {})
    monkeypatch.setitem(study.CHOSEN, study.SDNN, "clear5")
    monkeypatch.setitem(study.CHOSEN, study.CTC, None)
    table = tables.named("strings-held-out")(Loader(reference=reference))
    lines = {line[0]: line for line in table.body}
    assert lines["VII.B as printed"][1] == "30.00"
    assert lines["VII.B as printed"][5:] == ["4", "39.00", "15.00", "3.00", "1.00", "0.95"]
    assert lines["CTC, rate 0.01"][1:4] == ["5.00", "0.00", "3"]
    assert [one["experiment"] for one in table.records if one["in_use"]] == [f"{study.ROOM}/clear5"]
    assert [title for title in lines if "chosen" in title] == [f"{study.CANDIDATES['clear5'].title} (chosen)"]
    assert [title for title in lines if "eligible" in title] == [
        f"{study.BEST_PATTERNS}, j = {study.BEST_J:g}, no pixel inverted (not eligible)"
    ]
