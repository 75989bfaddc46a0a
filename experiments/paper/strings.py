"""How many strings the space displacement network of Section VII reads right, beside a network of today.

The paper shows five strings that are read right (Figs. 25 and 26) and gives no error of any set.  So the strings are
ours: digits that were not learned, side by side (`lenet98.data.rows`).  A string is wrong if any digit is, if one is
missing or if there is one too many.

VII.B leaves open how many blanks there are and what they show, and whether digits are ever off the middle; the
grammar's penalty of a blank is not in the paper at all.  Strings of held-out training digits choose both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.store import Result, Runs
from experiments.harness.tables import Row, Table
from experiments.numerics import family
from experiments.paper.distortions import DISTORTED
from experiments.trainers import outcome
from lenet98.data import rows
from lenet98.data.distortions import Magnitudes
from lenet98.data.mnist import MNIST
from lenet98.data.rows import Rows
from lenet98.data.splits import split
from lenet98.data.strings import Strings
from lenet98.decoding import decode_many
from lenet98.displacement import penalties
from lenet98.modern import ctc
from lenet98.modern.minibatch import flat
from lenet98.modules import network
from lenet98.readings import DEFAULT
from lenet98.recipes import longer
from lenet98.training import Config, train

# --- what is chosen ---------------------------------------------------------------------------------------------------

CHOSEN = "vii-b"
"""Of `VARIED`, what the network of `strings/sdnn` learns: VII.B as printed, until the held-out runs decide."""
CHOSEN_BLANK = 3.0
"""Its decoder's penalty of a blank output; the held-out runs decide."""
CHOSEN_RATE = 3e-3
"""Of CTC; the held-out runs decide."""

BLANKS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0)
"""Penalties of a blank that every held-out run tries; decoding costs next to nothing."""
RATES = (1e-3, 3e-3, 1e-2)
"""Of CTC, tried on held-out strings."""
HELD_OUT = 10_000
SEEDS = tuple(range(5))

VII_B = Strings()
MOVED = Strings(shift_x=2, blanks=0.5, between=0.9, clear=5, missing=0.2)
"""Digits and gaps off the middle, as between the outputs of a string, so many blanks as there are outputs there, and a
neighbor missing as often as in a string of five."""
J = 10.0
"""Of eq. 9 with blanks.  `DEFAULT` has 1, where a digit that is only not quite clear is rubbish.  Outputs of Figs. 25
and 26 that are no digit have penalties of 7 to 40."""


class Varied(NamedTuple):
    """One way to read VII.B."""

    title: str
    strings: Strings
    j: float = J
    """Of eq. 9: the penalty of the rubbish class."""
    distortions: Magnitudes | None = None
    times: int = 1
    """As many times the 20 passes of III.B."""

    def config(self, blank: tuple[float, ...]) -> StringConfig:
        """The training, judged with each of these penalties of a blank."""
        reading = replace(DEFAULT, j=self.j)
        etas = longer(self.times)
        return StringConfig(reading=reading, strings=self.strings, distortions=self.distortions, etas=etas, blank=blank)


VARIED: Mapping[str, Varied] = {
    "vii-b-j1": Varied("VII.B as printed, j = 1", VII_B, DEFAULT.j),
    "vii-b": Varied("VII.B as printed, j = 10", VII_B),
    "shift2": Varied("VII.B, rows up to 2 px off the middle", replace(VII_B, shift_x=2)),
    "clear5": Varied("VII.B, gaps anywhere 5 px from a digit's middle", replace(VII_B, clear=5)),
    "blanks0.5": Varied("VII.B, half of the patterns blanks", replace(VII_B, blanks=0.5)),
    "moved": Varied("moved: all of these, nine blanks in ten gaps, a fifth of the neighbors missing", MOVED),
    "moved-j1": Varied("moved, j = 1", MOVED, DEFAULT.j),
    "moved-j4": Varied("moved, j = 4", MOVED, 4.0),
    "moved-j20": Varied("moved, j = 20", MOVED, 20.0),
    "moved-clear3": Varied("moved, gaps 3 px from a digit's middle", replace(MOVED, clear=3)),
    "moved-clear7": Varied("moved, gaps 7 px from a digit's middle", replace(MOVED, clear=7)),
    "moved-blanks0.3": Varied("moved, three patterns in ten blanks", replace(MOVED, blanks=0.3)),
    "moved-clean": Varied("moved, no pixel inverted", replace(MOVED, inverted=0.0)),
    "moved-distorted": Varied("moved, digits distorted", MOVED, distortions=DISTORTED),
    "moved-passes60": Varied("moved, 60 passes", MOVED, times=3),
    "moved-distorted-passes60": Varied("moved, digits distorted, 60 passes", MOVED, distortions=DISTORTED, times=3),
}
"""By the end of the experiment's name: one point of VII.B at a time, then all three that let a pattern lie as the
outputs of a string do, and one point of that at a time.  Short runs on a few patterns said that the three do little
alone: a network that is moved must know blanks that are, too."""


# --- strings that judge -----------------------------------------------------------------------------------------------

LENGTHS = tuple(range(2, 11))
GAPS = tuple(range(-4, 5))
FIVE = "5 digits"
DRAWN_BY = 0
"""The seed of the strings: all runs are judged by the same."""


def sets(five: int, each: int) -> dict[str, Rows]:
    """The sets of strings by name: `five` strings of five digits as far apart as VII.B has them, and `each` strings of
    each length as far apart and of five digits with each gap; of none if the number is 0."""
    found = {FIVE: Rows(5, strings=five)} if five else {}
    if each:
        found |= {f"length {length}": Rows(length, strings=each) for length in LENGTHS}
        found |= {f"gap {gap}": Rows(5, (gap, gap), each) for gap in GAPS}
    return found


def score(answers: Sequence[tuple[int, ...]], strings: NDArray[np.uint8]) -> Json:
    """How many strings there are, how many of the answers are wrong, and of these how many too long and too short."""
    more = [
        len(answer) - len(right)
        for answer, right in zip(answers, strings.tolist(), strict=True)
        if answer != tuple(right)
    ]
    return {
        "strings": len(strings),
        "errors": len(more),
        "too_long": sum(extra > 0 for extra in more),
        "too_short": sum(extra < 0 for extra in more),
    }


# --- the space displacement network -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class StringConfig(Config):
    """A training by VII.B, and how the strings that judge it are drawn and decoded."""

    blank: tuple[float, ...] = (CHOSEN_BLANK,)
    """The decoder's penalties of a blank, each judged by itself."""
    five: int = 10_000
    """Strings of five digits as far apart as VII.B has them."""
    each: int = 1000
    """Strings of each length and of each gap."""


@dataclass(frozen=True)
class CtcConfig(ctc.Config):
    """A training by CTC, and the strings that judge it."""

    five: int = 10_000
    each: int = 1000


def judging(config: StringConfig | CtcConfig, data: MNIST) -> Iterator[tuple[str, rows.Fields, NDArray[np.uint8]]]:
    """The sets that judge a run: name, fields, and the digits of their strings, shape (strings, digits)."""
    judges = split(data, config.train_size, config.held_out)
    for name, some in sets(config.five, config.each).items():
        yield name, *rows.fields(some, DRAWN_BY, judges.images, judges.labels)


def masked(costs: NDArray[np.float32], outputs: NDArray[np.integer]) -> NDArray[np.float32]:
    """Penalties (n, outputs, classes) with none but a blank possible beyond the first `outputs[i]` of row i."""
    costs[rows.beyond(outputs, costs.shape[1])] = np.inf
    return costs


@family("strings")
def train_and_read(config: StringConfig, seed: int, context: Context) -> Outcome:
    """One training run on MNIST, its errors on single digits, and on strings by the penalty of a blank."""
    trained = train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    found: Json = {}
    if not trained.diverged:
        net = network(config.spec, trained.parameters, config.reading)
        found = {f"{blank:g}": {} for blank in config.blank}
        for name, fields, strings in judging(config, context.mnist):
            costs = masked(penalties(net, fields.values), fields.outputs)
            for blank in config.blank:
                answers = [decoded.digits for decoded in decode_many(costs, blank)]
                found[f"{blank:g}"][name] = score(answers, strings)
    return replace(outcome(trained), extra={"strings": found})


# --- a network of today -----------------------------------------------------------------------------------------------


@family("strings, CTC")
def train_by_ctc(config: CtcConfig, seed: int, context: Context) -> Outcome:
    """One training run on strings of MNIST's digits; a measurement, as it reads no single digits."""
    trained = ctc.train(config, seed, context.mnist, progress=context.progress, checkpoint=context.checkpoint)
    found: Json = {}
    for name, fields, strings in judging(config, context.mnist) if not trained.diverged else ():
        found[name] = score(ctc.read(trained.model, fields), strings)
    passes = [{name: value for name, value in asdict(entry).items() if "test" not in name} for entry in trained.history]
    return Outcome(
        extra={"strings": {"best path": found}, "passes": passes, "diverged": trained.diverged},
        arrays={"parameters": flat(trained.model)},
    )


# --- the experiments --------------------------------------------------------------------------------------------------

SDNN, CTC = "strings/sdnn", "strings/ctc"
READERS = {SDNN: "SDNN", CTC: "CTC"}
ROOM = "strings/held-out"
JUDGED_SHORT = 3000
"""Strings of five digits that judge a choice."""

CHOICES = {
    f"{ROOM}/{name}": replace(
        varied.config(BLANKS), train_size=50_000, held_out=HELD_OUT, five=JUDGED_SHORT, each=0
    )
    for name, varied in VARIED.items()
}  # fmt: skip
OF_RATES = {
    f"{ROOM}/ctc-rate{rate:g}": CtcConfig(rate, train_size=50_000, held_out=HELD_OUT, five=JUDGED_SHORT, each=0)
    for rate in RATES
}

for name, config in CHOICES.items():
    title = VARIED[name.rpartition("/")[2]].title
    register(Experiment(name, f"LeNet-5, {title}, held out", config, train_and_read, minutes=1.5, seeds=(0,)))
for name, by_rate in OF_RATES.items():
    register(Experiment(name, f"CTC, rate {by_rate.rate:g}, held out", by_rate, train_by_ctc, minutes=6, seeds=(0,)))
register(
    Experiment(
        SDNN, "LeNet-5 replicated over strings (VII)", VARIED[CHOSEN].config((CHOSEN_BLANK,)),
        train_and_read, minutes=3, seeds=SEEDS,
    )
)  # fmt: skip
register(Experiment(CTC, "A network of today on strings, CTC", CtcConfig(CHOSEN_RATE), train_by_ctc, 8, seeds=SEEDS))


# --- tables -----------------------------------------------------------------------------------------------------------

JUDGED = (
    "Strings of test digits that no run learned, side by side, without noise; a string is wrong if any digit is. The "
    "gap is the number of empty columns between two bounding boxes, fewer than 0 where they overlap; where it is not "
    "named it is -1 to 4, as VII.B has it. All runs are judged by the same strings. The paper has no error of strings."
)
INTERVAL = (
    "95% intervals: of several runs, of the mean over seeds (Student's t); of a single one Wilson's, over strings."
)


def of_strings(result: Result) -> Mapping[str, Json]:
    """What a run found, by the way of reading: the penalty of a blank, or "best path"."""
    found: Mapping[str, Json] = result.extra["strings"]
    return found


def _sound(runs: Runs) -> list[Result]:
    """Runs that did not diverge."""
    return [result for result in runs.finished if not result.extra.get("diverged", False)]


def row(runs: Runs, title: str, name: str, way: str | None = None) -> Row:
    """The strings of a set that were read wrong, in one way of reading or in the only one."""
    found = [ways[way or next(iter(ways))][name] for ways in map(of_strings, _sound(runs))]
    lost = len(runs.results) - len(found)
    patterns = {one["strings"] for one in found}
    if len(patterns) > 1:
        raise ValueError(f"runs on {sorted(patterns)} strings cannot share a row")
    errors = [one["errors"] for one in found]
    return tables.summarize(title, None, errors, patterns.pop() if patterns else 0, diverged=lost, source=runs.source)


@tables.table("strings")
def strings_table(load: Loader) -> Table:
    """Errors of strings by length and by gap, of the replicated network and of CTC."""
    used = load.there(READERS)
    titles = {
        FIVE: "5 digits, gap -1 to 4",
        **{f"length {length}": f"{length} digits" for length in LENGTHS},
        **{f"gap {gap}": f"5 digits, gap {gap}".replace("-", "−") for gap in GAPS},
    }
    of = {name: [row(runs, titles[each], each) for each in sets(1, 1)] for name, runs in used.items()}
    records: list[Json] = [
        one.as_json() | {"reader": READERS[name], "set": each, "experiment": name}
        for name, some in of.items()
        for each, one in zip(sets(1, 1), some, strict=True)
    ]
    body = [
        [titles[each].replace("gap -1", "gap −1"), *(cell for some in of.values() for cell in _cells(some[place]))]
        for place, each in enumerate(sets(1, 1))
    ]
    header = ["", *(f"{READERS[name]}{head}" for name in of for head in (", %", ": sd", ": n", ": 95%"))]
    notes = tables.notes("strings", list(used.values()), JUDGED, INTERVAL, *tables.lacking(READERS, used))
    return Table("strings", "Strings read wrong, by length and by gap.", header, body, records, notes)


def _cells(one: Row) -> list[str]:
    """Mean, sd, n and interval."""
    _, mean, sd, n, over_seeds, over_patterns, _ = tables.cells(one)
    return [mean, sd, n, over_seeds or over_patterns]


@tables.table("strings-held-out")
def held_out_table(load: Loader) -> Table:
    """What VII.B leaves open, and the rate of CTC, by strings of held-out digits."""
    names = [*CHOICES, *OF_RATES]
    used = load.there(names)
    records = [_choice(name, runs) for name, runs in used.items()]
    body = [
        [
            f"{record['row']}{' (chosen)' if record['in_use'] else ''}",
            *_cells(row(used[record["experiment"]], "", FIVE, record["way"])),
            record["way"],
            tables.number(record["too_long"]),
            tables.number(record["too_short"]),
            tables.number(record["digits"]),
        ]
        for record in records
    ]
    remark = (
        f"Learned are the first 50,000 training digits; the strings are {JUDGED_SHORT:,} of five digits, -1 to 4 px "
        "apart, of the last 10,000. The blank's penalty is the one with the fewest errors. Too long and too short are "
        "shares of all strings. The test set has no part in it."
    )
    header = ["", "strings, %", "sd", "n", "95%", "blank", "too long, %", "too short, %", "single digits, %"]
    notes = tables.notes("strings-held-out", list(used.values()), remark, *tables.lacking(names, used))
    caption = "Strings of held-out digits read wrong, by what VII.B leaves open."
    return Table("strings-held-out", caption, header, body, records, notes)


def _choice(name: str, runs: Runs) -> Json:
    """An experiment in its best way of reading."""
    sound = _sound(runs)
    ways = list(of_strings(sound[0])) if sound else [""]
    best = min(ways, key=lambda way: sum(of_strings(result)[way][FIVE]["errors"] for result in sound))
    found = row(runs, _title(name), FIVE, best)

    def share(of: str) -> float | None:
        counts = [of_strings(result)[best][FIVE] for result in sound]
        return 100 * sum(one[of] for one in counts) / sum(one["strings"] for one in counts) if counts else None

    single = tables.test_row(runs, "", None) if name in CHOICES else None
    config = (CHOICES | OF_RATES)[name]
    chosen = config.rate == CHOSEN_RATE if isinstance(config, CtcConfig) else name == f"{ROOM}/{CHOSEN}"
    return found.as_json() | {
        "experiment": name,
        "way": best,
        "in_use": chosen,
        "too_long": share("too_long"),
        "too_short": share("too_short"),
        "digits": single.mean if single else None,
    }


def _title(name: str) -> str:
    config = (CHOICES | OF_RATES)[name]
    return f"CTC, rate {config.rate:g}" if isinstance(config, CtcConfig) else VARIED[name.rpartition("/")[2]].title
