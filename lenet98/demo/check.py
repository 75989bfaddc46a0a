"""The arithmetic of the page against Python's, digit by digit; needs node."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lenet98.data.fields import pad_and_scale
from lenet98.demo.page import Network
from lenet98.modules import Net

RUN = """
const fs = require("fs"), lenet5 = require(process.argv[1]), [page, images, output, which] = process.argv.slice(2);
const data = JSON.parse(/<script type="application\\/json" id="data">(.*?)<\\/script>/s.exec(fs.readFileSync(page))[1]);
const pixels = fs.readFileSync(images), n = pixels.length / 784, found = new Float64Array(10 * n);
lenet5.network(data, data[which.split(" ")[0]][which.split(" ")[1]]).then((network) => {
  for (let k = 0; k < n; k++)
    found.set(lenet5.distances(network, lenet5.field(pixels.subarray(784 * k, 784 * k + 784))).data, 10 * k);
  fs.writeFileSync(output, Buffer.from(found.buffer));
});
"""
"""Distances of raw 28x28 images by the network `which` of the page, as raw float64."""


def node() -> str | None:
    """The program that runs JavaScript outside of a browser, if there is one."""
    return shutil.which("node")


def by_javascript(
    page: bytes, images: NDArray[np.uint8], kind: str = "networks", number: int = 0
) -> NDArray[np.float64]:
    """y_i of images (n, 28, 28) by a network of the page, its programs under node; shape (n, 10).

    `kind` is "networks" or "voters".  Raises ValueError if there is no node or it fails.
    """
    program = node()
    if program is None:
        raise ValueError("node is not here; install Node.js 18 or newer to compare the page with Python")
    with tempfile.TemporaryDirectory() as folder, as_file(files("lenet98.demo") / "lenet5.js") as library:
        whole, given, found = (Path(folder) / name for name in ("page.html", "images", "distances"))
        whole.write_bytes(page)
        given.write_bytes(np.ascontiguousarray(images).tobytes())
        command = [program, "-e", RUN, str(library), str(whole), str(given), str(found), f"{kind} {number}"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode != 0 or not found.is_file():
            raise ValueError(f"node failed: {_error(ended.stderr)}; Node.js 18 or newer is needed")
        return np.frombuffer(found.read_bytes(), "<f8").reshape(-1, 10)


def _error(output: str) -> str:
    """The line of node's output that says what is wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "Error" in line), lines[-1] if lines else "no output")


@torch.no_grad()
def by_python(network: Network, images: NDArray[np.uint8], block: int = 500) -> NDArray[np.float64]:
    """y_i of images (n, 28, 28) by the same rounded network in float64, shape (n, 10)."""
    net = Net(network.rounded.spec, network.reading).double()
    net.load_flat(network.rounded.parameters)
    parts = [
        net(torch.from_numpy(pad_and_scale(images[start : start + block])).double()).numpy()
        for start in range(0, len(images), block)
    ]
    return np.concatenate(parts)
