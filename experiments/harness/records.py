"""What the record of a run must be: its fields, and what they may not contradict.

Files in results/ can be edited, cut short or copied to a wrong place, so no field is believed that can be recounted.
Every problem is one line that names the field.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.harness.identity import Json, of_record

LARGEST_SEED = 9999
"""Four digits in a file's name."""

Test = Callable[[Any], bool]

_written = reprlib.Repr()
_written.maxstring = _written.maxother = 60


def shown(value: Any) -> str:
    """A value in a message, cut short."""
    return _written.repr(value)


# --- kinds of values --------------------------------------------------------------------------------------------------


LARGEST = 1e18
"""No number of a record comes near it."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _whole(value: Any) -> bool:
    return isinstance(value, int) and _number(value)


def _amount(value: Any) -> bool:
    return _number(value) and value >= 0


def _or_null(test: Test) -> Test:
    """Whether it passes the test, or is null for a number that was not finite."""
    return lambda value: value is None or test(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _digest(digits: int) -> Test:
    return lambda value: isinstance(value, str) and len(value) == digits and set(value) <= set("0123456789abcdef")


def _moment(value: Any) -> bool:
    try:
        return bool(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return False


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _each(test: Test) -> Test:
    """Whether it is an object whose every value passes the test."""
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _git(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict) and _text(value.get("commit")) and isinstance(value.get("dirty"), bool)
    )


FIELDS: Mapping[str, tuple[Test, str]] = {
    "experiment": (_text, "a name"),
    "seed": (lambda value: _whole(value) and 0 <= value <= LARGEST_SEED, f"a whole number up to {LARGEST_SEED}"),
    "key": (_digest(16), "16 hexadecimal digits"),
    "status": (lambda value: value in ("finished", "diverged"), '"finished" or "diverged"'),
    "config": (_object, "an object"),
    "data": (_text, "a name"),
    "family": (_text, "a name"),
    "numerics": (_each(_whole), "an object of whole numbers"),
    "machine": (_object, "an object"),
    "machine.cpu": (_text, "a name"),
    "machine.cores": (_or_null(lambda value: _whole(value) and value > 0), "a whole number or null"),
    "versions": (_object, "an object"),
    "versions.git": (_git, 'null or an object of "commit" and "dirty"'),
    "command": (_text, "a text"),
    "started": (_moment, "a date in ISO 8601"),
    "finished": (_moment, "a date in ISO 8601"),
    "seconds": (_amount, "a number, 0 or more"),
    "resumed": (lambda value: isinstance(value, bool), "true or false"),
    "passes": (lambda value: isinstance(value, list), "a list"),
    "extra": (_object, "an object"),
    "arrays_sha256": (_digest(64), "64 hexadecimal digits"),
}
"""Every record has these: what each must be, and that in words."""

PASS_FIELDS: Mapping[str, tuple[Test, str]] = {
    **dict.fromkeys(
        ("number", "test_errors", "test_patterns", "train_errors", "train_patterns"), (_whole, "a whole number")
    ),
    **dict.fromkeys(
        ("test_error_percent", "train_error_percent", "rate_min", "rate_max", "eta", "seconds"),
        (_or_null(_amount), "a number, 0 or more, or null"),
    ),
    "train_loss": (_or_null(_number), "a number or null"),
    "curvature": (_each(_or_null(_amount)), "an object of numbers, 0 or more, or null"),
}
"""What these fields must be where a pass has them."""


# --- what is wrong with a record --------------------------------------------------------------------------------------


def decoded(text: str) -> Any:
    """The value that JSON text stands for; ValueError if it is none, or holds NaN or an infinity."""

    def finite(number: str) -> float:
        if not math.isfinite(float(number)):
            raise ValueError(f"it holds {number}, which is no finite number")
        return float(number)

    try:
        return json.loads(text, parse_constant=finite, parse_float=finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def problems(record: Any) -> Iterator[str]:
    """What is wrong with the fields of a record, looked at by themselves."""
    if not isinstance(record, dict):
        yield f"is {shown(record)}, not an object"
        return
    for name, (test, wanted) in FIELDS.items():
        place, _, field = name.rpartition(".")
        fields = record[place] if place else record
        if not isinstance(fields, dict):
            continue  # said of the place itself
        if field not in fields:
            yield f"{name} is missing"
        elif not test(fields[field]):
            yield f"{name} is {shown(fields[field])}, not {wanted}"
    passes = record.get("passes")
    if isinstance(passes, list):
        if not passes and record.get("status") == "finished" and not record.get("extra"):
            yield "passes is empty, of a finished run that measured nothing either"
        for number, entry in enumerate(passes, 1):
            yield from _of_pass(number, entry)


def _of_pass(number: int, entry: Any) -> Iterator[str]:
    """What is wrong with pass `number`, 1 for the first."""
    name = f"passes[{number - 1}]"
    if not isinstance(entry, dict):
        yield f"{name} is {shown(entry)}, not an object"
        return
    wrong = [
        f"{name}.{field} is {shown(entry[field])}, not {wanted}"
        for field, (test, wanted) in PASS_FIELDS.items()
        if field in entry and not test(entry[field])
    ]
    yield from wrong
    if wrong:
        return
    if entry.get("number", number) != number:
        yield f"{name}.number is {shown(entry['number'])}, not {number}"
    for part in ("test", "train"):
        yield from _miscounted(name, entry, part)


def _miscounted(name: str, entry: Json, part: str) -> Iterator[str]:
    """What is wrong with the errors on the `part` ("test" or "train") patterns."""
    fields = [f"{part}_errors", f"{part}_patterns", f"{part}_error_percent"]
    there = [field for field in fields if field in entry]
    if len(there) < len(fields) and (there or part == "test"):
        yield f"{name}.{next(field for field in fields if field not in there)} is missing"
    elif there:
        errors, patterns, percent = (entry[field] for field in fields)
        if not 0 <= errors <= patterns or patterns == 0:
            yield f"{name}.{fields[0]} is {shown(errors)} of {shown(patterns)} patterns"
        elif percent is None or not math.isclose(percent, 100 * errors / patterns):
            yield f"{name}.{fields[2]} is {shown(percent)}, not that of {shown(errors)} errors in {shown(patterns)}"


def contradictions(record: Json, seed: int, experiment: str | None, key: str | None) -> Iterator[str]:
    """What a record of good fields says against itself and against the place where it lies (None: any)."""
    if record["seed"] != seed:
        yield f"seed is {record['seed']}, in the file of seed {seed}"
    if experiment is not None and record["experiment"] != experiment:
        yield f"experiment is {shown(record['experiment'])}, in the folder of {experiment}"
    if record["key"] != (stated := of_record(record).key):
        yield f"key is {record['key']}, that of its config, data, family and numerics is {stated}"
    elif key is not None and record["key"] != key:
        yield f"key is {record['key']}, in the folder of {key}"


def miscounts(record: Json, predictions: NDArray[Any] | None, labels: NDArray[np.uint8] | None) -> Iterator[str]:
    """Where the errors of a finished run's last pass are not those of its predictions.

    Without labels, only the number of patterns is compared.  A measurement has neither passes nor predictions.
    """
    if (predictions is None) != (record["passes"] == [] and record["status"] == "finished"):
        yield "it has passes without predictions, or predictions without passes"
    if predictions is None or record["status"] == "diverged":
        return
    last = record["passes"][-1]
    name, errors, patterns = f"passes[{len(record['passes']) - 1}]", last["test_errors"], last["test_patterns"]
    if predictions.shape != (patterns,):
        yield f"{name}.test_patterns is {shown(patterns)}, and there are {len(predictions)} predictions"
    elif labels is not None and len(labels) != patterns:
        yield f"{name}.test_patterns is {shown(patterns)}, and {len(labels)} patterns judge it"
    elif labels is not None and (counted := int((predictions != labels).sum())) != errors:
        yield f"{name}.test_errors is {shown(errors)}, and its predictions have {counted} errors"


# --- seals ------------------------------------------------------------------------------------------------------------

SEAL = "record_sha256"
"""The field that holds the digest of all others: no edit goes unseen, of fields that nothing recounts either."""


def sealed(record: Json) -> Json:
    """The record with the digest of its other fields."""
    return {**record, SEAL: _seal(record)}


def broken(record: Json) -> Iterator[str]:
    """Whether a record is not as it was sealed; one without a seal, of an earlier version, is let through."""
    if SEAL in record and record[SEAL] != _seal(record):
        yield f"{SEAL} is not that of its other fields: the record was changed after it was written"


def _seal(record: Json) -> str:
    rest = {name: value for name, value in record.items() if name != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode()).hexdigest()
