"""The trunk of a LeNet-5 of 1998 (`lenet98.recovered`): how well it is known, Table I tested, and what it is worth.

What it is worth: C1 to S4 are frozen, their rates 0, and C5 and F6 are trained above them by the procedure of III.B.
Beside it stand the same kernels with the weights of each shuffled, a trunk as it is drawn, and our own trunks, trained
by the same procedure before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from experiments.harness import statistics, tables
from experiments.harness.identity import Json
from experiments.harness.loader import Loader
from experiments.harness.registry import Context, Experiment, Outcome, register
from experiments.harness.tables import Table
from experiments.numerics import family
from experiments.paper import numbers as paper
from experiments.trainers import outcome
from lenet98.networks import LENET5, TABLE_I
from lenet98.randomness import generator
from lenet98.readings import initial_parameters
from lenet98.specs import Spec
from lenet98.training import Config, train
from lenet98.trunk1998.checks import IDENTIFIED
from lenet98.trunk1998.numbers import LAYERS, Recovered, digest, recovered

# --- what it is worth -------------------------------------------------------------------------------------------------


Which = Literal["1998", "shuffled", "drawn", "ours"]


@dataclass(frozen=True)
class TrunkConfig(Config):
    """A head trained on a frozen trunk.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    trunk: Which = "1998"
    """That of 1998; the same with the weights of each kernel shuffled; as drawn at first; or trained as the head is."""
    numbers: str = ""
    """Digest of the numbers of 1998, where they are used."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trunk not in get_args(Which):
            raise ValueError(f"TrunkConfig.trunk is {self.trunk!r}; it must be one of {', '.join(get_args(Which))}")
        if self.spec != LENET5:
            raise ValueError(f"TrunkConfig.spec is {self.spec.name}; the trunk of 1998 is that of lenet5")


def shuffled(parameters: NDArray[np.float32], rng: np.random.Generator, spec: Spec = LENET5) -> NDArray[np.float32]:
    """The flat parameters with the 25 weights of each kernel of the trunk in another order; all else as it is."""
    found = parameters.copy()
    for layer in spec.trainable:
        if layer.name in LAYERS and layer.kind == "convolution":
            kernels = found[layer.weight_slice].reshape(layer.kernels, -1)
            found[layer.weight_slice] = rng.permuted(kernels, axis=1).ravel()
    return found


@family("frozen trunk")
def train_head(config: TrunkConfig, seed: int, context: Context) -> Outcome:
    """C5 and F6 trained on MNIST above a trunk that stays as it is."""
    start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    above = start
    trained_before = context.checkpoint.with_suffix(".trunk")
    if config.trunk in ("1998", "shuffled"):
        start = recovered().into(start)
    if config.trunk == "shuffled":
        start = shuffled(start, generator(seed, "init", 1))
    if config.trunk == "ours":
        plain = Config(**{name: getattr(config, name) for name in Config.__dataclass_fields__})
        trained = train(plain, seed, context.mnist, progress=context.progress, checkpoint=trained_before)
        if trained.diverged:
            return outcome(trained)
        head = config.spec.trainable[len(LAYERS)].first_weight
        start = np.concatenate((trained.parameters[:head], above[head:]))
    found = train(
        config,
        seed,
        context.mnist,
        start=start,
        frozen=LAYERS,
        progress=context.progress,
        checkpoint=context.checkpoint,
    )
    trained_before.unlink(missing_ok=True)
    return outcome(found)


TRUNKS: dict[Which, tuple[str, float]] = {
    "1998": ("trunk of 1998, frozen", 1),
    "shuffled": ("trunk of 1998, each kernel's weights shuffled, frozen", 1),
    "drawn": ("trunk as drawn, frozen", 1),
    "ours": ("our own trunk, frozen, the head trained anew", 3),
}
"""Title, and minutes of a run, by trunk."""

for which, (title, minutes) in TRUNKS.items():
    used = digest() if which in ("1998", "shuffled") else ""
    register(
        Experiment(
            f"recovered/trunk-{which}",
            f"LeNet-5, {title}",
            TrunkConfig(trunk=which, numbers=used),
            train_head,
            minutes=minutes,
            seeds=(0, 1, 2),
        )
    )

FIRST = "recovered/trunk-1998"
WHOLE = "LeNet-5, all of it trained at once"


@tables.table("recovered-worth")
def worth(load: Loader) -> Table:
    """The trunk of 1998 with a head of today beside other trunks."""
    names = {f"recovered/trunk-{which}": title for which, (title, _) in TRUNKS.items()}
    found = load.there(names, needed=[FIRST])
    whole = load.one(paper.LENET5)
    rows = [tables.test_row(runs, names[name], None) for name, runs in found.items()]
    rows.append(tables.test_row(whole, WHOLE, paper.TEST_ERROR["lenet5"]))
    pairs = {names[name]: (runs, found[FIRST]) for name, runs in found.items() if name != FIRST}
    pairs[WHOLE] = whole, found[FIRST]
    remarks = [
        f"{title[0].upper()}{title[1:]}, less the trunk of 1998: {less} ({interval}, p {p})."
        for title, (less, interval, p) in (
            (title, tables.compared_cells(one)) for title, one in statistics.compare_all(pairs).items()
        )
        if interval
    ]
    caption = "A head trained on a frozen trunk: test error after the last of 20 passes."
    used_runs = [*found.values(), whole]
    compared = [tables.COMPARED] if remarks else []
    return tables.comparison(
        "recovered-worth", caption, rows, used_runs, *remarks, *compared, *tables.lacking(names, found)
    )


# --- how well it is known ---------------------------------------------------------------------------------------------


MADE = "Numbers of `lenet98.recovered()`, which `python -m lenet98.trunk1998` estimates from the authors' PDF."


def rows_of(network: Recovered) -> list[Json]:
    """One row a map of C1 to S4: the checks of the file, and layer, map and whether it is identified."""
    return [
        {"layer": layer, "map": number, "identified": row["error"] < IDENTIFIED * row["weight"], **row}
        for layer in LAYERS
        for number, row in enumerate(network.record["checks"][layer])
    ]


@tables.table("recovered")
def fits(_: Loader) -> Table:
    """Each map of the network of 1998: how it fits, how well it is known, what it foretells."""
    records = rows_of(recovered())
    header = [
        "map", "unsaturated", "within, %", "left out: within, %", "gray levels off", "rms weight", "standard error",
        "by panels left out", "Fig. 25, r", "identified",
    ]  # fmt: skip
    body = [
        [
            f"{row['layer']}.{row['map']}",
            str(row["unsaturated"]),
            _percent(row["within"]),
            _percent(row["left_out_within"]),
            f"{row['left_out']:.1f}",
            f"{row['weight']:.2f}",
            _small(row["error"]),
            _small(row["jackknife"]),
            f"{row['fig25']:.4f}" if "fig25" in row else "",
            "yes" if row["identified"] else "no",
        ]
        for row in records
    ]
    remarks = [
        "Unsaturated: states of Fig. 13 that are drawn neither black nor white, on nine panels. Within: states that "
        "are drawn in the very level, of 64, that the estimate gives. Left out: the same of each panel by a fit to the "
        "other eight, and how far all are off, rms; C1 of a panel left out is predicted from its input as displayed. "
        "Errors are rms over a map's weights: by the likelihood, and by the jackknife over panels. Fig. 25 is no part "
        "of the fit: r is the correlation of its states with those that the estimate gives, of C1 from the input, of "
        f"C3 from C1. A map is identified if its weights' standard error is below {IDENTIFIED:g} of their rms.",
        MADE,
    ]
    return Table("recovered", "The network of 1998, map by map.", header, body, records, remarks)


@tables.table("recovered-table1")
def table1(_: Loader) -> Table:
    """Table I as a hypothesis: every map of C3 fitted with all six maps of S2."""
    records = [_of_table1(number, row) for number, row in enumerate(recovered().record["table1"])]
    header = [
        "C3", "reads, by Table I", "rms weight, connected", "rms weight, unconnected", "standard error, unconnected",
        "chi2, connected", "chi2, unconnected", "nats for Table I", "verdict",
    ]  # fmt: skip
    body = [
        [
            str(row["map"]),
            " ".join(map(str, row["sources"])),
            _ends(row["connected"]),
            _ends(row["unconnected"]),
            _ends(row["unconnected_error"]),
            _ends(row["connected_chi2"]),
            _ends(row["unconnected_chi2"]),
            f"{row['evidence']:.0f}" if row["unconnected"] else "",
            row["verdict"],
        ]
        for row in records
    ]
    remarks = [
        "Least to greatest over the maps of S2 that Table I connects, and over those that it does not. chi2 is the "
        "mean square of 25 weights in units of their covariance: near 1 or below, they are nothing but error. Nats: by "
        "how much what is displayed is more probable if a map reads what Table I says than if it reads all six.",
        MADE,
    ]
    return Table("recovered-table1", "Table I tested, map by map of C3.", header, body, records, remarks)


def _of_table1(number: int, row: Json) -> Json:
    sources = TABLE_I[number]
    others = [source for source in range(len(row["weight"])) if source not in sources]

    def of(name: str, maps: Any) -> list[float]:
        return [row[name][source] for source in maps]

    connected, unconnected = of("weight", sources), of("weight", others)
    if not others:
        verdict = "reads all six"
    elif min(connected) > max(unconnected) and row["evidence"] > 0:
        verdict = "as Table I"
    else:
        verdict = "open"
    return {
        "map": number,
        "sources": list(sources),
        "connected": connected,
        "unconnected": unconnected,
        "connected_error": of("error", sources),
        "unconnected_error": of("error", others),
        "connected_chi2": of("chi2", sources),
        "unconnected_chi2": of("chi2", others),
        "evidence": row["evidence"],
        "verdict": verdict,
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _small(value: float) -> str:
    return f"{value:.4f}" if value < 0.1 else f"{value:.2f}"


def _ends(values: list[float]) -> str:
    """Least to greatest, at two digits."""
    if not values:
        return ""
    low, high = (f"{end:.2g}" if end < 100 else f"{end:.0f}" for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
