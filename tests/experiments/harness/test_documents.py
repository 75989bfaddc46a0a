"""Documents are rewritten where they hold results, and stay as they are where there are none."""

import re
from pathlib import Path

import pytest

from experiments.harness import documents, registry, tables
from experiments.harness.loader import Loader
from tests.fakes import publish

ROOT = Path(documents.__file__).parents[2]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """A checkout with this project's texts and no results."""
    for path in documents.BLOCKS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return Loader(("reference",), tmp_path / "results", tmp_path / "reference")


def test_without_results_texts_stay_and_pages_are_not_made(load):
    wanted = dict(documents.generated(load))
    for path in documents.BLOCKS:
        assert wanted[path] == path.read_text(encoding="utf-8")
    made = {
        documents.FOLDER / name for name in ("fig7.md", "recovered.md", "README.md")
    }  # of the paper's figures alone
    assert set(wanted) == {*documents.BLOCKS, *made}


def test_a_page_has_the_tables_that_have_results(load):
    publish(load.reference, "fig9/lenet5", 0)
    publish(load.reference, "readings/former", 0)
    publish(load.reference, "readings/coefficient-as-four-links", 0, test=123)
    wanted = dict(documents.generated(load))
    page = wanted[Path("docs/results/readings.md")]
    assert page.startswith("# Which reading meets the paper's training figures?\n")
    assert "](../readings.md)" in page
    assert "![" in page
    assert "| coefficient as four links " in page
    assert "1.23" in page
    assert "## Fig. 5" in wanted[Path("docs/results/lenet5.md")]
    assert Path("docs/results/failures.md") not in wanted  # "links" is none of them


def test_the_index_has_every_page(load):
    index = dict(documents.generated(load))[documents.FOLDER / "README.md"]
    assert re.findall(r"\]\(([\w-]+)\.md\)", index) == [*documents.QUESTIONS, "errors-of-1998"]


def test_the_index_says_which_questions_have_no_results(load):
    publish(load.reference, "fig9/lenet5", 0)
    wanted = dict(documents.generated(load))
    lines = wanted[documents.FOLDER / "README.md"].splitlines()
    said = {line for line in lines if line.endswith(documents.UNANSWERED)}
    assert "- [Does LeNet-5 reach the paper's error?](lenet5.md)" in lines
    assert "- [Do more patterns help?](training-size.md) (no results yet)" in lines
    assert len(said) == len([path for path in documents.PAGES if path not in wanted])
    shipped = (ROOT / documents.FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    pages = {
        line: ROOT / documents.FOLDER / re.findall(r"\]\((.*?)\)", line)[0] for line in shipped if line[:3] == "- ["
    }
    for line, page in pages.items():
        assert line.endswith(documents.UNANSWERED) == ("\n|" not in page.read_text(encoding="utf-8")), line


def test_every_table_is_on_one_page():
    registry.load()
    on_pages = [table for question in documents.QUESTIONS.values() for table in question.tables]
    assert sorted(on_pages) == sorted(tables.TABLES), "documents.QUESTIONS names the page of each table"


def test_a_text_that_lost_its_markers(load):
    Path("README.md").write_text("# lenet98\n")
    with pytest.raises(ValueError, match="<!-- table lenet5 -->"):
        dict(documents.generated(load))


def test_a_text_that_is_missing(load):
    Path("README.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"README\.md"):
        dict(documents.generated(load))
