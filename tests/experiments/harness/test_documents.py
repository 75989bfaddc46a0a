"""Documents are rewritten where they hold results, and stay as they are where there are none."""

from pathlib import Path

import pytest

from experiments.harness import documents
from experiments.harness.loader import Loader
from tests.fakes import publish


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A checkout with this project's two texts and no results."""
    root = Path(documents.__file__).parents[2]
    for path in documents.BLOCKS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text((root / path).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Loader(("reference",), tmp_path / "results", tmp_path / "reference")


def test_without_results_texts_stay_and_pages_are_not_made(load):
    wanted = dict(documents.generated(load))
    for path in documents.BLOCKS:
        assert wanted[path] == path.read_text(encoding="utf-8")
    assert Path("docs/errors-of-1998.md") not in wanted


def test_readings_page_gets_the_tables_that_have_results(load):
    before = Path("docs/readings.md").read_text(encoding="utf-8")
    publish(load.reference, "fig9/lenet5", 0)
    publish(load.reference, "readings/coefficient-as-four-links", 0, test=123)
    after = dict(documents.generated(load))[Path("docs/readings.md")]
    block = after.partition("<!-- table readings -->")[2].partition("<!-- end table -->")[0]
    assert "| coefficient counted as four links " in block
    assert "1.23" in block
    for name in ("curvature", "saturation"):  # which "links" is not among
        assert _block(after, name) == _block(before, name)
    assert after.partition("## Why")[2].partition("<!--")[0] == before.partition("## Why")[2].partition("<!--")[0]


def _block(text, name):
    return text.partition(f"<!-- table {name} -->")[2].partition("<!-- end table -->")[0]


def test_a_text_that_lost_its_markers(load):
    Path("docs/readings.md").write_text("# Readings\n")
    with pytest.raises(ValueError, match="<!-- table readings -->"):
        dict(documents.generated(load))


def test_a_text_that_is_missing(load):
    Path("README.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"README\.md"):
        dict(documents.generated(load))
