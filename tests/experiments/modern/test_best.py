"""The network of 1998 trained as well as today, on a few hundred digits, and its tables on made-up results."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.harness import registry, tables
from experiments.harness.loader import NoResults
from experiments.harness.registry import Context
from experiments.modern import best
from experiments.paper import numbers as paper
from lenet98 import modules
from lenet98.networks import LENET5
from lenet98.readings import DEFAULT
from lenet98.training import inputs
from tests.fakes import JUDGED, publish


def test_the_network_is_that_of_1998():
    for each in best.WAYS.values():
        assert each.config.network.spec == LENET5
        assert each.config.network.reading == DEFAULT
        assert each.config.network.dropout == 0


def test_every_way_changes_one_thing():
    def fields(config):
        return {
            name: getattr(config, name) for name in ("passes", "optimizer", "batch", "affine", "elastic", "network")
        }

    first, *others = (fields(each.config) for each in best.WAYS.values())
    for other in others:
        assert sum(first[name] != other[name] for name in first) == 1


def test_held_out_runs_learn_fifty_thousand():
    for name, each in best.TRIED.items():
        config = registry.named(name).config
        assert config == replace(each.config, train_size=50_000, held_out=10_000)
    assert registry.named(best.BEST).config == best.WAYS[best.CHOSEN].config
    assert registry.named(best.BEST).seeds == tuple(range(20))


def test_what_is_kept_is_the_network_without_normalization(mnist, tmp_path):
    """Its own modules, given the kept weights, give the recorded answers and errors."""
    few = replace(mnist, test_images=mnist.test_images[:300], test_labels=mnist.test_labels[:300])
    config = replace(best.WAYS["passes30"].config, passes=1, train_size=640, elastic=None)
    context = Context(lambda _: None, tmp_path / "checkpoint")
    context.__dict__["mnist"] = few
    found = best.train_and_fold(config, 0, context)
    assert found.weights.shape == (60_000,)
    seen = torch.from_numpy(inputs(LENET5, few.test_images))
    y = modules.network(LENET5, found.weights)(seen).detach().numpy()
    np.testing.assert_array_equal(found.predictions, y.argmin(axis=1))
    assert found.passes[-1]["test_errors"] == (found.predictions != few.test_labels).sum()
    np.testing.assert_allclose(found.scores, np.diff(np.sort(y, axis=1)[:, :2])[:, 0], rtol=1e-3, atol=1e-3)


def test_table(reference, load):
    labels = registry.load_mnist(None).test_labels
    for name, errors in ((paper.LENET5, 100), (best.BEST, 50)):
        for seed in range(10):
            predictions = labels.copy()
            predictions[100 * seed : 100 * seed + errors] += 1
            identity = replace(JUDGED, config={"of": name})
            publish(reference, name, seed, test=errors, predictions=predictions % 10, identity=identity)
    table = tables.named("best-1998")(load)
    assert [line[0] for line in table.body] == ["as in 1998", "as today"]
    assert [line[3] for line in table.body] == ["1.00", "0.50"]
    assert table.body[1][-1] == "0.00"  # no two of the ten miss the same pattern
    assert any(paper.DIST_LENET5 in note for note in table.notes if note.startswith(tables.LACKING))
    for form in tables.FORMATS:
        assert table.render(form)


def test_held_out_table(reference, load):
    for n, name in enumerate(best.TRIED):
        publish(reference, name, 0, test=50 + n)
    table = tables.named("best-1998-held-out")(load)
    assert len(table.body) == len(best.WAYS)
    assert [line[0] for line in table.body if "chosen" in line[0]] == [f"{best.WAYS[best.CHOSEN].title} (chosen)"]


@pytest.mark.parametrize("name", ["best-1998", "best-1998-held-out"])
def test_without_results(load, name):
    with pytest.raises(NoResults, match="best"):
        tables.named(name)(load)
