"""How `make site` builds the site: the pages as they are in the checkout, in an order, with the docstrings.

The source folder is the root of the checkout, so that links between pages are those that GitHub follows.  Pages know
nothing of the site: the order is here.  Nothing is fetched, neither by the build nor by a page: the theme brings its
style and programs, letters are the reader's own, and mathematics is MathML.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # docstrings of this checkout, wherever the package is installed from

NAVIGATION = {
    "README": {
        "Start": ["docs/faq", "docs/glossary", "docs/results/README"],
        "Tutorial": ["docs/your-own-variant"],
        "How to": [
            "docs/clusters",
            "docs/replicas",
            "docs/figures",
            "docs/model-card",
            "reference/README",
            "benchmarks/README",
        ],
        "The paper, read and tried": [
            "docs/readings",
            "docs/deviations",
            "docs/distortions",
            "docs/strings",
            "docs/recovered",
            "docs/modern",
        ],
        "The code": ["docs/architecture", "docs/api/modules", "CHANGELOG"],
    },
    "docs/results/README": {"": ["*"]},
}
"""What the sidebar shows below a page: captions, and pages or patterns of names beside that page."""

project = "lenet98"
release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
html_title = f"{project} {release}"
html_copy_source = False
html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.apidoc"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "benchmarks/README.md", "reference/README.md", "docs/**"]
html_theme = "furo"
html_math_renderer = "mathml"
myst_heading_anchors = 4
myst_enable_extensions = ["dollarmath"]

apidoc_modules = [{"path": ROOT / "lenet98", "destination": "docs/api", "separate_modules": True, "module_first": True}]
autodoc_default_options = {"ignore-module-all": True}  # each name once, in the module that defines it
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_param = napoleon_use_rtype = False  # shapes such as (patterns, classes) are not types to link
suppress_warnings = ["ref.python"]  # two classes called Layer
toc_object_entries = False
default_role = "literal"  # of what is between single backticks in docstrings


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _with_navigation)
    app.connect("build-finished", _with_index)
    app.connect("autodoc-process-docstring", _as_meant)
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))


def _with_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the hidden tables of contents, which GitHub's readers need not see."""
    for caption, names in NAVIGATION.get(page, {}).items():
        places = [name if "*" in name else f"/{name}" for name in names]
        options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n".join(["\n", "```{toctree}", *options, "", *places, "```", ""])


def _as_meant(app: Sphinx, what: str, name: str, of: object, options: object, lines: list[str]) -> None:
    """Docstrings are written for people: bars are those of a norm, and the package's own has columns."""
    if name == "lenet98":
        lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]
    else:
        lines[:] = [line.replace("|", r"\|") for line in lines]


def _with_index(app: Sphinx, error: Exception | None) -> None:
    """The first page under the name that servers and browsers look for."""
    if error is None and app.builder.name == "html":
        shutil.copyfile(app.outdir / "README.html", app.outdir / "index.html")


# --- mathematics ------------------------------------------------------------------------------------------------------


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{latex2mathml.tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode
