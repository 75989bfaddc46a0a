"""The initial ranges of Appendix A and their readings, and the run's streams of random numbers."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest

from lenet98.networks import LENET5, mlp
from lenet98.randomness import Purpose, generator
from lenet98.readings import DEFAULT, FORMER, FORMER_DISTORTED, LITERAL, Reading, initial_parameters

PUBLISHED = {
    "init_gain": 1.4,
    "init_power": 0.5,
    "fan_in_counts_bias": False,
    "bias_init": "zero",
    "coefficient_init": (2.0, 1.0),
    "subsampling": "average",
    "loss": "eq9",
    "j": 1.0,
    "rbf_scale": 1.0,
    "loss_scale": 0.5,
    "curvature_scale": 1.0,
    "order": "constant",
    "curvature_patterns": "random",
    "output_curvature": "eq8",
    "coefficient_curvature": "unit",
    "final_weights": "last",
}
BEFORE = PUBLISHED | {
    "init_gain": 1.7320508075688772,  # the square root of 3
    "fan_in_counts_bias": True,
    "bias_init": "drawn",
    "coefficient_init": 1.0,
    "curvature_scale": None,
    "output_curvature": "exact",
}
BEFORE_DISTORTED = BEFORE | {"j": 10.0, "loss_scale": 0.05, "output_curvature": "eq8"}
TO_THE_LETTER = {
    "init_gain": 2.4,
    "init_power": 1.0,
    "fan_in_counts_bias": True,
    "bias_init": "drawn",
    "coefficient_init": "drawn",
    "subsampling": "sum",
    "loss": "eq8",
    "j": 1.0,
    "rbf_scale": 1.0,
    "loss_scale": 1.0,
    "curvature_scale": None,
    "order": "constant",
    "curvature_patterns": "random",
    "output_curvature": "exact",
    "coefficient_curvature": "unit",
    "final_weights": "last",
}

LAYERS = {layer.name: layer for layer in LENET5.geometry}

DIGEST = """
import hashlib
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.randomness import generator
from lenet98.networks import LENET5
print(hashlib.sha256(initial_parameters(LENET5, DEFAULT, generator(7, "init")).tobytes()).hexdigest())
"""


def draw(reading, seed=0):
    return initial_parameters(LENET5, reading, generator(seed, "init"))


@pytest.mark.parametrize(
    ("reading", "values"),
    [
        (DEFAULT, PUBLISHED),
        (FORMER, BEFORE),
        (FORMER_DISTORTED, BEFORE_DISTORTED),
        (LITERAL, TO_THE_LETTER),
    ],
)
def test_the_readings_are_field_by_field_what_is_published(reading, values):
    assert asdict(reading) == values


@pytest.mark.parametrize(
    ("reading", "bound"),
    [
        (LITERAL, lambda fan_in: 2.4 / (fan_in + 1)),
        (Reading(init_gain=2.4, init_power=1, fan_in_counts_bias=False), lambda fan_in: 2.4 / fan_in),
        (FORMER, lambda fan_in: np.sqrt(3 / (fan_in + 1))),
        (replace(DEFAULT, bias_init="drawn"), lambda fan_in: 1.4 / np.sqrt(fan_in)),
    ],
)
def test_weights_fill_the_initial_range_of_their_unit_and_never_exceed_it(reading, bound):
    parameters = draw(reading)
    # The 26 kernels of 25 weights of C1 and so on; in C3 the fan-in and so the range differ between maps.
    fan_in = {"C1": [25] * 6, "C3": [75] * 6 + [100] * 9 + [150], "C5": [400] * 120, "F6": [120] * 84}
    for name, fans in fan_in.items():
        maps = np.split(parameters[LAYERS[name].weight_slice], np.cumsum(fans)[:-1])
        reached = np.array([abs(weights).max() / bound(fan) for weights, fan in zip(maps, fans, strict=True)])
        assert reached.max() <= 1 + 1e-6
        assert reached.min() > 0.8
        assert reached.mean() > 0.95
        biases = parameters[LAYERS[name].bias_slice] / [bound(fan) for fan in fans]
        assert 0.5 < abs(biases).max() <= 1 + 1e-6


def test_former_weights_have_the_standard_deviation_of_one_over_root_fan_in():
    weights = draw(FORMER)[LAYERS["C5"].weight_slice]
    assert weights.std() == pytest.approx(1 / np.sqrt(401), rel=0.01)
    assert weights.mean() == pytest.approx(0, abs=1e-3)


def test_coefficients_start_constant_or_drawn_with_fan_in_four():
    assert (draw(FORMER)[LAYERS["S4"].weight_slice] == 1).all()
    assert (draw(Reading(coefficient_init=0.25))[LAYERS["S2"].weight_slice] == 0.25).all()
    drawn = draw(LITERAL)[LAYERS["S4"].weight_slice]
    assert len(set(drawn)) == 16
    assert 0.5 < abs(drawn).max() / (2.4 / 5) <= 1


def test_a_network_without_subsampling_has_no_coefficients_to_start():
    assert initial_parameters(mlp(5), DEFAULT, generator(0, "init")).size == mlp(5).parameters


def test_each_subsampling_layer_has_its_own_first_coefficient():
    assert (draw(DEFAULT)[LAYERS["S2"].weight_slice] == 2).all()  # 1/2 on the sum of the four inputs
    parameters = draw(Reading(coefficient_init=(2.0, 0.75)))
    assert (parameters[LAYERS["S2"].weight_slice] == 2).all()
    assert (parameters[LAYERS["S4"].weight_slice] == 0.75).all()
    # The last one is for all that follow.
    assert (draw(Reading(coefficient_init=(2.0,)))[LAYERS["S4"].weight_slice] == 2).all()
    one = replace(LENET5, layers=LENET5.layers[:2] + LENET5.layers[-2:])
    (layer,) = [layer for layer in one.trainable if layer.kind == "subsampling"]
    assert (initial_parameters(one, DEFAULT, generator(0, "init"))[layer.weight_slice] == 2).all()


def test_a_reading_from_json_is_the_reading():
    reading = Reading(coefficient_init=(2.0, 1.0), curvature_scale=1.0)
    assert Reading(**json.loads(json.dumps(asdict(reading)))) == reading


def test_zero_biases_leave_the_weights_as_they_are():
    zero, drawn = draw(Reading(bias_init="zero")), draw(FORMER)
    for layer in LENET5.trainable:
        assert (zero[layer.bias_slice] == 0).all()
        assert (zero[layer.weight_slice] == drawn[layer.weight_slice]).all()


def test_same_seed_same_bytes_in_another_process():
    def digest(hash_seed):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", DIGEST]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    here = hashlib.sha256(draw(DEFAULT, seed=7).tobytes()).hexdigest()
    assert digest("1") == digest("2") == here


def test_published_seeds_are_these_streams():
    """A seed names the same run for as long as its purposes keep their places."""
    assert get_args(Purpose) == ("init", "order", "hessian", "distortion", "strings", "reading", "rows")
    for place, purpose in enumerate(get_args(Purpose)):
        for counters in ((), (2,), (2, 5)):
            sequence = np.random.SeedSequence(7, spawn_key=(place, *counters))
            drawn = generator(7, purpose, *counters).bit_generator.random_raw()
            assert drawn == np.random.PCG64(sequence).random_raw()
    assert generator(0, "init").bit_generator.random_raw() == 17_394_127_715_520_444_142


def test_seeds_purposes_and_passes_have_streams_of_their_own():
    streams = [
        generator(*arguments).integers(2**63)
        for arguments in ((0, "init"), (1, "init"), (0, "order"), (0, "hessian"), (0, "hessian", 1), (0, "hessian", 2))
    ]
    assert len(set(streams)) == len(streams)
    assert generator(0, "hessian", 2).integers(2**63) == streams[-1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", "eq10"),
        ("subsampling", "max"),
        ("bias_init", "ones"),
        ("order", "sorted"),
        ("curvature_patterns", "all"),
        ("output_curvature", "eq9"),
        ("coefficient_init", "one"),
        ("j", 0),
        ("loss_scale", -1),
        ("init_gain", float("nan")),
    ],
)
def test_a_reading_that_does_not_exist_names_the_field_and_the_value(field, value):
    with pytest.raises(ValueError, match=rf"Reading\.{field} is {value!r}"):
        Reading(**{field: value})
