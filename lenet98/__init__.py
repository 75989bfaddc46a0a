"""LeNet-5 exactly as published in 1998 (LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11))."""

from importlib.metadata import version

from lenet98.data.fig8 import fig8

__all__ = ["__version__", "fig8"]
__version__ = version("lenet98")
