"""Many networks of one spec at once, one pattern each per update, as batched operations on a CPU or a GPU.

Each replica has its own parameters, rates, reading and order of patterns; what they share is the spec.  All parameters
are one tensor (replicas, parameters), and so are rates and gradients, so eq. 18 is one operation.  No operation sums
over replicas: what becomes of one does not reach the others.  On a GPU the update is a CUDA graph, and nothing in
`sweep` waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from lenet98.devices import Device, devices
from lenet98.readings import Reading
from lenet98.replicas.layers import Layer, kind, slope, squash
from lenet98.replicas.outputs import RBF, Loss, Output, Softmax
from lenet98.specs import Spec

AT_ONCE: dict[Device, int] = {"cpu": 200, "cuda": 10_000}
"""Patterns, all replicas' together, that `distances` and `curvature` propagate at once: on a CPU what caches hold."""


class Placed(NamedTuple):
    """A layer, and its part of the parameters and of the gradient as views: weights and biases."""

    kind: Layer
    w: Tensor
    b: Tensor
    dw: Tensor
    db: Tensor


class Passed(NamedTuple):
    """What the way back needs of a layer that patterns have passed; see `layers.Forward`."""

    layer: Placed
    u: Tensor
    z: Tensor


class Replicas:
    """Networks of `spec`, one for each of `readings`, on `device`: "cpu" or "cuda".

    If `rubbish`, patterns may show none of the classes, labeled with the number of classes: with eq. 9 on RBF units.

    Raises
    ------
    ValueError
        If there are no readings, PyTorch has no such device here, or no class is for patterns that show none.
    """

    parameters: Tensor
    """w_k, float32, shape (replicas, spec.parameters); zero until set, and updated in place."""
    rates: Tensor
    """eps_k, likewise."""

    def __init__(
        self, spec: Spec, readings: Sequence[Reading], device: Device = "cpu", *, rubbish: bool = False
    ) -> None:
        if not readings:
            raise ValueError("there are no readings; give one for each replica")
        check_device(device)
        self.spec, self.device, count = spec, device, len(readings)
        self.parameters, self.rates, self._gradient = (
            torch.zeros(count, spec.parameters, device=device) for _ in range(3)
        )

        gain = torch.tensor([0.25 if r.subsampling == "average" else 1.0 for r in readings], device=device)
        one_weight = torch.tensor([r.coefficient_curvature == "unit" for r in readings], device=device)
        softmax = spec.output.kind == "softmax"
        self._layers = [
            Placed(
                kind(layer)(layer, gain.view(-1, 1, 1, 1, 1), one_weight.view(-1, 1, 1, 1, 1)),
                self.parameters[:, layer.weight_slice],
                self.parameters[:, layer.bias_slice],
                self._gradient[:, layer.weight_slice],
                self._gradient[:, layer.bias_slice],
            )
            for layer in (spec.geometry if softmax else spec.hidden)
        ]
        if softmax and rubbish:
            raise ValueError("a softmax has no class for patterns that show none of the classes; RBF units have, eq. 9")
        self._output: Output = (
            Softmax(spec.output, readings, device) if softmax else RBF(spec.output, readings, device, rubbish)
        )
        # What one update reads and adds to; a CUDA graph needs them to stay where they are.
        self._images = torch.zeros(count, *spec.input_shape, device=device)
        self._labels = torch.zeros(count, dtype=torch.int64, device=device)
        self._errors = torch.zeros_like(self._labels)
        self._losses = torch.zeros(count, dtype=torch.float64, device=device)
        self._replay = self._captured() if device == "cuda" else self._update

    def __len__(self) -> int:
        return len(self.parameters)

    @torch.no_grad()
    def sweep(self, images: Tensor, labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Update each replica once for each of its patterns, w_k <- w_k - eps_k dE^p/dw_k (eq. 18).

        Parameters
        ----------
        images, labels
            Patterns of any replica: float32, shape (n, maps, height, width), and their classes, int64, shape (n,), on
            the device.
        order
            For each replica the patterns that it learns, in their order: indices below n, int64, shape
            (replicas, updates), on the device.

        Returns
        -------
        errors, losses
            Patterns misclassified just before their update, int64, and the sum of their losses, float64, which is not
            finite once the replica has diverged; both of shape (replicas,), on the device, which may still be at work.

        Raises
        ------
        ValueError
            If a shape or type is another.
        """
        self._check(images, labels, order)
        self._errors.zero_()
        self._losses.zero_()
        for chosen in order.T.contiguous():
            torch.index_select(images, 0, chosen, out=self._images)
            torch.index_select(labels, 0, chosen, out=self._labels)
            self._replay()
        return self._errors.clone(), self._losses.clone()

    @torch.no_grad()
    def gradient(self, images: Tensor, labels: Tensor) -> Tensor:
        """dE^p/dw_k of one pattern for each replica, shape (replicas, spec.parameters).

        Images are float32, shape (replicas, maps, height, width), and labels int64, shape (replicas,), on the device.
        """
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._loss_and_gradient()
        return self._gradient.clone()

    @torch.no_grad()
    def distances(self, images: Tensor) -> Tensor:
        """Distances y_i of each pattern to every class by each replica: eq. 7, or -log p_i of a softmax.

        Images are float32, shape (n, maps, height, width), on the device; shape (replicas, n, classes).
        """
        chunks = [
            self._output.distances(self._forward(chunk.transpose(0, 1).expand(len(self), -1, -1, -1, -1))[0][-1])
            for chunk in images.split(self._at_once)
        ]
        return torch.cat(chunks, 1)

    @torch.no_grad()
    def curvature(self, images: Tensor, labels: Tensor, order: Tensor) -> Tensor:
        """h_kk of every parameter (App. C), the mean over each replica's own patterns.

        Images, labels and order are as for `sweep`; shape (replicas, spec.parameters).  Raises ValueError as `sweep`
        does.
        """
        self._check(images, labels, order)
        total = torch.zeros_like(self._gradient)
        for chosen in order.split(self._at_once, 1):
            x = images.index_select(0, chosen.flatten()).unflatten(0, chosen.shape).transpose(1, 2)
            states, passed = self._forward(x)
            squared = [
                Passed(layer, u.square(), layer.kind.squared(x, z))
                for x, (layer, u, z) in zip(states[:-1], passed, strict=True)
            ]
            slopes = [slopes.square() for slopes in self._slopes(states)]
            self._backward(squared, slopes, self._output.curvature(states[-1], labels[chosen]))
            total += self._gradient
        return total / order.shape[1]

    # --- forward, backward and update; any number of patterns, states (replicas, maps, patterns, height, width)

    def _forward(self, x: Tensor) -> tuple[list[Tensor], list[Passed]]:
        """The input and the states after each layer, and what the way back needs."""
        states, passed = [x], []
        for layer in self._layers:
            a, u, z = layer.kind.forward(layer.w, layer.b, states[-1])
            states.append(squash(a, layer.kind.geometry.squashing))
            passed.append(Passed(layer, u, z))
        return states, passed

    def _slopes(self, states: list[Tensor]) -> list[Tensor]:
        """f'(a) of each layer's units."""
        return [slope(x, layer.kind.geometry.squashing) for x, layer in zip(states[1:], self._layers, strict=True)]

    def _backward(self, passed: list[Passed], slopes: list[Tensor], derivative: Tensor) -> None:
        """From dE/dx of the last states to the gradient dE/dw (eq. 19), or with all squared to the curvature (eq. 23).

        dE/da = f'(a) dE/dx within a layer; dE/dx = sum u dE/da from a layer to the one below.
        """
        for number in range(len(passed) - 1, -1, -1):
            layer, u, z = passed[number]
            delta = slopes[number] * derivative
            layer.kind.gradient(z, delta, layer.dw, layer.db)
            if number > 0:
                derivative = layer.kind.back(u, delta)

    def _loss_and_gradient(self) -> Loss:
        """Of the pattern of each replica; the gradient goes to `_gradient`."""
        states, passed = self._forward(self._images[:, :, None])
        loss = self._output.loss(states[-1], self._labels[:, None])
        self._backward(passed, self._slopes(states), loss.derivative)
        return loss

    def _update(self) -> None:
        """One pattern forward and backward, and eq. 18."""
        y, loss, _ = self._loss_and_gradient()
        self._errors += self._output.wrong(y, self._labels[:, None]).squeeze(1)
        self._losses += loss.squeeze(1)
        self.parameters.addcmul_(self.rates, self._gradient, value=-1)

    def _captured(self) -> Callable[[], None]:
        """`_update` as a CUDA graph; parameters and rates must be zero, so that trying it out changes nothing."""
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(aside):
            for _ in range(3):
                self._update()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(graph):
            self._update()
        return graph.replay

    @property
    def _at_once(self) -> int:
        """Patterns of each replica that are propagated at once."""
        return max(1, AT_ONCE[self.device] // len(self))

    def _check(self, images: Tensor, labels: Tensor, order: Tensor) -> None:
        shape, count = ", ".join(map(str, self.spec.input_shape)), len(self)
        if images.shape[1:] != self.spec.input_shape or images.dtype != torch.float32 or not len(images):
            raise ValueError(
                f"{self.spec.name} takes float32 images of shape (n, {shape}), n at least 1, got {_described(images)}"
            )
        if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
            raise ValueError(f"{len(images)} images need as many int64 labels, got {_described(labels)}")
        if order.ndim != 2 or len(order) != count or order.dtype != torch.int64 or not order.shape[1]:
            raise ValueError(
                f"{count} replicas need int64 indices of shape ({count}, n), n at least 1, got {_described(order)}"
            )


def check_device(device: Device) -> None:
    """Raise ValueError, with the remedy, unless `device` is "cpu", or "cuda" where there is a GPU."""
    if device not in get_args(Device):
        raise ValueError(f"device is {device!r}; it must be one of {', '.join(get_args(Device))}")
    if device not in devices():
        raise ValueError("device is 'cuda', but PyTorch finds no GPU here; 'cpu' works everywhere")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"
