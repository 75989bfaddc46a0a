"""Trained networks that come with the package, by name, in the manner of torchvision.

    import lenet98
    chosen = lenet98.LeNet5Weights.PAPER
    model = lenet98.lenet5(weights=chosen)  # or weights="paper"
    distances = model(chosen.transforms()(images))  # (patterns, 10), the least is the answer
    chosen.meta["errors"]  # of 10,000 test digits

Their files lie in this folder and need no network.  `python -m experiments weights` makes them from published results,
and docs/model-card.md describes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from lenet98 import weights as stored
from lenet98.data.fields import pad_and_scale
from lenet98.data.preprocessing import FORMS
from lenet98.modules import Net, network
from lenet98.networks import LENET1, LENET4, LENET5
from lenet98.readings import Reading
from lenet98.specs import Spec
from lenet98.training import Config, form

FOLDER = Path(__file__).parent
SEED = 0
"""Of the runs whose weights are published: the first, whatever its test error."""


class Meta(TypedDict):
    """What a file of weights says of itself."""

    errors: int
    """On the test digits, after the last pass."""
    patterns: int
    """Test digits."""
    experiment: str
    """Whose run it is; its record lies in `reference/`."""
    seed: int
    reading: Reading
    config: Config
    command: str
    """That made the run."""
    data: str
    """Digest of the digits."""
    commit: str
    """Of the code that made the run."""
    cpu: str
    """That made it: another one rounds differently."""
    paper: str
    """BibTeX of the paper."""


@dataclass(frozen=True)
class Transform:
    """Digits as a network sees them: in the middle of a field of background, gray levels scaled (II.B)."""

    size: int
    """Height and width of the field, pixels."""
    form: str = "28x28"
    """To which digits are brought first, a name of `lenet98.data.preprocessing.FORMS` (III.A)."""

    def __call__(self, images: Any) -> torch.Tensor:
        """Scale one image, or several.

        Parameters
        ----------
        images
            uint8, 0 = background, 255 = ink: a gray PIL image, or a NumPy array or tensor of shape (height, width) or
            (n, height, width), for example MNIST's 28x28.

        Returns
        -------
        float32, shape (1, size, size) of one image, else (n, 1, size, size): a network takes the latter.

        Raises ValueError for other types and shapes, and for images larger than the field or too small for the form.
        """
        values: NDArray[np.uint8] = np.asarray(images)
        one = values.ndim == 2
        formed = FORMS[self.form](values[None] if one else values)
        scaled = torch.from_numpy(pad_and_scale(formed, self.size))
        return scaled[0] if one else scaled


class Weights(Enum):
    """Published weights of one network; a member's value is the experiment whose run they are of."""

    @property
    def path(self) -> Path:
        """Their file, lenet5-paper.safetensors for example."""
        network = type(self).__name__.removesuffix("Weights").lower()
        return FOLDER / f"{network}-{self.name.lower()}{stored.SUFFIX}"

    @property
    def meta(self) -> Meta:
        """What the file says of itself."""
        texts = stored.header(self.path)
        config = stored.config_from(texts["config"])
        return Meta(
            errors=int(texts["errors"]),
            patterns=int(texts["patterns"]),
            experiment=texts["experiment"],
            seed=int(texts["seed"]),
            reading=config.reading,
            config=config,
            command=texts["command"],
            data=texts["data"],
            commit=texts["commit"],
            cpu=texts["cpu"],
            paper=texts["paper"],
        )

    def transforms(self) -> Transform:
        """What brings digits to the form in which the network learned them."""
        config = self.meta["config"]
        return Transform(config.spec.input_shape[1], form(config))


class LeNet5Weights(Weights):
    """Of LeNet-5."""

    PAPER = "fig9/lenet5"
    """Section III.B: the 60,000 digits of MNIST, 20 passes."""
    DISTORTED = "fig9/dist_lenet5"
    """The same with distorted digits."""
    NOISE = "fingerprint/default-noise"
    """Digits with a tenth of the pixels inverted (III.E)."""
    SDNN = "strings/sdnn"
    """Digits between neighbors, blanks, and a tenth of the pixels inverted (VII.B, and what held-out strings added)."""
    TRUNK1998 = "recovered/trunk-1998"
    """C1 to S4 of the network of 1998 (`lenet98.recovered`), C5 and F6 trained above them."""
    DEFAULT = PAPER


SDNN_J, SDNN_BLANK = 20.0, 25.0
"""j of eq. 9 with which `LeNet5Weights.SDNN` learned, and the penalty of a blank with which it reads strings
(`lenet98.decoding`); held-out strings chose both."""
BLANK_PENALTY = 10.0
"""Of an output without a digit, for other networks: about what the figures of Section VII suggest, and what reads most
strings of training digits by a network that learned single digits."""


def learned_strings(config: Config) -> bool:
    """Whether a network so trained learned digits between neighbors (VII.B)."""
    return config.strings is not None and config.strings.neighbors


def blank_penalty(config: Config) -> float:
    """The penalty of a blank to start with: the best grows with j, so the one chosen goes with j of `SDNN` alone."""
    return SDNN_BLANK if learned_strings(config) and config.reading.j == SDNN_J else BLANK_PENALTY


class LeNet1Weights(Weights):
    """Of LeNet-1."""

    PAPER = "fig9/16x16_lenet1"
    """Section III.C.7: the 60,000 digits of MNIST, scaled down to 16x16 pixels, 80 passes."""
    DEFAULT = PAPER


class LeNet4Weights(Weights):
    """Of LeNet-4."""

    PAPER = "fig9/lenet4"
    """Section III.C.8: the 60,000 digits of MNIST, 20 passes."""
    DEFAULT = PAPER


KINDS: tuple[type[Weights], ...] = (LeNet5Weights, LeNet1Weights, LeNet4Weights)


def every() -> list[Weights]:
    """All published weights."""
    return [member for kind in KINDS for member in kind]


def names(kinds: Sequence[type[Weights]] = KINDS) -> dict[str, Weights]:
    """Weights by name; a LeNet-5's is "paper" as well as "lenet5-paper"."""
    short = {member.name.lower(): member for member in kinds[0]}
    return short | {member.path.stem: member for kind in kinds for member in kind}


def find(which: Weights | Path | str, kinds: Sequence[type[Weights]] = KINDS) -> Path:
    """The file of published weights, given by name or as a member, or the file that `which` names itself.

    Raises ValueError, with the names that there are, for what is neither.
    """
    if isinstance(which, Weights):
        return which.path
    known, path = names(kinds), Path(which)
    if isinstance(which, str) and which in known:
        return known[which].path
    if path.suffix or path.exists():
        return path
    raise ValueError(f"no weights called {str(which)!r}; {_offered(kinds)}")


def _offered(kinds: Sequence[type[Weights]]) -> str:
    there = ", ".join(
        member.name.lower() if kind is kinds[0] else member.path.stem for kind in kinds for member in kind
    )
    return f"there are {there}; or name a file"


def lenet5(weights: LeNet5Weights | Path | str | None = None) -> Net:
    """LeNet-5, trained or not.

    Parameters
    ----------
    weights
        A member of `LeNet5Weights`, its name in small letters, or a file of weights; None for initial ones, seed 0.

    Raises ValueError, with the names that there are, for an unknown one, and for a file of another network.
    """
    return _network(LENET5, LeNet5Weights, weights)


def lenet1(weights: LeNet1Weights | Path | str | None = None) -> Net:
    """LeNet-1 (III.C.7), trained or not, as `lenet5`."""
    return _network(LENET1, LeNet1Weights, weights)


def lenet4(weights: LeNet4Weights | Path | str | None = None) -> Net:
    """LeNet-4 (III.C.8), trained or not, as `lenet5`."""
    return _network(LENET4, LeNet4Weights, weights)


def _network(spec: Spec, kind: type[Weights], which: Weights | Path | str | None) -> Net:
    if which is None:
        return Net(spec)
    path = find(which, (kind,))
    parameters, config = stored.load(path)
    if config.spec != spec:
        raise ValueError(f"{path}: holds {config.spec.name}, not {spec.name}")
    return network(config.spec, parameters, config.reading)
