"""Fixtures of tests that publish results that never were."""

import pytest

from experiments.harness.loader import Loader


@pytest.fixture
def reference(tmp_path):
    """An empty folder for published results."""
    return tmp_path / "reference"


@pytest.fixture
def load(reference):
    """A loader of what is published there."""
    return Loader(reference=reference)
