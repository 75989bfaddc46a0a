"""What holds for every way of training: the same bits however often it is interrupted, and wherever it runs."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_limits

from lenet98 import checkpoint as checkpoints
from lenet98 import training
from lenet98.data.distortions import FIG7
from lenet98.data.mnist import load
from lenet98.modern import ladder, lenet_from_scratch, lush, minibatch
from lenet98.modern.minibatch import Optimizer
from lenet98.modern.networks import SpecNet
from tests.lenet98.modern.test_lenet_from_scratch import SMALL as SCRATCH
from tests.lenet98.modern.test_lush import SMALL as LUSH
from tests.lenet98.modern.test_minibatch import EVERYTHING
from tests.lenet98.modern.test_minibatch import SMALL as PLAIN
from tests.lenet98.modern.test_own import BY_SDLM
from tests.lenet98.modern.test_specnets import CONFIG as OF_1998
from tests.lenet98.test_training import SMALL as ONLINE
from tests.resumption import DAMAGES, Interrupted, bits, interrupted, resumed, same, warned

SEED = 7
OF_TODAY = SpecNet("today", ladder.HE, batch_norm=True, dropout=0.3)

RUNS = {
    "online": (training.train, ONLINE),
    "online, distorted": (training.train, replace(ONLINE, etas=ONLINE.etas[:2], distortions=FIG7)),
    "lush": (lush.train, LUSH),
    "from scratch": (lenet_from_scratch.train, SCRATCH),
    "adam": (minibatch.train, PLAIN),
    "sgd": (minibatch.train, replace(PLAIN, optimizer=Optimizer("sgd", 0.01), passes=2)),
    "adadelta": (minibatch.train, replace(PLAIN, optimizer=Optimizer("adadelta", 1.0), passes=2)),
    "everything": (minibatch.train, EVERYTHING),
    "momentum": (minibatch.train, OF_1998),
    "a module by sdlm": (minibatch.train, replace(BY_SDLM, train_size=600)),
    "today": (minibatch.train, replace(OF_1998, network=OF_TODAY)),
}


def few(mnist):
    """The real training set with a test set of 100."""
    return replace(mnist, test_images=mnist.test_images[:100], test_labels=mnist.test_labels[:100])


@pytest.fixture(scope="module")
def digits(mnist):
    return few(mnist)


@pytest.fixture(scope="module", params=RUNS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def whole(name, digits):
    """A run that nobody interrupted."""
    train, config = RUNS[name]
    return train(config, SEED, digits)


def test_run_interrupted_in_any_pass_and_resumed_equals_one_that_was_not(name, whole, digits, tmp_path):
    train, config = RUNS[name]
    passes = len(whole.history)
    for last in range(2, passes + 1):
        checkpoint = tmp_path / f"run-{last}.checkpoint"
        interrupted(train, config, SEED, digits, checkpoint, last)
        assert len(checkpoints.load(checkpoint, (config, SEED)).notes) == last - 1
        run, seen = resumed(train, config, SEED, digits, checkpoint)
        assert list(dict.fromkeys(seen)) == list(range(last, passes + 1))
        same(run, whole)
    run, seen = resumed(train, config, SEED, digits, checkpoint)  # nothing is left to do
    assert seen == []
    same(run, whole)


def test_run_resumed_from_a_damaged_checkpoint_starts_over(name, whole, digits, tmp_path, caplog):
    train, config = RUNS[name]
    checkpoint = tmp_path / "run.checkpoint"
    train(config, SEED, digits, checkpoint=checkpoint)
    content = checkpoint.read_bytes()

    class Began(Exception):
        pass

    def stop(report):
        raise Began if report.pass_number == 1 else AssertionError("it did not start over")

    for damage in DAMAGES.values():
        checkpoint.write_bytes(damage(content))
        with pytest.raises(Began):
            train(config, SEED, digits, progress=stop, checkpoint=checkpoint)
        warned(caplog.records, checkpoint)
    same(train(config, SEED, digits, checkpoint=checkpoint), whole)
    warned(caplog.records, checkpoint)
    assert checkpoints.load(checkpoint, (config, SEED))


def test_state_of_another_run_is_refused(name, digits, tmp_path):
    train, config = RUNS[name]
    checkpoint = tmp_path / "run.checkpoint"
    interrupted(train, config, SEED, digits, checkpoint, 2)
    other = "momentum" if train is not minibatch.train else "lush"
    for another, changed, seed in ((train, config, 8), (train, replace(config, train_size=101), 7), (*RUNS[other], 7)):
        with pytest.raises(ValueError, match="state of another run; delete it"):
            another(changed, seed, digits, checkpoint=checkpoint)


def test_a_diverging_run_leaves_the_state_before(digits, tmp_path):
    config, checkpoint = replace(ONLINE, etas=(5e-4, 1e30)), tmp_path / "run.checkpoint"
    diverged = training.train(config, SEED, digits, checkpoint=checkpoint)
    assert diverged.diverged
    tame = training.train(replace(config, etas=(5e-4,)), SEED, digits)
    same(diverged, tame)
    same(training.train(config, SEED, digits, checkpoint=checkpoint), tame)


# --- wherever it runs


def test_any_number_of_threads_gives_the_same_bits(name, whole, digits):
    train, config = RUNS[name]
    before = torch.get_num_threads()
    seen = []
    try:
        for threads in (1, 2):
            with threadpool_limits(threads):
                torch.set_num_threads(threads)
                same(train(config, SEED, digits, progress=lambda _: seen.append(torch.get_num_threads())), whole)
                assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def in_this_process():
    """The number of threads that PyTorch starts with here, and the bits of every run."""
    data = few(load())
    return torch.get_num_threads(), {name: bits(train(config, SEED, data)) for name, (train, config) in RUNS.items()}


@pytest.fixture(scope="module")
def elsewhere():
    """The bits of every run in a worker that has two threads and another seed of hashes."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [name for name in os.environ if name.endswith("_NUM_THREADS")]:
            patch.setenv(variable, "2")
        patch.setenv("PYTHONHASHSEED", "5")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            threads, found = pool.submit(in_this_process).result()
    assert threads == 2
    return found


def test_a_worker_gives_the_same_bits(name, whole, elsewhere):
    assert bits(whole) == elsewhere[name]


def test_interrupted_runs_leave_no_trace(digits):
    """Neither generators nor threads are other than before."""
    before, state = torch.get_num_threads(), torch.get_rng_state()
    for train, config in RUNS.values():

        def stop(report):
            raise Interrupted

        with pytest.raises(Interrupted):
            train(config, SEED, digits, progress=stop)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.get_rng_state(), state)
