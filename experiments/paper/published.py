"""The trained networks that come with the package: their files and their model card, both from published results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from experiments.harness import provenance, registry, statistics, store, tables
from experiments.harness.documents import GENERATED, page
from experiments.harness.identity import plain
from experiments.harness.loader import Loader, NoResults
from experiments.harness.store import Result
from lenet98 import published, weights
from lenet98.citation import PAPER
from lenet98.published import SEED, Weights
from lenet98.readings import DEFAULT, Reading
from lenet98.training import Config, form

COMMAND = "python -m experiments weights"
PATTERNS = ("distortions", "strings")
"""Fields of a configuration that say on which patterns a network was trained."""


# --- files ------------------------------------------------------------------------------------------------------------


def files(reference: Path) -> Iterator[tuple[Path, bytes]]:
    """The file of each member of `lenet98.published` and what it should hold, from the records in `reference`.

    Raises ValueError, with the remedy, where a run or its weights are not published.
    """
    for member in published.every():
        yield member.path, _content(member, _result(member, reference))


def strays() -> list[Path]:
    """Files of weights in the package that belong to no member."""
    return sorted(set(published.FOLDER.glob(f"*{weights.SUFFIX}")) - {member.path for member in published.every()})


def _result(member: Weights, reference: Path) -> Result:
    """The published run of a member; ValueError, with the remedy, if it has no weights or was not judged by test."""
    path = store.result_path(reference / member.value, SEED)
    try:
        result = store.read(path, member.value)
    except FileNotFoundError:
        raise ValueError(f"{member}: there is no {path}; {_remedy(member)}") from None
    if "weights" not in result.arrays():
        raise ValueError(f"{member}: {path} has no weights; {_remedy(member)}")
    if result.record["config"].get("held_out"):
        raise ValueError(f"{member}: {path} was judged by training patterns; publish a run on all of them")
    return result


def _remedy(member: Weights) -> str:
    return f"`python -m experiments publish {member.value} --weights {SEED}` publishes them"


def _content(member: Weights, result: Result) -> bytes:
    parameters, config = weights.load(result.path.with_suffix(".npz"))
    record = result.record
    header = {
        "header": f"Made by: {COMMAND}",
        "name": str(member),
        "title": registry.named(member.value).title,
        "experiment": member.value,
        "seed": str(result.seed),
        "errors": str(result.last["test_errors"]),
        "patterns": str(result.last["test_patterns"]),
        "reading": _reading(config.reading),
        "command": record["command"],
        "data": record["data"],
        "commit": record["versions"]["git"]["commit"],
        "cpu": record["machine"]["cpu"],
        "paper": PAPER,
    }
    return weights.as_safetensors(parameters, config, header)


def _reading(reading: Reading) -> str:
    """A reading by its difference from the default one."""
    now, usual = asdict(reading), asdict(DEFAULT)
    others = [f"{name} = {json.dumps(value)}" for name, value in now.items() if value != usual[name]]
    return "DEFAULT" + (f" but {', '.join(others)}" if others else "")


# --- model card -------------------------------------------------------------------------------------------------------

INTRODUCTION = f"""\
Networks of the paper, trained, in files that come with the package. Each section says how. {GENERATED}

```python
import lenet98

weights = lenet98.LeNet5Weights.PAPER
model = lenet98.lenet5(weights)  # or weights="paper"; nothing is downloaded
images, labels = lenet98.load_mnist().test_images, lenet98.load_mnist().test_labels
wrong = lenet98.errors(lenet98.predict(model(weights.transforms()(images)).detach().numpy()), labels)
assert wrong == weights.meta["errors"]
```

On the command line, `lenet98 evaluate paper` and `lenet98 predict --weights distorted IMAGE`."""

TEXT = """\
## What they are

- **Networks.** [readings](readings.md) says what the paper fixes and what it leaves open. The outputs are distances to
  ten bitmaps: the least is the answer, and nothing is a probability.
- **Which run.** Seed 0 of a published experiment, after the last pass. Neither the seed nor the pass was chosen by a
  test error: the mean of all seeds says what to expect of another one.
- **Data.** MNIST, whose writers were employees of the US Census Bureau and high-school students (III.A). The test
  digits are of other writers than the training digits. No other data, but for the trunk of 1998: its weights come from
  the paper's figures, and that network had learned digits of 1998 that we do not have.
- **Files.** The tensors of `Net.state_dict` as safetensors, with the configuration, the command and the errors in the
  header. Another processor rounds differently, which can decide a tie.
- **The network of 1998** is not among them, since its C5 and F6 are not known. `LeNet5Weights.TRUNK1998` has its C1 to
  S4 ([recovered](recovered.md)), with a C5 and an F6 of ours.

## What they are for

To study the paper's network, and to compare others with it. An input is one isolated digit, light on dark, brought to
MNIST's form: 20x20 pixels, its center of mass in the middle of 28x28. `lenet98 predict` does that with a photograph.
LeNet-1 sees the 16x16 form of it in the middle of its field: `.transforms()` and the commands scale it.
`LeNet5Weights.SDNN` also reads strings: `lenet98.displacement` gives its outputs along a field, `lenet98.decoding` the
string.

## What they are not for

- Anything but a digit is called a digit, too. The option `--reject` of `lenet98 predict` gives no class where two are
  near.
- Digits of other countries, other pens and other scans were never seen, and the test error says nothing of them.
- They read no strings alone: `lenet98.decoding` is what turns outputs along a string into digits.

MIT License. Cite the paper, and this software by `lenet98 cite`."""


@page("model-card", "Which trained networks come with the package?", Path("docs"))
def model_card(load: Loader) -> str:
    """The page; NoResults if the weights of one of them are not published."""
    rows, parts = [], []
    for member in published.every():
        runs = load.one(member.value)
        try:
            result = _result(member, load.reference)
        except ValueError as error:
            raise NoResults(str(error)) from None
        _, config = weights.load(result.path.with_suffix(".npz"))
        errors, patterns = tables.counts(runs.finished)
        wrong, title = result.last["test_errors"], registry.named(member.value).title
        rows.append(
            [
                f"`{member}`",
                title,
                f"{wrong:,} of {patterns:,}",
                tables.between(statistics.interval([wrong], patterns)),
                tables.number(100 * sum(errors) / len(errors) / patterns),
                str(len(errors)),
            ]
        )
        parts.append(_described(member, title, result, config))
    header = ["weights", "network", "test errors", "95%, Wilson", "mean of all seeds, %", "seeds"]
    table = tabulate(rows, header, tablefmt="github", disable_numparse=True)
    return "\n\n".join(["# Trained networks", INTRODUCTION, table, TEXT, "## Each of them", *parts]) + "\n"


def _described(member: Weights, title: str, result: Result, config: Config) -> str:
    """A section of the card: how one network was made, and the digest of its file."""
    record = result.record
    trained_on = {name: plain(getattr(config, name)) for name in PATTERNS if getattr(config, name) is not None}
    lines = [
        f"### {member}",
        f"{title}: {config.spec.parameters:,} parameters, {len(config.etas)} passes of {config.train_size:,} patterns.",
        f"- reading: {_reading(config.reading)}",
        *([f"- digits in the form {form(config)}"] if form(config) != "28x28" else []),
        *(
            f"- {name}: {', '.join(f'{key} {_short(value)}' for key, value in of.items())}"
            for name, of in trained_on.items()
        ),
        f"- made by `{record['command']}`, {provenance.written(record)}, on {record['machine']['cpu']}",
        f"- data {record['data']}, seed {result.seed}; the record is "
        f"`{store.result_path(Path('reference') / member.value, result.seed).as_posix()}`",
        f"- `{member.path.name}`, SHA-256 {hashlib.sha256(_content(member, result)).hexdigest()}",
    ]
    return "\n".join([lines[0], "", lines[1], "", *lines[2:]])


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
