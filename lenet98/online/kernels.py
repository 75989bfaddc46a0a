"""Forward and backward through each kind of layer for one pattern, compiled.

All states x of a pattern lie in one vector, layer after layer, and so do the derivatives dE/dx, which become dE/da in
place on the way back.  A map of a convolution is worked out at the width of the layer's input: unit (y, x) stands at
y * in_width + x, so that one weight meets one contiguous run of inputs, with nothing to unfold, and the inner loops are
long; the few units between the rows of the map are dropped.  The weights of a kernel go five columns and two rows
at a time.

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
from numpy.typing import NDArray

CONVOLUTION, SUBSAMPLING, FULL, AVERAGE, MAX = range(5)
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
            "table",  # in `first_source`
            "sums",  # in the vector of field sums
        )
    ]
)  # fmt: skip


class Plan(NamedTuple):
    """A network for the kernels."""

    layers: NDArray[np.void]
    """All layers but the RBF output, dtype LAYER."""
    first_source: NDArray[np.int64]
    """For each output map of each layer, where its list in `sources` starts; one closing entry a layer."""
    sources: NDArray[np.int64]
    """The tables of all layers: the input maps that each output map reads."""
    prototypes: NDArray[np.float32]
    """Centers of the RBF units, shape (classes, components); no components with a softmax output."""
    softmax: bool
    """Whether the last of the layers are linear units under a softmax, and not what RBF units read."""
    average: bool
    """Whether a subsampling unit takes the average of its inputs or their sum."""
    j: float
    """The constant of eq. 9; infinite for eq. 8."""
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
    wide: NDArray[np.float32]
    """One map of a convolution at the width of the layer's input, with room for one kernel before and behind it."""
    sums: NDArray[np.float32]
    """What the coefficients of the subsampling units multiply."""
    gradient: NDArray[np.float32]
    """dE/dw, as the parameters."""
    distances: NDArray[np.float32]
    """y_i of the output."""


# Sums may be reordered (that is what vectorizes them); NaN and infinity keep their meaning, divergence must be seen.
# No kernel allocates memory, so nothing needs Numba's reference counts (nrt), which take a tenth of the time.
compiled = numba.njit(  # type: ignore[call-overload]
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}, _nrt=False
)

Array = Any  # float32 arrays; Numba infers the types
f32 = np.float32

# tanh z = z P(z^2) / Q(z^2) within 4e-7 for |z| <= 8, constant beyond; P and Q by least squares reweighted toward the
# minimax error in float64.  The library's tanh, called unit by unit, would take longer than all the rest of an update.
P = tuple(f32(c) for c in (9.99999970e-01, 1.34381888e-01, 3.56415337e-03, 2.17732010e-05, 1.50617482e-08))
Q = tuple(f32(c) for c in (1.0, 4.67715096e-01, 2.61360051e-02, 3.39917491e-04, 8.45363656e-07))
LIMIT = f32(8)
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
def dot(x: Array, y: Array) -> Any:
    """sum_i x_i y_i of two vectors (n,)."""
    s = f32(0)
    for i in range(x.size):
        s += x[i] * y[i]
    return s


@compiled
def correlate(kernel: Array, width: int, x: Array, stride: int, out: Array) -> None:
    """out[i] += sum_rc kernel[r, c] x[r stride + i + c], the weighted sums of one map for one of its input maps.

    `kernel` is (height * width,), row by row; `x` starts at the input map, whose rows are `stride` long; `out` is (n,).
    """
    height = kernel.size // width
    for c in range(0, width - 4, 5):
        for r in range(0, height - 1, 2):
            u, v = kernel[r * width + c :], kernel[(r + 1) * width + c :]
            x0, x1 = x[r * stride + c :], x[(r + 1) * stride + c :]
            u0, u1, u2, u3, u4 = u[0], u[1], u[2], u[3], u[4]
            v0, v1, v2, v3, v4 = v[0], v[1], v[2], v[3], v[4]
            for i in range(out.size):
                out[i] += (
                    u0 * x0[i] + u1 * x0[i + 1] + u2 * x0[i + 2] + u3 * x0[i + 3] + u4 * x0[i + 4]
                    + v0 * x1[i] + v1 * x1[i + 1] + v2 * x1[i + 2] + v3 * x1[i + 3] + v4 * x1[i + 4]
                )  # fmt: skip
        if height % 2:
            u, x0 = kernel[(height - 1) * width + c :], x[(height - 1) * stride + c :]
            u0, u1, u2, u3, u4 = u[0], u[1], u[2], u[3], u[4]
            for i in range(out.size):
                out[i] += u0 * x0[i] + u1 * x0[i + 1] + u2 * x0[i + 2] + u3 * x0[i + 3] + u4 * x0[i + 4]
    for c in range(width - width % 5, width):
        for r in range(height):
            u0, x0 = kernel[r * width + c], x[r * stride + c :]
            for i in range(out.size):
                out[i] += u0 * x0[i]


@compiled
def lagged_products(x: Array, stride: int, delta: Array, width: int, out: Array) -> None:
    """out[r, c] = sum_i x[r stride + i + c] delta[i]: the gradient of the kernel of `correlate`, eq. 19.

    `delta` is dE/da of the output map (n,), zero between its rows; `out` is (height * width,), row by row.
    """
    height = out.size // width
    for c in range(0, width - 4, 5):
        for r in range(0, height - 1, 2):
            x0, x1 = x[r * stride + c :], x[(r + 1) * stride + c :]
            s0, s1, s2, s3, s4 = f32(0), f32(0), f32(0), f32(0), f32(0)
            t0, t1, t2, t3, t4 = f32(0), f32(0), f32(0), f32(0), f32(0)
            for i in range(delta.size):
                d = delta[i]
                s0 += x0[i] * d
                s1 += x0[i + 1] * d
                s2 += x0[i + 2] * d
                s3 += x0[i + 3] * d
                s4 += x0[i + 4] * d
                t0 += x1[i] * d
                t1 += x1[i + 1] * d
                t2 += x1[i + 2] * d
                t3 += x1[i + 3] * d
                t4 += x1[i + 4] * d
            g, h = out[r * width + c :], out[(r + 1) * width + c :]
            g[0], g[1], g[2], g[3], g[4] = s0, s1, s2, s3, s4
            h[0], h[1], h[2], h[3], h[4] = t0, t1, t2, t3, t4
        if height % 2:
            x0 = x[(height - 1) * stride + c :]
            s0, s1, s2, s3, s4 = f32(0), f32(0), f32(0), f32(0), f32(0)
            for i in range(delta.size):
                d = delta[i]
                s0 += x0[i] * d
                s1 += x0[i + 1] * d
                s2 += x0[i + 2] * d
                s3 += x0[i + 3] * d
                s4 += x0[i + 4] * d
            g = out[(height - 1) * width + c :]
            g[0], g[1], g[2], g[3], g[4] = s0, s1, s2, s3, s4
    for c in range(width - width % 5, width):
        for r in range(height):
            x0, s0 = x[r * stride + c :], f32(0)
            for i in range(delta.size):
                s0 += x0[i] * delta[i]
            out[r * width + c] = s0


@compiled
def narrow(wide: Array, stride: int, width: int, out: Array) -> None:
    """out[y, i] = wide[y, i]: copy a map from rows of `stride` to rows of `width` units, both flat."""
    for y in range(out.size // width):
        for i in range(width):
            out[y * width + i] = wide[y * stride + i]


@compiled
def widen(x: Array, width: int, stride: int, wide: Array) -> None:
    """wide[y, i] = x[y, i]: copy a map from rows of `width` to rows of `stride` units, both flat, the rest stays."""
    for y in range(x.size // width):
        for i in range(width):
            wide[y * stride + i] = x[y * width + i]


@compiled
def convolution_forward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """a[m, y, x] = b[m] + sum_n sum_rc w[m, n, r, c] input[n, y + r, x + c], n over the maps that m reads (Table I).

    Inputs (in_maps, in_height, in_width) and sums (maps, height, width) lie in `work.states`.
    """
    kh, kw, height, width, stride = layer.kernel_height, layer.kernel_width, layer.height, layer.width, layer.in_width
    a = work.wide[: (height - 1) * stride + width]
    weight = layer.weights
    for m in range(layer.maps):
        fill(parameters[layer.biases + m], a)
        for k in range(plan.first_source[layer.table + m], plan.first_source[layer.table + m + 1]):
            kernel = parameters[weight : weight + kh * kw]
            correlate(kernel, kw, work.states[layer.input + plan.sources[k] * layer.in_height * stride :], stride, a)
            weight += kh * kw
        out = layer.output + m * height * width
        narrow(a, stride, width, work.states[out : out + height * width])


@compiled
def convolution_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of the layer's units to the gradient, eq. 19, and, but for the first layer, dE/dx of its input.

        dE/dw[m, n, r, c] = sum_yx dE/da[m, y, x] input[n, y + r, x + c]        dE/db[m] = sum_yx dE/da[m, y, x]
        dE/dinput[n, y, x] = sum_m sum_rc w[m, n, r, c] dE/da[m, y - r, x - c]

    dE/da of a map is laid out at the width of the input with zeros between its rows and around it, so that the way back
    is a correlation with the reversed kernel.
    """
    kh, kw, height, width, stride = layer.kernel_height, layer.kernel_width, layer.height, layer.width, layer.in_width
    first_layer = layer.input == 0
    margin, size = (kh - 1) * stride + kw - 1, (height - 1) * stride + width
    fill(f32(0), work.wide)
    wide = work.wide[margin : margin + size]
    if not first_layer:
        fill(f32(0), work.deltas[layer.input : layer.output])
    weight = layer.weights
    for m in range(layer.maps):
        delta = work.deltas[layer.output + m * height * width : layer.output + (m + 1) * height * width]
        work.gradient[layer.biases + m] = total(delta)
        widen(delta, width, stride, wide)
        for k in range(plan.first_source[layer.table + m], plan.first_source[layer.table + m + 1]):
            first = layer.input + plan.sources[k] * layer.in_height * stride
            gradient = work.gradient[weight : weight + kh * kw]
            lagged_products(work.states[first:], stride, wide, kw, gradient)
            if not first_layer:
                kernel = parameters[weight : weight + kh * kw]
                input_deltas = work.deltas[first : first + layer.in_height * stride]
                correlate(kernel[::-1], kw, work.wide, stride, input_deltas)
            weight += kh * kw


@compiled
def subsampling_forward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """a[m, y, x] = w[m] s[m, y, x] + b[m], with s the average or the sum of the 2x2 field (II.B).

    Sums a (maps, height, width) go to `work.states`, s of the same shape to `work.sums`.
    """
    gain = f32(0.25) if plan.average else f32(1)
    inputs = work.states[layer.input : layer.output].reshape(layer.in_maps, layer.in_height, layer.in_width)
    for m in range(layer.maps):
        source = inputs[plan.sources[plan.first_source[layer.table + m]]]
        coefficient, bias = parameters[layer.weights + m], parameters[layer.biases + m]
        for y in range(layer.height):
            upper, lower = source[2 * y], source[2 * y + 1]
            unit = (m * layer.height + y) * layer.width
            sums = work.sums[layer.sums + unit : layer.sums + unit + layer.width]
            a = work.states[layer.output + unit : layer.output + unit + layer.width]
            for i in range(layer.width):
                sums[i] = gain * (upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1])
                a[i] = coefficient * sums[i] + bias


@compiled
def subsampling_backward(plan: Plan, layer: Any, parameters: Array, work: Workspace) -> None:
    """From dE/da of the layer's units to the gradient, eq. 19, and dE/dx of its input (in_maps, in_height, in_width).

    dE/dw[m] = sum_yx dE/da[m, y, x] s[m, y, x]        dE/db[m] = sum_yx dE/da[m, y, x]
    dE/dinput[n, 2y + r, 2x + c] = sum_m w[m] ds/dinput dE/da[m, y, x], where ds/dinput is 1/4 or 1
    """
    gain = f32(0.25) if plan.average else f32(1)
    positions = layer.height * layer.width
    fill(f32(0), work.deltas[layer.input : layer.output])
    input_deltas = work.deltas[layer.input : layer.output].reshape(layer.in_maps, layer.in_height, layer.in_width)
    for m in range(layer.maps):
        delta = work.deltas[layer.output + m * positions : layer.output + (m + 1) * positions]
        sums = work.sums[layer.sums + m * positions : layer.sums + (m + 1) * positions]
        work.gradient[layer.biases + m] = total(delta)
        work.gradient[layer.weights + m] = dot(sums, delta)
        source = input_deltas[plan.sources[plan.first_source[layer.table + m]]]
        factor = parameters[layer.weights + m] * gain
        for row in range(2 * layer.height):
            above = delta[row // 2 * layer.width : (row // 2 + 1) * layer.width]
            for i in range(layer.width):
                source[row, 2 * i] += factor * above[i]
                source[row, 2 * i + 1] += factor * above[i]


@compiled
def average_forward(layer: Any, work: Workspace) -> None:
    """output[m, y, x] = 1/4 sum_rc input[m, 2y + r, 2x + c], shape (maps, height, width)."""
    inputs = work.states[layer.input : layer.output].reshape(layer.maps, layer.in_height, layer.in_width)
    x = work.states[layer.output : layer.output + layer.units].reshape(layer.maps, layer.height, layer.width)
    for m in range(layer.maps):
        for y in range(layer.height):
            upper, lower = inputs[m, 2 * y], inputs[m, 2 * y + 1]
            for i in range(layer.width):
                x[m, y, i] = f32(0.25) * (upper[2 * i] + upper[2 * i + 1] + lower[2 * i] + lower[2 * i + 1])


@compiled
def average_backward(layer: Any, work: Workspace) -> None:
    """dE/dinput[m, 2y + r, 2x + c] = 1/4 dE/doutput[m, y, x], shape (maps, in_height, in_width)."""
    input_deltas = work.deltas[layer.input : layer.output].reshape(layer.maps, layer.in_height, layer.in_width)
    delta = work.deltas[layer.output : layer.output + layer.units].reshape(layer.maps, layer.height, layer.width)
    for m in range(layer.maps):
        for row in range(layer.in_height):
            for i in range(layer.width):
                share = f32(0.25) * delta[m, row // 2, i]
                input_deltas[m, row, 2 * i] = share
                input_deltas[m, row, 2 * i + 1] = share


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
    """dE/dx_j = sum_i w_ij dE/da_i of the layer's input (inputs,).

    The gradient dE/dw_ij = dE/da_i x_j is left to `full_gradient` and `full_update`.
    """
    input_deltas = work.deltas[layer.input : layer.output]
    delta = work.deltas[layer.output : layer.output + layer.units]
    weights = parameters[layer.weights : layer.biases].reshape(layer.units, input_deltas.size)
    fill(f32(0), input_deltas)
    for u in range(0, layer.units - 3, 4):
        d0, d1, d2, d3 = delta[u], delta[u + 1], delta[u + 2], delta[u + 3]
        w0, w1, w2, w3 = weights[u], weights[u + 1], weights[u + 2], weights[u + 3]
        for i in range(input_deltas.size):
            input_deltas[i] += d0 * w0[i] + d1 * w1[i] + d2 * w2[i] + d3 * w3[i]
    for u in range(layer.units - layer.units % 4, layer.units):
        d0, w0 = delta[u], weights[u]
        for i in range(input_deltas.size):
            input_deltas[i] += d0 * w0[i]


@compiled
def full_gradient(layer: Any, work: Workspace) -> None:
    """dE/dw_ij = dE/da_i x_j, shape (units, inputs), and dE/db_i = dE/da_i, to `work.gradient`."""
    inputs = work.states[layer.input : layer.output]
    delta = work.deltas[layer.output : layer.output + layer.units]
    gradient = work.gradient[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    for u in range(layer.units):
        for i in range(inputs.size):
            gradient[u, i] = delta[u] * inputs[i]
    copy(delta, work.gradient[layer.biases : layer.biases + layer.units])


@compiled
def full_update(layer: Any, parameters: Array, rates: Array, work: Workspace) -> None:
    """w_ij <- w_ij - eps_ij dE/da_i x_j and b_i <- b_i - eps_i dE/da_i, eq. 18, w (units, inputs).

    The gradient is not written: that would be most of an update's memory.
    """
    inputs = work.states[layer.input : layer.output]
    delta = work.deltas[layer.output : layer.output + layer.units]
    weights = parameters[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    weight_rates = rates[layer.weights : layer.biases].reshape(layer.units, inputs.size)
    for u in range(layer.units):
        d, w, eps = delta[u], weights[u], weight_rates[u]
        for i in range(inputs.size):
            w[i] -= eps[i] * (d * inputs[i])
    biases = slice(layer.biases, layer.biases + layer.units)
    descend(parameters[biases], rates[biases], delta)


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
    """
    y, w, scale = work.distances, plan.prototypes, plan.loss_scale
    x, delta = work.states[work.states.size - w.shape[1] :], work.deltas[work.deltas.size - w.shape[1] :]
    for k in range(x.size):
        delta[k] = f32(2 * scale) * (x[k] - w[label, k])
    if plan.j == np.inf:
        return scale * y[label]
    least = min(plan.j, float(y[nearest(y)]))  # taken out of every exponent, so that the sum cannot vanish
    total = np.exp(least - plan.j)
    for i in range(y.size):
        total += np.exp(least - y[i])
    for i in range(y.size):
        p = np.exp(least - y[i]) / total
        if p < NEGLIGIBLE:
            continue
        for k in range(x.size):
            delta[k] -= f32(2 * scale * p) * (x[k] - w[i, k])
    return scale * (y[label] - least + np.log(total))


@compiled
def backward(plan: Plan, parameters: Array, work: Workspace) -> None:
    """From dE/dx of the last states to dE/da of every unit and the gradient dE/dw, eq. 19, full layers' left out.

    dE/da = f'(a) dE/dx within a layer; dE/dx_j = sum_i w_ij dE/da_i from a layer to the one below.
    """
    for n in range(len(plan.layers) - 1, -1, -1):
        layer = plan.layers[n]
        units = slice(layer.output, layer.output + layer.units)
        if layer.squashing == TANH:
            through_squash(work.states[units], work.deltas[units], plan.slope_at_zero, plan.slope_decline)
        elif layer.squashing == RELU:
            through_rectification(work.states[units], work.deltas[units])
        if layer.kind == CONVOLUTION:
            convolution_backward(plan, layer, parameters, work)
        elif layer.kind == SUBSAMPLING:
            subsampling_backward(plan, layer, parameters, work)
        elif layer.kind == AVERAGE:
            average_backward(layer, work)
        elif layer.kind == MAX:
            max_backward(layer, work)
        elif layer.input > 0:
            full_backward(layer, parameters, work)


@compiled
def gradient(plan: Plan, parameters: Array, image: Array, label: int, work: Workspace) -> None:
    """dE/dw_k of one pattern, `image` (inputs,), to `work.gradient` (parameters,); eq. 19."""
    forward(plan, parameters, image, work, work.distances)
    loss(plan, label, work)
    backward(plan, parameters, work)
    for layer in plan.layers:
        if layer.kind == FULL:
            full_gradient(layer, work)


@compiled
def update(plan: Plan, parameters: Array, rates: Array, work: Workspace) -> None:
    """w_k <- w_k - eps_k dE/dw_k, eq. 18, after `backward`."""
    for layer in plan.layers:
        if layer.kind == FULL:
            full_update(layer, parameters, rates, work)
        elif layer.kind == CONVOLUTION or layer.kind == SUBSAMPLING:
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
        errors += nearest(work.distances) != labels[n]
        losses += loss(plan, labels[n], work)
        backward(plan, parameters, work)
        update(plan, parameters, rates, work)
    return errors, losses


@compiled
def evaluate(plan: Plan, parameters: Array, images: Array, work: Workspace, distances: Array) -> None:
    """Distances y_i, eq. 7, of each of `images` (n, inputs) to every class, to `distances` (n, classes)."""
    for n in range(len(images)):
        forward(plan, parameters, images[n], work, distances[n])
