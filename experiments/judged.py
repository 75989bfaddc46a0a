"""The patterns that a training run is judged on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lenet98.data.mnist import MNIST
from lenet98.training import Config


def evaluated(config: Config, data: MNIST) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and labels of the patterns that a run of `config` is judged on."""
    if config.evaluate_on == "test":
        return data.test_images, data.test_labels
    return data.train_images[config.train_size :], data.train_labels[config.train_size :]
