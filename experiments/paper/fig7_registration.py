"""How the distortions of Fig. 7 were recovered, and the same measurement on our own samples (Section III.B).

Fig. 7 shows ten training patterns, ten images of each.  Each image is registered to the first of its pattern with a
free affine map, and the map is taken apart into scale, squeeze, shear, rotation and translation; their statistics are
those of the process.  Run on samples of `lenet98.data.distortions` the same statistics must come out.

Which image is the first of a pattern decides what the statistics mean.  If it were one more distorted copy, scales
relative to it would have a standard deviation sqrt(2) times that of the process, and the kurtosis (2.4) and extremes of
a difference of two uniform draws.  Fig. 7's scales have the kurtosis of one uniform draw (1.8), and the largest of them
hardly exceeds sqrt(3) times their standard deviation.  So the first is the original: ten images are one original and
its nine distorted copies, as in the 60,000 and 540,000 patterns of the text.  `table` prints both cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.optimize import least_squares
from scipy.stats import kurtosis, linregress

from lenet98.data import distortions
from lenet98.data.distortions import FIG7, Magnitudes

Array = NDArray[np.float64]

PATTERNS, INSTANCES = 10, 10
"""Rows and columns of Fig. 7."""

BLURS = (3.0, 1.5, 0.5)
"""Standard deviations, pixels, of the blur under which two images are registered, coarse to fine."""


@dataclass(frozen=True)
class Components:
    """Affine maps taken apart; arrays of shape (n,).

    A map is a rotation after a horizontal shear after scaling, and a translation of the center of the field.
    """

    log_scale: Array
    """Log of the square root of the determinant."""
    log_squeeze: Array
    """Half the log ratio of horizontal to vertical scale."""
    shear: Array
    """Slant of what was a vertical stroke: horizontal displacement per pixel of height."""
    rotation: Array
    """Radians."""
    shift_x: Array
    """Pixels, to the right."""
    shift_y: Array
    """Pixels, downwards."""

    @property
    def log_vertical_scale(self) -> Array:
        return self.log_scale - self.log_squeeze


def components(maps: Array) -> Components:
    """Take affine maps of shape (n, 2, 3) apart."""
    (a, b), (c, d) = maps[:, 0, :2].T, maps[:, 1, :2].T
    determinant, horizontal = a * d - b * c, np.hypot(a, c)
    vertical = determinant / horizontal
    return Components(
        log_scale=np.log(determinant) / 2,
        log_squeeze=np.log(horizontal / vertical) / 2,
        shear=(a * b + c * d) / determinant,
        rotation=np.arctan2(c, a),
        shift_x=maps[:, 0, 2],
        shift_y=maps[:, 1, 2],
    )


def register(first: NDArray[Any], image: NDArray[Any]) -> tuple[Array, float]:
    """The affine map that moves `first` onto `image`, by least squares on blurred images, coarse to fine.

    Parameters
    ----------
    first, image
        Two images of one shape, with a constant background.

    Returns
    -------
    map
        Shape (2, 3), (x, y) -> (x', y') in pixels about the center.
    correlation
        Of `image` with `first` so moved.
    """
    height, width = first.shape
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    points = np.stack((x - (width - 1) / 2, y - (height - 1) / 2, np.ones(x.size)))
    inverse = np.eye(2, 3)
    for blur in BLURS:
        inverse = _fit(_blurred(first, blur), _blurred(image, blur), points, inverse)
    moved = _sample(_blurred(first, 0), inverse @ points)
    linear = np.linalg.inv(inverse[:, :2])
    forward = np.column_stack((linear, -linear @ inverse[:, 2]))
    return forward, float(np.corrcoef(moved, image.ravel())[0, 1])


def _blurred(image: NDArray[Any], blur: float) -> Array:
    """The image above its background, which is 0, under a Gaussian of that standard deviation."""
    return gaussian_filter(image.astype(np.float64) - float(image[0, 0]), blur)


def _fit(first: Array, image: Array, points: Array, start: Array) -> Array:
    """The inverse map, from points of `image` to points of `first`, nearest to `start` in the least-squares sense."""
    slope_y, slope_x = np.array(np.gradient(first))

    def residuals(m: Array) -> Array:
        at: Array = m.reshape(2, 3) @ points
        return _sample(first, at) - image.ravel()

    def jacobian(m: Array) -> Array:
        at: Array = m.reshape(2, 3) @ points
        return np.concatenate((_sample(slope_x, at) * points, _sample(slope_y, at) * points)).T

    return least_squares(residuals, start.ravel(), jacobian, method="lm").x.reshape(2, 3)


def _sample(image: Array, points: Array) -> Array:
    """Values of an image at points (x, y) about its center, by cubic splines; zero off the field."""
    center = (np.array(image.shape) - 1) / 2
    return map_coordinates(image, points[::-1] + center[:, None], order=3)


def registered(images: NDArray[Any]) -> tuple[Array, Array]:
    """Register images of shape (patterns, instances, h, w) to the first of their pattern.

    Returns the maps, shape (patterns * (instances - 1), 2, 3), and the correlations.
    """
    pairs = [register(row[0], image) for row in images for image in row[1:]]
    return np.array([m for m, _ in pairs]), np.array([correlation for _, correlation in pairs])


def samples(
    images: NDArray[np.uint8], seed: int = 0, magnitudes: Magnitudes = FIG7
) -> tuple[NDArray[np.integer], NDArray[np.float32]]:
    """Ten training patterns, drawn at random, and of each the original and nine distorted copies, as in Fig. 7.

    Returns their indices, shape (10,), and the images, float32, shape (10, 10, 32, 32).
    """
    chosen = np.random.default_rng(seed).choice(len(images), PATTERNS, replace=False)
    patterns, copies = np.repeat(chosen, INSTANCES), np.tile(np.arange(INSTANCES), PATTERNS)
    drawn = distortions.distort(images, patterns, copies, seed, magnitudes)
    return chosen, drawn.reshape(PATTERNS, INSTANCES, *drawn.shape[2:])


# Fig. 7, its hundred images (native, 32x32) registered in this way: 90 of 90, median correlation 0.995.
FIG7_STATISTICS = {
    "log scale, std": 0.169,
    "log scale, kurtosis": 1.8,
    "largest scale": 1.37,
    "log squeeze, std": 0.052,
    "shear, std": 0.081,
    "largest shear": 0.17,
    "rotation, std (rad)": 0.007,
    "horizontal shift, std (px)": 1.25,
    "largest horizontal shift (px)": 2.8,
    "vertical shift, std (px)": 2.2,
    "largest vertical shift (px)": 5.0,
    "vertical shift per log vertical scale (px)": -11.0,
    "vertical shift, std of the rest (px)": 1.17,
}


def statistics(c: Components) -> dict[str, float]:
    """The numbers of `FIG7_STATISTICS` of such maps; kurtosis 1.8 is that of a uniform draw, 3 of a normal one."""
    line = linregress(c.log_vertical_scale, c.shift_y)
    rest = c.shift_y - line.intercept - line.slope * c.log_vertical_scale
    values = (
        c.log_scale.std(),
        kurtosis(c.log_scale, fisher=False),
        np.exp(c.log_scale.max()),
        c.log_squeeze.std(),
        c.shear.std(),
        abs(c.shear).max(),
        c.rotation.std(),
        c.shift_x.std(),
        abs(c.shift_x).max(),
        c.shift_y.std(),
        abs(c.shift_y).max(),
        line.slope,
        rest.std(),
    )
    return dict(zip(FIG7_STATISTICS, map(float, values), strict=True))


@lru_cache
def expected(
    magnitudes: Magnitudes = FIG7, *, first_is_original: bool = True, sets: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The range that holds each statistic of 95% of sets of a hundred images, if registration made no error."""
    patterns, copies = np.repeat(np.arange(sets * PATTERNS), INSTANCES), np.tile(np.arange(INSTANCES), sets * PATTERNS)
    drawn = distortions.parameters(seed, patterns, copies + (not first_is_original), magnitudes)
    maps = distortions.matrices(drawn, magnitudes.anchor).reshape(sets, PATTERNS, INSTANCES, 2, 3)
    relative = _after(maps[:, :, 1:], _inverted(maps[:, :, :1])).reshape(sets, -1, 2, 3)
    found = [statistics(components(one)) for one in relative]
    return {name: tuple(np.quantile([one[name] for one in found], (0.025, 0.975))) for name in FIG7_STATISTICS}


def _inverted(maps: Array) -> Array:
    linear = np.linalg.inv(maps[..., :2])
    return np.concatenate((linear, -linear @ maps[..., 2:]), axis=-1)


def _after(second: Array, first: Array) -> Array:
    """The maps `first`, then `second`."""
    linear, shift = second[..., :2], second[..., 2:]
    return np.concatenate((linear @ first[..., :2], linear @ first[..., 2:] + shift), axis=-1)


def table(images: NDArray[np.uint8], seed: int = 0, magnitudes: Magnitudes = FIG7) -> list[dict[str, Any]]:
    """Fig. 7's statistics beside those of our own samples, registered alike.

    Parameters
    ----------
    images
        The training set, uint8, shape (N, 28, 28).
    seed
        Chooses the patterns and their distortions.
    magnitudes
        Ranges of the distortions.

    Returns
    -------
    One row a statistic: "statistic", "Fig. 7", "ours", and the 95% ranges "first is the original" (as in ours) and
    "first is distorted" (as Fig. 7 would be if it showed no originals).
    """
    maps, correlations = registered(samples(images, seed, magnitudes)[1])
    ours = statistics(components(maps))
    original = expected(magnitudes, seed=seed)
    distorted = expected(magnitudes, first_is_original=False, seed=seed)
    rows: list[dict[str, Any]] = [
        {
            "statistic": name,
            "Fig. 7": value,
            "ours": ours[name],
            "first is the original": original[name],
            "first is distorted": distorted[name],
        }
        for name, value in FIG7_STATISTICS.items()
    ]
    rows.append({"statistic": "correlation, median", "Fig. 7": 0.995, "ours": float(np.median(correlations))})
    return rows
