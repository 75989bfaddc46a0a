"""What a user installs and a packager builds from: the files that the code reads, and not the published results."""

import tarfile
from pathlib import Path

import pytest

from lenet98 import published

wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed to build a wheel")
sdist = pytest.importorskip("hatchling.builders.sdist")

ROOT = Path(__file__).parents[1]

MB = 1_000_000


def built(builder, folder):
    """The one file that a builder makes in `folder`."""
    (path,) = builder.build(directory=str(folder), versions=["standard"])
    return Path(path)


def listed(root):
    """What a wheel made of the tree at `root` has."""
    return {file.distribution_path for file in wheel.WheelBuilder(str(root)).recurse_included_files()}


def test_the_wheel_has_the_code_and_its_data(tmp_path):
    found = listed(ROOT)
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lenet98").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == data
    assert {member.path.relative_to(ROOT).as_posix() for member in published.every()} <= found
    assert {"lenet98/py.typed", "lenet98/fig3_codes.txt", "lenet98/trunk1998/recovered.json"} <= found
    assert built(wheel.WheelBuilder(str(ROOT)), tmp_path).stat().st_size < 3 * MB


def test_the_source_distribution_makes_the_same_wheel_and_is_small(tmp_path):
    path = built(sdist.SdistBuilder(str(ROOT)), tmp_path)
    assert path.stat().st_size < 5 * MB
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    root = path.with_name(path.name.removesuffix(".tar.gz"))
    assert listed(root) == listed(ROOT)
    there = {each.relative_to(root).as_posix() for each in root.rglob("*")}
    assert not {"reference", "results", "docs/figures"} & there
    assert {"LICENSE", "constraints.txt", "experiments/__main__.py", "tests/lenet98/test_modules.py"} <= there
