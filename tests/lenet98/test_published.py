"""The networks that come with the package: each errs as often as its file says, and none needs the network."""

import re
import socket
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

import lenet98
from lenet98 import published, weights
from lenet98.data.fields import BLACK, WHITE, pad_and_scale
from lenet98.data.mnist import VERSION
from lenet98.modules import Net
from lenet98.networks import LENET1, LENET4, LENET5
from lenet98.published import LeNet1Weights, LeNet4Weights, LeNet5Weights
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.training import Config

ERRORS = {
    LeNet5Weights.PAPER: 106,
    LeNet5Weights.DISTORTED: 97,
    LeNet5Weights.NOISE: 127,
    LeNet5Weights.SDNN: 85,
    LeNet5Weights.TRUNK1998: 83,
    LeNet1Weights.PAPER: 220,
    LeNet4Weights.PAPER: 132,
}
BUILD = {LeNet5Weights: lenet98.lenet5, LeNet1Weights: lenet98.lenet1, LeNet4Weights: lenet98.lenet4}


def test_all_of_them_are_judged_here():
    assert list(ERRORS) == published.every()


@pytest.mark.parametrize("member", ERRORS, ids=str)
@torch.no_grad()
def test_each_errs_as_often_as_its_file_says(member, mnist):
    net, transform = BUILD[type(member)](member), member.transforms()
    distances = torch.cat([net(transform(digits)) for digits in np.array_split(mnist.test_images, 10)]).numpy()
    assert distances.shape == (10_000, 10)
    assert lenet98.errors(lenet98.predict(distances), mnist.test_labels) == ERRORS[member] == member.meta["errors"]


@pytest.mark.parametrize("member", ERRORS, ids=str)
def test_a_file_says_how_it_was_made(member):
    texts, meta = weights.header(member.path), member.meta
    assert texts["header"] == "Made by: python -m experiments weights"
    assert texts["name"] == str(member)
    if member is LeNet5Weights.SDNN:
        words, reading = " but j = 20", replace(DEFAULT, j=published.SDNN_J)
    elif isinstance(member, LeNet5Weights):
        words, reading = "", DEFAULT
    else:  # place codes
        words, reading = ' but loss = "eq8"', replace(DEFAULT, loss="eq8")
    assert texts["reading"] == f"DEFAULT{words}"
    assert meta["reading"] == meta["config"].reading == reading
    assert meta["patterns"] == 10_000
    assert (meta["experiment"], meta["seed"]) == (member.value, published.SEED)
    assert meta["command"] == f"python -m experiments run {member.value} --seeds 0"
    assert meta["data"] == f"mnist-{VERSION}"
    assert re.fullmatch("[0-9a-f]{40}", meta["commit"])
    assert meta["cpu"]
    assert "10.1109/5.726791" in meta["paper"]
    assert set(meta) == published.Meta.__required_keys__


def test_what_each_learned():
    configs = {member.name: member.meta["config"] for member in LeNet5Weights}
    assert configs["PAPER"] == Config()
    assert configs["DISTORTED"].distortions
    assert configs["DISTORTED"].strings is None
    assert configs["NOISE"].strings.inverted == 0.1
    assert not configs["NOISE"].strings.neighbors
    assert configs["SDNN"].strings.neighbors
    parameters = [lenet98.lenet5(member).flat() for member in LeNet5Weights]
    assert not any(np.array_equal(one, other) for one, other in pairwise(parameters))


def test_loading_is_quick_and_needs_no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("somebody opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    began = time.process_time()  # whatever else the machine does
    lenet98.lenet5("distorted")
    assert time.process_time() - began < 1


def test_a_name_a_member_and_a_file_are_the_same_network(tmp_path):
    assert LeNet5Weights.DEFAULT is LeNet5Weights.PAPER
    ways = ["paper", "lenet5-paper", LeNet5Weights.PAPER, LeNet5Weights.PAPER.path, str(LeNet5Weights.PAPER.path)]
    first, *others = [lenet98.lenet5(which).flat().tobytes() for which in ways]
    assert set(others) == {first}
    weights.save(tmp_path / "mine.npz", *weights.load(LeNet5Weights.PAPER.path))
    assert lenet98.lenet5(tmp_path / "mine.npz").flat().tobytes() == first


@pytest.mark.parametrize(
    ("build", "spec", "kind"),
    [
        (lenet98.lenet5, LENET5, LeNet5Weights),
        (lenet98.lenet1, LENET1, LeNet1Weights),
        (lenet98.lenet4, LENET4, LeNet4Weights),
    ],
)
def test_without_weights_it_is_the_initial_network(build, spec, kind):
    assert kind in published.KINDS
    net = build()
    assert net.spec == spec
    assert net.flat().tobytes() == Net(spec).flat().tobytes()


def test_unknown_names_are_told_which_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"^no weights called 'papre'; there are paper, distorted, noise, sdnn, trunk"):
        lenet98.lenet5("papre")
    with pytest.raises(ValueError, match=r"^no weights called 'sdnn'; there are paper; or name a file$"):
        lenet98.lenet1("sdnn")
    other = tmp_path / "other.safetensors"
    weights.save(other, initial_parameters(LENET1, DEFAULT, np.random.default_rng(0)), Config(spec=LENET1))
    with pytest.raises(ValueError, match=r"other\.safetensors: holds lenet1, not lenet5"):
        lenet98.lenet5(other)
    with pytest.raises(ValueError, match="cannot be read"):
        lenet98.lenet5(tmp_path / "missing.npz")


def test_transforms_take_what_digits_come_as(mnist):
    digits, transform = mnist.test_images[:3], LeNet5Weights.PAPER.transforms()
    expected = torch.from_numpy(pad_and_scale(digits))
    assert expected.shape == (3, 1, 32, 32)
    for given in (digits, torch.from_numpy(digits)):
        assert torch.equal(transform(given), expected)
    for given in (digits[0], torch.from_numpy(digits[0]), Image.fromarray(digits[0])):
        assert torch.equal(transform(given), expected[0])
    for wrong in (digits / 255.0, digits[None], Image.fromarray(digits[0]).convert("RGBA").resize((40, 40))):
        with pytest.raises(ValueError, match=r"images must be uint8|do not fit"):
            transform(wrong)


def test_lenet1_sees_16x16_pixels_in_the_middle(mnist):
    """III.C.7: the images were scaled down to 16x16 pixels and centered in the 28x28 input layer."""
    digits, transform = mnist.test_images[:50], LeNet1Weights.PAPER.transforms()
    seen = transform(digits)
    assert seen.shape == (50, 1, 28, 28)
    inside = seen[:, :, 6:22, 6:22]
    outside = seen.clone()
    outside[:, :, 6:22, 6:22] = WHITE
    assert (outside == WHITE).all()
    # A pixel is the mean of 1.25 x 1.25 pixels of the 28x28 image, so that the digit has so much less ink.
    ink = (digits / 255.0).sum(axis=(1, 2)) / 1.25**2
    shown = ((inside - WHITE) / (BLACK - WHITE)).sum(dim=(1, 2, 3)).numpy()
    np.testing.assert_allclose(shown, ink, rtol=0.01)
    assert torch.equal(transform(Image.fromarray(digits[0])), seen[0])
    with pytest.raises(ValueError, match="a window of 20x20 cannot be cut out of images of 16x16"):
        transform(np.zeros((16, 16), np.uint8))


def test_the_example_of_the_module_runs():
    code = re.search(r"\n\n(    import lenet98\n.*?)\n\n", published.__doc__, re.DOTALL)[1]
    names = {"images": np.zeros((2, 28, 28), np.uint8)}
    exec(re.sub("^    ", "", code, flags=re.MULTILINE), names)
    assert names["distances"].shape == (2, 10)
