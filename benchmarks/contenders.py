"""Ways to train LeNet-5 one pattern at a time, and others that a user would think of, all from one start."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST
from lenet98.losses import loss
from lenet98.modules import Net, unflatten
from lenet98.networks import LENET5, TABLE_I
from lenet98.online.engine import Engine
from lenet98.prototypes import bitmaps
from lenet98.randomness import generator
from lenet98.readings import Reading, initial_parameters
from lenet98.specs import A, S

UPDATES, SLOW_UPDATES = 1000, 100
RATE = np.float32(1e-3)
READING = Reading(loss="eq9", subsampling="average")
HERE = Path(__file__).parent

Vector = NDArray[np.float32]


class Unavailable(RuntimeError):
    """Why a contender cannot run here."""


@dataclass(frozen=True)
class Work:
    """The updates that all contenders do, from the same start."""

    start: Vector
    rates: Vector
    images: Vector
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Contender:
    """One way to learn patterns, or to read them."""

    learn: Callable[[], object]
    patterns: int
    """How many patterns one call of `learn` learns or reads."""
    note: str = ""


def seconds(action: Callable[[], object]) -> float:
    """Of the processor, which other processes do not lengthen by taking the core away."""
    began = time.process_time()
    action()
    return time.process_time() - began


def in_turns(ready: Mapping[str, Contender], repetitions: int) -> dict[str, float]:
    """Microseconds for a pattern by each, the median over the repetitions."""
    times: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(repetitions):
        for name, contender in ready.items():
            times[name].append(1e6 * seconds(contender.learn) / contender.patterns)
    return {name: median(values) for name, values in times.items()}


def work(data: MNIST) -> Work:
    """The first digits of MNIST and the initial parameters."""
    start = initial_parameters(LENET5, READING, generator(0, "init"))
    images = pad_and_scale(data.train_images[:UPDATES])
    return Work(start, np.full_like(start, RATE), images, data.train_labels[:UPDATES].astype(np.int64))


def online(work: Work) -> Contender:
    """The engine."""
    engine = Engine(LENET5, READING)
    return Contender(lambda: engine.sweep(work.start.copy(), work.rates, work.images, work.labels), UPDATES)


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def _by_autograd(work: Work, value: Callable[..., torch.Tensor], net: Net) -> Contender:
    """The first updates by autograd, with one fused call for all parameters."""
    parameters: list[torch.Tensor] = list(net.parameters())
    rates = unflatten(torch.tensor(work.rates), parameters)
    images, labels = torch.tensor(work.images).split(1), torch.tensor(work.labels).split(1)

    def updates() -> None:
        net.load_flat(work.start)
        for image, label in zip(images[:SLOW_UPDATES], labels, strict=False):
            net.zero_grad()
            value(image, label).backward()
            with torch.no_grad():
                torch._foreach_addcmul_(parameters, rates, [p.grad for p in parameters if p.grad is not None], value=-1)

    return Contender(updates, SLOW_UPDATES)


def eager(work: Work) -> Contender:
    """The module of `lenet98.modules` and autograd."""
    net = Net(LENET5, READING)
    return _by_autograd(work, lambda image, label: loss(net(image), label, READING), net)


def torch_compiled(work: Work) -> Contender:
    """The same, module and loss compiled by torch.compile; Unavailable, with the reason, where that fails."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise Unavailable("no C++ compiler")
    net = Net(LENET5, READING)
    compiled = torch.compile(lambda image, label: loss(net(image), label, READING), dynamic=False)
    contender = _by_autograd(work, compiled, net)
    try:
        contender.learn()
    except Exception as error:  # whatever goes wrong in a compiler
        raise Unavailable(str(error).partition("\n")[0][:80] or type(error).__name__) from None
    return contender


def adam(work: Work, batch: int) -> Contender:
    """Eager PyTorch in mini-batches, its Adam of one kernel for all parameters; other updates than the paper's."""
    net = Net(LENET5, READING)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, foreach=True)
    patterns = UPDATES // batch * batch if batch > 1 else SLOW_UPDATES
    images = torch.tensor(work.images[:patterns]).split(batch)
    labels = torch.tensor(work.labels[:patterns]).split(batch)

    def updates() -> None:
        net.load_flat(work.start)
        for image, label in zip(images, labels, strict=True):
            optimizer.zero_grad()
            loss(net(image), label, READING).backward()
            optimizer.step()

    return Contender(updates, patterns)


# --- C ----------------------------------------------------------------------------------------------------------------


def compiled_c(work: Work, folder: Path) -> dict[str, Contender]:
    """The two sweeps of online_step.c, "c" and "c_fused"; Unavailable, with the reason, if it cannot be compiled."""
    library = compile_c(folder)
    reals, integers = np.ctypeslib.ndpointer(np.float32), np.ctypeslib.ndpointer(np.int32)
    library.setup.argtypes = [integers, integers, reals, ctypes.c_float, ctypes.c_double, ctypes.c_double]
    library.gradient.argtypes = [reals, reals, ctypes.c_int, reals]
    library.gradient.restype = ctypes.c_double
    for sweep in (library.sweep, library.sweep_fused):
        sweep.argtypes = [reals, reals, reals, np.ctypeslib.ndpointer(np.int64), ctypes.c_int]
        sweep.restype = ctypes.c_double
    first = np.array([0, *accumulate(map(len, TABLE_I))], np.int32)
    sources = np.array([source for row in TABLE_I for source in row], np.int32)
    library.setup(first, sources, bitmaps(), 0.25, READING.j, READING.loss_scale)
    verify_c(library, work)

    def updates(sweep: Callable[..., float]) -> Contender:
        return Contender(lambda: sweep(work.start.copy(), work.rates, work.images, work.labels, UPDATES), UPDATES)

    return {"c": updates(library.sweep), "c_fused": updates(library.sweep_fused)}


def compile_c(folder: Path) -> ctypes.CDLL:
    """online_step.c as a library in `folder`; Unavailable, with the reason, if it cannot be compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("no C compiler called cc")
    objects, library = folder / "online_step.o", folder / "online_step.so"
    # Linked apart from -ffast-math, with which some linkers switch denormal numbers off for the whole process.
    flags = ["-O3", "-march=native", "-ffast-math", "-fPIC"]
    steps = [
        [compiler, *flags, "-c", str(HERE / "online_step.c"), "-o", str(objects)],
        [compiler, "-shared", str(objects), "-o", str(library), "-lm"],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            raise Unavailable(f"{' '.join(step)} failed")
    return ctypes.CDLL(str(library))


def verify_c(library: ctypes.CDLL, work: Work) -> None:
    """Raises ArithmeticError if the C loop does not compute the engine's gradient, or its two sweeps differ."""
    ours = Engine(LENET5, READING).gradient(work.start, work.images[0], int(work.labels[0]))
    gradient = np.empty_like(ours)
    library.gradient(work.start, work.images[0], int(work.labels[0]), gradient)
    worst = float(np.abs(gradient - ours).max() / np.abs(ours).max())
    if not worst < 1e-5:
        raise ArithmeticError(f"the gradient of online_step.c differs from the engine's by {worst:.1e} of its largest")
    plain, fused = work.start.copy(), work.start.copy()
    library.sweep(plain, work.rates, work.images, work.labels, 20)
    library.sweep_fused(fused, work.rates, work.images, work.labels, 20)
    worst = float(np.abs(plain - fused).max())
    if not worst < 1e-5:
        raise ArithmeticError(f"after 20 updates the two sweeps of online_step.c differ by {worst:.1e}")


# --- NumPy ------------------------------------------------------------------------------------------------------------


def plain_numpy(work: Work) -> Contender:
    """Matrix products of unfolded patches, as one writes it first."""
    return Contender(lambda: numpy_updates(work, SLOW_UPDATES), SLOW_UPDATES)


def numpy_updates(work: Work, updates: int) -> Vector:
    """The parameters after the first `updates`."""
    w = work.start.copy()
    for image, label in zip(work.images[:updates], work.labels, strict=False):
        w -= work.rates * numpy_gradient(w, image, int(label))
    return w


_LINKS = np.array([(m, source) for m, row in enumerate(TABLE_I) for source in row]).T
_CENTERS = bitmaps()


def numpy_gradient(parameters: Vector, image: Vector, label: int) -> Vector:
    """dE/dw_k of LeNet-5 by eq. 9, in order of the parameters."""
    (w1, b1), (w2, b2), (w3, b3), (w4, b4), (w5, b5), (w6, b6) = (
        (parameters[layer.weight_slice], parameters[layer.bias_slice]) for layer in LENET5.trainable
    )
    linked = np.zeros((16, 6, 25), np.float32)
    linked[tuple(_LINKS)] = w3.reshape(60, 25)
    kernels = linked.reshape(16, 150)
    w1, w5, w6 = w1.reshape(6, 25), w5.reshape(120, 400), w6.reshape(84, 120)

    patches1 = _patches(image)
    x1 = _squash(w1 @ patches1 + b1[:, None]).reshape(6, 28, 28)
    s2 = _fields(x1)
    x2 = _squash(w2[:, None, None] * s2 + b2[:, None, None])
    patches3 = _patches(x2)
    x3 = _squash(kernels @ patches3 + b3[:, None]).reshape(16, 10, 10)
    s4 = _fields(x3)
    x4 = _squash(w4[:, None, None] * s4 + b4[:, None, None]).reshape(400)
    x5 = _squash(w5 @ x4 + b5)
    x6 = _squash(w6 @ x5 + b6)

    apart = x6 - _CENTERS
    y = np.square(apart).sum(1)
    least = min(y.min(), READING.j)
    p = np.exp(least - y)
    p /= p.sum() + np.exp(least - READING.j)
    p[label] -= 1
    d6 = _through(x6, -2 * np.float32(READING.loss_scale) * (p @ apart))
    d5 = _through(x5, d6 @ w6)
    d4 = _through(x4, d5 @ w5).reshape(16, 5, 5)
    d3 = _through(x3, _to_fields(w4[:, None, None] * d4)).reshape(16, 100)
    d2 = _through(x2, _fold(kernels.T @ d3))
    d1 = _through(x1, _to_fields(w2[:, None, None] * d2)).reshape(6, 784)
    parts = [
        d1 @ patches1.T, d1.sum(1), (d2 * s2).sum((1, 2)), d2.sum((1, 2)),
        (d3 @ patches3.T).reshape(16, 6, 25)[tuple(_LINKS)], d3.sum(1), (d4 * s4).sum((1, 2)), d4.sum((1, 2)),
        np.outer(d5, x4), d5, np.outer(d6, x5), d6,
    ]  # fmt: skip
    return np.concatenate([part.ravel() for part in parts])


def _squash(a: Vector) -> Vector:
    return np.float32(A) * np.tanh(np.float32(S) * a)


def _through(x: Vector, delta: Vector) -> Vector:
    """dE/da from dE/dx."""
    return delta * (np.float32(S * A) - np.float32(S / A) * x * x)


def _patches(maps: Vector) -> Vector:
    """The 5x5 fields of maps (n, side, side), shape (25 n, positions)."""
    windows = sliding_window_view(maps, (5, 5), axis=(1, 2))
    return windows.transpose(0, 3, 4, 1, 2).reshape(25 * len(maps), -1)


def _fold(patches: Vector) -> Vector:
    """dE/dx of maps (6, 14, 14) from dE/d patches."""
    deltas = np.zeros((6, 14, 14), np.float32)
    for k, part in enumerate(patches.reshape(6, 25, 10, 10).swapaxes(0, 1)):
        deltas[:, k // 5 : k // 5 + 10, k % 5 : k % 5 + 10] += part
    return deltas


def _fields(x: Vector) -> Vector:
    """Averages of 2x2 fields."""
    maps, side, _ = x.shape
    return x.reshape(maps, side // 2, 2, side // 2, 2).mean((2, 4))


def _to_fields(delta: Vector) -> Vector:
    """dE/dx of the units of 2x2 fields."""
    return np.float32(0.25) * delta.repeat(2, 1).repeat(2, 2)
