"""What small runs compute is what it was when the golden files were written, and a change of a bit is found."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import numerics
from experiments.harness import golden, registry
from experiments.harness.golden import Verdict
from experiments.harness.registry import Outcome

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", golden.short())
def test_short_runs_compute_what_they_did(case):
    assert golden.departures([case], few=True) == []


@pytest.mark.skipif(golden.here() is None, reason="bits are known of other machines; short runs are tested above")
@pytest.mark.parametrize("case", golden.long())
def test_small_runs_compute_what_they_did(case):
    assert golden.departures([case]) == []


def test_every_family_has_a_case_at_full_length_and_each_that_resumes_or_diverges_is_one():
    chosen = golden.long()
    assert {golden.family_of(case) for case in chosen} == {e.family for e in registry.load().values()}
    assert {case for case in golden.cases() if " " in case} <= set(chosen)


def test_every_value_of_every_field_and_every_family_is_in_a_case():
    chosen = golden.short()

    def values(experiments):
        return {(e.family, *leaf) for e in experiments for leaf in golden.leaves(e.config)}

    everything = [experiment for experiment in registry.load().values() if experiment.like is None]
    assert {e.like for e in registry.load().values() if e.like} <= {e.name for e in everything}
    assert values(e for e in everything if e.name in chosen) == values(everything)
    assert all(golden.cases_of(family) for family in {e.family for e in everything})


def test_a_changed_bit_changes_the_fingerprint_and_time_does_not():
    found = Outcome(passes=[{"test_errors": 1, "seconds": 2.0}], predictions=np.zeros(3, np.uint8))
    later = replace(found, passes=[{"test_errors": 1, "seconds": 3.0}])
    one, next_to_one = np.ones(1, np.float32), np.nextafter(np.ones(1, np.float32), np.float32(2))
    different = (
        found,
        replace(found, predictions=np.array([0, 0, 1], np.uint8)),
        replace(found, weights=one),
        replace(found, weights=next_to_one),
        replace(found, scores=np.zeros(1)),
        replace(found, diverged=True),
        replace(found, extra={"vectors": 1}),
    )
    assert golden.fingerprint(found) == golden.fingerprint(later)
    assert len({golden.fingerprint(outcome) for outcome in different}) == len(different)


def test_another_amplitude_fails_a_golden_case():
    """In another process, by what Numba compiled before the change."""
    case = golden.cases_of(registry.named("fig9/lenet5").family)[0]
    program = f"""
from lenet98 import specs
specs.A = 1.2  # before anything else is imported
from experiments.harness import golden
print(golden.departures([{case!r}], few=True))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[{case!r}]"


# --- two trees


def verdict(**changes):
    return Verdict("online", **{"same": ("a",), "different": (), "new": (), "failed": (), "raised": (), **changes})


@pytest.mark.parametrize(
    ("changes", "ok", "line"),
    [
        ({}, True, "online: neutral, 1 cases"),
        ({"new": ("b",)}, True, "online: neutral, 1 cases, 1 new"),
        ({"different": ("b",)}, False, "online: DIFFERS in b; mend it or raise its version"),
        ({"failed": ("b (KeyError: 'x')",)}, False, "online: FAILS in b (KeyError: 'x')"),
        ({"different": ("b",), "raised": ("online",)}, True, "online: new version, 1 cases differ (online: faster)"),
    ],
)
def test_verdicts(monkeypatch, changes, ok, line):
    monkeypatch.setitem(numerics.NUMERICS, "online", 2)
    monkeypatch.setitem(numerics.HISTORY, ("online", 2), "faster")
    found = verdict(**changes)
    assert found.ok is ok
    assert found.line.startswith(line)


def test_no_such_revision_is_one_clear_line():
    with pytest.raises(ValueError, match="there is no revision 'no-such' in a git checkout"):
        golden.neutral("no-such", ["fig9/linear"])


def test_former_names_are_those_of_the_published_records():
    former = json.loads((golden.GOLDEN / "former_names.json").read_text())
    for path in (ROOT / "reference").rglob("*.json"):
        record = json.loads(path.read_text())
        if "previous" in record:
            assert former[record["experiment"]] == record["previous"]["experiment"]


def test_a_name_that_is_no_case_is_refused():
    with pytest.raises(ValueError, match="'fig9/lenet' is no golden case; most like it are"):
        golden.departures(["fig9/lenet"])


def test_cases_do_not_depend_on_what_was_imported_first():
    everything = list(registry.load().values())
    assert golden.cases(everything[::-1]) == golden.cases(everything)
