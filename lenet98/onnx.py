"""Networks as ONNX files, which programs without PyTorch run.  Needs the extra `onnx`.

    from lenet98 import LeNet5Weights, lenet5, onnx
    onnx.export(lenet5("paper"), "lenet5.onnx")

The input "images" is float32, shape (patterns, 1, 32, 32) for LeNet-5, as `LeNet5Weights.transforms()` makes it.  The
output "distances" has the shape (patterns, 10), and the least is the answer.
"""

from __future__ import annotations

from pathlib import Path

import torch

from lenet98.files import atomic
from lenet98.modules import Net

INPUT, OUTPUT = "images", "distances"


def export(net: Net, path: Path | str) -> None:
    """Write a network with its weights, for any number of patterns of its nominal size, whole or not at all.

    Raises ModuleNotFoundError where the extra is not installed.
    """
    example = torch.zeros(2, *net.spec.input_shape)  # of one pattern the exporter would make a constant
    training = net.training
    try:
        program = torch.onnx.export(
            net.eval(),  # no layer of ours depends on it, but the exporter warns
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("patterns")},),
            verbose=False,
        )
    finally:
        net.train(training)
    assert program is not None
    with atomic(Path(path)) as file:
        file.write(program.model_proto.SerializeToString())
