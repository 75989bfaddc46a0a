"""Row of Fig. 9: boosted LeNet-4, the paper's 0.7% (III.C.8; Drucker, Schapire and Simard, 1993).

Three LeNet-4s are boosted, each on what those before it find hard.  The first is trained as usual.  The second learns
patterns that the first has filtered: a fair coin is tossed, and the pool is gone through until the first is wrong
(heads) or right (tails); so it is wrong on half of them.  The third learns new patterns on which the first two
disagree.  Their outputs are added.  Where the first is confident its answer is taken, and the others are not asked.

The pool has no end: originals, then one distorted copy of each pattern after the other.  Each network is a run of
`lenet98.training` of a seed of its own, so that it has its own start and its own distortions, new to the others.  The
originals are not, so the third network's pool is without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.harness import tables
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.paper.distortions import DISTORTED
from experiments.trainers import train_network, training
from lenet98 import accounting, checkpoint
from lenet98.data.distortions import Sample
from lenet98.data.mnist import MNIST
from lenet98.data.splits import split
from lenet98.loop import Progress, Trained
from lenet98.networks import LENET4
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.training import CHUNK, Config, network_input, train

# --- what is run ------------------------------------------------------------------------------------------------------


NETWORKS = 3
SEEDS_APART = 10_000
"""Between the seeds of two networks of a run; more than there are seeds of runs."""
HOPELESS = 1000
"""Patterns of the pool per pattern wanted after which a filter gives up."""

Distances = NDArray[np.float32]


@dataclass(frozen=True)
class BoostedConfig(Config):
    """Three networks of one spec; the fields of `Config` are those of each.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    filtered: int = 60_000
    """Patterns that the second and the third network learn, each of them in every pass."""
    confidence: float = 1.86
    """The first network's answer is taken where its two best outputs differ by more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distortions is None:
            raise ValueError("BoostedConfig.distortions is None; without them there are too few patterns to filter")
        if self.filtered < self.curvature_patterns:
            raise ValueError(
                f"BoostedConfig.filtered is {self.filtered}; it must be at least curvature_patterns, "
                f"{self.curvature_patterns}"
            )
        if not 0 <= self.confidence < float("inf"):
            raise ValueError(f"BoostedConfig.confidence is {self.confidence!r}; it must be 0 or positive, and finite")

    @property
    def each(self) -> Config:
        """The training of one network."""
        return Config(**{field.name: getattr(self, field.name) for field in fields(Config)})


def seed_of(seed: int, network: int) -> int:
    """The seed of network 1, 2 or 3 of run `seed`; that of the first is the run's."""
    return seed + SEEDS_APART * (network - 1)


# --- filters ----------------------------------------------------------------------------------------------------------


def pool(patterns: int, seed: int, first_copy: int = 0) -> Iterator[Sample]:
    """The members of the endless pool in blocks: all originals (copy 0), then copy 1 of every pattern, and so on.

    Each round is in a random order of its own.
    """
    copy = first_copy
    while True:
        order = generator(seed, "order", 1, copy).permutation(np.arange(patterns, dtype=np.int32))
        for start in range(0, patterns, CHUNK):
            block = order[start : start + CHUNK]
            yield Sample(block, np.full(len(block), copy, np.int32))
        copy += 1


def tossed(wrong: NDArray[np.bool_], heads: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Which patterns pass: each toss in turn waits for the next that is wrong, if heads, or right, if tails.

    Parameters
    ----------
    wrong
        Whether the first network errs, pattern by pattern.
    heads
        The tosses.

    Returns
    -------
    Increasing indices in `wrong`, one for each toss that found its pattern; the next toss is still waiting.
    """
    passed: list[int] = []
    after = 0
    for toss in heads:
        found = np.flatnonzero(wrong[after:] == toss)
        if not found.size:
            break
        passed.append(after + int(found[0]))
        after = passed[-1] + 1
    return np.array(passed, np.intp)


Filter = Callable[[list[NDArray[np.intp]], NDArray[np.integer[Any]], int], NDArray[np.intp]]
"""From the answers of the networks so far, the true classes and how many have passed before: who passes."""


def halves(seed: int, wanted: int) -> Filter:
    """The filter of the second network, with `wanted` tosses of a fair coin."""
    heads = generator(seed, "order", 2).integers(0, 2, wanted).astype(bool)

    def passing(answers: list[NDArray[np.intp]], labels: NDArray[np.integer[Any]], before: int) -> NDArray[np.intp]:
        return tossed(answers[0] != labels, heads[before:])

    return passing


def disagreement(answers: list[NDArray[np.intp]], labels: NDArray[np.integer[Any]], before: int) -> NDArray[np.intp]:
    """The filter of the third network."""
    return np.flatnonzero(answers[0] != answers[1])


@dataclass(frozen=True)
class Filtered:
    """The patterns that passed, in the order of the pool, and how many were looked at."""

    sample: Sample
    candidates: int


def filtered(
    config: BoostedConfig,
    seed: int,
    data: MNIST,
    before: list[NDArray[np.float32]],
    passing: Filter,
    first_copy: int,
    progress: Callable[[int, int], None],
) -> Filtered:
    """Go through the pool until `config.filtered` patterns have passed.

    Parameters
    ----------
    config, data
        The networks and their digits.
    seed
        Of the network that will learn the patterns.
    before
        Parameters of the networks that filter.
    passing
        `halves` or `disagreement`.
    first_copy
        Where the pool begins: 0 with the originals, 1 with the distorted patterns.
    progress
        Called for every block with the number passed and the number wanted.

    Raises ValueError if so few pass that it would not end.
    """
    engine, wanted = Engine(config.spec, config.reading), config.filtered
    passed: list[Sample] = []
    count = candidates = 0
    for block in pool(config.train_size, seed, first_copy):
        images = network_input(config, seed, block, data.train_images)
        answers = [engine.distances(parameters, images).argmin(axis=1) for parameters in before]
        places = passing(answers, data.train_labels[block.index], count)[: wanted - count]
        passed.append(Sample(block.index[places], block.copy[places]))
        count, candidates = count + len(places), candidates + len(block.index)
        progress(count, wanted)
        if count == wanted:
            break
        if candidates >= HOPELESS * wanted:
            raise ValueError(f"only {count} of {candidates} patterns pass the filter; lower BoostedConfig.filtered")
    parts = ([part.index for part in passed], [part.copy for part in passed])
    return Filtered(Sample(*(np.concatenate(part) for part in parts)), candidates)


# --- three networks together ------------------------------------------------------------------------------------------


def outputs(distances: Distances) -> NDArray[np.float64]:
    """The ten outputs of each pattern less their mean, from the distances to the place codes, shape (n, 10).

    y_i = sum_k (x_k - w_ik)^2 with w_ii = 1 and all others -1, so that y_i - y_j = 4 (x_j - x_i).
    """
    y = distances.astype(np.float64)
    return (y.mean(axis=1, keepdims=True) - y) / 4


def margins(added: NDArray[np.float64]) -> NDArray[np.float64]:
    """Difference of the two best outputs, shape (n,)."""
    second, best = np.partition(added, -2, axis=1)[:, -2:].T
    return best - second


@dataclass(frozen=True)
class Together:
    """Answers of the three networks."""

    predictions: NDArray[np.uint8]
    """Shape (n,)."""
    scores: NDArray[np.float64]
    """Difference of the two best outputs, each the mean over the networks that were asked; shape (n,)."""
    asked: float
    """Share of the patterns on which the second and the third network were asked."""


def together(distances: list[Distances], confidence: float) -> Together:
    """The outputs added, but for the patterns whose margin in the first network exceeds `confidence`.

    Parameters
    ----------
    distances
        Of each network, y_i of every pattern, shape (n, 10).
    confidence
        Difference of the first network's two best outputs; infinity asks all networks about all patterns.
    """
    each = [outputs(one) for one in distances]
    alone = margins(each[0]) > confidence
    mean = np.where(alone[:, None], each[0], sum(each) / len(each))
    return Together(mean.argmax(axis=1).astype(np.uint8), margins(mean), float(1 - alone.mean()))


SHARES = (0.05, 0.1, 0.2, 0.375, 0.5, 1.0)
"""Shares of patterns asked of all networks for which errors are recorded; 0.375 costs the paper's 1.75 networks."""


def by_share(distances: list[Distances], labels: NDArray[np.integer[Any]]) -> list[dict[str, float]]:
    """Confidence and errors if the least certain of the patterns, so many of them, are asked of all networks."""
    certain = margins(outputs(distances[0]))
    rows = []
    for share in SHARES:
        confidence = float(np.quantile(certain, share))
        found = together(distances, confidence)
        errors = int((found.predictions != labels).sum())
        rows.append({"share": share, "confidence": confidence, "errors": errors})
    return rows


# --- the experiment ---------------------------------------------------------------------------------------------------


@family("boosting")
def boost(config: BoostedConfig, seed: int, context: Context) -> Outcome:
    """Three networks, one after the other, and their answers."""
    began = time.perf_counter()
    stages = _Stages(config, seed, context)
    nets: list[Trained] = []
    candidates: list[int] = []
    for number in range(1, NETWORKS + 1):
        if number > 1:
            candidates.append(stages.filter(number, [net.parameters for net in nets]).candidates)
        nets.append(stages.train(number))
        if nets[-1].diverged:
            stages.clear()
            return Outcome(
                passes=[_pass(net, i) for i, net in enumerate(nets, start=1) if net.history],
                predictions=nets[-1].distances.argmin(axis=1).astype(np.uint8),
                diverged=True,
            )
    labels = split(context.mnist, config.train_size, config.held_out).labels
    distances = [net.distances for net in nets]
    found = together(distances, config.confidence)
    total = accounting.table(config.spec)[-1]
    last = {
        "number": NETWORKS + 1,
        "test_patterns": len(labels),
        "test_errors": int((found.predictions != labels).sum()),
        "seconds": time.perf_counter() - began,
    }
    stages.clear()
    return Outcome(
        passes=[*(_pass(net, number) for number, net in enumerate(nets, start=1)), last],
        predictions=found.predictions,
        scores=found.scores,
        weights=np.stack([net.parameters for net in nets]),
        extra={
            "multiply_accumulates": round(total["multiply_accumulates"] * (1 + (NETWORKS - 1) * found.asked)),
            "stored": NETWORKS * total["stored"],
            "asked": found.asked,
            "cost": 1 + (NETWORKS - 1) * found.asked,
            "by_share": by_share(distances, labels),
            "candidates": candidates,
            "histories": [[asdict(entry) for entry in net.history] for net in nets],
        },
    )


def _pass(net: Trained, number: int) -> dict[str, Any]:
    """One network for the record: its last pass, with the time of all."""
    seconds = sum(entry.seconds for entry in net.history)
    return {**asdict(net.history[-1]), "number": number, "seconds": seconds}


class _Stages:
    """The stages of a run, each kept when it ends, and reported as passes of one long training.

    Beside `context.checkpoint`, which holds the filtered patterns, each network has a file of its own.
    """

    def __init__(self, config: BoostedConfig, seed: int, context: Context) -> None:
        self.config, self.seed, self.context = config, seed, context
        self.sets: dict[int, Filtered] = {}
        if not context.checkpoint.exists():
            self.clear()  # networks left by a run that is to be made afresh
        else:
            self.sets = _load(context.checkpoint, config, seed)

    def _file(self, number: int) -> Path:
        return self.context.checkpoint.with_suffix(f".network-{number}")

    def train(self, number: int) -> Trained:
        if not self.context.checkpoint.exists():
            self._save()
        sample = self.sets[number].sample if number > 1 else None
        return train(
            self.config.each,
            seed_of(self.seed, number),
            self.context.mnist,
            samples=(lambda _: sample) if sample else None,
            progress=lambda own: self._report(number, own.pass_number, own.done, own.total, own.errors or 0),
            checkpoint=self._file(number),
        )

    def filter(self, number: int, before: list[NDArray[np.float32]]) -> Filtered:
        if number not in self.sets:
            seed = seed_of(self.seed, number)
            passing = halves(seed, self.config.filtered) if number == 2 else disagreement
            self.sets[number] = filtered(
                self.config,
                seed,
                self.context.mnist,
                before,
                passing,
                number - 2,
                lambda done, total: self._report(number, 0, done, total),
            )
            self._save()
        return self.sets[number]

    def _report(self, number: int, own_pass: int, done: int, total: int, errors: int = 0) -> None:
        """Pass `own_pass` of a network, 0 for the filter before it, which the first does not have."""
        passes = len(self.config.etas)
        position = (number - 1) * (passes + 1) + own_pass
        self.context.progress(Progress(position, NETWORKS * (passes + 1) - 1, done, total, errors))

    def _save(self) -> None:
        arrays = {
            f"{part} {number}": values
            for number, found in self.sets.items()
            for part, values in (("patterns", found.sample.index), ("copies", found.sample.copy))
        }
        candidates = {str(number): found.candidates for number, found in self.sets.items()}
        checkpoint.save(self.context.checkpoint, (self.config, self.seed), arrays, candidates)

    def clear(self) -> None:
        for number in range(1, NETWORKS + 1):
            self._file(number).unlink(missing_ok=True)


def _load(path: Path, config: BoostedConfig, seed: int) -> dict[int, Filtered]:
    """The filtered sets in `path`, none if the file is damaged; ValueError if they are those of another run."""
    saved = checkpoint.load(path, (config, seed))
    if saved is None:
        return {}
    arrays = saved.arrays
    return {
        int(number): Filtered(Sample(arrays[f"patterns {number}"], arrays[f"copies {number}"]), candidates)
        for number, candidates in saved.notes.items()
    }


# --- the experiments --------------------------------------------------------------------------------------------------


BOOSTED_LENET4 = "fig9/dist_boosted_lenet4"
BOOSTED_HELD_OUT = "boosting/held-out/dist_boosted_lenet4-patterns50000"

BOOSTED = training(BoostedConfig, LENET4, distortions=DISTORTED)

register(
    Experiment(
        BOOSTED_LENET4,
        "[dist] Boosted LeNet-4",
        BOOSTED,
        boost,
        minutes=14,
        paper_error=paper.TEST_ERROR["dist_boosted_lenet4"],
    )
)
register(
    Experiment(
        "boosting/dist_lenet4",
        "[dist] LeNet-4",
        training(Config, LENET4, distortions=DISTORTED),
        train_network,
        minutes=2.7,
    )
)
register(
    Experiment(
        BOOSTED_HELD_OUT,
        "[dist] Boosted LeNet-4 on 50,000 patterns",
        replace(BOOSTED, train_size=50_000, filtered=50_000, held_out=10_000),
        boost,
        minutes=12,
        seeds=(0, 1, 2),
    )
)


@tables.table("boosting")
def boosting(load: Loader) -> Table:
    """The three networks alone and together, and how many patterns all three are asked about."""
    used = list(load.there((BOOSTED_LENET4, BOOSTED_HELD_OUT)).values())
    header = ["", "paper, %", "ours, %", "sd", "n", tables.INTERVALS[0], "difference", "asked, %", "cost"]
    body, records = [], []
    for runs in used:
        if not runs.finished:
            raise NoResults(f"every run in {runs.folder} diverged")
        held_out = "held out: " if runs.experiment == BOOSTED_HELD_OUT else ""
        theirs = None if held_out else paper.TEST_ERROR["dist_boosted_lenet4"]
        extras = [result.extra for result in runs.finished]
        rows: list[tuple[str, float | None, list[int], float | None]] = []
        for number in range(1, NETWORKS + 1):
            errors, patterns = tables.counts(runs.finished, number=number)
            rows.append((f"network {number} alone", None, errors, None))
        errors, patterns = tables.counts(runs.finished)
        asked = sum(extra["asked"] for extra in extras) / len(extras)
        rows.append((f"added, where the first is within {BOOSTED.confidence:g}", theirs, errors, asked))
        for i, found in enumerate(extras[0]["by_share"]):
            errors = [extra["by_share"][i]["errors"] for extra in extras]
            rows.append((f"added, for {100 * found['share']:g}% of the patterns", None, errors, found["share"]))
        for title, percent, errors, share in rows:
            row = tables.summarize(held_out + title, percent, errors, patterns, source=runs.source)
            cost = None if share is None else 1 + (NETWORKS - 1) * share
            shares = ["" if share is None else f"{100 * share:.1f}", "" if cost is None else f"{cost:.2f}"]
            body.append([row.row, *tables.cells_over_seeds(row), *shares])
            records.append({**row.as_json(), "asked": share, "cost": cost})
    remark = (
        "Asked is the share of the patterns on which networks 2 and 3 were asked, cost the recognition's in units of "
        "one network; the paper's is 1.75. Held out: trained on 50,000 patterns, errors on the last 10,000. Intervals "
        "are over seeds, on these patterns (Student's)."
    )
    caption = "Boosted LeNet-4: its networks alone and together."
    return Table("boosting", caption, header, body, records, tables.notes("boosting", used, remark))
