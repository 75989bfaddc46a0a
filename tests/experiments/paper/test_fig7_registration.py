"""Registration: known maps are found again, and our samples have Fig. 7's statistics."""

import numpy as np
import pytest
from scipy.linalg import expm

from experiments.paper.fig7_registration import (
    FIG7_STATISTICS,
    INSTANCES,
    PATTERNS,
    components,
    expected,
    register,
    registered,
    samples,
    statistics,
    table,
)
from lenet98.data.distortions import Magnitudes, matrices, parameters, transform
from paper_figures import fig07_distortions


def named(**values: float) -> np.ndarray:
    """An affine map put together from its components."""
    scale, squeeze, shear, angle, x, y = (
        values.get(name, 0.0) for name in ("log_scale", "log_squeeze", "shear", "rotation", "shift_x", "shift_y")
    )
    rotation = expm(angle * np.array([[0, -1], [1, 0]]))
    linear = rotation @ [[1, shear], [0, 1]] @ np.diag(np.exp([scale + squeeze, scale - squeeze]))
    return np.column_stack((linear, (x, y)))


def test_components_take_a_map_apart() -> None:
    known = {"log_scale": 0.2, "log_squeeze": -0.07, "shear": 0.11, "rotation": 0.05, "shift_x": 1.5, "shift_y": -3.0}
    found = components(named(**known)[None])
    for name, value in known.items():
        assert getattr(found, name)[0] == pytest.approx(value, abs=1e-12)
    assert found.log_vertical_scale[0] == pytest.approx(0.27)


@pytest.mark.parametrize(
    "known",
    [
        {"shift_x": 2.6, "shift_y": -5.0},
        {"log_scale": 0.3, "shift_y": -3.5},
        {"log_scale": -0.3, "log_squeeze": 0.09, "shear": 0.14, "shift_y": 3.5},
        {"rotation": 0.1},
    ],
)
def test_a_known_map_is_found(mnist, known: dict[str, float]) -> None:
    image = mnist.train_images[:1]  # a 5
    first, moved = transform(image, [0, 0], np.stack((np.eye(2, 3), named(**known))))[:, 0]
    found, correlation = register(first, moved)
    assert correlation > 0.99
    np.testing.assert_allclose(found[:, :2], named(**known)[:, :2], atol=0.02)
    np.testing.assert_allclose(found[:, 2], named(**known)[:, 2], atol=0.1)


def test_samples_are_ten_originals_and_their_distorted_copies(mnist) -> None:
    chosen, images = samples(mnist.train_images, seed=2)
    assert images.shape == (PATTERNS, INSTANCES, 32, 32)
    assert np.array_equal(images[:, 0], transform(mnist.train_images, chosen, np.tile(np.eye(2, 3), (10, 1, 1)))[:, 0])
    maps, correlations = registered(images)
    drawn = parameters(2, np.repeat(chosen, 9), np.tile(np.arange(1, 10), 10))
    assert np.median(correlations) > 0.99
    # The true maps are found, up to what a symmetric digit leaves open.
    assert np.median(abs(maps - matrices(drawn)), axis=0).max() < 0.02


def test_figure_7_has_a_pattern_in_each_row(mnist) -> None:
    images = samples(mnist.train_images)[1]
    (axes,) = fig07_distortions.draw(images).axes
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (320, 320)
    assert np.array_equal(sheet[96:128, 64:96], images[3, 2])


def test_our_statistics_are_those_of_fig_7(mnist) -> None:
    rows = {row["statistic"]: row for row in table(mnist.train_images)}
    for what in ("log scale", "log squeeze", "shear", "horizontal shift", "vertical shift"):
        name = f"{what}, std (px)" if what.endswith("shift") else f"{what}, std"
        assert rows[name]["ours"] == pytest.approx(rows[name]["Fig. 7"], rel=0.15), name
    slope, rest = "vertical shift per log vertical scale (px)", "vertical shift, std of the rest (px)"
    assert rows[slope]["ours"] == pytest.approx(-11, abs=1.5)
    assert rows[rest]["ours"] == pytest.approx(1.17, rel=0.15)
    assert rows["rotation, std (rad)"]["ours"] < 0.02
    assert rows["correlation, median"]["ours"] == pytest.approx(0.995, abs=0.004)


def test_other_magnitudes_would_be_seen(mnist) -> None:
    twice = Magnitudes(0.145, 0.18, 0.14, 4.0, 2.0, 0.0)
    found = statistics(components(registered(samples(mnist.train_images, 0, twice)[1])[0]))
    assert found["log scale, std"] < 0.1
    assert found["log squeeze, std"] > 0.08
    assert found["horizontal shift, std (px)"] > 1.8
    assert abs(found["vertical shift per log vertical scale (px)"]) < 5


def test_first_images_of_fig_7_are_originals() -> None:
    """What Fig. 7 shows is what one draw relative to an original gives, and not the difference of two draws."""
    original, distorted = expected(sets=300), expected(sets=300, first_is_original=False)
    for name in ("log scale, std", "log scale, kurtosis", "shear, std", "largest shear", "largest scale"):
        low, high = original[name]
        assert low * 0.97 <= FIG7_STATISTICS[name] <= high * 1.04, name
        assert not distorted[name][0] <= FIG7_STATISTICS[name] <= distorted[name][1], name
