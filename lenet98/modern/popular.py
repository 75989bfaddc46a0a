"""LeNet-5 as people write it: networks published under that name, with the settings that their authors state.

None of them is the network of 1998; `lenet98.modern.compare` says in what each differs.  What an author does not state
is the default of the framework used, and is named in `unstated`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lenet98.modern import lenet_from_scratch, lush, minibatch
from lenet98.modern.minibatch import Optimizer
from lenet98.modern.networks import KERAS, ConvNet, Initial

Config = minibatch.Config | lush.Config | lenet_from_scratch.Config


@dataclass(frozen=True)
class Popular:
    """One network with its training, and where it is from."""

    name: str
    title: str
    config: Config
    source: str
    """Author, place and year."""
    reported: float | None
    """Error in percent that the author reports, None where none is."""
    report: str = ""
    """On what it was measured, and when."""
    unstated: str = ""
    """What the source leaves open, and what is taken for it."""


KERAS_ADAM = Optimizer("adam", 1e-3, epsilon=1e-7)
"""Adam as Keras has it by default."""

# Gray levels of mean 0 and variance 1 over the training set on the 32x32 field, whose mean is 0.10004 and standard
# deviation 0.27522 of full ink.
STANDARDIZED = (-0.36348, 3.27001)

POPULAR = {
    popular.name: popular
    for popular in (
        Popular(
            "keras-adam",
            "28x28, tanh, average pooling, Adam",
            minibatch.Config(network=ConvNet(size=28, initial=KERAS), optimizer=KERAS_ADAM, passes=10, batch=32),
            "a Keras tutorial, known at second hand: its page could not be found again",
            1.4,
            "of validation after the last pass, 1.1 in the best one",
            "learning rate, initial weights, gray levels: Keras's defaults, 0 to 1",
        ),
        Popular(
            "caceres-adadelta",
            "28x28, tanh, average pooling, logistic full layers, Adadelta",
            minibatch.Config(
                network=ConvNet(size=28, full_squashing="sigmoid", initial=KERAS),
                optimizer=Optimizer("adadelta", 1.0, epsilon=1e-7, rho=0.95),
                passes=12,
                batch=128,
            ),
            "P. Caceres, The Convolutional Neural Network (pabloinsente.github.io, 2020), Keras",
            1.29,
            "of the test set after the last pass",
            "Adadelta's rate: 1.0, the default of Keras 2 without TensorFlow, which the page imports",
        ),
        Popular(
            "alake-padded",
            "32x32, tanh, average pooling, Adam",
            minibatch.Config(network=ConvNet(initial=KERAS), optimizer=KERAS_ADAM, passes=5, batch=32),
            "R. Alake, Understanding and Implementing LeNet-5 CNN Architecture (Towards Data Science), Keras",
            1.41,
            "of the test set after the last pass",
            "learning rate, batch, initial weights: Keras's defaults",
        ),
        Popular(
            "udacity-relu",
            "32x32, ReLU, max pooling, Adam",
            minibatch.Config(
                network=ConvNet(
                    pooling="max", squashing="relu", initial=Initial("truncated normal", deviation=0.1, biases=0.0)
                ),
                optimizer=Optimizer("adam", 1e-3),
                passes=10,
                batch=128,
                train_size=55_000,
            ),
            "Udacity, CarND-LeNet-Lab, solution (github.com/udacity), TensorFlow",
            None,
            unstated="which 5,000 patterns TensorFlow set apart for validation: the last of the training set",
        ),
        Popular(
            "d2l-sigmoid",
            "28x28 padded by 2, logistic, average pooling, SGD",
            minibatch.Config(
                network=ConvNet(squashing="sigmoid", initial=Initial("glorot")),
                optimizer=Optimizer("sgd", 0.9),
                passes=10,
                batch=256,
            ),
            "A. Zhang et al., Dive into Deep Learning, section LeNet (d2l.ai), PyTorch",
            None,
            "on Fashion-MNIST alone",
        ),
        Popular(
            "harrypnh-numpy",
            "32x32, ReLU, max pooling, SGD in falling rates",
            minibatch.Config(
                network=ConvNet(pooling="max", squashing="relu", initial=Initial("normal", deviation=0.1, biases=0.01)),
                optimizer=Optimizer("sgd", 0.05),
                passes=20,
                batch=8,
                factors=(1.0,) * 2 + (0.4,) * 3 + (0.2,) * 3 + (0.1,) * 4 + (0.02,) * 4 + (0.01,) * 4,
                levels=STANDARDIZED,
            ),
            "harrypnh, lenet5-from-scratch (github.com/harrypnh), NumPy",
            0.83,
            "of the test set after the last pass, 0.78 in the best one",
            "nothing; the test set, there standardized by its own mean and deviation, has the training set's here",
        ),
        Popular(
            "mattwang44-layer-rates",
            "32x32, tanh, average pooling, RBF units, SDLM by layers",
            lenet_from_scratch.Config(),
            "mattwang44, LeNet-from-Scratch (github.com/mattwang44), NumPy",
            1.52,
            "of the test set after the last pass, 1.38 in the best one",
            "nothing",
        ),
        Popular(
            "lush-three-stages",
            "Lush's, in three stages",
            lush.Config(),
            "C. Yadav, L. Bottou, Cold Case: the Lost MNIST Digits (2019), lenet5.lsh of Lush",
            0.82,
            "of the test set after the last pass, to 0.2",
            "initial biases and coefficients: as in EBLearn, the library's translation to C++",
        ),
    )
}
