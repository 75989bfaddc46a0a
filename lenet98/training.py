"""Training as Section III.B describes it: passes over the patterns, one update per pattern, rates from the curvature.

Before each pass h_kk is re-estimated on 500 patterns and eps_k = eta/(mu + h_kk) is fixed for the pass (eq. 21); then
every pattern in turn updates the network (eq. 18); then the test set is evaluated.  The training error is measured on
the fly, each pattern just before its update, as in Fig. 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lenet98 import accounting, loop
from lenet98.accounting import Cost
from lenet98.catalog import resolved
from lenet98.curvature import diagonal
from lenet98.data.distortions import FIELD, Magnitudes, Pool, Sample, distort
from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST
from lenet98.data.preprocessing import FORMS, in_form
from lenet98.data.splits import split
from lenet98.data.strings import Strings, blank, compose
from lenet98.loop import Progress, SDLMPass, State, Trained
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import BEFORE, DEFAULT, Reading, initial_parameters
from lenet98.sdlm import CURVATURE_PATTERNS, ETAS, MU, rates
from lenet98.specs import Spec
from lenet98.threads import one_thread

CHUNK = 1000
"""Patterns between two reports of progress."""

Estimate = Callable[[int, NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]], NDArray[np.float32]]
"""From the number of a pass, the parameters, images and labels to h_kk of every parameter, not negative."""


@dataclass(frozen=True)
class Config:
    """All that decides a training run besides its seed.

    Raises ValueError, naming the field, for a value that no run can have.
    """

    spec: Spec = LENET5
    """A name of `lenet98.catalog.SPECS` stands for that network."""
    reading: Reading = DEFAULT
    etas: tuple[float, ...] = ETAS
    """eta of each pass; its length is the number of passes."""
    mu: float = MU
    curvature_patterns: int = CURVATURE_PATTERNS
    """Patterns on which h_kk is estimated before each pass."""
    train_size: int = 60_000
    """The first so many training patterns are learned."""
    distortions: Magnitudes | None = None
    """Train on a pool of the patterns and nine distorted copies of each, a tenth of it each pass (III.B)."""
    strings: Strings | None = field(default=None, metadata={BEFORE: None})
    """Train on rows of characters with a pattern in the middle of each, on blanks and with noise (III.E, VII.B); with
    `distortions`, on such rows of members of the pool, each pattern once a pass."""
    held_out: int = 0
    """The last so many training patterns are those on which errors are counted; the test set if 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spec", resolved(self.spec))
        if not self.etas or not all(0 < eta < float("inf") for eta in self.etas):
            raise ValueError(f"Config.etas is {self.etas}; it needs one positive eta per pass")
        if not 0 < self.mu < float("inf"):
            raise ValueError(f"Config.mu is {self.mu!r}; it must be positive and finite")
        if not 0 < self.curvature_patterns <= self.train_size:
            raise ValueError(f"Config.curvature_patterns is {self.curvature_patterns}; it must be 1..train_size")
        if self.held_out < 0:
            raise ValueError(f"Config.held_out is {self.held_out}; it must be at least 0")
        rubbish = self.spec.output.kind == "rbf" and self.reading.loss == "eq9"
        if self.strings and self.strings.blanks and not rubbish:
            raise ValueError(
                "Config.strings has blanks, and only eq. 9 on RBF units has a class for them; set blanks to 0"
            )

    @property
    def cost(self) -> Cost:
        """Of one network and its training."""
        return accounting.cost(self.spec, len(self.etas))


@dataclass(frozen=True)
class FormConfig(Config):
    """A training run on one form of the database (III.A).

    Raises ValueError, naming the field, for a value that no run can have.
    """

    form: str = "28x28"
    """A name of `lenet98.data.preprocessing.FORMS`; images smaller than the network's input stand in its middle."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in FORMS:
            raise ValueError(f"FormConfig.form is {self.form!r}; it must be one of {', '.join(FORMS)}")
        if self.distortions and self.form != "28x28":
            raise ValueError(f"FormConfig.distortions need the form '28x28', not {self.form!r}; set them to None")


def form(config: Config) -> str:
    """The form of the database on which `config` trains, a name of `lenet98.data.preprocessing.FORMS`."""
    return config.form if isinstance(config, FormConfig) else "28x28"


@one_thread()
def train(
    config: Config,
    seed: int,
    data: MNIST,
    *,
    samples: Callable[[int], Sample] | None = None,
    start: NDArray[np.float32] | None = None,
    frozen: Sequence[str] = (),
    curvature: Estimate | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Path | None = None,
) -> Trained:
    """Train one network, on one thread.

    Parameters
    ----------
    config, seed
        What is trained; the same two give the same bits on the same machine with the same versions.
    data
        Digits, bytes, at most as large as the network's input; 28x28 if they are to be distorted or brought to the form
        that `config` names.
    samples
        The patterns of pass 1, 2, ... where they are not those of `pass_sample`, for example those of which another
        network was not sure; their copies are of `config.distortions`.
    start
        The flat parameters before pass 1, where they are not drawn as `config.reading` says.
    frozen
        Names of layers whose parameters keep their values: their rates are 0.
    curvature
        What takes the place of `lenet98.curvature.diagonal`.
    progress
        Called every `CHUNK` patterns; an exception that it raises stops the run.
    checkpoint
        File to which the state is saved after every pass, and from which a run of the same config and seed resumes.

    Raises
    ------
    ValueError
        If the training set is smaller than `config.train_size` and `config.held_out` together.
    """
    data = in_form(data, form(config))
    judged = split(data, config.train_size, config.held_out)
    engine, learned = Engine(config.spec, config.reading), _learned(config.spec, frozen)
    run = _Run(config, seed, data, engine, samples, learned, judged.images, judged.labels, curvature)
    if start is None:
        start = initial_parameters(config.spec, config.reading, generator(seed, "init"))
    state, diverged = loop.run_passes(
        lambda number, before: _one_pass(run, number, before, progress),
        State({"parameters": start}, []),
        len(config.etas),
        SDLMPass,
        (config, seed),
        checkpoint,
    )
    parameters = state.arrays["parameters"]
    return Trained(parameters, state.history, distances(run.engine, parameters, run.test_images), diverged)


def effective_rates(
    config: Config,
    seed: int,
    number: int,
    parameters: NDArray[np.float32],
    data: MNIST,
    sample: Sample | None = None,
    curvature: Estimate | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """h_kk before pass `number` and the rates eps_k of the pass, both of shape (spec.parameters,); eq. 21 and 24.

    The patterns of the estimate are of what is learned: of `sample`, or else of the training set, where with
    distortions each is the original or any of its copies.  `curvature` takes the place of Appendix C's h_kk.
    """
    few = curvature_sample(config, seed, number, sample)
    images = network_input(config, seed, few, data.train_images)
    labels = targets(config, seed, few, data.train_labels)
    if curvature is None:
        h = diagonal(config.spec, config.reading, parameters, images, labels)
    else:
        h = curvature(number, parameters, images, labels)
    return h, rates(h, config.etas[number - 1], config.mu)


def _learned(spec: Spec, frozen: Sequence[str]) -> NDArray[np.bool_]:
    """Which parameters are updated, shape (spec.parameters,); ValueError for a layer that is not there."""
    if unknown := set(frozen) - {layer.name for layer in spec.trainable}:
        raise ValueError(f"{spec.name} has no layer {unknown.pop()!r} with parameters to freeze")
    learned = np.ones(spec.parameters, bool)
    for layer in spec.trainable:
        learned[layer.weight_slice.start : layer.bias_slice.stop] = layer.name not in frozen
    return learned


def medians(spec: Spec, h: NDArray[np.float32]) -> dict[str, float]:
    """Median h_kk of each layer's parameters, by name; h is (spec.parameters,)."""
    return {
        layer.name: float(np.median(h[layer.weight_slice.start : layer.bias_slice.stop])) for layer in spec.trainable
    }


def curvature_sample(config: Config, seed: int, number: int, sample: Sample | None = None) -> Sample:
    """The patterns on which h_kk is estimated before pass `number`, as `effective_rates` has them."""
    rng = generator(seed, "hessian", number)
    count = config.train_size if sample is None else len(sample.index)
    if config.reading.curvature_patterns == "first":
        chosen = np.arange(config.curvature_patterns)
    else:
        chosen = rng.choice(count, config.curvature_patterns, replace=False)
    if sample is None:
        return _drawn(config, number, Sample(chosen, rng.integers(0, _pool(config).copies, len(chosen))))
    return Sample(sample.index[chosen], sample.copy[chosen])


def pass_sample(config: Config, seed: int, number: int) -> Sample:
    """The patterns of pass `number` in the order in which they are learned, and which copy of each."""
    return _drawn(config, number, _pool(config).pass_sample(number, seed, config.reading.order))


def _pool(config: Config) -> Pool:
    return Pool(config.train_size, distorted=9 if config.distortions and not config.strings else 0)


def _drawn(config: Config, number: int, sample: Sample) -> Sample:
    """The sample, and with strings the drawing of each pattern that pass `number` has for its copy."""
    if config.strings is None or not config.strings.fresh:
        return sample
    return Sample(sample.index, np.full_like(sample.copy, number))


def network_input(config: Config, seed: int, sample: Sample, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network sees of a sample of `images`, float32, shape (n, 1, height, width)."""
    if config.strings:
        composed = compose(
            images, sample.index, sample.copy, seed, config.strings,
            neighbors=config.train_size, distortions=config.distortions,
        )  # fmt: skip
        return _middle(config.spec, composed)
    if config.distortions:
        return _middle(config.spec, distort(images, sample.index, sample.copy, seed, config.distortions))
    return inputs(config.spec, images[sample.index])


def targets(config: Config, seed: int, sample: Sample, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the network is to answer to a sample, shape (n,): a class, or the number of classes to a blank."""
    right = labels[sample.index]
    if config.strings and config.strings.blanks:
        right[blank(seed, sample.index, sample.copy, config.strings)] = config.spec.classes
    return right


def _middle(spec: Spec, field: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of fields (n, 1, 32, 32) that the network sees."""
    margin = (FIELD - spec.input_shape[1]) // 2
    return np.ascontiguousarray(field[..., margin : FIELD - margin, margin : FIELD - margin])


def inputs(spec: Spec, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Digits as the network sees them, shape (n, 1, height, width)."""
    return pad_and_scale(images, spec.input_shape[1])


def distances(engine: Engine, parameters: NDArray[np.float32], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """y_i of every digit, shape (n, classes), a chunk at a time to spare memory."""
    chunks = [inputs(engine.spec, images[n : n + CHUNK]) for n in range(0, len(images), CHUNK)]
    return np.concatenate([engine.distances(parameters, chunk) for chunk in chunks])


class _Run(NamedTuple):
    config: Config
    seed: int
    data: MNIST
    engine: Engine
    samples: Callable[[int], Sample] | None
    learned: NDArray[np.bool_]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]
    curvature: Estimate | None


def _one_pass(
    run: _Run, number: int, before: State[SDLMPass], progress: Callable[[Progress], None]
) -> State[SDLMPass] | None:
    """The state after a pass, or None if its loss was not finite."""
    began = time.perf_counter()
    config, engine, data = run.config, run.engine, run.data
    parameters = before.arrays["parameters"].copy()
    selected = run.samples(number) if run.samples else None
    h, eps = effective_rates(config, run.seed, number, parameters, data, selected, run.curvature)
    eps[~run.learned] = 0
    sample = selected or pass_sample(config, run.seed, number)
    total = len(sample.index)
    errors, losses = 0, 0.0
    mean = np.zeros(len(parameters))
    for done in range(0, total, CHUNK):
        chunk = sample[done : done + CHUNK]
        images = network_input(config, run.seed, chunk, data.train_images)
        labels = targets(config, run.seed, chunk, data.train_labels)
        chunk_errors, chunk_losses = engine.sweep(parameters, eps, images, labels)
        errors, losses = errors + chunk_errors, losses + chunk_losses
        if not np.isfinite(losses):
            return None
        mean += parameters * (len(images) / total)
        progress(Progress(number, len(config.etas), done + len(images), total, errors))
    if config.reading.final_weights == "average" and number == len(config.etas):
        parameters = mean.astype(np.float32)  # of the weights after every CHUNK patterns
    entry = SDLMPass(
        number=number,
        eta=config.etas[number - 1],
        rate_min=float(eps[run.learned].min()),
        rate_max=float(eps.max()),
        curvature=medians(engine.spec, h),
        train_patterns=total,
        train_errors=errors,
        train_loss=losses / total,
        test_patterns=len(run.test_labels),
        test_errors=int((distances(run.engine, parameters, run.test_images).argmin(1) != run.test_labels).sum()),
        seconds=time.perf_counter() - began,
    )
    return State({"parameters": parameters}, [*before.history, entry])
