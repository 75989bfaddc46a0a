"""A network of one's own for the mini-batch trainer: any module of PyTorch, made by a function in any file.

Not of the paper.  Beside `lenet98.modern.networks`, whose networks are data, this one is code.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lenet98.data.mnist import CLASSES
from lenet98.devices import drawing_from
from lenet98.modern.networks import LinearOutputs
from lenet98.randomness import generator


@dataclass(frozen=True)
class ModuleNet(LinearOutputs):
    """A module of PyTorch that a function makes, from images (n, 1, size, size) to linear outputs (n, 10).

    A run is found by what PyTorch prints of the module, and by the text of the file that the function stands in: an
    edit of that file is another network.

    Raises ValueError, naming the function and its file, for one that cannot be imported by another process or does not
    make such a module.
    """

    make: Callable[[], nn.Module] = field(repr=False)
    """At the top of a file, without arguments; may draw initial weights from PyTorch's generator."""
    size: int = 32
    """Height and width of the input field, in whose middle the image lies."""
    printed: str = field(init=False)
    """The module as PyTorch prints it."""
    source: str = field(init=False)
    """Digest of the text of the function's file."""

    def __post_init__(self) -> None:
        if not inspect.isfunction(self.make) or not self.make.__qualname__.isidentifier():
            raise ValueError(
                f"{self.make!r} must be a function that stands at the top of a file, so that workers find it"
            )
        object.__setattr__(self, "source", self._source())
        module = self.build(0)
        object.__setattr__(self, "printed", str(module))
        try:
            with torch.no_grad():
                shape = tuple(module.eval()(torch.zeros(1, 1, self.size, self.size)).shape)
        except Exception as error:
            raise ValueError(
                f"{self._where()}: the module does not take images of shape (1, 1, {self.size}, {self.size}): {error}"
            ) from error
        if shape != (1, CLASSES):
            raise ValueError(
                f"{self._where()}: outputs for one image have shape {shape}; they must have (1, {CLASSES})"
            )

    def as_json(self) -> dict[str, Any]:
        """What identifies a run."""
        return {"module": self.printed, "source": self.source, "size": self.size}

    @property
    def batch_norm(self) -> bool:
        """Whether something is normalized over the batch, so that a batch needs two patterns."""
        return any("BatchNorm" in type(part).__name__ for part in self.build(0).modules())

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(p.numel() for p in self.build(0).parameters() if p.requires_grad)

    @property
    def multiply_accumulates(self) -> int:
        """Of one recognition: of convolutions and products of matrices."""
        from torch.utils.flop_counter import FlopCounterMode

        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            self.build(0).eval()(torch.zeros(1, 1, self.size, self.size))
        return counter.get_total_flops() // 2

    def build(self, seed: int) -> nn.Module:
        """The module as a run of that seed starts; PyTorch's generator is afterward as it was before.

        Raises RuntimeError if the file was edited since.
        """
        if self._source() != self.source:
            raise RuntimeError(f"{self._where()} was edited while the command ran; give the command again")
        with drawing_from(int(generator(seed, "init").integers(2**63))):
            module = self.make()
        if not isinstance(module, nn.Module):
            raise ValueError(f"{self._where()} gave {module!r}; it must give a torch.nn.Module")
        return module

    def _where(self) -> str:
        return f"{self.make.__name__}() of {inspect.getsourcefile(self.make)}"

    def _source(self) -> str:
        """The digest of the file as it is now."""
        path = inspect.getsourcefile(self.make)
        assert path is not None
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
