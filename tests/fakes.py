"""Results of runs that never were, for the tests of tables and figures; and runs that compute next to nothing."""

import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from experiments.harness import registry, store
from experiments.harness.identity import Identity
from experiments.harness.registry import Outcome
from experiments.paper import numbers as paper
from lenet98.loop import Progress

IDENTITY = Identity({}, "mnist-1", "online", {"online": 1})
JUDGED = replace(IDENTITY, data=registry.DATA["mnist"]())
"""Of runs whose predictions are judged: their errors must be those of the test set."""

LAYERS = ("C1", "S2", "C3", "S4", "C5", "F6")


def publish(
    reference,
    experiment,
    seed,
    *,
    test=95,
    test_patterns=10_000,
    train=paper.FIG5_TRAIN[:20],
    train_patterns=60_000,
    rates=(7e-5, 0.016),
    curvature=1.0,
    predictions=None,
    scores=None,
    status="finished",
    extra=None,
    seconds=120.0,
    identity=IDENTITY,
):
    """Publish a run with that training error by pass, percent, and `test` errors after the last.

    The rates and h_kk are those of the first pass; h_kk is halved from pass to pass.
    """
    passes = [
        {
            "number": number,
            "rate_min": rates[0],
            "rate_max": rates[1],
            "curvature": dict.fromkeys(LAYERS, curvature / 2 ** (number - 1)),
            "train_errors": round(percent * train_patterns / 100),
            "train_patterns": train_patterns,
            "train_error_percent": percent,
            "test_errors": test,
            "test_patterns": test_patterns,
            "test_error_percent": 100 * test / test_patterns,
        }
        for number, percent in enumerate(train, 1)
    ]
    arrays = {"predictions": np.asarray(np.zeros(test_patterns) if predictions is None else predictions, np.uint8)}
    if scores is not None:
        arrays["scores"] = np.asarray(scores, np.float32)
    made = {**record(experiment, seed, passes, status, extra), **stated(identity), "seconds": seconds}
    return store.write(store.result_path(reference / experiment, seed), made, arrays)


def record(experiment, seed, passes, status="finished", extra=None):
    """The record of a run of `IDENTITY` with those passes."""
    return {
        "experiment": experiment,
        "seed": seed,
        **stated(IDENTITY),
        "status": status,
        "versions": {"git": {"commit": 40 * "c", "dirty": False}},
        "machine": {"cpu": "R10000", "cores": 1},
        "command": f"python -m experiments run {experiment} --seeds {seed}",
        "started": "1998-11-01",
        "finished": "1998-11-03",
        "seconds": 120.0,
        "resumed": False,
        "passes": passes,
        "extra": extra or {},
    }


def stated(identity):
    """What a record says of its identity."""
    return {**asdict(identity), "key": identity.key}


# --- runs -------------------------------------------------------------------------------------------------------------


def logged(config, seed, context):
    """Draws from the seed, in two passes, and a line in the file config["log"] for each begin.

    The process of seed config["dies"] is killed after its first pass, if that is the first time.
    """
    log = Path(config["log"])
    with log.open("a") as file:
        file.write(f"{seed}\n")
    rng, passes = np.random.default_rng(seed), []
    for number in (1, 2):
        context.progress(Progress(number, 2, 100, 100, seed))
        predictions = rng.integers(0, 10, 100, np.uint8)
        passes.append({"number": number, "test_errors": int(predictions[0]), "test_patterns": 100, "seconds": 0.01})
        if seed == config["dies"] and log.read_text().splitlines().count(str(seed)) == 1:
            time.sleep(0.2)  # the report is on its way
            os.kill(os.getpid(), signal.SIGKILL)
    if seed == config["fails"]:
        raise RuntimeError("no such luck\nsecond line")
    began = {"resumed from": context.checkpoint.read_text()} if context.checkpoint.exists() else {}
    return Outcome(passes, predictions, scores=rng.random(100, np.float32), weights=rng.random(5), extra=began)


def endless(config, seed, context):
    """Reports until it is stopped, and says in the file config["log"] that it was."""
    try:
        while True:
            context.progress(Progress(1, 1, 1, 100))
            time.sleep(0.02)
    finally:
        Path(config["log"]).write_text("stopped")
