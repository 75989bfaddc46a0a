"""Experiments: what is run, kept and tabulated."""

import sys
from importlib.util import find_spec

if sys.argv[:1] == ["-m"] and find_spec("torch") is None:
    sys.exit("experiments: this Python has no torch; `make setup`, then, once a shell, `. .venv/bin/activate`")
