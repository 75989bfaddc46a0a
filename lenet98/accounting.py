"""What a network costs, layer by layer, beside what the paper prints (Section II.B, Figs. 11 and 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lenet98.specs import Geometry, Spec


@dataclass(frozen=True)
class Printed:
    """A number of the paper, as precise as it is printed, and where it stands."""

    value: int
    source: str
    within: int = 0
    """Half a unit of its last digit, where the paper rounds: "about 17,000" is 16,500 to 17,500."""


def _printed(source: str, within: int = 0, **values: int) -> dict[str, Printed]:
    return {quantity: Printed(value, source, within) for quantity, value in values.items()}


def _figures(thousands: int) -> dict[str, dict[str, Printed]]:
    """A net of which the paper prints only the two bars, to a thousand, and both are the same."""
    bars = _printed("Fig. 11", multiply_accumulates=thousands * 1000) | _printed("Fig. 12", stored=thousands * 1000)
    return {"total": bars}


PAPER: dict[str, dict[str, dict[str, Printed]]] = {
    "lenet5": {
        "C1": _printed("II.B, layer C1", parameters=156, connections=122_304),
        "S2": _printed("II.B, layer S2", parameters=12, connections=5_880),
        "C3": _printed("II.B, layer C3", parameters=1_516, connections=151_600),
        "S4": _printed("II.B, layer S4", parameters=32, connections=2_000),
        "C5": _printed("II.B, layer C5", parameters=48_120, connections=48_120),
        "F6": _printed("II.B, layer F6", parameters=10_164),
        "total": _printed("II.B", parameters=60_000, connections=340_908)
        | _printed("Fig. 11", multiply_accumulates=401_000)
        | _printed("Fig. 12", stored=60_000),
    },
    "lenet1": {
        "total": _printed("III.C.7", within=50, parameters=2_600)
        | _printed("III.C.7", within=5_000, multiply_accumulates=100_000)
        | _printed("Fig. 12", within=500, stored=3_000),
    },
    "lenet4": {
        "total": _printed("III.C.8", within=500, parameters=17_000)
        | _printed("III.C.8", within=5_000, connections=260_000)
        | _printed("Fig. 11", within=5_000, multiply_accumulates=260_000)
        | _printed("Fig. 12", within=500, stored=17_000),
    },
    "28x28-10": {"total": _printed("III.C.1", parameters=7_850)},
    "20x20-10": {
        "total": _printed("III.C.1", parameters=4_010)
        | _printed("Fig. 11", within=500, multiply_accumulates=4_000)
        | _printed("Fig. 12", within=500, stored=4_000)
    },
    "20x20-300-10": _figures(123),
    "28x28-1000-10": _figures(795),
    "28x28-300-100-10": _figures(267),
    "28x28-500-150-10": _figures(469),
}
"""By network, layer and quantity."""

NOTES = {
    "lenet5": "The paper's numbers: II.B; total multiply-accumulates Fig. 11, stored variables Fig. 12. No count of\n"
    "operations gives Fig. 11's 401 thousand; 340,908 connections + 60,000 parameters do, to the thousand.",
    "lenet1": "The paper's numbers are rounded: III.C.7 about 2,600 parameters and 100,000 multiply-adds, which\n"
    "connections are nearest to; stored variables Fig. 12. The table of C3 is that of the 1990 network.",
    "lenet4": "The paper's numbers are rounded: III.C.8 about 17,000 parameters and 260,000 connections, which\n"
    "Fig. 11 has for multiply-accumulates; stored variables Fig. 12. The tables of C3 and C5 are ours and meet both.",
}
"""What a reader of a network's table should know."""


def connections(layer: Geometry) -> int:
    """Links into the units of a layer, the bias of each unit among them, as the paper counts.

    A subsampling unit has five: its four inputs and the bias; one that only pools has the four.  RBF units have no
    bias; their links count, because the paper's total of 340,908 needs LeNet-5's 840.  Place codes are the targets of
    the units before them, no units of the network, and have none.
    """
    if layer.prototypes == "places":
        return 0
    biases = 1 if layer.biases else 0
    return layer.positions * sum(fan_in + biases for fan_in in layer.fan_in)


def multiply_accumulates(layer: Geometry) -> int:
    """Multiply-accumulates of a forward pass over one pattern.

    Counted are one per weighted input of a convolutional or full unit, one per subsampling unit (its coefficient; the
    sum of the field multiplies nothing) and one per component of an RBF unit (eq. 7, a square).  A bias only starts the
    sum, and squashing is not counted, nor the softmax, nor the distance to place codes: the greatest output is the
    answer.  Nothing that only pools counts: a maximum multiplies nothing, and the 1/4 of an average is a constant that
    the weights that read it can hold.
    """
    if layer.prototypes == "places" or layer.pools:
        return 0
    if layer.kind == "subsampling":
        return layer.units
    return layer.positions * sum(layer.fan_in)


def stored(layer: Geometry) -> int:
    """Variables that must be stored to run the layer: its trained parameters.

    The RBF prototypes are constants of +-1 and no variables: LeNet-5 has the 60,000 of Fig. 12 without its 840.
    """
    return layer.parameters


@dataclass(frozen=True)
class Cost:
    """What a network and its training cost."""

    parameters: int
    multiply_accumulates: int
    """Of one recognition."""
    passes: int
    """Of the training."""


def cost(spec: Spec, passes: int) -> Cost:
    """Of the network of `spec`, trained in so many passes."""
    return Cost(spec.parameters, sum(map(multiply_accumulates, spec.geometry)), passes)


def table(spec: Spec) -> list[dict[str, Any]]:
    """One row per layer and a last one with layer "total".

    Returns
    -------
    Rows with the keys layer, maps, size (units of a map, "28x28"), parameters, connections, multiply_accumulates,
    stored, paper_parameters and paper_connections; None where the paper is silent, and for the total's maps and size.
    The paper's numbers for the other two totals, and all sources, are in `PAPER`.
    """
    rows: list[dict[str, Any]] = [
        {
            "layer": layer.name,
            "maps": layer.out_shape[0],
            "size": f"{layer.out_shape[1]}x{layer.out_shape[2]}",
            "parameters": layer.parameters,
            "connections": connections(layer),
            "multiply_accumulates": multiply_accumulates(layer),
            "stored": stored(layer),
        }
        for layer in spec.geometry
    ]
    totals = {
        quantity: sum(row[quantity] for row in rows)
        for quantity in ("parameters", "connections", "multiply_accumulates", "stored")
    }
    rows.append({"layer": "total", "maps": None, "size": None, **totals})
    for row in rows:
        numbers = PAPER.get(spec.name, {}).get(row["layer"], {})
        for quantity in ("parameters", "connections"):
            row[f"paper_{quantity}"] = numbers[quantity].value if quantity in numbers else None
    return rows


QUANTITIES = {
    "parameters": "parameters",
    "connections": "connections",
    "multiply_accumulates": "multiply-\naccumulates",
    "stored": "stored\nvariables",
}
"""Columns of `table` that are counts, and their headings in `describe`."""


def describe(spec: Spec | str) -> str:
    """A network, or the one of that name, layer by layer: maps, sizes and counts, beside the paper's.

    Raises ValueError for a name that no network has.
    """
    from tabulate import tabulate

    from lenet98.catalog import resolved

    spec = resolved(spec)
    printed = PAPER.get(spec.name, {})
    with_paper = {quantity for numbers in printed.values() for quantity in numbers}
    headings = ["layer", "maps", "size"]
    for quantity, heading in QUANTITIES.items():
        headings += [heading, "paper"] if quantity in with_paper else [heading]
    rows = []
    for row in table(spec):
        cells = [row["layer"], row["maps"], row["size"]]
        for quantity in QUANTITIES:
            cells.append(row[quantity])
            if quantity in with_paper:
                paper = printed.get(row["layer"], {}).get(quantity)
                cells.append(None if paper is None else paper.value)
        rows.append(cells)
    text = tabulate(rows, headings, intfmt=",", missingval="")
    return f"{text}\n\n{NOTES[spec.name]}" if spec.name in NOTES else text
