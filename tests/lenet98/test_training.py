"""Training runs: recipe, reproducibility and resumption, on real digits and few of them."""

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from lenet98.curvature import diagonal
from lenet98.data.distortions import FIG7, Magnitudes, distort
from lenet98.data.fields import pad_and_scale
from lenet98.data.mnist import MNIST
from lenet98.data.strings import NOISE, Strings, blank, compose
from lenet98.loop import Progress
from lenet98.modern import ladder
from lenet98.networks import LENET1, LENET5
from lenet98.online.engine import Engine
from lenet98.randomness import generator
from lenet98.readings import DEFAULT, initial_parameters
from lenet98.training import Config, curvature_sample, effective_rates, network_input, pass_sample, train
from tests.resumption import same

SMALL = Config(train_size=600, curvature_patterns=100, etas=(5e-4, 2e-4, 1e-4))


@pytest.fixture(scope="module")
def digits(mnist) -> MNIST:
    """The real training set with a test set of 500."""
    return replace(mnist, test_images=mnist.test_images[:500], test_labels=mnist.test_labels[:500])


@pytest.fixture(scope="module")
def whole(digits):
    """A run that nobody interrupted."""
    return train(SMALL, 7, digits)


def test_the_defaults_are_the_recipe_of_section_iii_b():
    config = Config()
    assert config.spec == LENET5
    assert config.reading == DEFAULT
    assert config.etas == (5e-4,) * 2 + (2e-4,) * 3 + (1e-4,) * 3 + (5e-5,) * 4 + (1e-5,) * 8
    assert (config.mu, config.curvature_patterns, config.train_size) == (0.02, 500, 60_000)
    assert (config.distortions, config.held_out) == (None, 0)


def test_it_learns(whole):
    first, *_, last = whole.history
    assert first.train_errors > 1.5 * last.train_errors
    assert last.test_errors / last.test_patterns < 0.25
    assert not whole.diverged


def test_first_pass_is_the_recipe_of_appendix_c(digits):
    """One pass put together by hand: h_kk at the initial weights, eps = eta/(mu + h), one sweep in order."""
    config = replace(SMALL, etas=(5e-4,))
    parameters = initial_parameters(LENET5, DEFAULT, generator(3, "init"))
    sample = generator(3, "hessian", 1).choice(600, 100, replace=False)
    h = diagonal(LENET5, DEFAULT, parameters, pad_and_scale(digits.train_images[sample]))
    patterns = pass_sample(config, 3, 1).index
    eps = np.float32(5e-4) / (np.float32(0.02) + h)
    images = pad_and_scale(digits.train_images[patterns])
    errors, losses = Engine(LENET5, DEFAULT).sweep(parameters, eps, images, digits.train_labels[patterns])
    run = train(config, 3, digits)
    np.testing.assert_allclose(run.parameters, parameters, rtol=0, atol=1e-6)
    entry = run.history[0]
    assert (entry.train_errors, entry.train_patterns) == (errors, 600)
    assert entry.train_loss == pytest.approx(losses / 600)
    assert (entry.rate_min, entry.rate_max) == pytest.approx((eps.min(), eps.max()))
    assert entry.curvature["S2"] == pytest.approx(np.median(h[156:168]))
    assert entry.test_errors == (run.distances.argmin(1) != digits.test_labels).sum()


def test_constant_order_shows_every_pattern_once_and_the_same_every_pass():
    first, second = (pass_sample(SMALL, 1, number).index for number in (1, 2))
    assert sorted(first) == list(range(600))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, pass_sample(SMALL, 2, 1).index)
    reshuffled = replace(SMALL, reading=replace(DEFAULT, order="reshuffled"))
    orders = [pass_sample(reshuffled, 1, number).index for number in (1, 2)]
    assert not np.array_equal(*orders)
    assert sorted(orders[1]) == list(range(600))


def test_curvature_patterns_are_random_or_the_first(digits):
    parameters = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    first = replace(SMALL, reading=replace(DEFAULT, curvature_patterns="first"))
    h = [effective_rates(first, 0, number, parameters, digits)[0] for number in (1, 2)]
    np.testing.assert_array_equal(*h)
    np.testing.assert_array_equal(h[0], diagonal(LENET5, DEFAULT, parameters, pad_and_scale(digits.train_images[:100])))
    drawn = [effective_rates(SMALL, 0, number, parameters, digits)[0] for number in (1, 2)]
    assert not np.array_equal(*drawn)


def test_distorted_patterns_are_learned_in_place_of_the_originals(digits):
    config = replace(SMALL, train_size=100, distortions=Magnitudes(), etas=(5e-4,))
    patterns = pass_sample(config, 0, 1)
    assert 0.7 < np.mean(patterns.copy > 0) < 1  # nine in ten of the pool
    run = train(config, 0, digits)
    parameters = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    _, eps = effective_rates(config, 0, 1, parameters, digits)
    images = distort(digits.train_images, patterns.index, patterns.copy, 0, Magnitudes())
    Engine(LENET5, DEFAULT).sweep(parameters, eps, images, digits.train_labels[patterns.index])
    np.testing.assert_array_equal(run.parameters, parameters)


def test_curvature_is_estimated_on_what_is_learned(digits):
    """With distortions, on distorted patterns, each pattern the original or one of its nine copies."""
    parameters = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    moving = replace(SMALL, distortions=Magnitudes(scale=0, squeeze=0, shear=0, shift_x=6, shift_y=6))
    rng = generator(0, "hessian", 1)
    patterns, copies = rng.choice(600, 100, replace=False), rng.integers(0, 10, 100)
    images = distort(digits.train_images, patterns, copies, 0, moving.distortions)
    h, _ = effective_rates(moving, 0, 1, parameters, digits)
    np.testing.assert_array_equal(h, diagonal(LENET5, DEFAULT, parameters, images))
    assert not np.array_equal(h, effective_rates(SMALL, 0, 1, parameters, digits)[0])


def test_strings_are_learned_and_blanks_as_none_of_the_classes(digits):
    config = replace(SMALL, train_size=200, strings=Strings(blanks=0.4, inverted=0.2), etas=(5e-4,))
    sample = pass_sample(config, 5, 1)
    assert sorted(sample.index) == list(range(200))
    assert (sample.copy == 1).all()
    assert (pass_sample(config, 5, 2).copy == 2).all()
    images = compose(digits.train_images[:200], sample.index, sample.copy, 5, config.strings)  # no other neighbors
    labels = digits.train_labels[sample.index]
    none = blank(5, sample.index, sample.copy, config.strings)
    labels[none] = 10
    assert 0.3 < none.mean() < 0.5
    parameters = initial_parameters(LENET5, DEFAULT, generator(5, "init"))
    first = curvature_sample(config, 5, 1)
    place = {pattern: n for n, pattern in enumerate(sample.index)}
    shown = [place[pattern] for pattern in first.index]  # the same drawings as in the pass
    h, eps = effective_rates(config, 5, 1, parameters, digits)
    np.testing.assert_array_equal(h, diagonal(LENET5, DEFAULT, parameters, images[shown], labels[shown]))
    errors, losses = Engine(LENET5, DEFAULT).sweep(parameters, eps, images, labels)
    run = train(config, 5, digits)
    np.testing.assert_array_equal(run.parameters, parameters)
    assert (run.history[0].train_errors, run.history[0].train_loss) == (errors, losses / 200)
    plain = replace(config, strings=None)
    assert run.history[0].test_patterns == train(plain, 5, digits).history[0].test_patterns  # single digits judge


def test_a_first_drawing_may_stay_and_its_digits_may_be_distorted(digits):
    config = replace(SMALL, strings=replace(NOISE, fresh=False))
    one, other = pass_sample(config, 0, 1), pass_sample(config, 0, 2)
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(network_input(config, 0, one, digits.train_images),
                                  network_input(config, 0, other, digits.train_images))  # fmt: skip
    both = replace(SMALL, strings=NOISE, distortions=FIG7)
    sample = pass_sample(both, 0, 3)
    assert sorted(sample.index) == list(range(600))
    np.testing.assert_array_equal(
        network_input(both, 0, sample, digits.train_images),
        compose(digits.train_images, sample.index, sample.copy, 0, NOISE, distortions=FIG7),
    )
    smaller = replace(both, spec=LENET1)
    np.testing.assert_array_equal(
        network_input(smaller, 0, sample, digits.train_images),
        network_input(both, 0, sample, digits.train_images)[..., 2:-2, 2:-2],
    )


def test_blanks_need_a_loss_with_a_class_for_them():
    with pytest.raises(ValueError, match=r"Config.strings has blanks, .* set blanks to 0"):
        Config(strings=Strings(), reading=replace(DEFAULT, loss="eq8"))
    with pytest.raises(ValueError, match=r"Config.strings has blanks"):
        Config(spec=ladder.LADDER[-1], strings=Strings())
    assert Config(strings=NOISE, reading=replace(DEFAULT, loss="eq8")).strings == NOISE


def test_final_weights_can_be_the_average_of_the_last_pass(digits, whole):
    averaged = train(replace(SMALL, reading=replace(DEFAULT, final_weights="average")), 7, digits)
    assert averaged.history[1].test_errors == whole.history[1].test_errors  # earlier passes are as they were
    # 600 patterns are one report, so the average is that of one set of weights: the last.
    np.testing.assert_array_equal(averaged.parameters, whole.parameters)
    config = replace(SMALL, train_size=2000, etas=(5e-4,), reading=replace(DEFAULT, final_weights="average"))
    parameters = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    _, eps = effective_rates(config, 0, 1, parameters, digits)
    patterns = pass_sample(config, 0, 1).index
    after = []
    for half in (patterns[:1000], patterns[1000:]):
        images = pad_and_scale(digits.train_images[half])
        Engine(LENET5, DEFAULT).sweep(parameters, eps, images, digits.train_labels[half])
        after.append(parameters.copy())
    np.testing.assert_allclose(train(config, 0, digits).parameters, np.mean(after, axis=0), atol=1e-7)


def test_only_the_last_pass_is_averaged_and_every_pass_has_its_own_eta(digits):
    """Two passes put together by hand, each with the rates of its eta; the second begins where the first ended."""
    config = replace(SMALL, train_size=1500, etas=(5e-4, 2e-4), reading=replace(DEFAULT, final_weights="average"))
    parameters = initial_parameters(LENET5, DEFAULT, generator(0, "init"))
    patterns = pass_sample(config, 0, 1).index
    images, labels = pad_and_scale(digits.train_images[patterns]), digits.train_labels[patterns]
    for number, eta in enumerate(config.etas, start=1):
        h, eps = effective_rates(config, 0, number, parameters, digits)
        np.testing.assert_allclose(eps, eta / (0.02 + h), rtol=1e-6)
        Engine(LENET5, DEFAULT).sweep(parameters, eps, images[:1000], labels[:1000])
        after_1000 = parameters.copy()
        Engine(LENET5, DEFAULT).sweep(parameters, eps, images[1000:], labels[1000:])
    run = train(config, 0, digits)
    assert [entry.eta for entry in run.history] == [5e-4, 2e-4]
    np.testing.assert_allclose(run.parameters, (2 * after_1000 + parameters) / 3, atol=1e-7)


def test_held_out_patterns_are_not_learned_and_are_what_is_evaluated(digits):
    data = replace(digits, train_images=digits.train_images[:700], train_labels=digits.train_labels[:700])
    config = replace(SMALL, held_out=100, etas=(5e-4,))
    run = train(config, 0, data)
    assert run.distances.shape == (100, 10)
    wrong = int((run.distances.argmin(1) != data.train_labels[600:]).sum())
    assert run.history[0].test_errors == wrong
    with pytest.raises(ValueError, match="there are 600 patterns to learn besides"):
        train(replace(config, train_size=601), 0, data)
    with pytest.raises(ValueError, match="there are 700 patterns"):
        train(replace(config, train_size=701, held_out=0), 0, data)


def test_same_seed_same_bits_other_seed_other_bits(digits, whole):
    same(train(SMALL, 7, digits), whole)
    assert not np.array_equal(train(SMALL, 8, digits).parameters, whole.parameters)


PROCESS = """
import hashlib, sys
from dataclasses import replace
from lenet98.data.mnist import load
from lenet98.training import Config, train
config = Config(train_size=600, curvature_patterns=100, etas=(5e-4, 2e-4, 1e-4))
data = load()
data = replace(data, test_images=data.test_images[:500], test_labels=data.test_labels[:500])
run = train(config, 7, data)
print(hashlib.sha256(run.parameters.tobytes() + run.distances.tobytes()).hexdigest())
"""


def test_other_processes_with_other_hash_seeds_give_the_same_bits(whole):
    expected = hashlib.sha256(whole.parameters.tobytes() + whole.distances.tobytes()).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", PROCESS], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


KILLED = (
    PROCESS.replace("import hashlib, sys", "import sys, time\nfrom pathlib import Path").partition("run = ")[0]
    + """
def pause(report):
    if report.pass_number == 3:
        print("pass 3", flush=True)
        time.sleep(60)
train(config, 7, data, progress=pause, checkpoint=Path(sys.argv[1]))
"""
)


def test_run_killed_after_pass_two_and_resumed_equals_one_that_was_not(digits, whole, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(checkpoint)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "pass 3\n"
        run.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint"]
    same(train(SMALL, 7, digits, checkpoint=checkpoint), whole)


def test_run_whose_loss_is_not_finite_is_diverged(digits):
    run = train(replace(SMALL, etas=(5e-4, 1e30)), 7, digits)
    assert run.diverged
    assert [entry.number for entry in run.history] == [1]


def test_progress_reaches_the_end_of_every_pass(digits):
    reports: list[Progress] = []
    config = replace(SMALL, train_size=1500, etas=(5e-4, 2e-4))
    run = train(config, 0, digits, progress=reports.append)
    assert [(r.pass_number, r.done, r.total, r.passes) for r in reports] == [
        (1, 1000, 1500, 2), (1, 1500, 1500, 2), (2, 1000, 1500, 2), (2, 1500, 1500, 2)
    ]  # fmt: skip
    assert reports[1].errors == run.history[0].train_errors


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("spec", "lenet6", "no network called 'lenet6'; there are lenet5"),
        ("etas", (), "one positive eta per pass"),
        ("etas", (5e-4, 0.0), "one positive eta per pass"),
        ("mu", 0.0, "Config.mu"),
        ("curvature_patterns", 601, "Config.curvature_patterns"),
        ("held_out", -1, "Config.held_out"),
    ],
)
def test_bad_configurations_are_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **{field: value})


def test_selected_patterns_are_what_a_pass_learns(digits):
    """The same as a run whose own patterns they are: curvature aside, which is of what is learned."""
    config = replace(SMALL, etas=SMALL.etas[:1], distortions=FIG7)
    every = pass_sample(config, 2, 1)
    some = every[:40]
    patterns = replace(config, curvature_patterns=40)
    run = train(patterns, 2, digits, samples=lambda number: some)
    assert run.history[0].train_patterns == 40
    start = initial_parameters(config.spec, config.reading, generator(2, "init"))
    h, eps = effective_rates(patterns, 2, 1, start, digits, some)
    np.testing.assert_allclose(
        h,
        diagonal(config.spec, config.reading, start, network_input(config, 2, some, digits.train_images)),
        rtol=1e-4,
        atol=1e-7,
    )
    Engine(config.spec, config.reading).sweep(
        start, eps, network_input(config, 2, some, digits.train_images), digits.train_labels[some.index]
    )
    np.testing.assert_array_equal(run.parameters, start)


def test_a_smaller_network_sees_the_middle_of_a_distorted_field(digits):
    config = replace(SMALL, spec="28x28-300-10", distortions=FIG7)
    seen = network_input(config, 0, pass_sample(config, 0, 1)[:20], digits.train_images)
    whole = network_input(replace(config, spec=LENET5), 0, pass_sample(config, 0, 1)[:20], digits.train_images)
    np.testing.assert_array_equal(seen, whole[:, :, 2:30, 2:30])
