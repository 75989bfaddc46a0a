"""The page as one file: networks, digits, style and programs put into `page.html`."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet98 import evaluation, weights
from lenet98.data.fig8 import fig8
from lenet98.data.mnist import MNIST
from lenet98.demo.rounding import SHOWN, VOTER, Rounded, rounded
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.prototypes import bitmaps
from lenet98.published import SEED, LeNet5Weights, blank_penalty, learned_strings
from lenet98.readings import Reading
from lenet98.training import distances, form

LIMIT = 600_000
"""The page is smaller than this, bytes."""
FEWEST = 100
"""So many of the first test digits are in the page at least; there are as many as fit."""
A_DIGIT = 200
"""About so many bytes each."""
ON_THE_REST = 0.005
"""Error on the digits that are not rejected, for the threshold that the page starts with (Fig. 10)."""

REFERENCE = Path(__file__).parents[2] / "reference"


@dataclass(frozen=True)
class Source:
    """A published network that the page shows."""

    weights: LeNet5Weights
    title: str
    note: str

    def seeds(self) -> dict[int, Path]:
        """The files of its weights by seed: the one that comes with the package, and in a checkout those of others."""
        found = {SEED: self.weights.path}
        for path in sorted((REFERENCE / self.weights.value).glob("seed-*.npz")):
            if (seed := _seed(path)) is not None and _has_weights(path):
                found.setdefault(seed, path)
        return found


SOURCES = (
    Source(LeNet5Weights.PAPER, "LeNet-5", "trained on the 60,000 digits of MNIST"),
    Source(LeNet5Weights.DISTORTED, "LeNet-5 [dist]", "trained on distorted digits, too"),
    Source(LeNet5Weights.SDNN, "For strings", "trained on digits between others, on blanks and on noise (VII.B)"),
    Source(LeNet5Weights.TRUNK1998, "Trunk of 1998", "C1 to S4 from the paper's figures; C5 and F6 trained by us"),
)
"""A network more is a line more."""


@dataclass(frozen=True)
class Network:
    """One network of the page."""

    path: Path
    """Of its weights."""
    title: str
    note: str
    rounded: Rounded
    reading: Reading
    strings: bool
    """Whether it learned digits between neighbors (VII.B)."""
    blank: float
    """Penalty of an output without a digit, to start with."""

    def described(self) -> dict[str, Any]:
        """What the page needs to know of it, without its results."""
        return {
            "title": self.title,
            "note": self.note,
            "strings": self.strings,
            "blank": self.blank,
            "subsampling": self.reading.subsampling,
            "bits": {coded.layer.name: coded.bits for coded in self.rounded.coded},
            "weights": _compressed(self.rounded.packed(), zlib.Z_HUFFMAN_ONLY),
        }

    def distances(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """y_i of each image (n, 28, 28), shape (n, 10)."""
        return distances(Engine(self.rounded.spec, self.reading), self.rounded.parameters.astype(np.float32), images)


def _has_weights(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as file:
        return "weights" in file.files


def _seed(path: Path) -> int | None:
    """The seed that the name of a file states."""
    stated = re.search(r"seed-(\d+)", path.name)
    return int(stated[1]) if stated else None


def published() -> tuple[list[Network], list[Network]]:
    """The published networks to show, and those of all seeds of the first kind to vote."""
    shown = [network(source.weights.path, source.title, source.note) for source in SOURCES]
    return shown, [voter(path, seed) for seed, path in SOURCES[0].seeds().items()]


def network(path: Path, title: str, note: str) -> Network:
    """A network to show; ValueError for a file of another network than LeNet-5."""
    return _loaded(path, title, note, SHOWN)


def voter(path: Path, seed: int | None = None) -> Network:
    """A network that only votes, of the seed given or that its file's name states.

    Raises ValueError for a file of another network.
    """
    known = _seed(path) if seed is None else seed
    return _loaded(path, path.stem if known is None else f"seed {known}", "", VOTER)


def _loaded(path: Path, title: str, note: str, bits: Mapping[str, int]) -> Network:
    parameters, config = weights.load(path)
    if config.spec != LENET5:
        raise ValueError(f"{path}: holds {config.spec.name}; the page shows LeNet-5, give a file of its weights")
    if form(config) != "28x28":
        raise ValueError(f"{path}: learned digits of {form(config)}; the page shows networks of the regular form")
    rounding = rounded(config.spec, parameters, bits)
    return Network(path, title, note, rounding, config.reading, learned_strings(config), blank_penalty(config))


def own(path: Path) -> Network:
    """A network of the user's own to show."""
    return network(path, path.stem, "weights of your own")


# --- the file ---------------------------------------------------------------------------------------------------------


def build(data: MNIST, shown: Sequence[Network], voters: Sequence[Network] = ()) -> bytes:
    """The page, UTF-8.

    Of the test digits it has the 82 of Fig. 8, those that a network shown gets wrong, and as many of the first ones
    as fit.  If not even `FEWEST` of them fit, the last voters are left out.

    Raises ValueError if the networks to show do not fit.
    """
    networks, mistakes = [], []
    for each in shown:
        found = each.distances(data.test_images)
        wrong = evaluation.predict(found) != data.test_labels
        networks.append(each.described() | _judged(found, wrong, data.test_labels))
        mistakes.append(np.flatnonzero(wrong))
    content = {
        "layers": [_layer(layer) for layer in LENET5.geometry],
        "prototypes": "".join("#" if pixel > 0 else "." for pixel in bitmaps().ravel()),
        "networks": networks,
    }
    votes = [_vote(each, shown) for each in voters]

    def page(count: int) -> bytes:
        digits = _digits(data, mistakes, count)
        return _filled(content | {"voters": votes if len(votes) > 1 else [], "digits": digits})

    while len(least := page(FEWEST)) >= LIMIT:
        if not votes:
            raise ValueError(
                f"the page would have {len(least):,} bytes and must have less than {LIMIT:,}; "
                "give --weights fewer files"
            )
        votes.pop()
    count = FEWEST + (LIMIT - len(least)) // A_DIGIT
    while len(made := page(count)) >= LIMIT:
        count = max(FEWEST, count - 20)
    return made


def _vote(voter: Network, shown: Sequence[Network]) -> dict[str, Any]:
    """A voter; one that is shown, too, is in the page once."""
    for number, each in enumerate(shown):
        if each.path == voter.path:
            return {"title": voter.title, "network": number}
    return voter.described()


def _judged(found: NDArray[np.float32], wrong: NDArray[np.bool_], labels: NDArray[np.uint8]) -> dict[str, Any]:
    """Test errors, and the threshold of the rejection score for `ON_THE_REST`."""
    rejected = evaluation.rejection_at(found, labels, ON_THE_REST)
    scores = np.append(np.sort(evaluation.rejection_score(found)), np.inf)
    threshold = float(scores[round(rejected * len(labels))])
    return {"errors": int(wrong.sum()), "rejected": rejected, "threshold": round(threshold, 2)}


def _layer(layer: Any) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "in": layer.in_shape,
        "out": layer.out_shape,
        "kernel": layer.kernel,
        "table": layer.table if not layer.every_map else None,
        "squashing": layer.squashing,
    }


def _digits(data: MNIST, mistakes: Sequence[NDArray[np.intp]], count: int) -> dict[str, Any]:
    """Test digits, each once, and the sets in which the page offers them."""
    of_1998 = fig8()
    sets = [of_1998.test_index.astype(np.intp), *mistakes, np.arange(count)]
    index = np.unique(np.concatenate(sets))
    places = [np.searchsorted(index, each).tolist() for each in sets]
    return {
        "index": index.tolist(),
        "labels": "".join(map(str, data.test_labels[index])),
        "images": _compressed(data.test_images[index].tobytes()),
        "fig8": places[0],
        "answers1998": "".join(map(str, of_1998.predicted_1998)),
        "mistakes": places[1:-1],
        "first": count,
    }


def _compressed(content: bytes, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> str:
    """Deflated with zlib's header, in base 85 without a "<", which would need an escape."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 15, 9, strategy)
    return base64.b85encode(deflate.compress(content) + deflate.flush()).decode().replace("<", ",")


def source(name: str) -> str:
    """A file beside this module."""
    return (files("lenet98.demo") / name).read_text(encoding="utf-8")


def _filled(content: Mapping[str, Any]) -> bytes:
    parts = {
        "style": source("style.css"),
        "data": json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        "lenet5": source("lenet5.js"),
        "page": source("page.js"),
    }
    return re.sub(r"/\*\{(\w+)\}\*/", lambda found: parts[found[1]], source("page.html")).encode()


def contents(page: bytes) -> dict[str, Any]:
    """What `build` put into a page: networks and digits."""
    found = re.search(rb'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    loaded: dict[str, Any] = json.loads(found[1])
    return loaded
