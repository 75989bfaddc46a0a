"""How to cite the paper and this software."""

from __future__ import annotations

from importlib import metadata

PAPER = """\
@article{lecun1998gradient,
  author  = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  title   = {Gradient-Based Learning Applied to Document Recognition},
  journal = {Proceedings of the IEEE},
  volume  = {86},
  number  = {11},
  pages   = {2278--2324},
  year    = {1998},
  doi     = {10.1109/5.726791}
}
"""

_SOFTWARE = """\
@software{{lenet98,
  author  = {{{{The lenet98 developers}}}},
  title   = {{lenet98: LeNet-5 as published in 1998}},
  version = {{{version}}},
  year    = {{2026}}
}}
"""


def bibtex() -> str:
    """BibTeX entries of the paper and of this version of the software."""
    return f"{PAPER}\n{_SOFTWARE.format(version=metadata.version('lenet98'))}"
