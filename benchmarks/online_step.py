"""Time of one online update of LeNet-5 beside other ways to train it: `python -m benchmarks.online_step`.

All contenders run in one process on one core, in turns, so that what else the machine does strikes all of them.
The last line of the output is JSON; `--write` puts tables, machine and versions into README.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from tabulate import tabulate
from tqdm import tqdm

from benchmarks import contenders, growth
from benchmarks.contenders import READING, Contender, Unavailable, Work, in_turns
from benchmarks.machine import clock, floor_us, machine, on_one_core
from benchmarks.page import put
from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST, load
from lenet98.networks import LENET5
from lenet98.online.engine import Engine
from lenet98.training import Config, train

REPETITIONS, FEW = 15, 5

OTHERS: dict[str, Callable[[Work], Contender]] = {
    "PyTorch, torch.compile": contenders.torch_compiled,
    "PyTorch, Adam, mini-batches of 128": partial(contenders.adam, batch=128),
    "PyTorch, Adam, mini-batches of 32": partial(contenders.adam, batch=32),
    "PyTorch, Adam, one pattern": partial(contenders.adam, batch=1),
    "NumPy": contenders.plain_numpy,
}
"""What a user would pick, beside the engine, the C loop and eager PyTorch: a name and what makes it ready."""


@dataclass(frozen=True)
class Results:
    """Medians over the repetitions; null where there is no C compiler."""

    online_us: float
    eager_us: float
    ratio: float
    c_us: float | None
    c_fused_us: float | None
    engine_over_c: float | None
    floor_us: float
    """Of the multiply-adds of an update, 16 a cycle."""
    clock_ghz: float
    evaluate_10000_s: float
    peak_memory_mb: float
    us_per_pattern: dict[str, float | str]
    """Of the other contenders, or why one was not measured."""
    growth: growth.Growth


def evaluation(work: Work, data: MNIST) -> Contender:
    """Distances of the 10,000 test patterns."""
    engine, images = Engine(LENET5, READING), pad_and_scale(data.test_images)
    return Contender(lambda: engine.distances(work.start, images), len(images))


def peak_memory_of_a_run() -> float:
    """Megabytes that this process held at most while it trained on all of MNIST for one pass."""
    torch.set_num_threads(1)
    train(Config(etas=(0.0005,)), 0, load())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


@contextmanager
def stage(steps: tqdm, text: str) -> Iterator[None]:
    """One step of the progress bar."""
    steps.set_description(text)
    yield
    steps.update()


def measure() -> Results:
    """Run everything; two minutes, of which torch.compile takes most."""
    steps = tqdm(total=4)
    # First, because a process inherits the peak of the one that started it.
    with stage(steps, "one training run, for its memory"):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
            memory = other.submit(peak_memory_of_a_run).result()
        data = load()
        work = contenders.work(data)
    with stage(steps, "updates and evaluations"), tempfile.TemporaryDirectory() as folder:
        ready = {"online": contenders.online(work), "eager": contenders.eager(work)}
        ready["evaluation"] = evaluation(work, data)
        try:
            ready |= contenders.compiled_c(work, Path(folder))
        except Unavailable as why:
            print(f"{why}: the C loop is left out", file=sys.stderr)
        in_turns(ready, 1)  # the first time compiles and warms up
        us = in_turns(ready, REPETITIONS)
    with stage(steps, "other ways to train"):
        found: dict[str, float | str] = {}
        others: dict[str, Contender] = {}
        for name, make in OTHERS.items():
            try:
                others[name] = make(work)
            except Unavailable as why:
                found[name] = f"not measured: {why}"
        in_turns(others, 1)
        found |= {name: round(value, 1) for name, value in in_turns(others, FEW).items()}
    with stage(steps, "growth"):
        grown = growth.measure(data)
    steps.close()
    ghz = clock()
    c, fused = us.get("c"), us.get("c_fused")
    return Results(
        online_us=round(us["online"], 1),
        eager_us=round(us["eager"], 1),
        ratio=round(us["eager"] / us["online"], 1),
        c_us=None if c is None else round(c, 1),
        c_fused_us=None if fused is None else round(fused, 1),
        engine_over_c=None if c is None else round(us["online"] / c, 2),
        floor_us=round(floor_us(LENET5, ghz), 1),
        clock_ghz=round(ghz, 2),
        evaluate_10000_s=round(us["evaluation"] * 1e-6 * 10_000, 3),
        peak_memory_mb=round(memory),
        us_per_pattern=found,
        growth=grown,
    )


def table(results: Results) -> str:
    """The results for people, beside the bars that they are held against."""
    c_us, c_fused_us = ("no C compiler" if us is None else f"{us} us" for us in (results.c_us, results.c_fused_us))
    over_c = "no C compiler" if results.engine_over_c is None else results.engine_over_c
    rows = [
        ("one online update, engine", f"{results.online_us} us", ""),
        ("the same, eager PyTorch with autograd", f"{results.eager_us} us", ""),
        ("the same, compiled C loop", c_us, ""),
        ("the same, C loop with fused updates", c_fused_us, ""),
        (f"its multiply-adds, 16 a cycle at {results.clock_ghz} GHz", f"{results.floor_us} us", ""),
        ("eager PyTorch / engine", results.ratio, "at least 38"),
        ("engine / C", over_c, "at most 0.75"),
        ("forward evaluation of 10,000 patterns", f"{results.evaluate_10000_s} s", "under 0.12 s"),
        ("peak memory of a training run", f"{results.peak_memory_mb:.0f} MB", "under 1500 MB"),
    ]
    return tabulate(rows, headers=["LeNet-5, one core", "measured", "bar"], tablefmt="github", disable_numparse=True)


def ratios(results: Results) -> str:
    """All ways to train, a pattern's time beside the engine's."""
    no_c = "not measured: no C compiler"
    known = {
        "the engine": results.online_us,
        "C loop": no_c if results.c_us is None else results.c_us,
        "C loop with fused updates": no_c if results.c_fused_us is None else results.c_fused_us,
        "PyTorch, eager": results.eager_us,
    }
    rows = [
        (name, us, f"{us / results.online_us:.3g}") if isinstance(us, float) else (name, us, "")
        for name, us in (known | results.us_per_pattern).items()
    ]
    headers = ["one pattern learned, one core", "us", "times the engine"]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the results into benchmarks/README.md")
    arguments = parser.parse_args()
    on_one_core()
    results = measure()
    block = "\n\n".join([table(results), ratios(results), *growth.tables(results.growth), machine()])
    print(block)
    if arguments.write:
        put("results", block)
    print(json.dumps(asdict(results)))


if __name__ == "__main__":
    main()
