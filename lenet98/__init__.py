"""LeNet-5 as published in 1998 (LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11)), with documented readings."""

from importlib.metadata import version

from lenet98.data.fig8 import fig8

__all__ = ["__version__", "fig8"]
__version__ = version("lenet98")
