"""Experiments: what is run, kept and tabulated; `results` has what came out."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.harness.store import Runs, Source

if sys.argv[:1] == ["-m"] and find_spec("torch") is None:
    sys.exit("experiments: this Python has no torch; `make setup`, then, once a shell, `. .venv/bin/activate`")


def results(experiment: str, source: Source = "reference") -> Runs:
    """The published runs of an experiment, or with `source="results"` those made here, of this checkout.

    Parameters
    ----------
    experiment
        Its name, such as "fig9/lenet5", or the last part of it.

    Returns
    -------
    `.results` has one item a run, by seed.  Of each `.record` is the JSON, `.passes` has its passes, `.last` is the
    last one, and `.arrays()` gives `predictions`, `scores` and `weights` where they are kept.  reference/README.md says
    what each is.

    Raises ValueError for a name that stands for none, and `NoResults`, a ValueError, if there are none.
    """
    from experiments.harness import registry
    from experiments.harness.loader import Loader

    root = Path(__file__).parents[1]
    load = Loader((source,), root / "results", root / "reference")
    return load.one(registry.named(experiment).name)
