"""LeNet-5's dimensions and Table I as Section II.B states them, and the flat vector's layout."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given

from lenet98.accounting import connections
from lenet98.catalog import from_json, named, resolved
from lenet98.modern import ladder
from lenet98.networks import LENET4, LENET5, PAPER, mlp
from lenet98.specs import RBF, Convolution, Full, Pooling, Softmax, Spec, Subsampling
from tests.strategies import any_specs, few

PLACES = RBF("RBF", "places", 2)


def layer(name):
    return next(geometry for geometry in LENET5.geometry if geometry.name == name)


def test_lenet5_has_the_maps_and_sizes_of_fig_2():
    assert [geometry.out_shape for geometry in LENET5.geometry] == [
        (6, 28, 28),
        (6, 14, 14),
        (16, 10, 10),
        (16, 5, 5),
        (120, 1, 1),
        (84, 1, 1),
        (10, 1, 1),
    ]


def test_lenet5_has_the_parameters_of_section_ii_b():
    assert [geometry.parameters for geometry in LENET5.geometry] == [156, 12, 1_516, 32, 48_120, 10_164, 0]
    assert LENET5.parameters == 60_000


def test_table_i_breaks_the_symmetry_as_the_paper_describes():
    table = layer("C3").table
    readers = [sum(source in sources for sources in table) for source in range(6)]
    assert readers == [10] * 6
    assert len(set(table)) == 16

    def contiguous(sources):
        """Whether the maps stand side by side, the last beside the first."""
        return any(set(sources) == {(start + i) % 6 for i in range(len(sources))} for start in range(6))

    assert [len(sources) for sources in table] == [3] * 6 + [4] * 9 + [6]
    assert [contiguous(sources) for sources in table] == [True] * 12 + [False] * 3 + [True]


def test_fan_in_of_c3():
    assert layer("C3").fan_in == (75,) * 6 + (100,) * 9 + (150,)
    assert layer("S2").fan_in == (4,) * 6


@few
@given(any_specs)
def test_weights_and_biases_tile_the_flat_vector(spec):
    indices = range(spec.parameters)
    tiles = [
        tile for geometry in spec.geometry for tile in (indices[geometry.weight_slice], indices[geometry.bias_slice])
    ]
    assert [index for tile in tiles for index in tile] == list(indices)


def test_mlp_has_one_rbf_component_per_class():
    assert mlp(300).parameters == 784 * 300 + 300 + 300 * 10 + 10
    assert named("28x28-300-10") == mlp(300)


def test_mlp_without_a_hidden_layer_is_a_squashed_unit_a_class_on_the_pixels():
    units, output = mlp().geometry
    assert (units.kind, units.squashing, units.in_shape, units.out_shape) == ("full", "tanh", (1, 28, 28), (10, 1, 1))
    assert output.prototypes == "places"
    assert named("28x28-10") == mlp()
    assert named("20x20-10") == mlp(input_shape=(1, 20, 20))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((Full("F1", 2),), "last layer must be an RBF"),
        ((), "last layer must be an RBF"),
        ((Full("F1", 2), PLACES, Full("F2", 2), RBF("output", "places", 2)), "F2 comes after the RBF"),
        ((Full("F1", 2), Full("F1", 2), PLACES), "two layers have one name"),
        ((Convolution("C1", 2, 7), Full("F2", 2), PLACES), "C1: a 7x7 kernel does not fit a 6x6 input"),
        ((Convolution("C1", 2, 2), Subsampling("S2"), Full("F3", 2), PLACES), "S2: 5x5 cannot be divided"),
        ((Full("F1", 3), PLACES), "RBF: places have 2 components"),
        ((Full("F1", 10), RBF("RBF", "bitmaps")), "RBF: bitmaps have 84 components"),
        ((Convolution("C1", 2, 3, ((0,),)), Full("F2", 2), PLACES), "C1: the table must name, for each of 2 maps"),
        ((Convolution("C1", 1, 3, ((1,),)), Full("F2", 2), PLACES), "distinct input maps below 1"),
        ((Convolution("C1", 1, 3, ((),)), Full("F2", 2), PLACES), "C1: the table"),
        ((Convolution("C1", 1, 3, ((0, 0),)), Full("F2", 2), PLACES), "C1: the table"),
        ((Subsampling("S1", sources=(0, 3)), Full("F2", 2), PLACES), "S1: the table"),
        ((Softmax("output", 2), Full("F2", 2), PLACES), "F2 comes after the softmax output"),
        ((Pooling("P1", "max"),), "last layer must be an RBF or a softmax output"),
        ((Convolution("C1", 2, 2), Pooling("P2", "max"), Softmax("output", 2)), "P2: 5x5 cannot be divided"),
        ((Pooling("P1", "sum"), Softmax("output", 2)), "P1: statistic is 'sum'; it must be 'average' or 'max'"),
    ],
)
def test_layers_that_do_not_fit_are_named(layers, message):
    with pytest.raises(ValueError, match=message):
        _ = Spec("wrong", (1, 6, 6), layers).geometry


def test_an_unknown_squashing_function_is_refused():
    with pytest.raises(ValueError, match=r"wrong: squashing is 'sigmoid'; it must be one of \('tanh', 'relu'\)"):
        _ = Spec("wrong", (1, 6, 6), (Softmax("output", 2),), "sigmoid").geometry


def test_every_unit_is_squashed_but_those_that_pool_and_the_output():
    layers = (Convolution("C1", 2, 3), Pooling("P2", "max"), Convolution("C3", 4, 1), Subsampling("S4"), Full("F5", 3))
    spec = Spec("mixed", (1, 6, 6), (*layers, Softmax("output", 3)), "relu")
    assert [geometry.squashing for geometry in spec.geometry] == ["relu", None, "relu", "relu", "relu", None]
    assert [geometry.squashing for geometry in LENET5.geometry] == ["tanh"] * 6 + [None]
    # P2 has no parameters: 2 x 9 + 2, 0, 2 x 4 + 4, 4 + 4, 4 x 3 + 3, 3 x 3 + 3.
    assert [geometry.parameters for geometry in spec.geometry] == [20, 0, 12, 8, 15, 12]
    assert [geometry.name for geometry in spec.trainable] == ["C1", "C3", "S4", "F5", "output"]
    assert [geometry.name for geometry in spec.hidden] == ["C1", "P2", "C3", "S4", "F5"]


def test_a_name_is_of_one_network():
    for spec in (*PAPER, *ladder.NETWORKS):
        assert named(spec.name) == spec
        assert spec.geometry


def test_an_unknown_network_lists_those_that_exist():
    with pytest.raises(ValueError, match=r"no network called 'lenet6'.*lenet5"):
        named("lenet6")


def test_mlp_needs_units_in_every_layer():
    with pytest.raises(ValueError, match=r"a layer of mlp needs at least one unit, got \(300, 0\)"):
        mlp(300, 0)


def test_lenet1_counts_as_published_in_1990():
    """2,578 parameters and 98,442 connections (NIPS 2, 1990); the paper rounds them to 2,600 and 100,000."""
    assert named("lenet1").parameters == 2_578
    assert sum(map(connections, named("lenet1").geometry)) == 98_442


def test_lenet4_has_the_maps_of_section_iii_c_and_its_counts():
    lenet4 = named("lenet4")
    assert [geometry.out_shape[0] for geometry in lenet4.geometry] == [4, 8, 16, 16, 120, 10, 10]
    c1, s2, c3, _, c5, *_ = lenet4.geometry
    assert s2.table == ((0,), (0,), (1,), (1,), (2,), (2,), (3,), (3,))
    assert c1.out_shape[1:] == (28, 28)
    assert lenet4.parameters == pytest.approx(17_000, rel=0.01)
    assert sum(map(connections, lenet4.geometry)) == pytest.approx(260_000, rel=0.01)
    for layer in (c3, c5):
        assert len(set(layer.table)) == len(layer.table)  # no two units alike
        readers = Counter(source for sources in layer.table for source in sources)
        assert max(readers.values()) - min(readers.values()) <= 1


@pytest.mark.parametrize(
    ("name", "thousand"),
    [("20x20-300-10", 123), ("28x28-1000-10", 795), ("28x28-300-100-10", 267), ("28x28-500-150-10", 469)],
)
def test_perceptrons_cost_what_figures_11_and_12_show(name, thousand):
    assert round(named(name).parameters / 1000) == thousand


# --- a spec by value


@pytest.mark.parametrize("name", [spec.name for spec in (LENET5, LENET4, mlp(300), ladder.TODAY, *ladder.LADDER)])
def test_a_spec_is_what_its_json_says(name):
    written = json.loads(json.dumps(named(name).as_json()))
    assert list(written) == ["input_shape", "layers", "squashing"]
    assert (from_json(written), from_json(written).name) == (named(name), name)
    assert from_json(name) is named(name)


def test_json_of_a_layer_says_its_kind():
    assert LENET5.as_json()["layers"][1] == {"kind": "subsampling", "name": "S2", "sources": None}
    kinds = [layer["kind"] for spec in (LENET5, ladder.TODAY) for layer in spec.as_json()["layers"]]
    assert set(kinds) == {"convolution", "subsampling", "pooling", "full", "rbf", "softmax"}


def test_the_name_of_a_spec_is_a_label():
    renamed = replace(LENET5, name="mine")
    assert renamed == LENET5
    assert renamed.as_json() == LENET5.as_json()
    assert replace(LENET5, squashing="relu") != LENET5


def test_a_network_is_given_or_named():
    own = Spec("own", (1, 6, 6), (Softmax("output", 2),))
    assert resolved(own) is own
    assert resolved("lenet4") is LENET4
    with pytest.raises(ValueError, match="no network called"):
        resolved("lenet6")
    with pytest.raises(ValueError, match="P1: 7x7 cannot be divided"):
        resolved(Spec("odd", (1, 7, 7), (Pooling("P1", "max"), Softmax("output", 2))))


def test_full_layers_read_the_whole_input():
    """C5 of LeNet-5 does, C5 of LeNet-4 has a table; RBF units compare and do not sum."""
    assert [layer.name for layer in LENET5.geometry if layer.full] == ["C5", "F6"]
    assert [layer.name for layer in LENET4.geometry if layer.full] == ["output"]
    assert [layer.name for layer in ladder.TODAY.geometry if layer.full] == ["F7", "F8", "output"]
    assert [layer.name for layer in LENET5.geometry if layer.every_map] == ["C1", "C5", "F6", "RBF"]
