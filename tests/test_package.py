"""What a user installs: every file that the code reads is in the wheel, and nothing of the checkout besides."""

from pathlib import Path

import pytest

from lenet98 import published

builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed to list a wheel")

ROOT = Path(__file__).parents[1]


def test_the_wheel_has_the_code_and_its_data():
    builder = builders.WheelBuilder(str(ROOT))
    found = {file.distribution_path for file in builder.recurse_included_files()}
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lenet98").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == data
    assert {member.path.relative_to(ROOT).as_posix() for member in published.every()} <= found
    assert {"lenet98/py.typed", "lenet98/fig3_codes.txt", "lenet98/trunk1998/recovered.json"} <= found
