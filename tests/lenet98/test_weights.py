"""Files of weights hold the network by value; those that name it are still read."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lenet98 import weights
from lenet98.data.distortions import FIG7
from lenet98.data.strings import NOISE
from lenet98.modern import ladder
from lenet98.modules import Net
from lenet98.networks import LENET1, LENET5, mlp
from lenet98.readings import LITERAL
from lenet98.specs import Convolution, Full, Softmax, Spec
from lenet98.training import Config, FormConfig

OWN = Spec("own", (1, 28, 28), (Convolution("C1", 2, 5, ((0,), (0,))), Full("F2", 3), Softmax("output")))


def some(spec):
    return np.linspace(-1, 1, spec.parameters, dtype=np.float32)


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors"])
@pytest.mark.parametrize("spec", [LENET5, mlp(300), ladder.TODAY, OWN], ids=lambda spec: spec.name)
def test_what_is_saved_is_loaded(tmp_path, spec, name):
    config = Config(spec=spec, reading=LITERAL, distortions=FIG7, strings=NOISE, train_size=54_000, held_out=6_000)
    weights.save(tmp_path / name, some(spec), config)
    parameters, found = weights.load(tmp_path / name)
    assert parameters.tobytes() == some(spec).tobytes()
    assert found == config
    assert found.spec.geometry == spec.geometry
    assert found.spec.name == ("unnamed" if spec is OWN else spec.name)  # the label of known networks


def test_the_form_of_the_digits_is_loaded(tmp_path):
    config = FormConfig(spec=LENET1, form="16x16")
    for name in ("net.npz", "net.safetensors"):
        weights.save(tmp_path / name, some(LENET1), config)
        assert weights.load(tmp_path / name)[1] == config


@pytest.mark.parametrize(("evaluate_on", "held_out"), [("test", 0), ("held out", 10_000)])
def test_a_file_with_the_name_of_its_network_is_loaded(tmp_path, evaluate_on, held_out):
    config = Config(spec=mlp(300), train_size=50_000)
    given = {**asdict(config), "spec": "28x28-300-10", "evaluate_on": evaluate_on}
    del given["held_out"]
    np.savez(tmp_path / "old.npz", weights=some(config.spec), config=np.array(json.dumps(given)))
    assert weights.load(tmp_path / "old.npz")[1] == replace(config, held_out=held_out)


def test_other_programs_read_the_tensors_by_name(tmp_path):
    weights.save(tmp_path / "net.safetensors", some(LENET5), Config())
    tensors = load_file(tmp_path / "net.safetensors")
    assert tensors["layers.C3.kernels"].shape == (60, 5, 5)
    net = Net(LENET5)
    net.load_state_dict(tensors)
    assert net.flat().tobytes() == some(LENET5).tobytes()


def test_a_header_is_written_in_one_order():
    """The library writes it in an order of chance, which differs from process to process."""
    texts = {letter: letter for letter in "qwertyuiop"}
    content = weights.as_safetensors(some(mlp()), Config(spec=mlp()), texts)
    found = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert list(found) == sorted({*texts, "config"})
    assert content == weights.as_safetensors(some(mlp()), Config(spec=mlp()), dict(reversed(texts.items())))


def test_safetensors_of_something_else_are_refused(tmp_path):
    given = tmp_path / "odd.safetensors"
    tensors = Net(LENET5).state_dict()
    config = json.dumps({**asdict(Config()), "spec": LENET5.as_json()})
    save_file(tensors, given)
    with pytest.raises(ValueError, match="its header has no config"):
        weights.load(given)
    save_file({**tensors, "layers.C1.bias": torch.zeros(7)}, given, {"config": config})
    with pytest.raises(ValueError, match=r"has layers\.C1\.bias of shape \(6,\), found shape \(7,\)"):
        weights.load(given)
    del tensors["layers.F6.weight"]
    save_file(tensors, given, {"config": config})
    with pytest.raises(ValueError, match=r"has layers\.F6\.weight of shape .*, found none"):
        weights.load(given)
    given.write_bytes(given.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"odd\.safetensors: is damaged or no \.safetensors file"):
        weights.load(given)
    given.unlink()
    with pytest.raises(ValueError, match=r"odd\.safetensors: cannot be read"):
        weights.load(given)


@pytest.mark.parametrize("spec", ["lenet6", {}, {"input_shape": [1, 6, 6], "layers": [{"kind": "attention"}]}])
def test_a_network_that_is_none_is_refused(tmp_path, spec):
    given = {**asdict(Config()), "spec": spec}
    np.savez(tmp_path / "odd.npz", weights=some(LENET5), config=np.array(json.dumps(given)))
    with pytest.raises(ValueError, match=r"odd\.npz: not the weights of a network of this version"):
        weights.load(tmp_path / "odd.npz")


def test_a_configuration_that_says_what_network_it_is_and_no_more_is_loaded(tmp_path):
    given = {"spec": LENET5.as_json(), "reading": asdict(LITERAL)}
    np.savez(tmp_path / "net.npz", weights=some(LENET5), config=np.array(json.dumps(given)))
    assert weights.load(tmp_path / "net.npz")[1] == Config(reading=LITERAL)
