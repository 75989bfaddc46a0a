"""`python -m lenet98.trunk1998`: estimate C1 to S4 from the authors' PDF, check them, and write the numbers.

A minute or two of one core.  The same PDF gives the same file.  Exit status: 0 written, 2 no PDF or no library for it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lenet98.files import atomic
from lenet98.networks import TABLE_I
from lenet98.threads import one_thread
from lenet98.trunk1998 import checks, pictures
from lenet98.trunk1998.estimate import Fit, Trunk, recover
from lenet98.trunk1998.numbers import FILE

DIGITS = 5
"""Significant digits of the numbers that are written."""


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lenet98.trunk1998", description=__doc__)
    parser.add_argument("--pdf", type=Path, help=f"the authors' PDF; else {pictures.ENVIRONMENT}, else it is fetched")
    parser.add_argument("--output", type=Path, default=FILE, help="file to write")
    chosen = parser.parse_args(arguments)
    try:
        path = pictures.paper_pdf(chosen.pdf)
        with one_thread():
            made = record(path)
        with atomic(chosen.output) as file:
            file.write(made.encode())
    except (pictures.PaperError, OSError) as error:
        print(f"lenet98.trunk1998: {error}", file=sys.stderr)
        return 2
    print(chosen.output)
    return 0


def record(path: Path) -> str:
    """The estimate, its errors and its checks as JSON text."""
    nine, string = pictures.fig13(path), pictures.fig25(path)
    _say("C1 to S4 from Fig. 13")
    trunk = recover(nine)
    rows: dict[str, list[dict[str, Any]]] = {"C1": checks.fits_of_first(trunk, _say)}
    for layer in ("S2", "C3", "S4"):
        _say(f"{layer} without each panel")
        rows[layer] = [checks.fit_of(one) for one in checks.maps(trunk, layer)]
    _say("Table I tested, Fig. 25 predicted")
    on_fig25 = checks.fig25(trunk, string)
    for layer in ("C1", "C3"):
        for row, correlation in zip(rows[layer], on_fig25[layer], strict=True):
            row["fig25"] = correlation
    for row, correlation in zip(rows["C3"], on_fig25["C3 from the input"], strict=True):
        row["fig25_from_input"] = correlation
    _say("The same from displays of the estimate")
    display, variances = trunk.display, trunk.display.covariance
    content = {
        "made_by": "python -m lenet98.trunk1998",
        "paper": pictures.SHA256,
        "identified": [n for n, row in enumerate(rows["C3"]) if row["error"] < checks.IDENTIFIED * row["weight"]],
        "display": {
            "gain": display.gain,
            "gain_error": variances[0][0] ** 0.5,
            "offset": display.offset,
            "offset_error": variances[1][1] ** 0.5,
        },
        "checks": rows,
        "coverage": checks.repeated(trunk),
        "table1": checks.table1(trunk),
        "c5_on_fig25": checks.fig25_c5(trunk, nine, string),
        "layers": layers(trunk),
    }
    return json.dumps(_rounded(content), indent=1) + "\n"


def layers(trunk: Trunk) -> dict[str, dict[str, list[float]]]:
    """Parameters and errors of each layer in the order of `Spec.geometry`."""
    first = [
        (row[:-1], row[-1], errors[:-1], errors[-1])
        for row, errors in zip(trunk.first.kernels, trunk.first.errors, strict=True)
    ]
    assert len(trunk.c3) == len(TABLE_I)
    return {"C1": _columns(first), **{n: _columns(map(_parts, f)) for n, f in _above(trunk).items()}}


def _above(trunk: Trunk) -> Mapping[str, Sequence[Fit]]:
    return {"S2": trunk.s2, "C3": trunk.c3, "S4": trunk.s4}


def _parts(fit: Fit) -> tuple[Any, ...]:
    return fit.parameters[:-1], fit.parameters[-1], fit.errors[:-1], fit.errors[-1]


def _columns(maps: Any) -> dict[str, list[float]]:
    weights, biases, weight_errors, bias_errors = zip(*maps, strict=True)
    return {
        "weights": [float(value) for kernel in weights for value in kernel],
        "biases": [float(value) for value in biases],
        "weight_errors": [float(value) for kernel in weight_errors for value in kernel],
        "bias_errors": [float(value) for value in bias_errors],
    }


def _rounded(value: Any) -> Any:
    """Nested content with its floats at `DIGITS` digits."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
