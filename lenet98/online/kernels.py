"""Forward and backward through each kind of layer for one pattern, compiled.

All states x of a pattern lie in one vector, layer after layer, and so do the derivatives dE/dx, which become dE/da in
place on the way back.  A convolution lays each input map out once for every column c of its kernels: strip c has of
every row what column c meets, so that weight (r, c) meets one contiguous run of it, and the inner loops are as long as
a map.  They go two output maps and five columns at a time: what is loaded once serves ten products.

Shapes, all float32: `parameters`, `rates` and `work.gradient` are flat vectors (parameters,), laid out as in
`lenet98.specs`; `layer` is one row of `plan.layers`, which says where the layer's states, weights and biases begin.
In the equations m is an output map, n an input map, (y, x) a unit of a map, (r, c) a place in a receptive field.

Numba keeps what it compiled on disk and compiles anew only if this file changes.  So the kernels use nothing that
another file defines: a constant from elsewhere, such as A or S, comes as an argument or in the plan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.compiler import Compiler
from numpy.typing import NDArray

CONVOLUTION, COVERING, SUBSAMPLING, FULL, AVERAGE, MAX = range(6)
TANH, RELU, LINEAR = range(3)

# What a kernel needs to know of one layer: sizes, and indices of first elements.
LAYER = np.dtype(
    [
        (field, np.int64)
        for field in (
            "kind", "squashing",
            "input", "in_maps", "in_height", "in_width",  # the layer's input, in the vector of states
            "output", "maps", "height", "width", "units",  # its own units, there too
            "kernel_height", "kernel_width",
            "weights", "biases",  # in the vector of parameters
            "table",  # in `first_link`
            "strips", "strip",  # in the vector of strips, and the length of one
            "sums",  # in the vector of field sums
        )
    ]
)  # fmt: skip


class Plan(NamedTuple):
    """A network for the kernels."""

    layers: NDArray[np.void]
    """All layers but the RBF output, dtype LAYER."""
    first_link: NDArray[np.int64]
    """For each input map of each layer, where its list in `readers` and `kernels` starts; one closing entry a layer."""
    readers: NDArray[np.int64]
    """The tables of all layers, turned round: the output maps that read each input map."""
    kernels: NDArray[np.int64]
    """Which of the layer's kernels each of them reads it through; kernels are in order of output maps."""
    prototypes: NDArray[np.float32]
    """Centers of the RBF units, shape (classes, components); no components with a softmax output."""
    softmax: bool
    """Whether the last of the layers are linear units under a softmax, and not what RBF units read."""
    average: bool
    """Whether a subsampling unit takes the average of its inputs or their sum."""
    j: float
    """The constant of eq. 9; infinite for eq. 8."""
    rbf_scale: float
    """Factor on the distances within the loss of RBF units."""
    loss_scale: float
    amplitude: np.float32
    """A of the squashing function f(a) = A tanh(S a), App. A."""
    slope: np.float32
    """Its S."""
    slope_at_zero: np.float32
    """f'(0) = S A."""
    slope_decline: np.float32
    """S / A; f'(a) = S A - S/A x^2, with x = f(a)."""


class Workspace(NamedTuple):
    """What the kernels write for one pattern, all float32."""

    states: NDArray[np.float32]
    """x of all units, the input first; then layer after layer."""
    deltas: NDArray[np.float32]
    """dE/dx, and from there dE/da, of the same units."""
    strips: NDArray[np.float32]
    """The input maps of all convolutions, (in_maps, kernel_width, in_height * width) for each; `cut` says how."""
    strip_deltas: NDArray[np.float32]
    """dE/dx of the strips of one input map."""
    runs: NDArray[np.float32]
    """dE/da of the maps of one convolution, each followed by zeros to a multiple of RUN."""
    sums: NDArray[np.float32]
    """Of every field of the subsampling layers' input maps."""
    field_deltas: NDArray[np.float32]
    """dE/d of those of one layer."""
    rows: NDArray[np.float32]
    """Two rows of each field as one."""
    gradient: NDArray[np.float32]
    """dE/dw, as the parameters."""
    distances: NDArray[np.float32]
    """y_i of the output."""


class Disjoint(Compiler):
    """Compiles functions whose arrays lie apart in memory, as `restrict` says it in C: loops need no check for that."""

    def define_pipelines(self) -> Any:
        self.state.flags.noalias = True
        return super().define_pipelines()


# Sums may be reordered (that is what vectorizes them); NaN and infinity keep their meaning, divergence must be seen.
# No kernel allocates memory, so nothing needs Numba's reference counts (nrt), which take a tenth of the time.
compiled = numba.njit(  # type: ignore[call-overload]
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}, _nrt=False,
    pipeline_class=Disjoint,
)  # fmt: skip

Array = Any  # float32 arrays; Numba infers the types
f32 = np.float32

# tanh z = z P(z^2) / Q(z^2) within 4e-7 for |z| <= 8, constant beyond; P and Q by least squares reweighted toward the
# minimax error in float64.  The library's tanh, called unit by unit, would take longer than all the rest of an update.
P = tuple(f32(c) for c in (9.99999970e-01, 1.34381888e-01, 3.56415337e-03, 2.17732010e-05, 1.50617482e-08))
Q = tuple(f32(c) for c in (1.0, 4.67715096e-01, 2.61360051e-02, 3.39917491e-04, 8.45363656e-07))
LIMIT = f32(8)
RUN = 32  # sums over runs of a multiple of this length leave no rest, whatever the processor's vectors
NEGLIGIBLE = 1e-30  # smaller weights vanish beside the rest of the gradient, but cost time as denormal numbers


@compiled
def squash(x: Array, amplitude: Any, slope: Any) -> None:
    """Replace every a in `x` (n,) by f(a) = A tanh(S a), App. A."""
    for i in range(x.size):
        z = min(max(slope * x[i], -LIMIT), LIMIT)
        u = z * z
        p = P[0] + u * (P[1] + u * (P[2] + u * (P[3] + u * P[4])))
        q = Q[0] + u * (Q[1] + u * (Q[2] + u * (Q[3] + u * Q[4])))
        x[i] = amplitude * z * p / q


@compiled
def through_squash(x: Array, delta: Array, slope_at_zero: Any, slope_decline: Any) -> None:
    """Turn dE/dx into dE/da = f'(a) dE/dx in place, both (n,): f'(a) = S A - S/A x^2 where x = f(a)."""
    for i in range(x.size):
        delta[i] *= slope_at_zero - slope_decline * x[i] * x[i]


@compiled
def rectify(x: Array) -> None:
    """Replace every a in `x` (n,) by max(0, a); NaN stays."""
    for i in range(x.size):
        if x[i] < 0:
            x[i] = 0


@compiled
def through_rectification(x: Array, delta: Array) -> None:
    """Turn dE/dx into dE/da = f'(a) dE/dx in place, both (n,): f'(a) is 1 if x > 0, and else 0."""
    for i in range(x.size):
        if x[i] <= 0:
            delta[i] = 0


@compiled
def total(x: Array) -> Any:
    """sum_i x_i of a vector (n,)."""
    s = f32(0)
    for i in range(x.size):
        s += x[i]
    return s


@compiled
def fill(value: Any, out: Array) -> None:
    """out_i = value, shape (n,)."""
    for i in range(out.size):
        out[i] = value


@compiled
def copy(x: Array, out: Array) -> None:
    """out_i = x_i, both (n,)."""
    for i in range(out.size):
        out[i] = x[i]


@compiled
def nearest(y: Array) -> int:
    """The answer: the class of the least of the distances y (classes,)."""
    least = 0
    for i in range(1, y.size):
        if y[i] < y[least]:
            least = i
    return least


@compiled
def wrong(plan: Plan, label: int, y: Array) -> bool:
    """Whether the answer to the distances y (classes,) is not `label`; to a pattern of none of the classes it is right
    if j is the least penalty."""
    least = nearest(y)
    return plan.rbf_scale * y[least] <= plan.j if label == y.size else least != label


@compiled
def dot(x: Array, y: Array) -> Any:
    """sum_i x_i y_i of two vectors (n,)."""
    s = f32(0)
    for i in range(x.size):
        s += x[i] * y[i]
    return s


@compiled
def scale(factor: Any, x: Array, out: Array) -> None:
    """out_i = factor x_i, both (n,)."""
    for i in range(out.size):
        out[i] = factor * x[i]


@compiled
def add_scaled(factor: Any, x: Array, out: Array) -> None:
    """out_i += factor x_i, shape (n,) as `out`."""
    for i in range(out.size):
        out[i] += factor * x[i]


@compiled
def cut(x: Array, height: int, stride: int, width: int, strips: Array) -> None:
    """strips[c, y, i] = x[y, c + i]: lay a map x (height, stride) out for each column of a kernel, rows of `width`."""
    for c in range(stride - width + 1):
        for y in range(height):
            row, strip = x[y * stride + c :], strips[(c * height + y) * width :]
            for i in range(width):
                strip[i] = row[i]


@compiled
def paste(strips: Array, height: int, stride: int, width: int, out: Array) -> None:
    """out[y, c + i] += strips[c, y, i], the reverse of `cut`: from dE/d strips to dE/dx of a map (height, stride)."""
    for c in range(stride - width + 1):
        for y in range(height):
            row, strip = out[y * stride + c :], strips[(c * height + y) * width :]
            for i in range(width):
                row[i] += strip[i]


@compiled
def correlate(u: Array, v: Array, strips: Array, strip: int, width: int, a: Array, b: Array) -> None:
    """a_i += sum_rc u[r, c] strips[c, r width + i] and b_i likewise with v: two kernels (height, 5) on one input map.

    Strips are `strip` long, with rows of `width`; a and b, two output maps, are (n,).
    """
    for r in range(len(u)):
        x0, x1, x2 = strips[r * width :], strips[r * width + strip :], strips[r * width + 2 * strip :]
        x3, x4 = strips[r * width + 3 * strip :], strips[r * width + 4 * strip :]
        u0, u1, u2, u3, u4 = u[r, 0], u[r, 1], u[r, 2], u[r, 3], u[r, 4]
        v0, v1, v2, v3, v4 = v[r, 0], v[r, 1], v[r, 2], v[r, 3], v[r, 4]
        for i in range(a.size):
            a[i] += u0 * x0[i] + u1 * x1[i] + u2 * x2[i] + u3 * x3[i] + u4 * x4[i]
            b[i] += v0 * x0[i] + v1 * x1[i] + v2 * x2[i] + v3 * x3[i] + v4 * x4[i]


@compiled
def lagged_products(d: Array, e: Array, strips: Array, strip: int, width: int, g: Array, h: Array) -> None:
    """g[r, c] = sum_i d_i strips[c, r width + i] and h likewise from e: the gradient of u and v of `correlate`, eq. 19.

    d and e, dE/da of a and b, are (n,).
    """
    for r in range(len(g)):
        x0, x1, x2 = strips[r * width :], strips[r * width + strip :], strips[r * width + 2 * strip :]
        x3, x4 = strips[r * width + 3 * strip :], strips[r * width + 4 * strip :]
        g0, g1, g2, g3, g4 = f32(0), f32(0), f32(0), f32(0), f32(0)
        h0, h1, h2, h3, h4 = f32(0), f32(0), f32(0), f32(0), f32(0)
        for i in range(d.size):
            g0 += d[i] * x0[i]
            g1 += d[i] * x1[i]
            g2 += d[i] * x2[i]
            g3 += d[i] * x3[i]
            g4 += d[i] * x4[i]
            h0 += e[i] * x0[i]
            h1 += e[i] * x1[i]
            h2 += e[i] * x2[i]
            h3 += e[i] * x3[i]
            h4 += e[i] * x4[i]
        g[r, 0], g[r, 1], g[r, 2], g[r, 3], g[r, 4] = g0, g1, g2, g3, g4
        h[r, 0], h[r, 1], h[r, 2], h[r, 3], h[r, 4] = h0, h1, h2, h3, h4


@compiled
def spread(
    u: Array, v: Array, d: Array, e: Array, width: int, x0: Array, x1: Array, x2: Array, x3: Array, x4: Array
) -> None:
    """x_c[r width + i] += u[r, c] d_i + v[r, c] e_i: dE/dx of five strips from dE/da of a and b of `correlate` (n,)."""
    for r in range(len(u)):
        y0, y1, y2, y3, y4 = x0[r * width :], x1[r * width :], x2[r * width :], x3[r * width :], x4[r * width :]
        u0, u1, u2, u3, u4 = u[r, 0], u[r, 1], u[r, 2], u[r, 3], u[r, 4]
        v0, v1, v2, v3, v4 = v[r, 0], v[r, 1], v[r, 2], v[r, 3], v[r, 4]
        for i in range(d.size):
            y0[i] += u0 * d[i] + v0 * e[i]
            y1[i] += u1 * d[i] + v1 * e[i]
            y2[i] += u2 * d[i] + v2 * e[i]
            y3[i] += u3 * d[i] + v3 * e[i]
            y4[i] += u4 * d[i] + v4 * e[i]


@compiled
def convolution_forward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """a[m, y, x] = b[m] + sum_n sum_rc w[m, n, r, c] input[n, y + r, x + c], n over the maps that m reads (Table I).

    Inputs (in_maps, in_height, in_width) and sums (maps, height, width) lie in `work.states`.
    """
    kh, kw, strip, size = layer.kernel_height, layer.kernel_width, layer.strip, layer.height * layer.width
    weights = parameters[layer.weights : layer.biases].reshape(-1, kh, kw)
    a = work.states[layer.output : layer.output + layer.units].reshape(layer.maps, size)
    for m in range(layer.maps):
        fill(parameters[layer.biases + m], a[m])
    for n in range(layer.in_maps):
        strips = work.strips[layer.strips + n * kw * strip :]
        source = work.states[layer.input + n * layer.in_height * layer.in_width :]
        cut(source, layer.in_height, layer.in_width, layer.width, strips)
        first, last = plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]
        paired = last - (last - first) % 2
        for k in range(first, paired, 2):
            u, v = weights[plan.kernels[k]], weights[plan.kernels[k + 1]]
            for c in range(0, kw - 4, 5):
                x = strips[c * strip :]
                correlate(u[:, c:], v[:, c:], x, strip, layer.width, a[plan.readers[k]], a[plan.readers[k + 1]])
        for k in range(first, last):
            for r in range(kh):
                for c in range(kw // 5 * 5 if k < paired else 0, kw):
                    x = strips[c * strip + r * layer.width :]
                    add_scaled(weights[plan.kernels[k], r, c], x, a[plan.readers[k]])


@compiled
def convolution_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of the layer's units to the gradient, eq. 19, and, but for the first layer, dE/dx of its input.

    dE/dw[m, n, r, c] = sum_yx dE/da[m, y, x] input[n, y + r, x + c]        dE/db[m] = sum_yx dE/da[m, y, x]
    dE/dinput[n, y, x] = sum_m sum_rc w[m, n, r, c] dE/da[m, y - r, x - c]
    """
    kh, kw, strip, size = layer.kernel_height, layer.kernel_width, layer.strip, layer.height * layer.width
    weights = parameters[layer.weights : layer.biases].reshape(-1, kh, kw)
    gradient = work.gradient[layer.weights : layer.biases].reshape(-1, kh, kw)
    run = (size + RUN - 1) // RUN * RUN
    delta = work.runs[: layer.maps * run].reshape(layer.maps, run)
    for m in range(layer.maps):
        copy(work.deltas[layer.output + m * size : layer.output + (m + 1) * size], delta[m, :size])
        fill(f32(0), delta[m, size:])
        work.gradient[layer.biases + m] = total(delta[m])
    for n in range(layer.in_maps):
        strips = work.strips[layer.strips + n * kw * strip :]
        strip_deltas = work.strip_deltas[: kw * strip]
        if layer.input > 0:
            fill(f32(0), strip_deltas)
        first, last = plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]
        paired = last - (last - first) % 2
        for k in range(first, paired, 2):
            d, e = delta[plan.readers[k]], delta[plan.readers[k + 1]]
            kernel, other = plan.kernels[k], plan.kernels[k + 1]
            for c in range(0, kw - 4, 5):
                x, dx = strips[c * strip :], strip_deltas[c * strip :]
                lagged_products(d, e, x, strip, layer.width, gradient[kernel, :, c:], gradient[other, :, c:])
                if layer.input > 0:
                    x0, x1, x2, x3, x4 = dx, dx[strip:], dx[2 * strip :], dx[3 * strip :], dx[4 * strip :]
                    u, v = weights[kernel, :, c:], weights[other, :, c:]
                    spread(u, v, d[:size], e[:size], layer.width, x0, x1, x2, x3, x4)
        for k in range(first, last):
            d, kernel = delta[plan.readers[k]], plan.kernels[k]
            for r in range(kh):
                for c in range(kw // 5 * 5 if k < paired else 0, kw):
                    place = c * strip + r * layer.width
                    gradient[kernel, r, c] = dot(d, strips[place:])
                    if layer.input > 0:
                        add_scaled(weights[kernel, r, c], d, strip_deltas[place : place + size])
        if layer.input > 0:
            source = layer.input + n * layer.in_height * layer.in_width
            input_deltas = work.deltas[source : source + layer.in_height * layer.in_width]
            fill(f32(0), input_deltas)
            paste(strip_deltas, layer.in_height, layer.in_width, layer.width, input_deltas)


@compiled
def covering_forward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """a[m] = b[m] + sum_n sum_rc w[m, n, r, c] input[n, r, c]: a convolution whose kernels cover their input maps.

    A layer that reads all its input maps is a full layer; this one reads those of its table.
    """
    size = layer.in_height * layer.in_width
    inputs = work.states[layer.input : layer.output].reshape(layer.in_maps, size)
    weights = parameters[layer.weights : layer.biases].reshape(-1, size)
    a = work.states[layer.output : layer.output + layer.units]
    copy(parameters[layer.biases : layer.biases + layer.maps], a)
    for n in range(layer.in_maps):
        for k in range(plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]):
            a[plan.readers[k]] += dot(weights[plan.kernels[k]], inputs[n])


@compiled
def covering_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of the layer's units to the gradient, eq. 19, and dE/dx of its input.

    dE/dw[m, n, r, c] = dE/da[m] input[n, r, c]        dE/dinput[n, r, c] = sum_m w[m, n, r, c] dE/da[m]
    """
    size = layer.in_height * layer.in_width
    inputs = work.states[layer.input : layer.output].reshape(layer.in_maps, size)
    input_deltas = work.deltas[layer.input : layer.output].reshape(layer.in_maps, size)
    weights = parameters[layer.weights : layer.biases].reshape(-1, size)
    gradient = work.gradient[layer.weights : layer.biases].reshape(-1, size)
    delta = work.deltas[layer.output : layer.output + layer.units]
    copy(delta, work.gradient[layer.biases : layer.biases + layer.maps])
    for n in range(layer.in_maps):
        fill(f32(0), input_deltas[n])
        for k in range(plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]):
            scale(delta[plan.readers[k]], inputs[n], gradient[plan.kernels[k]])
            add_scaled(delta[plan.readers[k]], weights[plan.kernels[k]], input_deltas[n])


@compiled
def field_sums(x: Array, width: int, rows: Array, out: Array) -> None:
    """out[y, i] = x[2y, 2i] + x[2y, 2i + 1] + x[2y + 1, 2i] + x[2y + 1, 2i + 1], all maps at once.

    Rows of x are `width` long.  First two rows are added, (out.size / width * 2, width) to `rows`, then neighbors.
    """
    for y in range(2 * out.size // width):
        for i in range(width):
            rows[y * width + i] = x[2 * y * width + i] + x[(2 * y + 1) * width + i]
    for i in range(out.size):
        out[i] = rows[2 * i] + rows[2 * i + 1]


@compiled
def spread_to_fields(d: Array, width: int, rows: Array, dx: Array) -> None:
    """dx[2y, 2i] = dx[2y, 2i + 1] = dx[2y + 1, 2i] = dx[2y + 1, 2i + 1] = d[y, i], the reverse of `field_sums`."""
    for i in range(d.size):
        rows[2 * i] = d[i]
        rows[2 * i + 1] = d[i]
    for y in range(4 * d.size // width):
        for i in range(width):
            dx[y * width + i] = rows[y // 2 * width + i]


@compiled
def subsampling_forward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """a[m, y, x] = w[m] s[m, y, x] + b[m], with s the average or the sum of the 2x2 field (II.B).

    Sums a (maps, height, width) go to `work.states`; the sums of the fields of all input maps to `work.sums`.
    """
    gain = f32(0.25) if plan.average else f32(1)
    size = layer.height * layer.width
    sums = work.sums[layer.sums : layer.sums + layer.in_maps * size].reshape(layer.in_maps, size)
    field_sums(work.states[layer.input : layer.output], layer.in_width, work.rows, sums.reshape(-1))
    a = work.states[layer.output : layer.output + layer.units].reshape(layer.maps, size)
    for n in range(layer.in_maps):
        for k in range(plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]):
            m = plan.readers[k]
            fill(parameters[layer.biases + m], a[m])
            add_scaled(gain * parameters[layer.weights + m], sums[n], a[m])


@compiled
def subsampling_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of the layer's units to the gradient, eq. 19, and dE/dx of its input (in_maps, in_height, in_width).

    dE/dw[m] = sum_yx dE/da[m, y, x] s[m, y, x]        dE/db[m] = sum_yx dE/da[m, y, x]
    dE/dinput[n, 2y + r, 2x + c] = sum_m w[m] ds/dinput dE/da[m, y, x], where ds/dinput is 1/4 or 1
    """
    gain = f32(0.25) if plan.average else f32(1)
    size = layer.height * layer.width
    sums = work.sums[layer.sums : layer.sums + layer.in_maps * size].reshape(layer.in_maps, size)
    delta = work.deltas[layer.output : layer.output + layer.units].reshape(layer.maps, size)
    for n in range(layer.in_maps):
        field_deltas = work.field_deltas[n * size : (n + 1) * size]
        fill(f32(0), field_deltas)
        for k in range(plan.first_link[layer.table + n], plan.first_link[layer.table + n + 1]):
            m = plan.readers[k]
            work.gradient[layer.biases + m] = total(delta[m])
            work.gradient[layer.weights + m] = gain * dot(sums[n], delta[m])
            add_scaled(gain * parameters[layer.weights + m], delta[m], field_deltas)
    field_deltas = work.field_deltas[: layer.in_maps * size]
    spread_to_fields(field_deltas, layer.in_width, work.rows, work.deltas[layer.input : layer.output])


@compiled
def average_forward(layer: Any, work: Workspace) -> None:
    """output[m, y, x] = 1/4 sum_rc input[m, 2y + r, 2x + c], shape (maps, height, width)."""
    x = work.states[layer.output : layer.output + layer.units]
    field_sums(work.states[layer.input : layer.output], layer.in_width, work.rows, x)
    for i in range(x.size):
        x[i] *= f32(0.25)


@compiled
def average_backward(layer: Any, work: Workspace) -> None:
    """dE/dinput[m, 2y + r, 2x + c] = 1/4 dE/doutput[m, y, x], shape (maps, in_height, in_width)."""
    field_deltas = work.field_deltas[: layer.units]
    scale(f32(0.25), work.deltas[layer.output : layer.output + layer.units], field_deltas)
    spread_to_fields(field_deltas, layer.in_width, work.rows, work.deltas[layer.input : layer.output])


@compiled
def greater(u: Any, v: Any) -> Any:
    """max(u, v) of two numbers, NaN if either is."""
    return u if u > v or u != u else v


@compiled
def max_forward(layer: Any, work: Workspace) -> None:
    """output[m, y, x] = max_rc input[m, 2y + r, 2x + c], shape (maps, height, width)."""
    inputs = work.states[layer.input : layer.output].reshape(layer.maps, layer.in_height, layer.in_width)
    x = work.states[layer.output : layer.output + layer.units].reshape(layer.maps, layer.height, layer.width)
    for m in range(layer.maps):
        for y in range(layer.height):
            upper, lower = inputs[m, 2 * y], inputs[m, 2 * y + 1]
            for i in range(layer.width):
                above, below = greater(upper[2 * i], upper[2 * i + 1]), greater(lower[2 * i], lower[2 * i + 1])
                x[m, y, i] = greater(above, below)


@compiled
def max_backward(layer: Any, work: Workspace) -> None:
    """dE/dinput (maps, in_height, in_width): that of a unit goes to the greatest of its inputs; the others have 0.

    Of equal inputs the first has it, row by row.
    """
    inputs = work.states[layer.input : layer.output].reshape(layer.maps, layer.in_height, layer.in_width)
    input_deltas = work.deltas[layer.input : layer.output].reshape(layer.maps, layer.in_height, layer.in_width)
    x = work.states[layer.output : layer.output + layer.units].reshape(layer.maps, layer.height, layer.width)
    delta = work.deltas[layer.output : layer.output + layer.units].reshape(layer.maps, layer.height, layer.width)
    for m in range(layer.maps):
        for y in range(layer.height):
            upper, lower = inputs[m, 2 * y], inputs[m, 2 * y + 1]
            upper_deltas, lower_deltas = input_deltas[m, 2 * y], input_deltas[m, 2 * y + 1]
            for i in range(layer.width):
                greatest, left = x[m, y, i], delta[m, y, i]
                d = left if upper[2 * i] == greatest else f32(0)
                upper_deltas[2 * i], left = d, left - d
                d = left if upper[2 * i + 1] == greatest else f32(0)
                upper_deltas[2 * i + 1], left = d, left - d
                d = left if lower[2 * i] == greatest else f32(0)
                lower_deltas[2 * i], left = d, left - d
                lower_deltas[2 * i + 1] = left if lower[2 * i + 1] == greatest else f32(0)


@compiled
def full_forward(layer: Any, parameters: Array, work: Workspace) -> None:
    """a_i = sum_j w_ij x_j + b_i, w (units, inputs), from `work.states` to `work.states`."""
    inputs = work.states[layer.input : layer.output]
    weights = parameters[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    for u in range(layer.units):
        work.states[layer.output + u] = dot(weights[u], inputs) + parameters[layer.biases + u]


@compiled
def full_backward(layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da_i of the layer's units to the gradient, eq. 19, and, but for the first layer, dE/dx_j of its input.

    dE/dw_ij = dE/da_i x_j        dE/db_i = dE/da_i        dE/dx_j = sum_i w_ij dE/da_i
    """
    inputs, input_deltas = work.states[layer.input : layer.output], work.deltas[layer.input : layer.output]
    delta = work.deltas[layer.output : layer.output + layer.units]
    weights = parameters[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    gradient = work.gradient[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    copy(delta, work.gradient[layer.biases : layer.biases + layer.units])
    fill(f32(0), input_deltas)
    for u in range(layer.units):
        for i in range(inputs.size):
            gradient[u, i] = delta[u] * inputs[i]
        if layer.input > 0:
            add_scaled(delta[u], weights[u], input_deltas)


@compiled
def full_update(layer: Any, parameters: Array, rates: Array, work: Workspace) -> None:
    """`full_backward` and eq. 18 in one pass, the gradient never stored: each weight is read for dE/dx, then learns.

    dE/dx_j = sum_i w_ij dE/da_i        w_ij <- w_ij - eps_ij dE/da_i x_j        b_i <- b_i - eps_i dE/da_i
    """
    inputs, input_deltas = work.states[layer.input : layer.output], work.deltas[layer.input : layer.output]
    delta = work.deltas[layer.output : layer.output + layer.units]
    weights = parameters[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    weight_rates = rates[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    if layer.input > 0:
        fill(f32(0), input_deltas)
        for u in range(0, layer.units - 1, 2):
            d, w, eps = delta[u : u + 2], weights[u : u + 2], weight_rates[u : u + 2]
            learn_two_units(d[0], d[1], inputs, w[0], w[1], eps[0], eps[1], input_deltas)
        if layer.units % 2:
            add_scaled(delta[layer.units - 1], weights[layer.units - 1], input_deltas)
    for u in range(layer.units - layer.units % 2 if layer.input > 0 else 0, layer.units):
        learn_unit(delta[u], inputs, weights[u], weight_rates[u])
    biases = slice(layer.biases, layer.biases + layer.units)
    descend(parameters[biases], rates[biases], delta)


@compiled
def learn_unit(d: Any, x: Array, w: Array, eps: Array) -> None:
    """w_j <- w_j - eps_j d x_j, eq. 18 for the weights of a unit with dE/da = d, all (inputs,)."""
    for j in range(x.size):
        w[j] -= eps[j] * (d * x[j])


@compiled
def learn_two_units(d: Any, e: Any, x: Array, u: Array, v: Array, eps: Array, eta: Array, dx: Array) -> None:
    """dx_j += d u_j + e v_j, then `learn_unit` for u and v; arrays are (inputs,)."""
    for j in range(x.size):
        dx[j] += d * u[j] + e * v[j]
        u[j] -= eps[j] * (d * x[j])
        v[j] -= eta[j] * (e * x[j])


@compiled
def descend(w: Array, eps: Array, gradient: Array) -> None:
    """w_k <- w_k - eps_k dE/dw_k, eq. 18, all (n,)."""
    for k in range(w.size):
        w[k] -= eps[k] * gradient[k]


@compiled
def forward(plan: Plan, parameters: Array, image: Array, work: Workspace, distances: Array) -> None:
    """From an input (inputs,) to the distances y_i of the output (classes,): x = f(a) layer by layer, then eq. 7."""
    copy(image, work.states[: image.size])
    for layer in plan.layers:
        if layer.kind == CONVOLUTION:
            convolution_forward(plan, layer, parameters, work)
        elif layer.kind == COVERING:
            covering_forward(plan, layer, parameters, work)
        elif layer.kind == SUBSAMPLING:
            subsampling_forward(plan, layer, parameters, work)
        elif layer.kind == AVERAGE:
            average_forward(layer, work)
        elif layer.kind == MAX:
            max_forward(layer, work)
        else:
            full_forward(layer, parameters, work)
        if layer.squashing == TANH:
            squash(work.states[layer.output : layer.output + layer.units], plan.amplitude, plan.slope)
        elif layer.squashing == RELU:
            rectify(work.states[layer.output : layer.output + layer.units])
    if plan.softmax:
        softmax_distances(work.states[work.states.size - distances.size :], distances)
    else:
        rbf_distances(plan, work, distances)


@compiled
def rbf_distances(plan: Plan, work: Workspace, distances: Array) -> None:
    """y_i = sum_k (x_k - w_ik)^2, eq. 7, shape (classes,), of the last states x (components,)."""
    classes, components = plan.prototypes.shape
    x = work.states[work.states.size - components :]
    for i in range(classes):
        y = f32(0)
        for k in range(components):
            y += (x[k] - plan.prototypes[i, k]) ** 2
        distances[i] = y


@compiled
def softmax_distances(a: Array, distances: Array) -> None:
    """y_i = -log p_i = log(sum_k e^a_k) - a_i, both (classes,)."""
    top = a[0]  # taken out of every exponent, so that the sum neither vanishes nor overflows
    for i in range(1, a.size):
        top = max(top, a[i])
    total = 0.0
    for i in range(a.size):
        total += np.exp(float(a[i] - top))
    for i in range(a.size):
        distances[i] = np.log(total) - float(a[i] - top)


@compiled
def loss(plan: Plan, label: int, work: Workspace) -> float:
    """The loss E of one pattern; dE/dx of the last states, or dE/da under a softmax, to the end of `work.deltas`."""
    return cross_entropy(plan, label, work) if plan.softmax else rbf_loss(plan, label, work)


@compiled
def cross_entropy(plan: Plan, label: int, work: Workspace) -> float:
    """E = -log p_D of the right class D, times the scale.

    dE/da_i = p_i - 1 for i = D and p_i for the others, shape (classes,), goes to the end of `work.deltas`.
    """
    y, delta = work.distances, work.deltas[work.deltas.size - work.distances.size :]
    for i in range(y.size):
        p = np.exp(-float(y[i]))
        delta[i] = plan.loss_scale * p if p >= NEGLIGIBLE or p != p else 0
    delta[label] = plan.loss_scale * np.expm1(-float(y[label]))
    return plan.loss_scale * y[label]


@compiled
def rbf_loss(plan: Plan, label: int, work: Workspace) -> float:
    """E of eq. 8 or 9, times the scale; dE/dx of the last states x (components,) goes to the end of `work.deltas`.

        E = y_D                                dE/dx = 2 (x - w_D)                               (eq. 8)
        E = y_D + log(e^-j + sum_i e^-y_i)     dE/dx = 2 (x - w_D) - sum_i p_i 2 (x - w_i)       (eq. 9)

    with p_i = e^-y_i / (e^-j + sum_k e^-y_k).  The plan of eq. 8 has an infinite j.
    A factor on y_i is one on 2 (x - w_i).  A label that is the number of classes is that of the rubbish class of eq. 9:
    j stands in place of y_D, and its derivative is 0.
    """
    y, w, factor = work.distances, plan.prototypes, plan.rbf_scale
    scale = plan.loss_scale * factor
    x, delta = work.states[work.states.size - w.shape[1] :], work.deltas[work.deltas.size - w.shape[1] :]
    if label == y.size:
        right = plan.j
        fill(f32(0), delta)
    else:
        right = factor * y[label]
        for k in range(x.size):
            delta[k] = f32(2 * scale) * (x[k] - w[label, k])
    if plan.j == np.inf:
        return plan.loss_scale * right
    least = min(plan.j, factor * y[nearest(y)])  # taken out of every exponent, so that the sum cannot vanish
    total = np.exp(least - plan.j)
    for i in range(y.size):
        total += np.exp(least - factor * y[i])
    for i in range(y.size):
        p = np.exp(least - factor * y[i]) / total
        if p < NEGLIGIBLE:
            continue
        for k in range(x.size):
            delta[k] -= f32(2 * scale * p) * (x[k] - w[i, k])
    return plan.loss_scale * (right - least + np.log(total))


@compiled
def layer_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of a layer that is not full to dE/dx of its input, and to its gradient dE/dw, eq. 19."""
    if layer.kind == CONVOLUTION:
        convolution_backward(plan, layer, parameters, work)
    elif layer.kind == COVERING:
        covering_backward(plan, layer, parameters, work)
    elif layer.kind == SUBSAMPLING:
        subsampling_backward(plan, layer, parameters, work)
    elif layer.kind == AVERAGE:
        average_backward(layer, work)
    elif layer.kind == MAX:
        max_backward(layer, work)


@compiled
def layer_through_squash(plan: Plan, layer: Any, work: Workspace) -> None:
    """From dE/dx of a layer's units to dE/da = f'(a) dE/dx, in place."""
    units = slice(layer.output, layer.output + layer.units)
    if layer.squashing == TANH:
        through_squash(work.states[units], work.deltas[units], plan.slope_at_zero, plan.slope_decline)
    elif layer.squashing == RELU:
        through_rectification(work.states[units], work.deltas[units])


@compiled
def gradient(plan: Plan, parameters: Array, image: Array, label: int, work: Workspace) -> None:
    """dE/dw_k of one pattern, `image` (inputs,), to `work.gradient` (parameters,); eq. 19."""
    forward(plan, parameters, image, work, work.distances)
    loss(plan, label, work)
    for n in range(len(plan.layers) - 1, -1, -1):
        layer = plan.layers[n]
        layer_through_squash(plan, layer, work)
        if layer.kind == FULL:
            full_backward(layer, parameters, work)
        else:
            layer_backward(plan, layer, parameters, work)


@compiled
def learn(plan: Plan, parameters: Array, rates: Array, work: Workspace) -> None:
    """Backward from dE/dx of the last states, and w_k <- w_k - eps_k dE/dw_k, eq. 18, layer by layer."""
    for n in range(len(plan.layers) - 1, -1, -1):
        layer = plan.layers[n]
        layer_through_squash(plan, layer, work)
        if layer.kind == FULL:
            full_update(layer, parameters, rates, work)
            continue
        layer_backward(plan, layer, parameters, work)
        if layer.kind != AVERAGE and layer.kind != MAX:
            own = slice(layer.weights, layer.biases + layer.maps)
            descend(parameters[own], rates[own], work.gradient[own])


@compiled
def sweep(
    plan: Plan, parameters: Array, rates: Array, images: Array, labels: Array, work: Workspace
) -> tuple[int, float]:
    """w_k <- w_k - eps_k dE/dw_k, eq. 18, for each of `images` (n, inputs) with `labels` (n,), in place.

    Returns the errors, each pattern answered just before its update, and the sum of the losses.
    """
    errors, losses = 0, 0.0
    for n in range(len(images)):
        forward(plan, parameters, images[n], work, work.distances)
        errors += wrong(plan, labels[n], work.distances)
        losses += loss(plan, labels[n], work)
        learn(plan, parameters, rates, work)
    return errors, losses


@compiled
def evaluate(plan: Plan, parameters: Array, images: Array, work: Workspace, distances: Array) -> None:
    """Distances y_i, eq. 7, of each of `images` (n, inputs) to every class, to `distances` (n, classes)."""
    for n in range(len(images)):
        forward(plan, parameters, images[n], work, distances[n])


@compiled
def evaluate_wide(plan: Plan, parameters: Array, fields: Array, work: Workspace, distances: Array) -> None:
    """Distances y_i, eq. 7, at each output over each of `fields` (n, inputs), to `distances` (n, classes, outputs).

    The layers of `plan` lie over a whole field, and the last states are (components, outputs).
    """
    classes, components = plan.prototypes.shape
    outputs = distances.shape[2]
    x = work.states[work.states.size - components * outputs :].reshape(components, outputs)
    for n in range(len(fields)):
        # It takes the last states for those of one output: what it makes of them in work.distances means nothing.
        forward(plan, parameters, fields[n], work, work.distances)
        for i in range(classes):
            y = distances[n, i]
            fill(f32(0), y)
            for k in range(components):
                add_squares(x[k], plan.prototypes[i, k], y)


@compiled
def add_squares(x: Array, center: Any, out: Array) -> None:
    """out_o += (x_o - center)^2, both (n,)."""
    for o in range(out.size):
        out[o] += (x[o] - center) ** 2
