"""Two variants of LeNet-5 to compare with the paper's: one as a spec, one as a module of PyTorch."""

from dataclasses import replace

from torch import nn

from experiments.variant import variant
from lenet98 import LENET5
from lenet98.specs import Convolution

# A spec: LeNet-5 whose C3 reads every map of S2, instead of Table I.
full_c3 = tuple(Convolution("C3", 16, 5) if layer.name == "C3" else layer for layer in LENET5.layers)
variant("mine/full-c3", replace(LENET5, name="full C3", layers=full_c3), title="full C3")


# A module: what is often called LeNet-5 today, trained by the paper's SDLM.
def today() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


variant("mine/today", today, title="today, by SDLM")
