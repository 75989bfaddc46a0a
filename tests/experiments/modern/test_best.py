"""The network of 1998 trained as well as today, on a few hundred digits, and its tables on made-up results."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.harness import registry, runner, tables
from experiments.harness.identity import canonical_json, changed, plain
from experiments.harness.loader import NoResults
from experiments.harness.registry import Context
from experiments.modern import best
from experiments.paper import numbers as paper
from lenet98 import modules, weights
from lenet98.modern.networks import field
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.readings import DEFAULT
from lenet98.training import distances, inputs
from tests.fakes import JUDGED, publish


def test_the_network_is_that_of_1998():
    for each in best.WAYS.values():
        assert each.config.network.spec == LENET5
        assert each.config.network.reading == DEFAULT
        assert each.config.network.dropout == 0


def test_every_way_changes_one_thing():
    first, *others = (plain(each.config) for each in best.ALONE.values())
    for other in others:
        assert len({name.partition(".")[0] for name in changed(first, other)}) == 1
    together = [each.config for each in best.TOGETHER.values()]
    assert {changed(plain(best.COMBINED), plain(config))[0] for config in together} == {"passes", "normalized_anew"}
    assert {best.COMBINED.passes, *(config.passes for config in together)} == {30, 60, 120}
    assert len({canonical_json(plain(each.config)) for each in best.WAYS.values()}) == len(best.WAYS)
    assert set(best.AGAINST.values()) <= best.TRIED.keys()


def test_held_out_runs_learn_fifty_thousand():
    for name, each in best.TRIED.items():
        config = registry.named(name).config
        assert config == replace(each.config, train_size=50_000, held_out=10_000)


def test_what_is_judged_on_the_test_set_is_what_was_chosen():
    if best.CHOSEN is None:
        assert best.BEST not in registry.load()
    else:
        assert registry.named(best.BEST).config == best.WAYS[best.CHOSEN].config


def folded(mnist, folder, **changes):
    """A short run and its digits."""
    few = replace(mnist, test_images=mnist.test_images[:300], test_labels=mnist.test_labels[:300])
    config = replace(best.FIRST, passes=1, train_size=320, elastic=None, **changes)
    context = Context(lambda _: None, folder / "-".join(["checkpoint", *changes]))
    context.__dict__["mnist"] = few
    return best.train_and_fold(config, 0, context), few


def test_what_is_kept_is_the_network_without_normalization(mnist, tmp_path):
    """Its own modules, given the kept weights, give the recorded answers; the file says what network it is."""
    found, few = folded(mnist, tmp_path)
    assert found.weights.shape == (60_000,)
    seen = torch.from_numpy(inputs(LENET5, few.test_images))
    y = modules.network(LENET5, found.weights)(seen).detach().numpy()
    np.testing.assert_array_equal(found.predictions, y.argmin(axis=1))
    assert found.passes[-1]["test_errors"] == (found.predictions != few.test_labels).sum()
    np.testing.assert_allclose(found.scores, np.diff(np.sort(y, axis=1)[:, :2])[:, 0], rtol=1e-3, atol=1e-3)
    job = SimpleNamespace(label="a run", identity=registry.named(next(iter(best.TRIED))).identity())
    np.savez(tmp_path / "run.npz", **runner._arrays(job, found))
    loaded, config = weights.load(tmp_path / "run.npz")
    assert loaded.tobytes() == found.weights.tobytes()
    assert (config.spec, config.reading) == (LENET5, DEFAULT)
    anew, _ = folded(mnist, tmp_path, normalized_anew=True)
    assert not np.array_equal(anew.weights, found.weights)


def test_statistics_anew_are_those_of_the_digits_as_they_are(mnist):
    """Normalized sums over them have the mean and the variance that were learned, and folded weights answer alike."""
    images = mnist.train_images[:300]
    model = best.FIRST.network.build(0)
    torch.manual_seed(0)
    for norm in model.norms.values():
        torch.nn.init.uniform_(norm.weight, 0.5, 2)
        torch.nn.init.normal_(norm.bias)
    sums = {}
    for name, norm in model.norms.items():
        norm.register_forward_hook(lambda _, given, out, name=name: sums.update({name: out}))
    seen = field(torch.from_numpy(images), 32, best.FIRST.levels)
    best.normalize(model, best.FIRST, images)
    with torch.no_grad():
        outputs = model.eval()(seen)
    for name, norm in model.norms.items():
        torch.testing.assert_close(sums[name].mean((0, 2, 3)), norm.bias.detach(), atol=0.01, rtol=0)
        torch.testing.assert_close(sums[name].std((0, 2, 3)), norm.weight.detach(), atol=0, rtol=0.02)
    y = distances(Engine(LENET5, DEFAULT), model.folded(), images)
    np.testing.assert_allclose(y, -outputs.numpy(), rtol=1e-3, atol=1e-3)


def test_table(reference, load, monkeypatch):
    monkeypatch.setattr(best, "CHOSEN", "passes60")
    labels = registry.load_mnist(None).test_labels
    for name, errors in ((paper.DIST_LENET5, 100), (best.BEST, 50)):
        for seed in range(10):
            predictions = labels.copy()
            predictions[100 * seed : 100 * seed + errors] += 1
            identity = replace(JUDGED, config={"of": name})
            publish(reference, name, seed, test=errors, predictions=predictions % 10, identity=identity)
    table = tables.named("best-1998")(load)
    assert [line[0] for line in table.body] == ["as in 1998, distorted", "as today"]
    assert [line[3] for line in table.body] == ["1.00", "0.50"]
    assert [line[8] for line in table.body] == ["0.00", "0.00"]  # no two of the ten miss the same pattern
    assert [line[9] for line in table.body] == ["", "−0.50"]
    assert any(paper.LENET5 in note for note in table.notes if note.startswith(tables.LACKING))
    for form in tables.FORMATS:
        assert table.render(form)


def test_held_out_table(reference, load, monkeypatch):
    monkeypatch.setattr(best, "CHOSEN", "anew")
    for n, name in enumerate(best.TRIED):
        publish(reference, name, 0, test=50 + n)
    table = tables.named("best-1998-held-out")(load)
    assert len(table.body) == len(best.WAYS)
    assert [line[0] for line in table.body if "chosen" in line[0]] == [f"{best.WAYS['anew'].title} (chosen)"]
    assert table.records[1]["change"] == pytest.approx(0.01)


@pytest.mark.parametrize("chosen", [None, "first"])
@pytest.mark.parametrize("name", ["best-1998", "best-1998-held-out"])
def test_without_results(load, name, chosen, monkeypatch):
    monkeypatch.setattr(best, "CHOSEN", chosen)
    with pytest.raises(NoResults, match="best"):
        tables.named(name)(load)
