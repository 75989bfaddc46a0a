"""The 82 errors of Fig. 8 and those of our own networks: how many they share, and how many chance would give.

Chance is two networks that err independently: the errors of one are spread at random over the test patterns, or over
those of each class, or over those of equal difficulty (missed by as many of our other networks).  What they would then
share is a sum of hypergeometric numbers, so those tests are exact; that of the answers given is a permutation test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, hypergeom, random_table
from tabulate import tabulate

from experiments.harness import documents
from experiments.harness.loader import Loader, NoResults
from experiments.harness.registry import load_mnist
from experiments.harness.store import Runs
from experiments.harness.tables import made_from
from experiments.paper import numbers as paper
from lenet98.data.fig8 import Writers, fig8, writers

Labels = NDArray[np.integer]
Mask = NDArray[np.bool_]

DRAWS = 9_999
"""Permutations of a permutation test, whose smallest p is then 1/10,000."""


@dataclass(frozen=True)
class Chance:
    """A count, what chance gives on average, and the probability that chance gives as many or more."""

    found: int
    expected: float
    p: float


@dataclass(frozen=True)
class Shared:
    """Errors that two networks share."""

    first: int
    """Errors of the first."""
    second: int
    both: int
    """Patterns that both miss."""
    same: int
    """Those to which both give the same wrong class."""


@dataclass(frozen=True)
class Comparison:
    """One of our networks beside that of 1998, against chance."""

    shared: Shared
    anywhere: Chance
    """Shared errors, if each network's are spread over all patterns."""
    by_class: Chance
    """The same, spread within each class."""
    by_difficulty: Chance | None
    """The same, spread within patterns that as many of our other networks miss; None if there is no other."""
    same_by_class: Chance
    """Shared errors with the same answer, if wrong answers are spread within each class."""
    same_if_shared: Chance
    """The same among the shared errors alone: do the answers agree beyond what the class explains?"""


@dataclass(frozen=True)
class Split:
    """Errors of one network by origin of the digit; p of Fisher's exact test, two-sided, of equal error rates."""

    sd1_errors: int
    sd1_patterns: int
    sd3_errors: int
    sd3_patterns: int
    p: float


@dataclass(frozen=True)
class Writer:
    """One writer's share of a network's errors."""

    number: int
    series: int
    errors: int
    patterns: int


@dataclass(frozen=True)
class ByWriter:
    """How a network's errors gather on writers."""

    pairs: Chance
    """Pairs of errors by one hand, if errors are spread at random within SD-1 and within SD-3."""
    worst: tuple[Writer, ...]
    """The writers with most errors, first the worst."""


@dataclass(frozen=True)
class Overlap:
    """Our networks beside that of 1998; patterns are positions in the MNIST test set."""

    comparisons: tuple[Comparison, ...]
    """One per network of ours."""
    own: tuple[tuple[float, ...], ...]
    """For each network of ours, the share of its errors that each other one of ours misses."""
    difficulty: tuple[tuple[int, int], ...]
    """Entry k: patterns that exactly k of our networks miss, and how many of them are among the 82."""
    every_ours_not_1998: tuple[int, ...]
    """Missed by every network of ours, right in 1998."""
    only_1998: tuple[int, ...]
    """Missed in 1998, by no network of ours."""
    everyone: tuple[int, ...]
    """Missed in 1998 and by every network of ours."""
    series: tuple[Split, ...]
    series_1998: Split
    by_writer: tuple[ByWriter, ...]
    by_writer_1998: ByWriter

    @property
    def shares_of_1998(self) -> tuple[float, ...]:
        """Share of the 82 that each network of ours misses."""
        return tuple(c.shared.both / c.shared.second for c in self.comparisons)

    @property
    def p_one_of_ours(self) -> float | None:
        """How often a network that is one more of ours would share so few of its errors with the others.

        The rank of the 1998 network's mean share among those of our networks; None if there is only one.
        """
        if len(self.comparisons) < 2:
            return None
        lower = sum(np.mean(shares) <= np.mean(self.shares_of_1998) for shares in self.own)
        return (1 + int(lower)) / (1 + len(self.own))


def overlap(
    predictions: Labels, labels: Labels, who: Writers | None = None, *, seed: int = 0, draws: int = DRAWS
) -> Overlap:
    """Compare networks of ours with that of 1998.

    Parameters
    ----------
    predictions
        Classes that our networks gave to the MNIST test set, shape (networks, 10000).
    labels
        The test set's classes, shape (10000,).
    who
        Writers of the test patterns; by default those of `lenet98.data.fig8.writers`.
    seed, draws
        Of the permutation tests.

    Raises ValueError for other shapes, for no network, or for labels that are not the MNIST test set's.
    """
    answers_1998 = fig8().predictions(labels)
    if predictions.ndim != 2 or predictions.shape[1:] != labels.shape or not len(predictions):
        raise ValueError(f"predictions must have shape (networks, {len(labels)}), got {predictions.shape}")
    who, rng = who or writers(), np.random.default_rng(seed)
    wrong, wrong_1998 = predictions != labels, answers_1998 != labels
    if not wrong.any(axis=1).all():
        raise ValueError(f"network {int(wrong.any(axis=1).argmin())} makes no error: there is nothing to compare")
    missed_by = wrong.sum(axis=0)
    return Overlap(
        comparisons=tuple(
            compare(answers, answers_1998, labels, missed_by - own if len(wrong) > 1 else None, rng, draws)
            for answers, own in zip(predictions, wrong, strict=True)
        ),
        own=tuple(_shares(wrong, network) for network in range(len(wrong))),
        difficulty=tuple(
            (int((missed_by == k).sum()), int((missed_by == k)[wrong_1998].sum())) for k in range(len(wrong) + 1)
        ),
        every_ours_not_1998=_positions(wrong.all(axis=0) & ~wrong_1998),
        only_1998=_positions(wrong_1998 & (missed_by == 0)),
        everyone=_positions(wrong.all(axis=0) & wrong_1998),
        series=tuple(split(errors, who.test_sd1) for errors in wrong),
        series_1998=split(wrong_1998, who.test_sd1),
        by_writer=tuple(by_writer(errors, who, rng, draws) for errors in wrong),
        by_writer_1998=by_writer(wrong_1998, who, rng, draws),
    )


def _shares(wrong: Mask, network: int) -> tuple[float, ...]:
    """Share of one network's errors that each other network misses."""
    return tuple(map(float, np.delete(wrong[:, wrong[network]], network, axis=0).mean(axis=1)))


def _positions(mask: Mask) -> tuple[int, ...]:
    return tuple(map(int, np.flatnonzero(mask)))


def shared(first: Labels, second: Labels, labels: Labels) -> Shared:
    """Errors that two networks share, from their answers, shape (n,)."""
    both = (first != labels) & (second != labels)
    same = both & (first == second)
    return Shared(*(int(mask.sum()) for mask in (first != labels, second != labels, both, same)))


def compare(
    ours: Labels, theirs: Labels, labels: Labels, difficulty: Labels | None, rng: np.random.Generator, draws: int
) -> Comparison:
    """Two networks' answers, shape (n,), against chance; `difficulty` groups the patterns, None for no such test."""
    wrong, theirs_wrong = ours != labels, theirs != labels
    both = wrong & theirs_wrong
    return Comparison(
        shared=shared(ours, theirs, labels),
        anywhere=coincidence(wrong, theirs_wrong, np.zeros(len(labels), int)),
        by_class=coincidence(wrong, theirs_wrong, labels),
        by_difficulty=None if difficulty is None else coincidence(wrong, theirs_wrong, difficulty),
        same_by_class=agreement(ours, theirs, labels, rng, draws),
        same_if_shared=agreement(ours[both], theirs[both], labels[both], rng, draws),
    )


def coincidence(first: Mask, second: Mask, strata: Labels) -> Chance:
    """Patterns in both sets, against sets spread at random within each stratum; exact.

    Each stratum gives a hypergeometric number of them, and the distribution of their sum is the convolution.
    """
    groups = [strata == stratum for stratum in np.unique(strata)]
    counts = [(int(group.sum()), int(first[group].sum()), int(second[group].sum())) for group in groups]
    each = [hypergeom.pmf(np.arange(min(a, b) + 1), n, a, b) for n, a, b in counts]
    distribution = reduce(np.convolve, each, np.ones(1))
    found = int((first & second).sum())
    return Chance(found, sum(a * b / n for n, a, b in counts), min(1.0, float(distribution[found:].sum())))


def agreement(first: Labels, second: Labels, labels: Labels, rng: np.random.Generator, draws: int) -> Chance:
    """Patterns to which both give the same wrong class, against answers permuted within each true class.

    Permuting one network's answers gives a random table of answers by answers with the margins as they are.
    """
    found = int(((first == second) & (first != labels)).sum())
    expected, drawn = 0.0, np.zeros(draws)
    for true in np.unique(labels):
        ours, theirs = (np.bincount(answers[labels == true], minlength=10) for answers in (first, second))
        expected += float((ours * theirs)[np.arange(10) != true].sum() / ours.sum())
        if (ours * theirs)[np.arange(10) != true].any():
            tables = random_table.rvs(ours, theirs, size=draws, random_state=rng)
            agreed = np.diagonal(tables, axis1=1, axis2=2)
            drawn += np.delete(agreed, true, axis=1).sum(axis=1)
    return Chance(found, expected, float((1 + (drawn >= found).sum()) / (1 + draws)))


def split(errors: Mask, sd1: Mask) -> Split:
    """Errors in SD-1 and SD-3, both masks of shape (n,)."""
    counts = [(int(errors[part].sum()), int(part.sum())) for part in (sd1, ~sd1)]
    p = fisher_exact([[wrong, patterns - wrong] for wrong, patterns in counts]).pvalue
    return Split(*counts[0], *counts[1], p=float(p))


def by_writer(errors: Mask, who: Writers, rng: np.random.Generator, draws: int, worst: int = 5) -> ByWriter:
    """Whether errors, a mask of shape (n,), gather on writers more than SD-1 and SD-3 explain."""
    found, expected, drawn = 0, 0.0, np.zeros(draws)
    for part in (who.test_sd1, ~who.test_sd1):
        numbers, patterns = np.unique(who.test_writer[part], return_counts=True)
        counts = np.array([errors[part & (who.test_writer == number)].sum() for number in numbers])
        found += int(_pairs(counts))
        # Of all pairs of patterns by one hand, the share of pairs of patterns that are both errors.
        expected += float(_pairs(patterns)) * comb(int(counts.sum()), 2) / comb(int(patterns.sum()), 2)
        drawn += _pairs(rng.multivariate_hypergeometric(patterns, counts.sum(), size=draws, method="count"))
    pairs = Chance(found, expected, float((1 + (drawn >= found).sum()) / (1 + draws)))
    numbers, counts = np.unique(who.test_writer[errors], return_counts=True)
    most = np.lexsort((numbers, -counts))[:worst]
    return ByWriter(pairs, tuple(_writer(int(numbers[i]), int(counts[i]), who) for i in most))


def _pairs(counts: NDArray[np.integer]) -> NDArray[np.floating]:
    """Pairs within each group of a row of groups."""
    return (counts * (counts - 1) / 2).sum(axis=-1)


def _writer(number: int, errors: int, who: Writers) -> Writer:
    mine = who.test_writer == number
    return Writer(number, int(who.test_series[mine][0]), errors, int(mine.sum()))


@dataclass(frozen=True)
class Part:
    """Networks of ours that were trained alike, for the page."""

    title: str
    found: Overlap
    names: Sequence[str]
    """Of the networks."""
    origin: str
    """Where their predictions come from."""


def page(parts: Sequence[Part]) -> str:
    """The comparison as a page of markdown, a part for each group of networks."""
    intro = (
        "Fig. 8 shows the 82 test patterns that the 1998 network, trained with distortions, misclassified. "
        "`lenet98.fig8()` gives their places in the MNIST test set."
    )
    figure = "![The 82 errors of 1998, and one network's of ours; framed: in both](../figures/fig08_errors.png)"
    return "\n\n".join(["# The 82 errors of 1998 and ours", intro, figure, *map(_part, parts)]) + "\n"


def _part(part: Part) -> str:
    found, names = part.found, part.names
    sections = [
        f"## {part.title}",
        _summary(found),
        _shared_section(found, names),
        _yardstick_section(found),
        "<details><summary>By difficulty, digit, series and writer</summary>",
        _difficulty_section(found),
        _places_section(found),
        _series_section(found, names),
        _writer_section(found, names),
        "</details>",
        part.origin,
    ]
    return "\n\n".join(section for section in sections if section)


def _summary(found: Overlap) -> str:
    """The finding in one sentence."""
    shared = [c.shared for c in found.comparisons]
    chances = [c.by_class for c in found.comparisons]
    return (
        f"On average a network of ours makes {np.mean([s.first for s in shared]):.0f} errors and shares "
        f"{np.mean([s.both for s in shared]):.0f} with the 82 of 1998, {np.mean([s.same for s in shared]):.0f} of them "
        "with the same wrong answer; independent networks that err as often, class by class, would share "
        f"{np.mean([c.expected for c in chances]):.1f} (largest p {_p(max(c.p for c in chances))})."
    )


GROUPS = {paper.DIST_LENET5: "Trained with distortions, as in 1998", paper.LENET5: "Trained without distortions"}
"""Titles of the experiments whose networks are compared with that of 1998."""


@documents.page("errors-of-1998", "Do our networks make the errors of 1998?")
def errors_page(load: Loader) -> str:
    """The page of all networks of `GROUPS` that have results; NoResults unless those with distortions have."""
    there = load.there(GROUPS, needed=[paper.DIST_LENET5])
    labels = load_mnist(None).test_labels
    return page([_group(GROUPS[name], runs, labels) for name, runs in there.items()])


def _group(title: str, runs: Runs, labels: Labels) -> Part:
    if not runs.finished:
        raise NoResults(f"every run in {runs.folder} diverged: there are no errors to compare")
    predictions = np.stack([result.arrays()["predictions"] for result in runs.finished])
    names = [f"seed {result.seed}" for result in runs.finished]
    origin = f"Generated by `python -m experiments readme` from {made_from(runs)}."
    return Part(title, overlap(predictions, labels), names, origin)


def _shared_section(found: Overlap, names: Sequence[str]) -> str:
    rows = [_shared_row(name, c) for name, c in zip(names, found.comparisons, strict=True)]
    numbers = np.array([[c.shared.first, c.shared.both, c.shared.same] for c in found.comparisons])
    rows.append(["**mean**", *(f"{mean:.1f}" for mean in numbers.mean(axis=0)), *[""] * 6])
    headers = (
        "ours", "errors", "shared with 1998", "same answer", "chance", "p", "chance, by class", "p",
        "same answer, chance", "p",
    )  # fmt: skip
    agree = [c.same_if_shared for c in found.comparisons]
    return (
        f"### Shared errors\n\n{_table(rows, headers)}\n\n"
        "Chance is what two independent networks with these numbers of errors would share: anywhere in the test set, or"
        " within each class (both exact, hypergeometric); with the same answer, wrong answers permuted within each"
        " class (no such p is smaller than one over the number of permutations)."
        f"  Among the errors shared, the answers agree in {np.mean([a.found for a in agree]):.1f} on average, where"
        f" the class alone would make {np.mean([a.expected for a in agree]):.1f} agree"
        f" (largest p {_p(max(a.p for a in agree))}).{_by_difficulty(found)}"
    )


def _shared_row(name: str, c: Comparison) -> list[str]:
    counts = (c.shared.first, c.shared.both, c.shared.same)
    chances = (c.anywhere, c.by_class, c.same_by_class)
    return [name, *map(str, counts), *(cell for chance in chances for cell in (f"{chance.expected:.2f}", _p(chance.p)))]


def _by_difficulty(found: Overlap) -> str:
    tests = [c.by_difficulty for c in found.comparisons if c.by_difficulty]
    if not tests:
        return ""
    return (
        "\n\nErrors cannot be independent where some digits are harder than others.  With errors spread only among"
        f" digits that as many of our other networks miss, chance gives {np.mean([t.expected for t in tests]):.1f} of"
        f" {np.mean([t.found for t in tests]):.1f} shared on average (p from {_p(min(t.p for t in tests))} to"
        f" {_p(max(t.p for t in tests))})."
    )


def _yardstick_section(found: Overlap) -> str:
    theirs = np.array(found.shares_of_1998)
    if found.p_one_of_ours is None:
        return ""
    own = np.array([np.mean(shares) for shares in found.own])
    return (
        "### Our networks among themselves\n\n"
        f"A network of ours misses {theirs.mean():.0%} of the 1998 network's errors (from {theirs.min():.0%} to"
        f" {theirs.max():.0%}), and {own.mean():.0%} of the errors of another of our networks ({own.min():.0%} to"
        f" {own.max():.0%} by network).  Were the 1998 network one more of ours, its share would rank so low with"
        f" probability {_p(found.p_one_of_ours)}."
    )


def _difficulty_section(found: Overlap) -> str:
    rows = [(str(k), str(digits), str(of_82)) for k, (digits, of_82) in enumerate(found.difficulty)]
    return f"### Difficulty\n\n{_table(rows, ('missed by so many of ours', 'digits', 'of the 82'))}"


def _places_section(found: Overlap) -> str:
    lists = {
        "Missed by every network of ours and in 1998": found.everyone,
        "Missed by every network of ours, right in 1998": found.every_ours_not_1998,
        "Missed in 1998, by no network of ours": found.only_1998,
    }
    lines = [f"- {title}: {len(places)}. {', '.join(map(str, places))}".rstrip() for title, places in lists.items()]
    return "### Which digits\n\nPositions in the test set, from 0.\n\n" + "\n".join(lines)


def _series_section(found: Overlap, names: Sequence[str]) -> str:
    rows = [
        (
            name,
            f"{s.sd1_errors} ({s.sd1_errors / s.sd1_patterns:.2%})",
            f"{s.sd3_errors} ({s.sd3_errors / s.sd3_patterns:.2%})",
            _p(s.p),
        )
        for name, s in zip(("1998", *names), (found.series_1998, *found.series), strict=True)
    ]
    one = found.series_1998
    headers = ("", f"SD-1 ({one.sd1_patterns:,})", f"SD-3 ({one.sd3_patterns:,})", "p")
    return f"### SD-1 and SD-3\n\n{_table(rows, headers)}\n\np is Fisher's, two-sided, of equal error rates."


def _writer_section(found: Overlap, names: Sequence[str]) -> str:
    rows = [
        (
            name,
            f"{w.pairs.found}",
            f"{w.pairs.expected:.1f}",
            _p(w.pairs.p),
            ", ".join(f"{one.number} ({one.errors} of {one.patterns})" for one in w.worst),
        )
        for name, w in zip(("1998", *names), (found.by_writer_1998, *found.by_writer), strict=True)
    ]
    headers = ("", "pairs of errors by one hand", "chance", "p", "writers with most errors")
    return (
        f"### Writers\n\n{_table(rows, headers)}\n\n"
        "Chance spreads the errors at random within SD-1 and within SD-3 (permutation test)."
    )


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _p(p: float) -> str:
    return f"{p:.1e}" if p < 0.001 else f"{p:.3f}"
