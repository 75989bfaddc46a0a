"""The exported network gives every test digit the answer that PyTorch gives it."""

import numpy as np
import pytest
import torch

import lenet98
from lenet98 import onnx

for needed in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed, reason="the extra `onnx` is not installed")


@torch.no_grad()
def test_all_predictions_are_equal(tmp_path, mnist):
    """Of LeNet-5; the others of the package are the same graph."""
    net, images = lenet98.lenet5("paper"), lenet98.LeNet5Weights.PAPER.transforms()(mnist.test_images)
    onnx.export(net, tmp_path / "lenet5.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["lenet5.onnx"]
    assert net.training

    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(tmp_path / "lenet5.onnx", options)
    (distances,) = session.run([onnx.OUTPUT], {onnx.INPUT: images.numpy()})
    expected = torch.cat([net(part) for part in images.split(1000)]).numpy()
    assert distances.shape == (10_000, 10)
    assert np.array_equal(distances.argmin(1), expected.argmin(1))
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    (one,) = session.run(None, {onnx.INPUT: images[:1].numpy()})
    np.testing.assert_allclose(one, expected[:1], atol=2e-3)
