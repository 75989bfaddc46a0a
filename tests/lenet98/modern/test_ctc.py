"""Strings read by a network of today: its loss, its reading and its training."""

from dataclasses import replace
from itertools import groupby, product

import numpy as np
import pytest
import torch

from lenet98.data import rows
from lenet98.data.distortions import FIG7
from lenet98.data.strings import distorted_ink
from lenet98.modern import ctc
from lenet98.modern.minibatch import flat
from tests.resumption import interrupted

FEW = ctc.Config(passes=2, train_size=300, batch=8, digits=(2, 4))


def collapsed(path):
    return tuple(state for state, _ in groupby(path) if state != ctc.BLANK)


def test_the_network_has_lenet5s_size_and_step():
    model = ctc.build(0)
    assert sum(value.numel() for value in model.parameters()) == 61_791
    for width in (32, 36, 64):
        assert model(torch.zeros(1, 1, 32, width)).shape == (1, 11, 1, (width - 32) // 4 + 1)


def test_the_best_path_is_collapsed():
    b = ctc.BLANK
    paths = [[b, 3, 3, b, 3, 7], [1, 1, 1, 1, 2, 2], [b] * 6]
    shares = np.eye(11, dtype=np.float32)[paths]
    assert ctc.best_path(shares, np.array([6, 6, 6])) == [collapsed(path) for path in paths] == [(3, 3, 7), (1, 2), ()]
    assert ctc.best_path(shares, np.array([5, 4, 6])) == [(3, 3), (1,), ()]


def test_the_loss_is_that_of_all_paths_to_the_string():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(2, 4, 11))).log_softmax(2)
    right, outputs = np.array([[1, 1], [4, 2]], np.uint8), np.array([4, 3])
    expected = 0.0
    for shares, string, count in zip(logits.exp().numpy(), right.tolist(), outputs, strict=True):
        used = (*set(string), ctc.BLANK)
        paths = [path for path in product(used, repeat=int(count)) if collapsed(path) == tuple(string)]
        expected -= np.log(sum(np.prod(shares[np.arange(count), path]) for path in paths)) / 2
    assert ctc._loss(logits, outputs, right).item() == pytest.approx(expected)


def test_a_string_that_fits_no_path_teaches_nothing():
    logits = torch.zeros(1, 2, 11).log_softmax(2)
    assert ctc._loss(logits, np.array([2]), np.array([[1, 1]], np.uint8)) == 0  # equal digits need a blank between


def test_a_pass_shows_every_digit_once_but_for_the_last(mnist):
    batches = list(ctc._batches(FEW, 0, 1, mnist.train_images))
    used = np.concatenate([chosen.ravel() for chosen, _ in batches])
    assert len(set(used.tolist())) == len(used)
    assert 300 - 8 * 4 < len(used) <= 300
    assert {chosen.shape[1] for chosen, _ in batches} <= {2, 3, 4}
    assert used.max() < 300
    other = np.concatenate([chosen.ravel() for chosen, _ in ctc._batches(FEW, 0, 2, mnist.train_images)])
    assert not np.array_equal(used[:20], other[:20])


def test_digits_may_be_distorted(mnist):
    """Each by itself, as any of the ten members of the pool; the strings are the same."""
    config, images = replace(FEW, inverted=0.0, gap=(2, 2)), mnist.train_images
    chosen, fields = next(ctc._batches(replace(config, distortions=FIG7), 3, 1, images))
    np.testing.assert_array_equal(chosen, next(ctc._batches(config, 3, 1, images))[0])
    copies = []
    for row, ink in zip(chosen, fields.ink, strict=True):
        pool = distorted_ink(images, np.repeat(row[0], 10), np.arange(10), 3, FIG7)
        boxes = [member[:, member.any(0)] for member in pool]
        copies += [n for n, box in enumerate(boxes) if np.array_equal(ink[:, 15 : 15 + box.shape[1]], box)]
    assert len(copies) == len(chosen)
    assert len(set(copies)) > 2


def test_it_learns_and_resumes(mnist, tmp_path):
    whole = ctc.train(FEW, 1, mnist)
    assert [entry.number for entry in whole.history] == [1, 2]
    assert whole.history[1].train_loss < whole.history[0].train_loss
    assert not whole.diverged
    interrupted(ctc.train, FEW, 1, mnist, tmp_path / "state", 2)
    resumed = ctc.train(FEW, 1, mnist, checkpoint=tmp_path / "state")
    np.testing.assert_array_equal(flat(resumed.model), flat(whole.model))
    fields, _ = rows.fields(rows.Rows(3, strings=5), 0, mnist.test_images, mnist.test_labels)
    assert ctc.read(whole.model, fields, several=2) == ctc.read(whole.model, fields)


def test_a_rate_too_high_diverges(mnist):
    assert ctc.train(replace(FEW, rate=1e30), 0, mnist).diverged


@pytest.mark.parametrize(
    ("name", "value"), [("rate", 0.0), ("passes", 0), ("batch", 0), ("digits", (3, 2)), ("train_size", 0)]
)
def test_settings_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"Config.{name}"):
        ctc.Config(**{name: value})
