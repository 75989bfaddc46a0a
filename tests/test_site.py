"""The site has every page, shows mathematics, and asks no other machine for anything.

`tests/test_documents.py` checks the links of the pages themselves.
"""

import re
import runpy
import warnings
from html.parser import HTMLParser
from itertools import chain

import pytest

from tests.test_documents import DOCUMENTS, ROOT, name

for package in ("sphinx", "myst_parser", "furo"):
    pytest.importorskip(package, reason="building the site needs the extra `docs`")


def test_every_page_is_in_the_navigation():
    found = {"README"}
    for page, parts in runpy.run_path(str(ROOT / "docs/conf.py"))["NAVIGATION"].items():
        for place in chain.from_iterable(parts.values()):
            folder = (ROOT / page).parent if "*" in place else ROOT
            found |= {name(path).removesuffix(".md") for path in folder.glob(f"{place}.md")}
    assert found == {name(path).removesuffix(".md") for path in DOCUMENTS}


# --- a small site -----------------------------------------------------------------------------------------------------

PAGES = [ROOT / "README.md", ROOT / "docs/faq.md", *(ROOT / "docs/figures").glob("*.png")]
"""What a small site is made of, by the settings of the whole one."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from sphinx.application import Sphinx

    source, built = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("site")
    for page in PAGES:
        (source / name(page)).parent.mkdir(parents=True, exist_ok=True)
        (source / name(page)).write_bytes(page.read_bytes())
    (source / "docs/api").mkdir()
    (source / "docs/api/modules.rst").write_text("API\n===\n\n.. automodule:: lenet98.files\n   :members:\n")
    (source / "docs/readings.md").write_text("# Readings\n\nThe curvature $h_{kk}$ is\n\n$$\nh_{kk} \\geq 0\n$$\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts of Sphinx about others
        Sphinx(source, ROOT / "docs", built, built / ".doctrees", "html", {"apidoc_modules": []}, status=None).build()
    return built


class Requests(HTMLParser):
    """What a browser fetches for a page, by itself."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        names = ("href",) if tag == "link" else ("src", "srcset", "data", "poster")
        self.found += [given[name] for name in names if given.get(name)]
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def elsewhere(place):
    return re.match(r"\s*['\"]?(?:https?:)?//", place) is not None


def test_what_counts_as_elsewhere():
    text = '<link href="//a/b.css"><img src="c.png"><script src="https://d/e.js"></script><a href="https://f">g</a>'
    assert [elsewhere(place) for place in Requests(text).found] == [True, False, True]


def test_no_request_leaves_the_site(site):
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 4
    assert len(styles) > 1
    fetched = [(page.name, place) for page in pages for place in Requests(page.read_text(encoding="utf-8")).found]
    assert len(fetched) > 20
    for style in styles:
        wanted = re.findall(r"(?:url\(|@import\s+)([^);]*)", style.read_text(encoding="utf-8"))
        fetched += [(style.name, place) for place in wanted]
    assert [(file, place) for file, place in fetched if elsewhere(place)] == []


def test_what_pages_fetch_is_there(site):
    for page in site.rglob("*.html"):
        for place in Requests(page.read_text(encoding="utf-8")).found:
            if not place.startswith(("data:", "#")):
                assert (page.parent / place.partition("?")[0].partition("#")[0]).exists(), (page, place)


def test_the_first_page_is_readme(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "LeNet-5 as published in 1998, with the evidence" in text
    assert 'href="docs/faq.html"' in text


def test_mathematics_is_mathml(site):
    text = (site / "docs/readings.html").read_text(encoding="utf-8")
    assert text.count("<math") == 2
    assert not any("mathjax" in place.lower() for place in Requests(text).found)


def test_docstrings_are_there(site):
    assert "lenet98.files." in (site / "docs/api/modules.html").read_text(encoding="utf-8")
