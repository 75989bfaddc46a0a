"""The online engine: one pattern per update over any spec, compiled, with all parameters in one flat vector.

Same arithmetic as `modules` with autograd, many times faster.  Calls release the interpreter's lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenet98.online import kernels
from lenet98.online.plan import parameter_vector, plan, workspace
from lenet98.readings import Reading
from lenet98.specs import Spec

Vector = NDArray[np.float32]


class Engine:
    """A network of `spec`, read by `reading`, ready to be trained and evaluated pattern by pattern.

    One engine serves one thread at a time: it owns the room in which a pattern's states and derivatives are worked out.
    """

    def __init__(self, spec: Spec, reading: Reading) -> None:
        self.spec = spec
        self._plan = plan(spec, reading)
        # Eq. 9 on RBF units has the rubbish class too, labeled with the number of classes.
        self._greatest_label = spec.classes - (spec.output.kind == "softmax" or reading.loss != "eq9")
        self._work = workspace(spec)
        self._parameters, self._rates = parameter_vector(spec), parameter_vector(spec)

    def sweep(
        self, parameters: Vector, rates: Vector, images: Vector, labels: NDArray[np.integer]
    ) -> tuple[int, float]:
        """Update `parameters` in place once for each pattern, w_k <- w_k - eps_k dE^p/dw_k (eq. 18).

        Parameters
        ----------
        parameters, rates
            w_k and eps_k, float32, shape (spec.parameters,).
        images
            Float32, shape (n, maps, height, width), in the order in which they are learned.
        labels
            Classes, shape (n,).  With eq. 9 and RBF units, the number of classes labels what shows none of them.

        Returns
        -------
        errors, losses
            Patterns misclassified just before their update, and the sum of their losses, which is not finite once the
            run has diverged.

        Raises
        ------
        ValueError
            If a shape or type is another, a label is no class, or `parameters` cannot be written in place.
        """
        self._vector(parameters)
        if not (parameters.flags.c_contiguous and parameters.flags.writeable):
            raise ValueError("parameters are updated in place: they must be contiguous and not read-only; pass a copy")
        rates, rows, labels = self._vector(rates), self._rows(images), self._labels(labels, len(images))
        np.copyto(self._parameters, parameters)
        np.copyto(self._rates, rates)
        errors, losses = kernels.sweep(self._plan, self._parameters, self._rates, rows, labels, self._work)
        np.copyto(parameters, self._parameters)
        return int(errors), float(losses)

    def gradient(self, parameters: Vector, image: Vector, label: int) -> Vector:
        """dE^p/dw_k of one pattern, image of shape (maps, height, width); float32, shape (spec.parameters,).

        Raises ValueError as `sweep` does.
        """
        parameters, rows = self._vector(parameters), self._rows(np.asarray(image)[None])
        labels = self._labels(np.array([label]), 1)
        kernels.gradient(self._plan, parameters, rows[0], labels[0], self._work)
        return self._work.gradient.copy()

    def distances(self, parameters: Vector, images: Vector) -> Vector:
        """Distances y_i of each pattern to every class, float32, shape (n, classes): eq. 7, or -log p_i of a softmax.

        Raises ValueError as `sweep` does.
        """
        parameters, rows = self._vector(parameters), self._rows(images)
        distances = np.empty((len(rows), self.spec.classes), np.float32)
        np.copyto(self._parameters, parameters)
        kernels.evaluate(self._plan, self._parameters, rows, self._work, distances)
        return distances

    # Compiled code reads past the end of a short array without a word, so shapes and types are checked here, and it is
    # compiled for contiguous writeable arrays alone, so others are copied.
    def _vector(self, vector: Vector) -> Vector:
        if not _is(vector, np.float32, (self.spec.parameters,)):
            raise ValueError(
                f"{self.spec.name} takes float32 vectors of {self.spec.parameters} parameters, got {_described(vector)}"
            )
        return np.require(vector, requirements=["C", "W"])

    def _rows(self, images: Vector) -> Vector:
        if not _is(images, np.float32, (len(images), *self.spec.input_shape)):
            shape = ", ".join(map(str, self.spec.input_shape))
            raise ValueError(f"{self.spec.name} takes float32 images of shape (n, {shape}), got {_described(images)}")
        return np.require(images, requirements=["C", "W"]).reshape(len(images), self.spec.geometry[0].inputs)

    def _labels(self, labels: NDArray[np.integer], n: int) -> NDArray[np.int64]:
        wanted = f"{n} images need {n} integer labels in 0..{self._greatest_label}"
        if not _is(labels, np.integer, (n,)):
            raise ValueError(f"{wanted}, got {_described(labels)}")
        if n and not 0 <= labels.min() <= labels.max() <= self._greatest_label:
            raise ValueError(f"{wanted}, got {labels.min()}..{labels.max()}{self._hint(int(labels.max()))}")
        return labels.astype(np.int64)

    def _hint(self, label: int) -> str:
        if label != self.spec.classes or label == self._greatest_label:
            return ""
        return f"; {label}, none of the classes, can be learned with eq. 9 and RBF units alone"


class WideEngine:
    """The network of `spec` over fields of `width` columns, by convolution alone: one pass a field (Section VII).

    Each layer below the output runs once over the whole field, so that nothing is computed twice and no window is cut
    out.  One engine serves one thread at a time.

    Raises ValueError for a field narrower than the network's input, for one whose last columns no output reads, and
    for a softmax output.
    """

    def __init__(self, spec: Spec, reading: Reading, width: int) -> None:
        layers = spec.over(width)
        if spec.output.kind != "rbf":
            raise ValueError(f"{spec.name} has a {spec.output.kind} output; only RBF units are replicated over a field")
        if any(layer.in_shape[2] % layer.merged for layer in layers):
            raise ValueError(f"{spec.name}: the last columns of {width} are read by no output; cut them off")
        self.spec, self.width = spec, width
        self.outputs = layers[-1].out_shape[2]
        """How many outputs stand side by side."""
        self._plan, self._work = plan(spec, reading, layers), workspace(spec, layers)
        self._parameters = parameter_vector(spec)

    def distances(self, parameters: Vector, fields: Vector) -> Vector:
        """y_i (eq. 7) of each class at each output.

        Parameters
        ----------
        parameters
            Float32, shape (spec.parameters,).
        fields
            Float32, shape (n, maps, height, width), the height that of the network's input.

        Returns
        -------
        Float32, shape (n, outputs, classes).

        Raises ValueError for other types and shapes.
        """
        maps, height, _ = self.spec.input_shape
        wanted = {
            "parameters": (parameters, (self.spec.parameters,)),
            "fields": (fields, (len(fields), maps, height, self.width)),
        }
        for name, (given, shape) in wanted.items():
            if not _is(given, np.float32, shape):
                raise ValueError(f"{self.spec.name} takes float32 {name} of shape {shape}, got {_described(given)}")
        np.copyto(self._parameters, parameters)
        rows = np.require(fields, requirements=["C", "W"]).reshape(len(fields), -1)
        found = np.empty((len(rows), self.spec.classes, self.outputs), np.float32)
        kernels.evaluate_wide(self._plan, self._parameters, rows, self._work, found)
        return np.ascontiguousarray(found.swapaxes(1, 2))


def _is(value: Any, kind: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, kind) and value.shape == shape


def _described(value: Any) -> str:
    return f"{value.dtype} of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
