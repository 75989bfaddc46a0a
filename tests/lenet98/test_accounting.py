"""Counts against the enumeration of every link, torch's own counter, and the paper's numbers."""

import pytest
import torch
from hypothesis import given
from torch.utils.flop_counter import FlopCounterMode

from experiments.paper import numbers as figures
from lenet98 import training
from lenet98.accounting import PAPER, connections, multiply_accumulates, stored, table
from lenet98.catalog import named
from lenet98.modern import lenet_from_scratch, lush, minibatch
from lenet98.modern.networks import SpecNet
from lenet98.modules import Net
from lenet98.networks import LENET1, LENET4, LENET5, mlp
from tests.strategies import any_specs, few


def links(layer):
    """Every link into every unit of the layer, as (unit, source, parameter); the source of a bias is None.

    A link into a unit that only pools has no parameter.
    """
    in_maps, out_maps = layer.in_shape[0], layer.out_shape[0]
    rows, columns = layer.kernel
    step = 2 if layer.kind in ("subsampling", "average", "max") else 1
    for m in range(out_maps):
        for row in range(layer.out_shape[1]):
            for column in range(layer.out_shape[2]):
                unit = (m, row, column)
                for source in layer.table[m]:
                    assert 0 <= source < in_maps
                    for i in range(rows):
                        for k in range(columns):
                            pixel = (source, row * step + i, column * step + k)
                            assert pixel[1] < layer.in_shape[1]
                            assert pixel[2] < layer.in_shape[2]
                            weight = ("coefficient", m) if step == 2 else ("weight", m, source, i, k)
                            yield unit, pixel, None if layer.kind in ("average", "max") else weight
                if layer.kind not in ("rbf", "average", "max"):
                    yield unit, None, ("bias", m)


@few
@given(any_specs)
def test_counts_are_those_of_the_enumerated_links(spec):
    for layer, row in zip(spec.geometry, table(spec), strict=False):
        every = [] if layer.prototypes == "places" else list(links(layer))  # targets, no units
        assert len(set(every)) == len(every)
        assert connections(layer) == row["connections"] == len(every)
        if layer.kind != "rbf":
            assert stored(layer) == row["parameters"] == len({parameter for *_, parameter in every} - {None})
        # One product per link to an input, except that the inputs of a subsampling unit share one; nothing that only
        # pools has any.
        products = {(unit, pixel if layer.kind != "subsampling" else "sum") for unit, pixel, _ in every if pixel}
        if layer.kind in ("average", "max"):
            products = set()
        assert multiply_accumulates(layer) == row["multiply_accumulates"] == len(products)


def test_lenet5_layer_by_layer():
    rows = {row["layer"]: row for row in table(LENET5)}
    assert {name: row["connections"] for name, row in rows.items()} == {
        "C1": 28 * 28 * 6 * 26,
        "S2": 14 * 14 * 6 * 5,
        "C3": 151_600,
        "S4": 2_000,
        "C5": 48_120,
        "F6": 10_164,
        "RBF": 840,
        "total": 340_908,
    }
    assert [row["parameters"] for row in rows.values()] == [156, 12, 1_516, 32, 48_120, 10_164, 0, 60_000]
    assert rows["total"]["stored"] == 60_000
    assert [(row["maps"], row["size"]) for row in rows.values()][:3] == [(6, "28x28"), (6, "14x14"), (16, "10x10")]


# Value and half a unit of its last digit, as the text (II.B, III.C) and Figs. 11 and 12 print them.
PRINTED = {
    "lenet5": {"parameters": (60_000, 0), "connections": (340_908, 0)}
    | {"multiply_accumulates": (401_000, 0), "stored": (60_000, 0)},
    "lenet1": {"parameters": (2_600, 50), "multiply_accumulates": (100_000, 5_000), "stored": (3_000, 500)},
    "lenet4": {"parameters": (17_000, 500), "connections": (260_000, 5_000)}
    | {"multiply_accumulates": (260_000, 5_000), "stored": (17_000, 500)},
    "28x28-10": {"parameters": (7_850, 0)},
    "20x20-10": {"parameters": (4_010, 0), "multiply_accumulates": (4_000, 500), "stored": (4_000, 500)},
    "20x20-300-10": {"multiply_accumulates": (123_000, 0), "stored": (123_000, 0)},
    "28x28-1000-10": {"multiply_accumulates": (795_000, 0), "stored": (795_000, 0)},
    "28x28-300-100-10": {"multiply_accumulates": (267_000, 0), "stored": (267_000, 0)},
    "28x28-500-150-10": {"multiply_accumulates": (469_000, 0), "stored": (469_000, 0)},
}


def test_every_total_that_the_paper_prints():
    totals = {network: layers["total"] for network, layers in PAPER.items()}
    found = {
        network: {quantity: (number.value, number.within) for quantity, number in numbers.items()}
        for network, numbers in totals.items()
    }
    assert found == PRINTED
    bars = {row.title: row for row in figures.ROWS}
    for network, title in (("lenet5", "LeNet-5"), ("lenet4", "LeNet-4"), ("lenet1", "[16x16] LeNet-1")):
        assert 1000 * bars[title].kilo_macs == PRINTED[network]["multiply_accumulates"][0]
        assert 1000 * bars[title].kilo_variables == PRINTED[network]["stored"][0]


def test_the_paper_agrees_with_every_count_that_it_prints_for_lenet5():
    rows = table(LENET5)
    for quantity in ("parameters", "connections"):
        printed = [row for row in rows if row[f"paper_{quantity}"] is not None]
        assert len(printed) == {"parameters": 7, "connections": 6}[quantity]
        assert all(row[quantity] == row[f"paper_{quantity}"] for row in printed)
    assert rows[-2]["paper_parameters"] is None


@pytest.mark.parametrize(
    "spec", [mlp(300, input_shape=(1, 20, 20)), mlp(1000), mlp(300, 100), mlp(500, 150)], ids=lambda spec: spec.name
)
def test_figures_11_and_12_print_the_full_nets_to_a_thousand(spec):
    total, printed = table(spec)[-1], PAPER[spec.name]["total"]
    assert round(total["stored"], -3) == printed["stored"].value
    assert total["multiply_accumulates"] == pytest.approx(printed["multiply_accumulates"].value, abs=1_000)
    assert total["paper_parameters"] is None


@pytest.mark.parametrize("spec", [mlp(), mlp(input_shape=(1, 20, 20))], ids=lambda spec: spec.name)
def test_linear_classifiers_have_the_parameters_of_section_iii_c(spec):
    total, printed = table(spec)[-1], PAPER[spec.name]["total"]
    assert total["parameters"] == total["stored"] == total["paper_parameters"] == printed["parameters"].value
    assert total["multiply_accumulates"] == total["parameters"] - 10


def test_figure_11_of_lenet5_is_the_sum_of_connections_and_parameters():
    total, printed = table(LENET5)[-1], PAPER["lenet5"]["total"]
    assert printed["multiply_accumulates"].value == 401_000 == round(total["connections"] + total["parameters"], -3)
    assert total["multiply_accumulates"] == 328_096
    assert printed["multiply_accumulates"].source == "Fig. 11"


@pytest.mark.parametrize(("spec", "connections"), [(LENET1, 98_442), (LENET4, 258_306)], ids=["lenet1", "lenet4"])
def test_lenet1_and_lenet4_are_of_the_size_that_the_text_rounds(spec, connections):
    total, printed = table(spec)[-1], PAPER[spec.name]["total"]
    assert total["connections"] == connections
    for quantity in ("parameters", "connections", "stored"):
        if quantity in printed:
            assert abs(total[quantity] - printed[quantity].value) <= printed[quantity].within
    # What the paper calls multiply-accumulates are the connections.
    assert abs(connections - printed["multiply_accumulates"].value) <= printed["multiply_accumulates"].within


@pytest.mark.parametrize("name", ["C1", "C5", "F6"])
def test_multiply_accumulates_are_half_of_torch_floating_point_operations(name):
    layer = next(layer for layer in LENET5.geometry if layer.name == name)
    module = getattr(Net(LENET5).layers, name)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *layer.in_shape))
    assert 2 * multiply_accumulates(layer) == counter.get_total_flops()


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_lenet5_with_plain_pooling_by_hand(pooling):
    rows = {row["layer"]: row for row in table(named(f"lenet5-{pooling}"))}
    for name, units in (("S2", 6 * 14 * 14), ("S4", 16 * 5 * 5)):
        counted = {quantity: rows[name][quantity] for quantity in ("parameters", "connections", "multiply_accumulates")}
        assert counted == {"parameters": 0, "connections": 4 * units, "multiply_accumulates": 0}
    assert rows["total"]["stored"] == 60_000 - 12 - 32
    assert rows["total"]["multiply_accumulates"] == 328_096 - 6 * 14 * 14 - 16 * 5 * 5


def test_a_softmax_output_costs_what_a_full_layer_costs():
    row = next(row for row in table(named("lenet5-softmax")) if row["layer"] == "output")
    assert (row["parameters"], row["connections"], row["multiply_accumulates"]) == (850, 850, 840)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (training.Config(), (60_000, 328_096, 20)),
        (minibatch.Config(network=SpecNet(batch_norm=True), passes=3), (60_000 + 452, 328_096, 3)),
        (minibatch.Config(), (61_706, 416_520, 10)),
        (lush.Config(), (51_046, None, 30)),
        (lenet_from_scratch.Config(), (60_000 - 44 - 84, None, 20)),
    ],
    ids=["online", "in batches", "of today", "lush", "from scratch"],
)
def test_every_training_says_what_it_costs(config, expected):
    cost = config.cost
    assert (cost.parameters, cost.passes) == (expected[0], expected[2])
    assert expected[1] in (None, cost.multiply_accumulates)
