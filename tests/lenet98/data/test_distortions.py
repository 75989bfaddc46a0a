"""The distortions: their group properties, their draws and the order in which a pool is shown."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import affine_transform
from scipy.stats import kstest

from lenet98.data.distortions import (
    FIG7,
    RANGES,
    Magnitudes,
    Pool,
    distort,
    matrices,
    parameters,
    philox,
    transform,
)
from lenet98.data.fields import WHITE, pad_and_scale

NONE = Magnitudes(0, 0, 0, 0, 0)


def ring() -> np.ndarray:
    """One image away from the border, of uneven ink: shape (1, 28, 28)."""
    y, x = np.mgrid[:28, :28] - 13.5
    return (255 * np.exp(-((np.hypot(x, 0.7 * y) - 5) ** 2) / 4) * (np.hypot(x, y) < 9)).astype(np.uint8)[None]


def maps(anchor: float = FIG7.anchor, **drawn: float) -> np.ndarray:
    """The affine map of named parameters, the others zero: shape (1, 2, 3)."""
    return matrices(np.array([[drawn.get(name, 0.0) for name in RANGES]]), anchor)


def square(maps_: np.ndarray) -> np.ndarray:
    """As 3x3 matrix of homogeneous coordinates."""
    return np.vstack((maps_[0], [0, 0, 1]))


def center_of_mass(image: np.ndarray) -> np.ndarray:
    """(x, y) of the ink of a (1, 1, 32, 32) pattern, from the center of the field."""
    ink = image[0, 0].astype(float) - np.float32(WHITE)
    y, x = np.mgrid[:32, :32] - 15.5
    return np.array([(ink * x).sum(), (ink * y).sum()]) / ink.sum()


# --- maps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RANGES)
def test_opposite_parameter_undoes(name: str) -> None:
    there, back = square(maps(**{name: 0.1})), square(maps(**{name: -0.1}))
    assert abs(there - np.eye(3)).max() > 0.09
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-12)


@given(st.lists(st.floats(-0.3, 0.3), min_size=5, max_size=5))
def test_maps_are_shear_then_translation_then_scaling_about_the_anchor(drawn: list[float]) -> None:
    scale, squeeze, shear, shift_x, shift_y = drawn
    shifted = np.array([[1, 0, shift_x], [0, 1, shift_y], [0, 0, 1]])
    sheared = square(maps(shear=shear))
    scaled = square(maps(scale=scale, squeeze=squeeze))
    whole = square(maps(scale=scale, squeeze=squeeze, shear=shear, shift_x=shift_x, shift_y=shift_y))
    np.testing.assert_allclose(whole, scaled @ shifted @ sheared, atol=1e-12)


@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_like_parameters_add(a: float, b: float) -> None:
    for name in RANGES:
        np.testing.assert_allclose(
            square(maps(**{name: a})) @ square(maps(**{name: b})), square(maps(**{name: a + b})), atol=1e-12
        )


def test_squeeze_keeps_area_and_scale_multiplies_it() -> None:
    assert np.linalg.det(maps(squeeze=0.09)[0, :, :2]) == pytest.approx(1, abs=1e-12)
    assert maps(squeeze=0.09)[0, 0, 0] > 1 > maps(squeeze=0.09)[0, 1, 1]
    assert np.linalg.det(maps(scale=0.29)[0, :, :2]) == pytest.approx(np.exp(0.58))


def test_scaling_leaves_the_point_11_px_below_the_center_in_place() -> None:
    for drawn in ({"scale": 0.29}, {"squeeze": -0.09}, {"scale": -0.2, "squeeze": 0.05}):
        np.testing.assert_allclose(square(maps(**drawn)) @ [0, 11, 1], [0, 11, 1], atol=1e-12)
    assert (square(maps(scale=0.29)) @ [0, 0, 1])[1] == pytest.approx(11 * (1 - np.exp(0.29)))
    np.testing.assert_allclose(square(maps(anchor=0, scale=0.29)) @ [0, 0, 1], [0, 0, 1], atol=1e-12)


def test_no_map_rotates_or_shears_vertically() -> None:
    drawn = parameters(0, np.arange(100), np.ones(100, int))
    assert (matrices(drawn)[:, 1, 0] == 0).all()


# --- images -----------------------------------------------------------------------------------------------------------


def test_zero_magnitudes_and_copy_zero_are_the_original_bit_for_bit(mnist) -> None:
    patterns = np.arange(200)
    originals = pad_and_scale(mnist.train_images[:200])
    copied = distort(mnist.train_images, patterns, np.full(200, 3), 0, NONE)
    assert copied.dtype == np.float32
    assert np.array_equal(copied, originals)
    assert np.array_equal(distort(mnist.train_images, patterns, np.zeros(200, int), 0), originals)
    assert not np.array_equal(distort(mnist.train_images, patterns, np.ones(200, int), 0), originals)


@pytest.mark.parametrize("shift", [(1.25, 0.0), (0.0, -2.6), (-0.4, 1.7)])
def test_translation_moves_the_center_of_mass_by_as_much(shift: tuple[float, float]) -> None:
    before = center_of_mass(transform(ring(), [0], maps()))
    after = center_of_mass(transform(ring(), [0], maps(shift_x=shift[0], shift_y=shift[1])))
    np.testing.assert_allclose(after - before, shift, atol=1e-3)


def test_shear_slants_to_the_right_below_and_scale_enlarges() -> None:
    stroke = np.zeros((1, 28, 28), np.uint8)
    stroke[0, 4:24, 13:15] = 255
    ink = transform(stroke, [0], maps(shear=0.2))[0, 0] - WHITE
    columns = (ink * np.arange(32)).sum(axis=1) / ink.sum(axis=1).clip(1e-9)
    assert columns[22] - columns[9] == pytest.approx(0.2 * 13, abs=0.05)
    area = [float((transform(ring(), [0], maps(0, scale=scale)) - WHITE).sum()) for scale in (0, 0.2)]
    assert area[1] / area[0] == pytest.approx(np.exp(0.4), rel=0.02)


def test_resampling_is_bilinear(mnist) -> None:
    """Against scipy's, in all pixels that none of the image's edge reaches."""
    drawn = parameters(3, np.arange(20), np.ones(20, int))
    moved = transform(mnist.train_images, np.arange(20), matrices(drawn))
    for image, m, ours in zip(pad_and_scale(mnist.train_images[:20]), matrices(drawn), moved, strict=True):
        inverse = np.linalg.inv(m[::-1, 1::-1])  # rows before columns
        offset = 15.5 - inverse @ (15.5 + m[::-1, 2])
        theirs = affine_transform(np.float64(image[0]), inverse, offset, order=1, cval=WHITE)
        np.testing.assert_allclose(ours[0], theirs, atol=1e-6)


def test_background_stays_exactly_white(mnist) -> None:
    moved = distort(mnist.train_images, np.arange(2000), np.ones(2000, int), 1)
    assert moved.min() == np.float32(WHITE)
    assert moved.max() <= np.float32(1.175)
    assert (moved[:, 0, [0, 0, 31, 31], [0, 31, 0, 31]] == np.float32(-0.1)).mean() > 0.999
    still = transform(np.zeros((1, 28, 28), np.uint8), [0], maps(scale=0.1, shear=0.1, shift_x=0.3))
    assert (still == np.float32(-0.1)).all()


# --- draws ------------------------------------------------------------------------------------------------------------


def test_same_pattern_and_copy_are_the_same_whatever_the_batch(mnist) -> None:
    patterns, copies = np.repeat(np.arange(50), 9), np.tile(np.arange(1, 10), 50)
    together = distort(mnist.train_images, patterns, copies, 7)
    order = np.random.default_rng(0).permutation(450)
    assert np.array_equal(distort(mnist.train_images, patterns[order], copies[order], 7), together[order])
    assert np.array_equal(distort(mnist.train_images, [30], [4], 7), together[30 * 9 + 3 :][:1])
    assert not np.array_equal(distort(mnist.train_images, [30], [4], 8), together[30 * 9 + 3 :][:1])


def test_same_draws_in_another_process() -> None:
    code = "from lenet98.data.distortions import parameters; print(parameters(5, [59_999], [9]).tobytes().hex())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert printed == parameters(5, np.arange(59_000, 60_000), np.full(1000, 9))[-1:].tobytes().hex()


def test_philox_is_numpys() -> None:
    counters = np.random.default_rng(0).integers(1, 2**64, (4, 20), dtype=np.uint64)
    key = (0x0123456789ABCDEF, 0xFEDCBA9876543210)
    words = philox(counters, key)
    for column in range(20):
        counter = sum(int(word) << (64 * i) for i, word in enumerate(counters[:, column]))
        # numpy counts up before its first block
        theirs = np.random.Philox(key=key[0] | key[1] << 64, counter=counter - 1).random_raw(4)
        assert np.array_equal(words[:, column], theirs)


def test_draws_are_uniform_and_independent() -> None:
    patterns, copies = np.repeat(np.arange(6000), 9), np.tile(np.arange(1, 10), 6000)
    unit = parameters(11, patterns, copies) / [getattr(FIG7, name) for name in RANGES]
    for column in unit.T:
        assert kstest(column, "uniform", args=(-1, 2)).pvalue > 1e-3
    bound = 5 / np.sqrt(len(unit))
    parts = np.column_stack((unit[:-9], unit[9:], unit[1:-8]))  # next pattern, next copy
    assert abs(np.corrcoef(parts.T) - np.eye(15)).max() < bound
    other_seed = parameters(12, patterns, copies)
    assert abs(np.corrcoef(unit.T, other_seed.T)[:5, 5:]).max() < bound


def test_draws_keep_within_the_magnitudes() -> None:
    drawn = parameters(0, np.arange(20_000), np.ones(20_000, int), FIG7.scaled(0.5))
    np.testing.assert_allclose(abs(drawn).max(axis=0), [0.145, 0.045, 0.07, 1, 1], rtol=2e-3)


# --- errors -----------------------------------------------------------------------------------------------------------


def test_scaling_of_magnitudes() -> None:
    assert FIG7.scaled(0) == NONE
    assert FIG7.scaled(1) == FIG7
    assert FIG7.scaled(0.5) == Magnitudes(0.145, 0.045, 0.07, 1.0, 1.0, 11.0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": -0.1}, "scale is -0.1"),
        ({"shear": float("nan")}, "shear is nan"),
        ({"shift_x": float("inf")}, "shift_x is inf"),
        ({"anchor": float("nan")}, "anchor is nan"),
        ({"scale": 0.6, "squeeze": 0.2}, r"scale \+ squeeze is 0.8"),
        ({"shear": 1.5}, "shear is 1.5"),
        ({"shift_x": 16.0}, "reduce shift_x"),
        ({"shift_y": 12.0}, "reduce shift_y"),
        ({"scale": 0.6, "anchor": 20.0}, "anchor"),
    ],
)
def test_wrong_magnitudes_have_a_one_line_error(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        Magnitudes(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("factor", [-1, float("nan"), float("inf"), 3])
def test_wrong_factor(factor: float) -> None:
    with pytest.raises(ValueError, match=r"factor must be|at most"):
        FIG7.scaled(factor)


def test_wrong_patterns_copies_and_images() -> None:
    images = ring()
    with pytest.raises(ValueError, match=r"patterns must lie in 0..0, got 1..1"):
        distort(images, [1], [1], 0)
    with pytest.raises(ValueError, match="cannot be negative, got -1"):
        distort(images, [0], [-1], 0)
    with pytest.raises(ValueError, match="of one length"):
        distort(images, [0], [1, 2], 0)
    with pytest.raises(ValueError, match="must be uint8"):
        distort(images / 255, [0], [1], 0)
    with pytest.raises(ValueError, match=r"\(1, 2, 3\)"):
        transform(images, [0], np.zeros((2, 2, 3)))
    assert distort(images, [], [], 0).shape == (0, 1, 32, 32)


# --- the pool ---------------------------------------------------------------------------------------------------------


def test_each_member_is_shown_exactly_twice() -> None:
    pool = Pool()
    shown = np.zeros((60_000, 10), int)
    for number in range(1, 21):
        sample = pool.pass_sample(number, seed=3)
        assert len(sample.index) == 60_000
        np.add.at(shown, (sample.index, sample.copy), 1)
        assert sample.index.nbytes + sample.copy.nbytes < 1_000_000
    assert (shown == 2).all()


def test_order_is_constant_or_reshuffled() -> None:
    pool = Pool(patterns=50, distorted=3)

    def order(number: int, seed: int = 0, **how: str) -> list[tuple[int, int]]:
        sample = pool.pass_sample(number, seed, **how)
        return list(zip(sample.index.tolist(), sample.copy.tolist(), strict=True))

    assert order(1) == order(5)
    assert order(1) != order(2)
    assert order(1) != order(1, seed=1)
    assert order(1) == order(1, order="reshuffled") != order(5, order="reshuffled")
    again = [member for number in range(5, 9) for member in order(number, order="reshuffled")]
    assert sorted(again) == [(p, c) for p in range(50) for c in range(4)]


def test_pool_without_copies_is_the_training_set() -> None:
    one, other = Pool(100, 0).pass_sample(1, 0), Pool(100, 0).pass_sample(2, 0)
    assert sorted(one.index) == list(range(100))
    assert np.array_equal(one.index, other.index)
    assert not one.copy.any()


def test_wrong_pools() -> None:
    with pytest.raises(ValueError, match="got 0 and 9"):
        Pool(0)
    with pytest.raises(ValueError, match="got 10 and -1"):
        Pool(10, -1)
    with pytest.raises(ValueError, match="counted from 1, got 0"):
        Pool().pass_sample(0, 0)
