"""LeNet-5 on MNIST as published, without distortions: the paper's 0.95% and Fig. 5."""

from experiments.networks import train_network
from experiments.registry import Experiment, register
from lenet98.training import Config

register(Experiment("lenet5", "LeNet-5", Config(), train_network, minutes=2))
