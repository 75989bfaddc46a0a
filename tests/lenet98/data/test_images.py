"""Foreign digits brought to MNIST's form."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lenet98.data.images import normalize_digit, read_image


def likeness(ours, theirs):
    """Correlation of the pixels of each pair."""
    return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(ours, theirs, strict=True)])


def enlarged(image, factor=7, method=Image.Resampling.BOX):
    return np.asarray(Image.fromarray(image).resize((factor * image.shape[1], factor * image.shape[0]), method))


def test_a_digit_of_mnist_stays_what_it_is(mnist):
    originals = mnist.test_images[:300]
    assert likeness([normalize_digit(image) for image in originals], originals).min() > 0.999


def test_size_place_and_polarity_do_not_matter(mnist):
    originals = mnist.test_images[:300]
    scans = [np.pad(255 - enlarged(image), ((90, 5), (3, 40)), constant_values=255) for image in originals]
    same = likeness([normalize_digit(scan) for scan in scans], originals)
    # A stroke whose mass lies on the edge between two pixels may go to the other one.
    assert np.median(same) > 0.995
    assert np.quantile(same, 0.02) > 0.95


@pytest.mark.parametrize("noise", [0, 3])
def test_soft_edges_and_noise_do_not_move_the_box(mnist, noise):
    rng = np.random.default_rng(5)
    originals = mnist.test_images[:100]
    soft = [enlarged(image, 10, Image.Resampling.LANCZOS) for image in originals]  # rings around every stroke
    scans = [200 - 0.6 * image + rng.normal(0, noise, (280, 280)) for image in soft]
    same = likeness([normalize_digit(np.rint(scan).astype(np.uint8)) for scan in scans], originals)
    assert np.median(same) > 0.93


def test_mass_in_the_center_and_box_of_twenty(mnist):
    for image in mnist.train_images[:200]:
        digit = normalize_digit(enlarged(image, 3))
        # The corner that the four middle pixels share, which MNIST counts as pixel 14, to the nearest pixel.
        assert np.abs(np.array(ndimage.center_of_mass(digit)) - 14).max() <= 0.51
        extent = [np.ptp(np.flatnonzero((digit > 0).any(axis))) + 1 for axis in (0, 1)]
        assert max(extent) == 20
        assert digit.max() == 255


def test_aspect_is_kept_and_nothing_leaves_the_field():
    bar = np.zeros((100, 300), np.uint8)
    bar[20:24, 10:290] = 255
    rows, columns = np.nonzero(normalize_digit(bar))
    assert (np.ptp(rows), np.ptp(columns)) == (0, 19)
    club = np.zeros((200, 200), np.uint8)
    club[10:12, 0:200] = 255
    club[0:22, 178:200] = 255  # its mass is at the right end
    assert np.flatnonzero(normalize_digit(club).any(0)).tolist()[0] == 0


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((30, 30), 200, np.uint8), "the image is blank"),
        (np.random.default_rng(1).integers(118, 122, (50, 50), dtype=np.uint8), "the image is blank"),
        (np.zeros((0, 5), np.uint8), "must be uint8"),
        (np.zeros((5, 5)), "must be uint8"),
        (np.zeros((5, 5, 3), np.uint8), "must be uint8"),
    ],
)
def test_what_holds_no_digit_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        normalize_digit(image)


# --- files ------------------------------------------------------------------------------------------------------------

INK = np.zeros((12, 9), np.uint8)
INK[3:9, 4] = [255, 200, 255, 255, 100, 255]


def test_image_files_of_every_kind_read_alike(tmp_path):
    gray = Image.fromarray(255 - INK)
    transparent = Image.merge("RGBA", [*[Image.new("L", gray.size, 0)] * 3, Image.fromarray(INK)])
    deep = Image.fromarray((255 - INK).astype(np.uint16) * 257)
    turned = gray.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    turned.save(tmp_path / "turned.png", exif=exif)
    for name, image in {"gray": gray, "color": gray.convert("RGB"), "transparent": transparent, "deep": deep}.items():
        image.save(tmp_path / f"{name}.png")
    np.save(tmp_path / "bytes.npy", 255 - INK)
    np.save(tmp_path / "fractions.npy", (255 - INK) / 255)
    np.save(tmp_path / "integers.npy", (255 - INK).astype(np.int64))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 8
    for path in files:
        np.testing.assert_array_equal(read_image(path), 255 - INK, err_msg=path.name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.png", None, "cannot be read"),
        ("text.png", b"not an image", "not an image of a known format"),
        ("text.npy", b"not an array", "is no .npy file"),
        ("empty.npy", b"", "is an empty file"),
        ("empty.png", b"", "is an empty file"),
        ("short.npy", b"\x93NUMPY\x01\x00v\x00{", "is damaged or cut short"),
        ("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "broken.png: "),
        ("nothing.npy", np.zeros((0, 28)), r"without a single pixel, of shape \(0, 28\); save"),
        ("three.npy", np.zeros((3, 28, 28)), r"shape \(3, 28, 28\); one image"),
        ("large.npy", np.full((28, 28), 300), "out of range"),
        ("nan.npy", np.full((28, 28), np.nan), "out of range"),
        ("levels.npy", np.full((28, 28), 200.0), "out of range"),
        ("words.npy", np.array([["a"]]), "holds text where numbers are needed"),
        ("objects.npy", np.array([[None]]), "holds Python objects; save"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(ValueError, match=message) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
