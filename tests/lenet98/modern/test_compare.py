"""Is this LeNet-5?"""

import pytest

from lenet98 import cli
from lenet98.catalog import SPECS
from lenet98.modern.compare import differences, facts, side_by_side
from lenet98.modern.popular import POPULAR


def test_lenet5_is_lenet5():
    assert differences("lenet5") == []
    paper = facts("lenet5")
    assert (paper["C1"], paper["C3"], paper["full layers"]) == (
        "6 maps, 5x5, every map", "16 maps, 5x5, Table I", "120, 84"
    )  # fmt: skip
    assert (paper["parameters"], paper["connections"], paper["passes"]) == ("60,000", "340,908", "20")
    assert paper["rate"] == "0.0005 0.0002 0.0001 5e-05 1e-05"


def test_what_people_write_has_no_table_no_trained_subsampling_and_no_rbf_units():
    marked = set(differences("alake-padded"))
    assert {"C3", "pooling", "squashing", "output", "loss", "optimizer", "batch", "initial weights"} <= marked
    assert not marked & {"input", "C1", "full layers"}
    assert facts("alake-padded")["C3"] == "16 maps, 5x5, every map"
    assert "input" in differences("keras-adam")


def test_lushs_network_is_lenet5s_up_to_c5():
    marked = differences("lush-three-stages")
    assert [point for point in marked if point not in ("parameters", "connections")] == [
        "preprocessing", "full layers", "output", "optimizer", "rate", "passes", "order", "initial weights"
    ]  # fmt: skip
    # eq. 8 is as much the paper's as eq. 9.
    assert facts("lush-three-stages")["loss"] == "mean squared error (eq. 8)"


def test_one_rate_a_layer_is_all_but_lenet5s_network():
    marked = differences("mattwang44-layer-rates")
    assert marked == [
        "pooling", "full layers", "optimizer", "rate", "batch", "order", "initial weights", "parameters", "connections"
    ]  # fmt: skip
    # Neither coefficients and biases of S2 and S4 (12 and 32) nor the biases of F6.
    assert facts("mattwang44-layer-rates")["parameters"] == f"{60_000 - 44 - 84:,}"
    # Nor the links of their biases, one of each unit of S2 and S4, and 84 of F6.
    assert facts("mattwang44-layer-rates")["connections"] == f"{340_908 - 1_176 - 400 - 84:,}"


@pytest.mark.parametrize("name", [*SPECS, *POPULAR])
def test_every_network_answers_every_point(name):
    assert list(facts(name)) == list(facts("lenet5"))
    assert all(facts(name).values())


def test_lenet1_reads_a_table_of_its_own():
    assert facts("lenet1")["C3"] == "12 maps, 5x5, a table of 20 kernels"
    assert facts("28x28-300-10")["C1"] == "none"


def test_the_table_marks_what_differs_and_judges():
    text = side_by_side(["udacity-relu", "lenet5"])
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "* ReLU" in lines["squashing"]
    assert "*" not in lines["C1"]
    assert "udacity-relu is not LeNet-5: other C3, pooling, squashing, output, parameters" in text
    assert "lenet5 is LeNet-5." in text


def test_command(capsys):
    assert cli.main(["compare", "d2l-sigmoid", "lush-three-stages"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["lenet5", "(1998)", "d2l-sigmoid", "lush-three-stages"]
    assert cli.main(["compare", "lenet6"]) == 2
    error = capsys.readouterr().err
    assert "no network called 'lenet6'; the nearest are lenet5, lenet4, lenet1; see lenet98 describe --list" in error
    assert error.count("\n") == 1
