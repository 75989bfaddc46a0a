"""How the published runs of each network were trained: what `lenet98 train` does where it is not told otherwise.

All networks of the paper have one reading, `DEFAULT`.  Those with place-coded outputs have eq. 8; some have a form of
the database, or more passes (Sections III.A and III.C).  Networks of today have the readings of `modern.ladder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lenet98 import networks
from lenet98.catalog import resolved
from lenet98.modern import ladder
from lenet98.networks import mlp
from lenet98.readings import DEFAULT
from lenet98.sdlm import ETAS
from lenet98.specs import Spec
from lenet98.training import Config, FormConfig

MEAN_SQUARED_ERROR = replace(DEFAULT, loss="eq8")
"""Eq. 8 on the place codes: the mean squared error of the ten outputs.  All else is read as for LeNet-5."""


def longer(times: int) -> tuple[float, ...]:
    """The schedule of III.B with each eta for as many times more passes."""
    return tuple(eta for eta in ETAS for _ in range(times))


@dataclass(frozen=True)
class Recipe:
    """How a network was trained, and where its results are."""

    experiment: str
    """Its runs are published in the repository, in the folder of `reference/` that has this name."""
    config: Config


def _of_the_paper() -> list[Recipe]:
    """The rows of Fig. 9 without distortions that are networks."""
    small = (1, 20, 20)
    return [
        Recipe("fig9/lenet5", Config()),
        # 80 passes: of those tried, the number with the fewest errors on held-out patterns; III.B's 20 are LeNet-5's.
        Recipe("fig9/16x16_lenet1", FormConfig(networks.LENET1, MEAN_SQUARED_ERROR, longer(4), form="16x16")),
        Recipe("fig9/lenet4", Config(networks.LENET4, MEAN_SQUARED_ERROR)),
        Recipe("fig9/linear", FormConfig(mlp(), MEAN_SQUARED_ERROR)),
        Recipe("fig9/deslant_linear", FormConfig(mlp(input_shape=small), MEAN_SQUARED_ERROR, form="deslanted")),
        Recipe(
            "fig9/deslant_20x20_mlp_300", FormConfig(mlp(300, input_shape=small), MEAN_SQUARED_ERROR, form="deslanted")
        ),
        *(
            Recipe(f"fig9/mlp_{'_'.join(map(str, hidden))}", Config(mlp(*hidden), MEAN_SQUARED_ERROR))
            for hidden in ((300,), (1000,), (300, 100), (500, 150))
        ),
    ]


def _of_today() -> list[Recipe]:
    """The networks of `modern.ladder` as they are trained one pattern at a time."""
    names = {
        "ladder": zip(("full-c3", "average-pooling", "max-pooling", "softmax", "relu"), ladder.LADDER, strict=True),
        "alone": zip(("average-pooling", "max-pooling", "softmax", "relu"), ladder.ALONE[1:], strict=True),
    }
    found = {f"{study}/{name}": spec for study, rows in names.items() for name, spec in rows}
    found |= {"reverse/today-sdlm": ladder.TODAY, "alone/wider-deeper": ladder.WIDER}
    return [Recipe(f"modern/{name}", Config(spec, ladder.reading(spec))) for name, spec in found.items()]


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.config.spec.name: recipe for recipe in (*_of_the_paper(), *_of_today())}
)
"""By the name of the network: one for each of `catalog.SPECS`."""


def recipe(spec: Spec | str) -> Config:
    """The configuration by which the published runs of a network, or of the one of that name, were trained.

    Raises ValueError for a network without published runs.
    """
    network = resolved(spec)
    for known in RECIPES.values():
        if known.config.spec == network:
            return known.config
    raise ValueError(f"{network.name} has no published runs; there are those of {', '.join(RECIPES)}")
