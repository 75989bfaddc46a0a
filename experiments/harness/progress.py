"""What a user sees while runs go on: bars on a terminal, a line a pass anywhere else.  All of it on stderr."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from tqdm import tqdm

from lenet98.loop import Progress


class Display(Protocol):
    """Shows runs, each under its label."""

    def report(self, label: str, report: Progress) -> None:
        """Show how far the run is."""

    def end(self, label: str) -> None:
        """The run is over, however it went."""

    def say(self, text: str, *, error: bool = False) -> None:
        """Print a line for good, to stdout or to stderr."""

    def close(self) -> None:
        """Leave the screen in order."""


def display(runs: int) -> Display:
    """Bars if stderr is a terminal, else lines."""
    return Bars(runs) if sys.stderr.isatty() else Lines()


def fraction(report: Progress) -> float:
    """Share of the run's work that is done, 0 to 1."""
    return (report.pass_number - 1 + report.done / report.total) / report.passes


def wording(report: Progress) -> str:
    """Pass and on-the-fly error so far, for example "pass 3/20, error 1.77%"."""
    error = f", error {100 * report.errors / report.done:.2f}%" if report.done and report.errors is not None else ""
    return f"pass {report.pass_number}/{report.passes}{error}"


class Bars:
    """One bar per running job and one for all of them."""

    def __init__(self, runs: int) -> None:
        layout = "{desc} {bar} {percentage:3.0f}% {elapsed}, {remaining} left"
        self._all = tqdm(total=runs, desc=f"all {runs} runs", bar_format=layout, smoothing=0, file=sys.stderr)
        self._layout = layout
        self._bars: dict[str, tqdm] = {}
        self._shares: dict[str, float] = {}

    def report(self, label: str, report: Progress) -> None:
        share = fraction(report)
        if label not in self._bars:
            self._bars[label] = tqdm(
                total=1,
                initial=share,
                desc=label,
                bar_format=self._layout,
                smoothing=0,
                leave=False,
                file=sys.stderr,
            )
            self._all.initial += share  # done in an earlier life, so no measure of speed
        bar = self._bars[label]
        bar.set_description_str(f"{label}: {wording(report)}", refresh=False)
        bar.n = share
        bar.refresh()
        self._advance(label, share)

    def end(self, label: str) -> None:
        if label in self._bars:
            self._bars.pop(label).close()
        self._advance(label, 1)

    def say(self, text: str, *, error: bool = False) -> None:
        tqdm.write(text, file=sys.stderr if error else sys.stdout)

    def close(self) -> None:
        for bar in [*self._bars.values(), self._all]:
            bar.close()

    def _advance(self, label: str, share: float) -> None:
        self._shares[label] = share
        self._all.n = sum(self._shares.values())
        self._all.refresh()


class Lines:
    """One line per completed pass, for logs."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[float, float]] = {}

    def report(self, label: str, report: Progress) -> None:
        began, share = self._begun.setdefault(label, (time.monotonic(), fraction(report)))
        if report.done < report.total:
            return
        advance = fraction(report) - share
        left = (time.monotonic() - began) * (1 - fraction(report)) / advance if advance else 0.0
        remaining = f", {tqdm.format_interval(round(left))} left" if left else ""
        print(f"{label}: {wording(report)}{remaining}", file=sys.stderr, flush=True)

    def end(self, label: str) -> None:
        self._begun.pop(label, None)

    def say(self, text: str, *, error: bool = False) -> None:
        print(text, file=sys.stderr if error else sys.stdout, flush=True)

    def close(self) -> None:
        pass
