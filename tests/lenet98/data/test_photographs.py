"""Photographs made of MNIST's test digits: the digit is found, and what was left out is said."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lenet98 import weights
from lenet98.data.fields import pad_and_scale
from lenet98.data.images import normalize_digit
from lenet98.data.photographs import find_digit
from lenet98.online.engine import Engine
from lenet98.published import LeNet5Weights

DIGITS = 40
SIZES = (140, 200, 300)


@pytest.fixture(scope="module")
def read():
    """Classes that the published network gives to images of shape (n, 28, 28)."""
    parameters, config = weights.load(LeNet5Weights.PAPER.path)
    engine = Engine(config.spec, config.reading)
    return lambda images: engine.distances(parameters, pad_and_scale(np.stack(images))).argmin(axis=1)


@pytest.fixture(scope="module")
def digits(mnist):
    return mnist.test_images[:DIGITS], mnist.test_labels[:DIGITS]


def drawn(image, size, rng, share=None):
    """A digit somewhere on a sheet, ink from 0 to 1."""
    side = round((share or rng.uniform(0.5, 0.9)) * size)
    sheet = np.zeros((size, size))
    top, left = rng.integers(0, size - side + 1, 2)
    enlarged = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
    sheet[top : top + side, left : left + side] = np.asarray(enlarged) / 255
    return sheet


def photographed(ink, rng, *, noise=6.0, gradient=0.35, contrast=0.7, shadow=0.0, light_on_dark=False, blur=0.0):
    """The sheet in uneven light, with a sharp shadow across it if there is one."""
    y, x = (axis / max(ink.shape) - 0.5 for axis in np.indices(ink.shape))
    turn, edge = rng.uniform(0, 2 * np.pi, 2)
    light = 1 - gradient * (x * np.cos(turn) + y * np.sin(turn) + 0.5)
    light = light * np.where(x * np.cos(edge) + y * np.sin(edge) > rng.uniform(-0.2, 0.2), 1 - shadow, 1)
    seen = 235 * light * (0.15 + 0.65 * ink if light_on_dark else 0.9 * (1 - contrast * ink))
    seen = ndimage.gaussian_filter(seen, blur) + rng.normal(0, noise, ink.shape)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def framed(ink, _):
    size, line = len(ink), 3
    frame = np.zeros_like(ink)
    at = size // 30
    frame[at : size - at, at : size - at] = 1
    frame[at + line : size - at - line, at + line : size - at - line] = 0
    return np.maximum(ink, frame)


def tilted_frame(ink, rng):
    frame = framed(np.zeros_like(ink), rng)
    return np.maximum(ink, ndimage.rotate(frame, 4, reshape=False, order=1))


def broken(ink, rng):
    """Two gaps across the strokes, each 4% of the digit's size wide."""
    points = np.argwhere(ink > 0.5).astype(float)
    size = np.ptp(points, axis=0).max()
    cut = ink.copy()
    for _ in range(2):
        (y, x), turn = points[rng.integers(len(points))], rng.uniform(0, np.pi)
        rows, columns = np.indices(ink.shape)
        cut[np.abs((columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)) < 0.02 * size] = 0
    return cut


def thin(ink, _):
    """Written with a pen a third as wide, or less."""
    depth = ndimage.distance_transform_edt(ink > 0.5)
    ridge = (depth > 0) & (depth >= ndimage.maximum_filter(depth, 3) - 0.5)
    line = ndimage.binary_closing(ridge, iterations=2)
    return ndimage.gaussian_filter(line.astype(float), 0.6)


def dirty(ink, _):
    """A spot in the emptiest place."""
    free = ndimage.distance_transform_edt(np.pad(ink < 0.3, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(free.argmax(), free.shape)
    spotted = ink.copy()
    spotted[y - 4 : y + 5, x - 4 : x + 5] = 1
    return spotted


@pytest.mark.parametrize(
    ("light", "change", "least"),
    [
        ({}, None, 38),
        ({"gradient": 0.7, "noise": 8}, None, 38),
        ({"noise": 20}, None, 38),
        ({"contrast": 0.3, "noise": 4}, None, 38),
        ({"shadow": 0.35}, None, 38),
        ({"blur": 1.5}, None, 38),
        ({"light_on_dark": True}, None, 38),
        ({"light_on_dark": True, "shadow": 0.3}, None, 36),
        ({}, broken, 36),
        ({}, thin, 35),
        ({"gradient": 0, "noise": 0}, None, 38),
    ],
)
def test_digits_are_read_in_uneven_light(digits, read, light, change, least):
    images, labels = digits
    found = []
    for k, image in enumerate(images):
        rng = np.random.default_rng(k)
        sheet = drawn(image, 300 if change else SIZES[k % 3], rng)
        found.append(find_digit(photographed(change(sheet, rng) if change else sheet, rng, **light)).image)
    assert np.count_nonzero(read(found) == labels) >= least


@pytest.mark.parametrize("light", [{}, {"gradient": 0, "noise": 0}])
@pytest.mark.parametrize("frame", [framed, tilted_frame])
def test_a_frame_is_left_out_and_named(digits, read, frame, light):
    images, labels = digits
    found = []
    for k, image in enumerate(images):
        rng = np.random.default_rng(k)
        sheet = drawn(image, SIZES[k % 3], rng, share=0.85)  # some digits touch the frame
        found.append(find_digit(photographed(frame(sheet, rng), rng, **light)))
    assert np.count_nonzero(read([digit.image for digit in found]) == labels) >= 38
    assert all("a frame around the digit was left out" in digit.notes for digit in found)


def test_of_two_digits_one_is_read_and_the_other_named(digits, read):
    images, labels = digits
    right = 0
    for k in range(0, DIGITS, 2):
        rng = np.random.default_rng(k)
        pair = np.hstack([drawn(image, 250, rng, share=0.95) for image in images[k : k + 2]])
        found = find_digit(photographed(np.pad(pair, 10), rng))
        assert any("a mark as large as a digit" in note for note in found.notes), k
        right += read([found.image])[0] in labels[k : k + 2]
    assert right >= 19


def test_dirt_is_left_out_and_named(digits, read):
    images, labels = digits
    found = []
    for k, image in enumerate(images):
        rng = np.random.default_rng(k)
        found.append(find_digit(photographed(dirty(drawn(image, 300, rng, share=0.6), rng), rng)))
    assert np.count_nonzero(read([digit.image for digit in found]) == labels) >= 38
    assert all("small marks away from the digit, perhaps dirt, were left out" in digit.notes for digit in found)


def test_without_dirt_or_frame_nothing_is_said_of_them(digits):
    for k, image in enumerate(digits[0]):
        rng = np.random.default_rng(k)
        notes = " ".join(find_digit(photographed(drawn(image, 300, rng), rng)).notes)
        assert "left out" not in notes


@pytest.mark.parametrize("light_on_dark", [False, True])
@pytest.mark.parametrize("noise", [0, 2, 6, 15])
def test_a_blank_sheet_is_refused(noise, light_on_dark):
    for size in SIZES:
        rng = np.random.default_rng(size)
        with pytest.raises(ValueError, match="the image is blank"):
            find_digit(photographed(np.zeros((size, size)), rng, noise=noise, light_on_dark=light_on_dark))


def test_prepared_images_are_read_as_before(mnist):
    for image in mnist.test_images[:100]:
        for prepared in (image, 255 - image):
            found = find_digit(prepared)
            np.testing.assert_array_equal(found.image, normalize_digit(prepared))
            assert found.notes == ()


def test_an_even_scan_of_one_digit_is_read_as_before(mnist):
    for image in mnist.test_images[:30]:
        scan = np.asarray(Image.fromarray(255 - image).resize((280, 280), Image.Resampling.BOX))
        found = find_digit(scan)
        if not found.notes:
            np.testing.assert_array_equal(found.image, normalize_digit(scan))


def test_a_digit_that_touches_the_edge_is_said_to(mnist):
    scan = np.asarray(Image.fromarray(255 - mnist.test_images[0]).resize((280, 280)))
    rows, columns = np.nonzero(scan < 128)
    cut = scan[rows.min() : rows.max() - 40, columns.min() - 20 : columns.max() + 20]
    assert any("may be cut off" in note for note in find_digit(cut).notes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 2), (28, 28), (900, 1200)])
@pytest.mark.parametrize("kind", ["blank", "noise"])
def test_no_image_is_too_odd_to_be_answered(shape, kind):
    rng = np.random.default_rng(0)
    image = np.full(shape, 90) if kind == "blank" else rng.integers(0, 256, shape)
    try:
        found = find_digit(image.astype(np.uint8)).image
    except ValueError as error:
        assert str(error).startswith("the image is blank")  # noqa: PT017
    else:
        assert found.shape == (28, 28)
