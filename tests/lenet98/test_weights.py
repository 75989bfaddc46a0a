"""Files of weights hold the network by value; those that name it are still read."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from lenet98 import weights
from lenet98.data.distortions import FIG7
from lenet98.data.strings import NOISE
from lenet98.modern import ladder
from lenet98.networks import LENET5, mlp
from lenet98.readings import LITERAL
from lenet98.specs import Convolution, Full, Softmax, Spec
from lenet98.training import Config

OWN = Spec("own", (1, 28, 28), (Convolution("C1", 2, 5, ((0,), (0,))), Full("F2", 3), Softmax("output")))


def some(spec):
    return np.linspace(-1, 1, spec.parameters, dtype=np.float32)


@pytest.mark.parametrize("spec", [LENET5, mlp(300), ladder.TODAY, OWN], ids=lambda spec: spec.name)
def test_what_is_saved_is_loaded(tmp_path, spec):
    config = Config(spec=spec, reading=LITERAL, distortions=FIG7, strings=NOISE, train_size=54_000, held_out=6_000)
    weights.save(tmp_path / "net.npz", some(spec), config)
    parameters, found = weights.load(tmp_path / "net.npz")
    assert parameters.tobytes() == some(spec).tobytes()
    assert found == config
    assert found.spec.geometry == spec.geometry
    assert found.spec.name == ("unnamed" if spec is OWN else spec.name)  # the label of known networks


@pytest.mark.parametrize(("evaluate_on", "held_out"), [("test", 0), ("held out", 10_000)])
def test_a_file_with_the_name_of_its_network_is_loaded(tmp_path, evaluate_on, held_out):
    config = Config(spec=mlp(300), train_size=50_000)
    given = {**asdict(config), "spec": "28x28-300-10", "evaluate_on": evaluate_on}
    del given["held_out"]
    np.savez(tmp_path / "old.npz", weights=some(config.spec), config=np.array(json.dumps(given)))
    assert weights.load(tmp_path / "old.npz")[1] == replace(config, held_out=held_out)


def test_published_weights_are_those_of_lenet5():
    parameters, config = weights.load(weights.default())
    assert config == Config()
    assert config.spec.name == "lenet5"
    assert parameters.shape == (60_000,)


@pytest.mark.parametrize("spec", ["lenet6", {}, {"input_shape": [1, 6, 6], "layers": [{"kind": "attention"}]}])
def test_a_network_that_is_none_is_refused(tmp_path, spec):
    given = {**asdict(Config()), "spec": spec}
    np.savez(tmp_path / "odd.npz", weights=some(LENET5), config=np.array(json.dumps(given)))
    with pytest.raises(ValueError, match=r"odd\.npz: not the weights of a network of this version"):
        weights.load(tmp_path / "odd.npz")
