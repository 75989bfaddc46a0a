"""Time of one online update of LeNet-5, beside eager PyTorch and a compiled C loop: `python -m benchmarks.online_step`.

All three do the same updates in one run on one core, in turns, so that what else the machine does strikes all of them.
The last line of the output is JSON; `--write` puts table, machine and versions into README.md.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import multiprocessing
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from tabulate import tabulate
from tqdm import tqdm

from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST, load
from lenet98.losses import loss
from lenet98.modules import Net, unflatten
from lenet98.networks import LENET5, TABLE_I
from lenet98.online.engine import Engine
from lenet98.prototypes import bitmaps
from lenet98.randomness import generator
from lenet98.readings import Reading, initial_parameters
from lenet98.training import Config, train

REPETITIONS = 15
UPDATES, EAGER_UPDATES = 1000, 100
RATE = np.float32(1e-3)
READING = Reading(loss="eq9", subsampling="average")
HERE = Path(__file__).parent

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Results:
    """Medians over the repetitions; null where there is no C compiler."""

    online_us: float
    eager_us: float
    ratio: float
    c_us: float | None
    online_over_c: float | None
    evaluate_10000_s: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Work:
    """The updates that all contenders do, from the same start."""

    start: Vector
    rates: Vector
    images: Vector
    labels: NDArray[np.int64]


def work(data: MNIST) -> Work:
    start = initial_parameters(LENET5, READING, generator(0, "init"))
    images = pad_and_scale(data.train_images[:UPDATES])
    return Work(start, np.full_like(start, RATE), images, data.train_labels[:UPDATES].astype(np.int64))


def online(work: Work) -> Callable[[], None]:
    """The engine's `UPDATES` updates."""
    engine = Engine(LENET5, READING)
    return lambda: void(engine.sweep(work.start.copy(), work.rates, work.images, work.labels))


def eager(work: Work) -> Callable[[], None]:
    """The first `EAGER_UPDATES` of them through the module, autograd, and one fused call for all parameters."""
    net = Net(LENET5, READING)
    parameters: list[torch.Tensor] = list(net.parameters())
    rates = unflatten(torch.tensor(work.rates), parameters)
    images, labels = torch.tensor(work.images).split(1), torch.tensor(work.labels).split(1)

    def updates() -> None:
        net.load_flat(work.start)
        for image, label in zip(images[:EAGER_UPDATES], labels, strict=False):
            net.zero_grad()
            loss(net(image), label, READING).backward()
            with torch.no_grad():
                torch._foreach_addcmul_(parameters, rates, [p.grad for p in parameters if p.grad is not None], value=-1)

    return updates


def compiled_c(work: Work, folder: Path) -> Callable[[], None] | None:
    """The updates of online_step.c; None, with the reason on stderr, where it cannot be compiled."""
    library = compile_c(folder)
    if library is None:
        return None
    reals, integers = np.ctypeslib.ndpointer(np.float32), np.ctypeslib.ndpointer(np.int32)
    library.setup.argtypes = [integers, integers, reals, ctypes.c_float, ctypes.c_double, ctypes.c_double]
    library.gradient.argtypes = [reals, reals, ctypes.c_int, reals]
    library.gradient.restype = ctypes.c_double
    library.sweep.argtypes = [reals, reals, reals, np.ctypeslib.ndpointer(np.int64), ctypes.c_int]
    library.sweep.restype = ctypes.c_double
    first = np.array([0, *accumulate(map(len, TABLE_I))], np.int32)
    sources = np.array([source for row in TABLE_I for source in row], np.int32)
    library.setup(first, sources, bitmaps(), 0.25, READING.j, READING.loss_scale)
    verify_c(library, work)
    return lambda: void(library.sweep(work.start.copy(), work.rates, work.images, work.labels, UPDATES))


def compile_c(folder: Path) -> ctypes.CDLL | None:
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler called cc: the C loop is left out", file=sys.stderr)
        return None
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
            print(f"{' '.join(step)} failed: the C loop is left out\n{done.stderr}", file=sys.stderr)
            return None
    return ctypes.CDLL(str(library))


def verify_c(library: ctypes.CDLL, work: Work) -> None:
    """Raises ArithmeticError if the C loop does not compute the engine's gradient."""
    ours = Engine(LENET5, READING).gradient(work.start, work.images[0], int(work.labels[0]))
    gradient = np.empty_like(ours)
    library.gradient(work.start, work.images[0], int(work.labels[0]), gradient)
    worst = float(np.abs(gradient - ours).max() / np.abs(ours).max())
    if not worst < 1e-5:
        raise ArithmeticError(f"the gradient of online_step.c differs from the engine's by {worst:.1e} of its largest")


def evaluation(work: Work, data: MNIST) -> Callable[[], None]:
    """Distances of the 10,000 test patterns."""
    engine, images = Engine(LENET5, READING), pad_and_scale(data.test_images)
    return lambda: void(engine.distances(work.start, images))


def void(_: object) -> None:
    """Take a result and return nothing."""


def peak_memory_of_a_run() -> float:
    """Megabytes that this process held at most while it trained on all of MNIST for one pass."""
    torch.set_num_threads(1)
    train(Config(etas=(0.0005,)), 0, load())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seconds(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure() -> Results:
    """Run everything; about half a minute."""
    steps = tqdm(total=REPETITIONS + 1, desc="one training run, for its memory")
    # First, because a process inherits the peak of the one that started it.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        memory = other.submit(peak_memory_of_a_run).result()
    steps.update()
    data = load()
    updates = work(data)
    steps.set_description("updates and evaluations")
    with tempfile.TemporaryDirectory() as folder:
        actions = {"online": online(updates), "eager": eager(updates), "evaluation": evaluation(updates, data)}
        if c := compiled_c(updates, Path(folder)):
            actions["c"] = c
        for action in actions.values():  # the first time compiles and warms up
            action()
        times: dict[str, list[float]] = {name: [] for name in actions}
        for _ in range(REPETITIONS):
            for name, action in actions.items():
                times[name].append(seconds(action))
            steps.update()
    steps.close()
    return summary({name: median(values) for name, values in times.items()}, memory)


def summary(medians: dict[str, float], memory: float) -> Results:
    online_us, eager_us = 1e6 * medians["online"] / UPDATES, 1e6 * medians["eager"] / EAGER_UPDATES
    c_us = 1e6 * medians["c"] / UPDATES if "c" in medians else None
    return Results(
        online_us=round(online_us, 1),
        eager_us=round(eager_us, 1),
        ratio=round(eager_us / online_us, 1),
        c_us=None if c_us is None else round(c_us, 1),
        online_over_c=None if c_us is None else round(online_us / c_us, 2),
        evaluate_10000_s=round(medians["evaluation"], 3),
        peak_memory_mb=round(memory),
    )


def table(results: Results) -> str:
    """The results for people, beside the bars that they are held against."""
    c_us = "no C compiler" if results.c_us is None else f"{results.c_us} us"
    over_c = "no C compiler" if results.online_over_c is None else results.online_over_c
    rows = [
        ("one online update, engine", f"{results.online_us} us", "at most 130 us"),
        ("the same, eager PyTorch with autograd", f"{results.eager_us} us", ""),
        ("the same, compiled C loop", c_us, ""),
        ("eager PyTorch / engine", results.ratio, "at least 25"),
        ("engine / C", over_c, "at most 1.3"),
        ("forward evaluation of 10,000 patterns", f"{results.evaluate_10000_s} s", "under 0.6 s"),
        ("peak memory of a training run", f"{results.peak_memory_mb:.0f} MB", "under 1500 MB"),
    ]
    return tabulate(rows, headers=["LeNet-5, one core", "measured", "bar"], tablefmt="github", disable_numparse=True)


def machine() -> str:
    """CPU model and versions."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in ("numpy", "numba", "torch")]
    compiler = shutil.which("cc")
    if compiler:
        first_line = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
        versions.append(first_line)
    return f"{cpu_model()}, {platform.system()} {platform.machine()}; {', '.join(versions)}."


def cpu_model() -> str:
    """Name and clock of the processor, as far as the system tells."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or "unknown processor"
    fields = dict(re.findall(r"^(.+?)\s*:\s*(.*)$", cpuinfo.read_text(), re.MULTILINE))
    name = fields.get("model name", platform.processor() or "unknown processor")
    if {"cpu family", "model", "cpu MHz"} <= fields.keys():
        name += f" (family {fields['cpu family']}, model {fields['model']}, {float(fields['cpu MHz']):.0f} MHz)"
    return name


def write(results: Results) -> None:
    """Put the results between the markers of README.md."""
    page = HERE / "README.md"
    block = f"{table(results)}\n\n{machine()}\n"
    pattern = r"(<!-- results -->\n).*?(<!-- end of results -->)"
    text, count = re.subn(pattern, lambda found: found[1] + block + found[2], page.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{page} has {count} pairs of result markers; it needs one")
    page.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the results into benchmarks/README.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results = measure()
    print(table(results), machine(), sep="\n\n")
    if arguments.write:
        write(results)
    print(json.dumps(asdict(results)))


if __name__ == "__main__":
    main()
