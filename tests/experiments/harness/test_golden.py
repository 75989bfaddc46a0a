"""What small runs compute is what it was when the golden files were written."""

import json

import numpy as np
import pytest

from experiments.harness import golden

WHERE = golden.machine()
HERE = golden.GOLDEN / f"{WHERE['processor']}.json"
BITS = json.loads(HERE.read_text()) if HERE.exists() else {}
SKETCHES = json.loads((golden.GOLDEN / "anywhere.json").read_text())


@pytest.mark.parametrize("case", golden.cases())
def test_small_runs_compute_what_they_did(case):
    if BITS.get("machine") == WHERE:
        (result,) = golden.results([case]).values()
        assert result.get("fingerprint", result) == BITS["cases"][case]
    elif case in SKETCHES:  # another processor or library rounds otherwise, and longer runs are chaotic
        (result,) = golden.results([case], few=True).values()
        np.testing.assert_allclose(result["sketch"], SKETCHES[case], rtol=1e-3, atol=1e-3)


def test_every_value_of_every_field_is_in_a_case():
    chosen = golden.cases()
    registered = golden.registry.load()
    covered = {
        (golden.way(e), *leaf) for e in registered.values() if e.name in chosen for leaf in golden.leaves(e.config)
    }
    wanted = {(golden.way(e), *leaf) for e in registered.values() for leaf in golden.leaves(e.config)}
    assert wanted == covered


def test_a_changed_bit_changes_the_fingerprint():
    found = golden.Outcome(passes=[{"test_errors": 1, "seconds": 2.0}], predictions=np.zeros(3, np.uint8))
    assert golden.fingerprint(found) == golden.fingerprint(
        golden.replace(found, passes=[{"test_errors": 1, "seconds": 3}])
    )
    other = golden.replace(found, weights=np.array([1, np.nextafter(np.float32(1), 2)], np.float32))
    same = golden.replace(found, weights=np.ones(2, np.float32))
    assert len({golden.fingerprint(one) for one in (found, other, same)}) == 3
