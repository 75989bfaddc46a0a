"""Whether every published record is what it says it is, and what its experiment would be today."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments.harness import registry, store
from experiments.harness.identity import counts_as, differences, of_record
from experiments.harness.store import Unreadable


@dataclass(frozen=True)
class Verified:
    """What a look at every file of a folder of published results found."""

    records: int
    experiments: int
    vouched: int
    """Records by earlier versions of the arithmetic that `experiments.numerics` vouches for."""
    orphans: tuple[Path, ...]
    """Files that belong to no registered experiment or to no record."""
    problems: tuple[str, ...]
    """One line for each record that is not what it should be."""

    @property
    def lines(self) -> list[str]:
        """What to tell the user."""
        return [
            *self.problems,
            *(f"{path}: belongs to no record of a registered experiment" for path in self.orphans),
            *([f"{self.vouched} of them by earlier numerics that are vouched for"] if self.vouched else []),
            f"{self.records} records of {self.experiments} experiments, {len(self.problems)} not as they should be, "
            f"{len(self.orphans)} orphans",
        ]


def verify(reference: Path) -> Verified:
    """Look at every file in `reference`; ValueError if there is no such folder, or no MNIST to recount errors by."""
    if not reference.is_dir():
        raise ValueError(f"there is no folder {reference} of published results")
    registry.load_mnist(None)  # fetched where it is not here: without it errors would not be recounted
    known = registry.load()
    problems: list[str] = []
    orphans: list[Path] = []
    experiments: set[str] = set()
    count = vouched = 0
    for path in sorted(path for path in reference.rglob("*") if path.is_file() and path != reference / "README.md"):
        name = path.parent.relative_to(reference).as_posix()
        if name not in known or path.suffix not in (".json", ".npz") or not path.with_suffix(".json").is_file():
            orphans.append(path)
        elif path.suffix == ".json":
            count += 1
            experiments.add(name)
            try:
                stated, identity = of_record(store.read(path, name).record), known[name].identity()
            except Unreadable as error:
                problems.append(str(error))
                continue
            if not counts_as(stated, identity):
                problems.append(f"{path}: {'; '.join(differences(stated, identity))}")
            elif stated != identity:
                vouched += 1
    return Verified(count, len(experiments), vouched, tuple(orphans), tuple(problems))
