"""Where tables and figures take their results from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from experiments.harness import registry, store
from experiments.harness.registry import Experiment
from experiments.harness.store import Runs, Source


class NoResults(ValueError):
    """There is nothing to make a table or figure of."""


@dataclass(frozen=True)
class Loader:
    """Where tables and figures take their results from."""

    sources: tuple[Source, ...] = ("reference",)
    results: Path = Path("results")
    reference: Path = Path("reference")
    device: str = "cpu"
    """Where experiments that know devices were computed: results of two are never read together."""
    replicas: bool = False
    """Whether results are read that were computed several seeds at once; never together with others."""
    read: list[Runs] = field(default_factory=list, compare=False, repr=False)
    """What was read so far, in that order."""

    def __call__(self, experiment: str) -> list[Runs]:
        """The runs of an experiment, one item per source that has any; NoResults, with the remedy, if none has."""
        found = list(self.every(experiment))
        if not found:
            if self.sources == ("reference",):
                raise NoResults(
                    f"nothing is published of {experiment} in {self.reference}; run "
                    f"`{self._command(experiment)}` and ask for --source results"
                )
            raise NoResults(f"no results of {experiment} yet; `{self._command(experiment)}` makes them")
        return found

    def one(self, experiment: str) -> Runs:
        """The runs of an experiment from the first source that has any."""
        return self(experiment)[0]

    def there(self, experiments: Iterable[str], needed: Iterable[str] | None = None) -> dict[str, Runs]:
        """Those of the experiments that have results, each as `one` gives it.

        NoResults, with the remedy for the first, if none of those `needed` has any: all of them unless told.
        """
        first = {name: next(self.every(name), None) for name in experiments}
        found = {name: runs for name, runs in first.items() if runs is not None}
        wanted = list(first if needed is None else needed)
        if wanted and found.keys().isdisjoint(wanted):
            self.one(wanted[0])
        return found

    def every(self, experiment: str) -> Iterator[Runs]:
        """The runs of an experiment, one item per source that has any, perhaps none."""
        for source in self.sources:
            if (runs := self._from(experiment, source)).results:
                self.read.append(runs)
                yield runs

    def _from(self, experiment: str, source: Source) -> Runs:
        if source == "reference":
            return store.published(experiment, self.reference)
        return store.latest(experiment, self._computed(registry.named(experiment)).identity(), self.results)

    def _computed(self, experiment: Experiment) -> Experiment:
        """The experiment as it was computed whose results are read; ValueError if it cannot be."""
        return registry.on_device(registry.as_replicas(experiment) if self.replicas else experiment, self.device)

    def _command(self, name: str) -> str:
        """What runs the experiment of that name."""
        experiment = registry.load().get(name)
        return self._computed(experiment).command if experiment else f"python -m experiments run {name}"


def sources(choice: str) -> tuple[Source, ...]:
    """The sources that a `--source` names."""
    return ("reference", "results") if choice == "both" else ("results",) if choice == "results" else ("reference",)
