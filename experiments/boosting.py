"""Row of Fig. 9: boosted LeNet-4, the paper's 0.7% (Section III.C.8)."""

from __future__ import annotations

from dataclasses import replace

from experiments import paper, tables
from experiments.boosted import NETWORKS, BoostedConfig, boost
from experiments.networks import train_network
from experiments.place_coded import training
from experiments.registry import Experiment, register
from experiments.tables import Loader, Table
from lenet98.training import Config

BOOSTED = training(BoostedConfig, "lenet4", distorted=True)

register(Experiment("dist_boosted_lenet4", "[dist] Boosted LeNet-4", BOOSTED, boost, minutes=14))
register(
    Experiment("dist_lenet4", "[dist] LeNet-4", training(Config, "lenet4", distorted=True), train_network, minutes=2.7)
)
register(
    Experiment(
        "held-boosted-lenet4",
        "[dist] Boosted LeNet-4 on 50,000 patterns",
        replace(BOOSTED, train_size=50_000, filtered=50_000, evaluate_on="held out"),
        boost,
        minutes=12,
        seeds=(0, 1, 2),
    )
)


@tables.table("boosting")
def boosting(load: Loader) -> Table:
    """The three networks alone and together, and how many patterns all three are asked about."""
    used = list(load.there(("dist_boosted_lenet4", "held-boosted-lenet4")).values())
    header = ["", "paper, %", "ours, %", "sd", "n", "95% interval", "difference", "asked, %", "cost"]
    body, records = [], []
    for runs in used:
        if not runs.finished:
            raise tables.NoResults(f"every run in {runs.folder} diverged")
        held_out = "" if runs.experiment == "dist_boosted_lenet4" else "held out: "
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
            row = tables.summarise(held_out + title, percent, errors, patterns, source=runs.source)
            cost = None if share is None else 1 + (NETWORKS - 1) * share
            shares = ["" if share is None else f"{100 * share:.1f}", "" if cost is None else f"{cost:.2f}"]
            body.append([row.row, *tables.cells(row), *shares])
            records.append({**row.as_json(), "asked": share, "cost": cost})
    remark = (
        "Asked is the share of the patterns on which networks 2 and 3 were asked, cost the recognition's in units of "
        "one network; the paper's is 1.75. Held out: trained on 50,000 patterns, errors on the last 10,000."
    )
    caption = "Boosted LeNet-4: its networks alone and together."
    return Table("boosting", caption, header, body, records, tables.notes("boosting", used, remark))
