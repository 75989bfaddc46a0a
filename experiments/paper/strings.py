"""How many strings the space displacement network of Section VII reads right, beside a network of today.

The paper shows five strings that are read right (Figs. 25 and 26) and gives no error of any set.  So the strings are
ours: digits that were not learned, side by side (`lenet98.data.rows`).  A string is wrong if any digit is, if one is
missing or if there is one too many.

VII.B leaves open how many blanks there are and what they show, and whether digits are ever off the middle; the
grammar's penalty of a blank is not in the paper at all.  Strings of held-out training digits choose, one after the
other, the patterns, j of eq. 9 and for how long the network learns; and with each of them the penalty of a blank.  The
network of today is chosen in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Result, Runs
from experiments.harness.tables import Row, Table
from experiments.numerics import family
from experiments.paper.distortions import DISTORTED
from experiments.trainers import outcome
from lenet98.data import rows
from lenet98.data.mnist import MNIST
from lenet98.data.rows import Rows
from lenet98.data.splits import split
from lenet98.data.strings import Strings
from lenet98.decoding import decode_many
from lenet98.displacement import penalties
from lenet98.modern import ctc
from lenet98.modern.minibatch import flat
from lenet98.modules import network
from lenet98.published import SDNN_BLANK, SDNN_J
from lenet98.readings import DEFAULT
from lenet98.recipes import longer
from lenet98.training import Config, train

# --- what is chosen ---------------------------------------------------------------------------------------------------

SDNN, CTC = "strings/sdnn", "strings/ctc"
READERS = {SDNN: "SDNN", CTC: "CTC"}

BEST_PATTERNS = "moved-blanks0.3"
"""Of `PATTERNS`, those with the fewest errors, which stage two learns in other ways."""
BEST_J = SDNN_J
"""Of `J` and `OTHER_J`, the one with the fewest errors, with which stage two learns them for longer."""
BEST_RATE = 3e-3
"""Of `RATES`, the one with the fewest errors, with which stage two trains CTC in other ways."""
CHOSEN: dict[str, str | None] = {SDNN: "moved-blanks0.3-j20-passes180", CTC: "ctc-rate0.003-passes60"}
"""Of `CANDIDATES`, what each reader learns from all training digits, as it had the fewest errors on held-out strings;
None until those runs decide, and until then there is no such experiment."""
CHOSEN_BLANK: float = SDNN_BLANK
"""Of `BLANKS_OF_STAGE_TWO`, the one that the table shows, since it had the fewest errors on held-out strings."""

BLANKS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0)
"""The decoder's penalties of a blank, each judged by itself in every run: decoding costs next to nothing."""
BLANKS_OF_STAGE_TWO = (*BLANKS, 50.0, 65.0, 80.0, 100.0, 130.0)
"""Those of stage two, up to 130, since the best grows with j."""
RATES = (1e-3, 3e-3, 1e-2)
"""Of CTC."""
HELD_OUT = 10_000
SEEDS = tuple(range(5))


# --- strings that judge -----------------------------------------------------------------------------------------------

LENGTHS = tuple(range(2, 11))
GAPS = tuple(range(-4, 5))
FIVE = "5 digits"
NOISY = "5 digits, noise"
INVERTED = 0.1
"""Share of the pixels that are inverted in the strings of `NOISY`, as in training (VII.B) and in Fig. 26."""
DRAWN_BY = 0
"""The seed of the strings: all runs are judged by the same."""


def sets(five: int, each: int) -> dict[str, Rows]:
    """The sets of strings by name: `five` strings of five digits as far apart as VII.B has them, without and with
    noise, and `each` strings of each length as far apart and of five digits with each gap; of none if the number is 0.
    """
    found = {FIVE: Rows(5, strings=five), NOISY: Rows(5, strings=five, inverted=INVERTED)} if five else {}
    if each:
        found |= {f"length {length}": Rows(length, strings=each) for length in LENGTHS}
        found |= {f"gap {gap}": Rows(5, (gap, gap), each) for gap in GAPS}
    return found


Answers = Sequence[tuple[int, ...]]
"""The strings that a reader gives."""


def wrong(answers: Answers, strings: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the answers are wrong, shape (strings,)."""
    return np.array([answer != tuple(right) for answer, right in zip(answers, strings.tolist(), strict=True)])


def score(answers: Answers, strings: NDArray[np.uint8]) -> Json:
    """How many strings there are, how many of the answers are wrong, and of these how many too long and too short.

    `merged` are those too short that would be right if equal neighbors were one digit.
    """
    misread = [
        (answer, right) for answer, right in zip(answers, map(tuple, strings.tolist()), strict=True) if answer != right
    ]
    short = [(answer, right) for answer, right in misread if len(answer) < len(right)]
    return {
        "strings": len(strings),
        "errors": len(misread),
        "too_long": sum(len(answer) > len(right) for answer, right in misread),
        "too_short": len(short),
        "merged": sum(_neighbors_as_one(answer) == _neighbors_as_one(right) for answer, right in short),
    }


def _neighbors_as_one(string: tuple[int, ...]) -> list[int]:
    return [digit for digit, _ in groupby(string)]


@dataclass(frozen=True)
class StringConfig(Config):
    """A training by VII.B, and how the strings that judge it are drawn and decoded."""

    blank: tuple[float, ...] = BLANKS
    """The decoder's penalties of a blank, each judged by itself."""
    five: int = 2000
    """Strings of five digits as far apart as VII.B has them, and as many with noise: each of 10,000 digits once."""
    each: int = 1000
    """Strings of each length and of each gap."""


@dataclass(frozen=True)
class CtcConfig(ctc.Config):
    """A training by CTC, and the strings that judge it."""

    five: int = 2000
    each: int = 1000


AnyConfig = StringConfig | CtcConfig


def judging(config: AnyConfig, data: MNIST) -> Iterator[tuple[str, rows.Fields, NDArray[np.uint8]]]:
    """The sets that judge a run: name, fields, and the digits of their strings, shape (strings, digits)."""
    judges = split(data, config.train_size, config.held_out)
    for name, some in sets(config.five, config.each).items():
        yield name, *rows.fields(some, DRAWN_BY, judges.images, judges.labels)


def judged(
    config: AnyConfig, data: MNIST, read: Callable[[rows.Fields], Mapping[str, Answers]]
) -> tuple[Json, dict[str, NDArray[np.uint8]]]:
    """`score` by way of reading and set, and which strings of each set are wrong (`outcomes` reads that)."""
    found: Json = {}
    arrays = {}
    for name, fields, strings in judging(config, data):
        ways = read(fields)
        for way, answers in ways.items():
            found.setdefault(way, {})[name] = score(answers, strings)
        arrays[f"wrong {name}"] = np.packbits([wrong(answers, strings) for answers in ways.values()], axis=1)
    return found, arrays


# --- the space displacement network -----------------------------------------------------------------------------------


def masked(costs: NDArray[np.float32], outputs: NDArray[np.integer]) -> NDArray[np.float32]:
    """Penalties (n, outputs, classes) with none but a blank possible beyond the first `outputs[i]` of row i."""
    costs[rows.beyond(outputs, costs.shape[1])] = np.inf
    return costs


@family("strings")
def train_and_read(config: StringConfig, seed: int, context: Context) -> Outcome:
    """One training run on MNIST, its errors on single digits, and on strings by the penalty of a blank."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    if trained.diverged:
        return replace(outcome(trained), extra={"strings": {}})
    net = network(config.spec, trained.parameters, config.reading)

    def read(fields: rows.Fields) -> dict[str, Answers]:
        costs = masked(penalties(net, fields.values), fields.outputs)
        return {f"{blank:g}": [one.digits for one in decode_many(costs, blank)] for blank in config.blank}

    found, arrays = judged(config, context.mnist, read)
    return replace(outcome(trained), extra={"strings": found}, arrays=arrays)


# --- a network of today -----------------------------------------------------------------------------------------------


@family("strings, CTC")
def train_by_ctc(config: CtcConfig, seed: int, context: Context) -> Outcome:
    """One training run on strings of MNIST's digits; a measurement, as it reads no single digits."""
    trained = ctc.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    began = perf_counter()
    if trained.diverged:
        found, arrays = Json(), dict[str, NDArray[np.uint8]]()
    else:
        found, arrays = judged(config, context.mnist, lambda fields: {"best path": ctc.read(trained.model, fields)})
    passes = [{name: value for name, value in asdict(entry).items() if "test" not in name} for entry in trained.history]
    return Outcome(
        extra={"strings": found, "passes": passes, "diverged": trained.diverged},
        arrays={"parameters": flat(trained.model), **arrays},
        seconds=sum(entry.seconds for entry in trained.history) + perf_counter() - began,
    )


# --- candidates -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """One way to read VII.B and to train, or one way to train CTC."""

    title: str
    config: AnyConfig
    """On all training digits."""
    eligible: bool = True
    """Whether it may be chosen."""

    @property
    def reader(self) -> str:
        """The experiment for which it is a candidate."""
        return CTC if isinstance(self.config, CtcConfig) else SDNN

    def experiment(self, name: str, title: str, config: AnyConfig, seeds: tuple[int, ...]) -> Experiment:
        """Of the candidate, with this configuration."""
        if isinstance(config, CtcConfig):
            return Experiment(name, title, config, train_by_ctc, 0.3 * config.passes, seeds)
        return Experiment(name, title, config, train_and_read, 0.08 * len(config.etas), seeds)


VII_B = Strings()
MOVED = Strings(shift_x=2, blanks=0.5, between=0.9, clear=5, missing=0.2)
"""Digits and gaps off the middle, as between the outputs of a string, so many blanks as there are outputs there, and a
neighbor missing as often as in a string of five."""
J, OTHER_J = 10.0, (4.0, 20.0, 40.0, 80.0)
"""Of eq. 9 with blanks, in stage one, and those that stage two tries beside it.  `DEFAULT` has 1, where a digit that is
only not quite clear is rubbish.  Outputs of Figs. 25 and 26 that are no digit have penalties of 7 to 40."""

PATTERNS: Mapping[str, tuple[str, Strings]] = {
    "vii-b": ("VII.B as printed", VII_B),
    "shift2": ("VII.B, rows up to 2 px off the middle", replace(VII_B, shift_x=2)),
    "clear5": ("VII.B, gaps anywhere at least 5 px from a digit's middle", replace(VII_B, clear=5)),
    "blanks0.5": ("VII.B, half of the patterns blanks", replace(VII_B, blanks=0.5)),
    "moved": ("moved: all of these, nine blanks in ten gaps, a fifth of the neighbors missing", MOVED),
    "moved-clear3": ("moved, gaps at least 3 px from a digit's middle", replace(MOVED, clear=3)),
    "moved-clear7": ("moved, gaps at least 7 px from a digit's middle", replace(MOVED, clear=7)),
    "moved-blanks0.3": ("moved, three patterns in ten blanks", replace(MOVED, blanks=0.3)),
    "moved-blanks0.15": ("moved, three patterns in twenty blanks", replace(MOVED, blanks=0.15)),
}
"""Stage one, by the end of the experiment's name: one point of VII.B at a time, then all three that let a pattern lie
as the outputs of a string do, and one point of that at a time.  A network that is moved must know blanks that are,
too."""


def _of_patterns() -> dict[str, Candidate]:
    """Stage one of the space displacement network."""
    reading = replace(DEFAULT, j=J)
    return {
        name: Candidate(title, StringConfig(reading=reading, strings=strings))
        for name, (title, strings) in PATTERNS.items()
    }


def _of_best_patterns(best: str, j: float) -> dict[str, Candidate]:
    """Stage two: the best patterns learned with another j, and with the best of these for longer and of distorted
    digits."""
    config = _of_patterns()[best].config
    assert isinstance(config, StringConfig)
    assert config.strings is not None

    def with_j(j: float, words: str = "", **changed: Any) -> Candidate:
        return Candidate(
            f"{best}, j = {j:g}{words}",
            replace(config, reading=replace(config.reading, j=j), blank=BLANKS_OF_STAGE_TWO, **changed),
        )

    name = f"{best}-j{j:g}"
    longer_ones = {
        f"{name}-passes{20 * times}": with_j(j, f", {20 * times} passes", etas=longer(times)) for times in (3, 9)
    }
    return {
        **{f"{best}-j{other:g}": with_j(other) for other in OTHER_J},
        **longer_ones,
        f"{name}-distorted": with_j(j, ", digits distorted", distortions=DISTORTED),
        # VII.B prints a tenth of the pixels: this only tells what they cost.
        f"{name}-clean": replace(
            with_j(j, ", no pixel inverted", strings=replace(config.strings, inverted=0.0)), eligible=False
        ),
    }


def _of_ctc(best: float) -> dict[str, Candidate]:
    """Both stages of CTC: rates, then the best of them for longer, and of distorted digits."""
    name, title, config = f"ctc-rate{best:g}", f"CTC, rate {best:g}", CtcConfig(best)
    return {
        **{f"ctc-rate{rate:g}": Candidate(f"CTC, rate {rate:g}", CtcConfig(rate)) for rate in RATES},
        f"{name}-passes60": Candidate(f"{title}, 60 passes", replace(config, passes=60)),
        f"{name}-distorted": Candidate(f"{title}, digits distorted", replace(config, distortions=DISTORTED)),
        f"{name}-distorted-passes60": Candidate(
            f"{title}, digits distorted, 60 passes", replace(config, distortions=DISTORTED, passes=60)
        ),
    }


CANDIDATES = _of_patterns() | _of_best_patterns(BEST_PATTERNS, BEST_J) | _of_ctc(BEST_RATE)
"""By the end of the experiment's name."""


# --- the experiments --------------------------------------------------------------------------------------------------

ROOM = "strings/held-out"


def held_out(name: str, candidate: Candidate) -> Experiment:
    """The runs that judge a candidate by strings of training digits that it does not learn."""
    config = replace(candidate.config, train_size=50_000, held_out=HELD_OUT, each=0)
    return candidate.experiment(f"{ROOM}/{name}", f"{candidate.title}, held out", config, (0,))


def finals(chosen: Mapping[str, str | None]) -> Iterator[Experiment]:
    """What is trained on all digits, as far as it is chosen; ValueError for what cannot be."""
    titles = {SDNN: "LeNet-5 replicated over strings (VII)", CTC: "A network of today on strings, CTC"}
    for reader, name in chosen.items():
        if name is not None:
            candidate = CANDIDATES[name]
            if not candidate.eligible or candidate.reader != reader:
                raise ValueError(f"{name} cannot be chosen for {reader}")
            yield candidate.experiment(reader, titles[reader], candidate.config, SEEDS)


CHOICES = {f"{ROOM}/{name}": candidate for name, candidate in CANDIDATES.items()}

for _name, _candidate in CANDIDATES.items():
    register(held_out(_name, _candidate))
for _final in finals(CHOSEN):
    register(_final)


# --- tables -----------------------------------------------------------------------------------------------------------

JUDGED = (
    "Strings of test digits that no run learned, side by side; a string is wrong if any digit is. The gap is the "
    "number of empty columns between two bounding boxes, fewer than 0 where they overlap; where it is not named it is "
    "-1 to 4, as VII.B has it. All gaps show the same digits in the same order. Noise is a tenth of the pixels "
    "inverted; without the word there is none. All runs are judged by the same strings. The paper has no error of "
    "strings."
)
INTERVAL = (
    "95% intervals: of several runs, of the mean over seeds (Student's t); of a single one Wilson's, over strings."
)
GRAMMARS = (
    "Between two different digits CTC needs no blank, and the grammar of Section VII does: two different digits that "
    "are closer than two outputs cannot be read by it. Between two equal digits both need one."
)


def of_strings(result: Result) -> Mapping[str, Json]:
    """What a run found, by the way of reading: the penalty of a blank, or "best path"."""
    found: Mapping[str, Json] = result.extra["strings"]
    return found


def outcomes(runs: Runs, name: str, way: str) -> NDArray[np.bool_]:
    """Which strings of a set each run that did not diverge read wrong in one way, shape (runs, strings)."""
    sound = _sound(runs)
    packed = [result.arrays()[f"wrong {name}"][list(of_strings(result)).index(way)] for result in sound]
    counts = [of_strings(result)[way][name]["strings"] for result in sound]
    return np.stack([np.unpackbits(some, count=n) for some, n in zip(packed, counts, strict=True)]).astype(bool)


def _sound(runs: Runs) -> list[Result]:
    """Runs that did not diverge."""
    return [result for result in runs.finished if not result.extra.get("diverged", False)]


def row(runs: Runs, title: str, name: str, way: str) -> Row:
    """The strings of a set that were read wrong, in one way of reading."""
    found = [of_strings(result)[way][name] for result in _sound(runs)]
    lost = len(runs.results) - len(found)
    patterns = {one["strings"] for one in found}
    if len(patterns) > 1:
        raise ValueError(f"runs on {sorted(patterns)} strings cannot share a row")
    errors = [one["errors"] for one in found]
    return tables.summarize(title, None, errors, patterns.pop() if patterns else 0, diverged=lost, source=runs.source)


def shares(runs: Runs, name: str, way: str) -> dict[str, float | None]:
    """Strings of a set that are too long, too short, and merged, percent of all; None without runs."""
    counts = [of_strings(result)[way][name] for result in _sound(runs)]
    total = sum(one["strings"] for one in counts)
    kinds = ("too_long", "too_short", "merged")
    return {kind: 100 * sum(one[kind] for one in counts) / total if total else None for kind in kinds}


def decided() -> list[str]:
    """The readers for which the held-out runs have decided."""
    return [reader for reader, name in CHOSEN.items() if name is not None]


def shown_way(reader: str) -> str:
    """The way of reading that the table of a reader shows."""
    if reader == CTC:
        return "best path"
    if CHOSEN_BLANK not in BLANKS_OF_STAGE_TWO:
        raise ValueError(
            f"CHOSEN_BLANK is {CHOSEN_BLANK}; it must be one of BLANKS_OF_STAGE_TWO in experiments/paper/strings.py"
        )
    return f"{CHOSEN_BLANK:g}"


@tables.table("strings")
def strings_table(load: Loader) -> Table:
    """Errors of strings by length and by gap, of the replicated network and of CTC."""
    if not (readers := decided()):
        raise NoResults(
            f"{' and '.join(READERS)} are not there yet: strings of held-out digits choose what they learn; "
            f"`python -m experiments run '{ROOM}/*'` makes those runs, and the table strings-held-out shows them"
        )
    used = load.there(readers)
    titles = {
        FIVE: "5 digits, gap -1 to 4",
        NOISY: "5 digits, gap -1 to 4, noise",
        **{f"length {length}": f"{length} digits" for length in LENGTHS},
        **{f"gap {gap}": f"5 digits, gap {gap}" for gap in GAPS},
    }
    titles = {each: title.replace("gap -", "gap −") for each, title in titles.items()}
    of = {name: [row(runs, titles[each], each, shown_way(name)) for each in titles] for name, runs in used.items()}
    records: list[Json] = [
        one.as_json()
        | shares(used[name], each, shown_way(name))
        | {"reader": READERS[name], "set": each, "experiment": name}
        for name, some in of.items()
        for each, one in zip(titles, some, strict=True)
    ]
    body = [
        [title, *(cell for some in of.values() for cell in _cells(some[place]))]
        for place, title in enumerate(titles.values())
    ]
    header = ["", *(f"{READERS[name]}{head}" for name in of for head in (", %", ": sd", ": n", ": 95%"))]
    remarks = [JUDGED, INTERVAL, *_compared(used, titles), *tables.lacking(READERS, used)]
    notes = tables.notes("strings", list(used.values()), *remarks)
    return Table("strings", "Strings read wrong, by length and by gap.", header, body, records, notes)


def _compared(used: Mapping[str, Runs], titles: Mapping[str, str]) -> list[str]:
    """The remarks that compare both readers string by string; none if one is not there."""
    if not all(reader in used and _sound(used[reader]) for reader in READERS):
        return []
    found = statistics.corrected({
        name: statistics.compare_wrong(*(outcomes(used[reader], name, shown_way(reader)) for reader in (SDNN, CTC)))
        for name in (FIVE, NOISY)
    })  # fmt: skip
    words = [
        f"{titles[name]}: {tables.number(one.mean, signed=True)}"
        + (f" (95% {tables.span(one.interval)}, p {tables.probability(one.corrected)})" if one.interval else "")
        for name, one in found.items()
    ]
    return [
        f"SDNN less CTC, string by string: {'; '.join(words)}. {tables.COMPARED} Patterns are strings here.",
        GRAMMARS,
    ]


def _cells(one: Row) -> list[str]:
    """Mean, sd, n and interval."""
    _, mean, sd, n, over_seeds, over_patterns, _ = tables.cells(one)
    return [mean, sd, n, over_seeds or over_patterns]


@tables.table("strings-held-out")
def held_out_table(load: Loader) -> Table:
    """What VII.B leaves open, and how CTC is trained, by strings of held-out digits."""
    used = load.there(CHOICES)
    records = [_choice(name, runs) for name, runs in used.items()]
    body = [
        [
            f"{record['row']}{_mark(record)}",
            *_cells(row(used[record["experiment"]], "", FIVE, record["way"])),
            record["way"],
            *(tables.number(record[part]) for part in ("noise", "too_long", "too_short", "merged", "digits")),
        ]
        for record in records
    ]
    remark = (
        "Learned are the first 50,000 training digits; the strings are 2,000 of five digits, -1 to 4 px apart, of the "
        f"last 10,000, each digit once. SDNN learns with j = {J:g} where nothing else is said. The blank's penalty is "
        "the one with the fewest errors on the strings without noise. With noise: the same strings with a tenth of the "
        "pixels inverted, by the same penalty. Too long, too short and merged are shares of all strings; merged are "
        "those too short that would be right if equal neighbors were one digit. Not eligible: VII.B prints noise in "
        "training; that run only shows what the noise costs. The test set has no part in it."
    )
    header = ["", "strings, %", "sd", "n", "95%", "blank", "with noise, %", "too long, %", "too short, %", "merged, %",
              "single digits, %"]  # fmt: skip
    notes = tables.notes("strings-held-out", list(used.values()), remark, *tables.lacking(CHOICES, used))
    caption = "Strings of held-out digits read wrong, by what VII.B leaves open."
    return Table("strings-held-out", caption, header, body, records, notes)


def _mark(record: Json) -> str:
    return " (chosen)" if record["in_use"] else "" if record["eligible"] else " (not eligible)"


def _choice(name: str, runs: Runs) -> Json:
    """An experiment in its best way of reading."""
    candidate, sound = CHOICES[name], _sound(runs)
    ways = list(of_strings(sound[0])) if sound else [""]
    best = min(ways, key=lambda way: sum(of_strings(result)[way][FIVE]["errors"] for result in sound))
    single = tables.test_row(runs, "", None) if candidate.reader == SDNN else None
    return row(runs, candidate.title, FIVE, best).as_json() | {
        "experiment": name,
        "reader": READERS[candidate.reader],
        "way": best,
        "in_use": name.rpartition("/")[2] == CHOSEN[candidate.reader],
        "eligible": candidate.eligible,
        "noise": row(runs, "", NOISY, best).mean,
        **shares(runs, FIVE, best),
        "digits": single.mean if single else None,
    }
