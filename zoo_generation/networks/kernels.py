"""Convolutions and pooling of many small models on a CPU.

Maps are laid out [models, channels, height, width, batch]: the batch is innermost, so that whole rows of a map are
one vector (width · batch elements), whatever the number of channels. Libraries vectorise over channels, of which a
zoo's models have eight. A convolution is a sum of *taps*, one per weight: a row of the input at an offset, times the
weight. Loops take five taps to two output channels, which is what sixteen registers hold, or, for each image alone, to
four columns of one.

A convolution and the max-pooling after it are one kernel: what is pooled away stays in the first-level cache.

Each model's arithmetic is done in the same order whatever the number of models or threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

TAPS = 5
EACH = 64  # images of `correlate_each`: four of the longest vectors, and a number that the compiler knows

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Pair = tuple[int, int]

# What lets a sum be taken in vectors; not-a-number and infinity stay what they are (no `nnan`, no `ninf`).
_REORDER = {"reassoc", "contract", "nsz", "arcp"}
_serial = njit(fastmath=_REORDER, nogil=True, error_model="numpy", cache=True)
_parallel = njit(fastmath=_REORDER, nogil=True, error_model="numpy", cache=True, parallel=True)


@_serial
def _add_taps(first: Floats, second: Floats, source: Floats, at: Integers, w: Floats, u: Floats) -> None:
    """Add five weighted pieces of `source` to two rows. Slices, since indices that may be negative do not vectorise."""
    n = len(first)
    a, b, c = source[at[0] : at[0] + n], source[at[1] : at[1] + n], source[at[2] : at[2] + n]
    d, e = source[at[3] : at[3] + n], source[at[4] : at[4] + n]
    w0, w1, w2, w3, w4 = w[0], w[1], w[2], w[3], w[4]
    u0, u1, u2, u3, u4 = u[0], u[1], u[2], u[3], u[4]
    for t in range(n):
        first[t] += w0 * a[t] + w1 * b[t] + w2 * c[t] + w3 * d[t] + w4 * e[t]
        second[t] += u0 * a[t] + u1 * b[t] + u2 * c[t] + u3 * d[t] + u4 * e[t]


@_serial
def _dot_taps(first: Floats, second: Floats, source: Floats, at: Integers, g: Floats, h: Floats) -> None:
    """Add to `g` and `h` the inner products of two rows with five pieces of `source`."""
    n = len(first)
    a, b, c = source[at[0] : at[0] + n], source[at[1] : at[1] + n], source[at[2] : at[2] + n]
    d, e = source[at[3] : at[3] + n], source[at[4] : at[4] + n]
    zero = np.float32(0)
    g0, g1, g2, g3, g4 = zero, zero, zero, zero, zero
    h0, h1, h2, h3, h4 = zero, zero, zero, zero, zero
    for t in range(n):
        p, q = first[t], second[t]
        g0 += p * a[t]
        g1 += p * b[t]
        g2 += p * c[t]
        g3 += p * d[t]
        g4 += p * e[t]
        h0 += q * a[t]
        h1 += q * b[t]
        h2 += q * c[t]
        h3 += q * d[t]
        h4 += q * e[t]
    g[0] += g0
    g[1] += g1
    g[2] += g2
    g[3] += g3
    g[4] += g4
    h[0] += h0
    h[1] += h1
    h[2] += h2
    h[3] += h3
    h[4] += h4


@_serial
def _dot_columns(row: Floats, source: Floats, out: Floats) -> None:
    """Add to `out` [TAPS · EACH] each image's inner products of a row with five pieces of `source`, a column apart.

    row: [columns · EACH]; source: at least four columns more.
    """
    columns = len(row) // EACH
    for j in range(0, columns - 3, 4):
        p, a = row[j * EACH :], source[j * EACH :]
        for t in range(EACH):
            p0, p1, p2, p3 = p[t], p[EACH + t], p[2 * EACH + t], p[3 * EACH + t]
            a0, a1, a2, a3 = a[t], a[EACH + t], a[2 * EACH + t], a[3 * EACH + t]
            a4, a5, a6, a7 = a[4 * EACH + t], a[5 * EACH + t], a[6 * EACH + t], a[7 * EACH + t]
            out[t] += p0 * a0 + p1 * a1 + p2 * a2 + p3 * a3
            out[EACH + t] += p0 * a1 + p1 * a2 + p2 * a3 + p3 * a4
            out[2 * EACH + t] += p0 * a2 + p1 * a3 + p2 * a4 + p3 * a5
            out[3 * EACH + t] += p0 * a3 + p1 * a4 + p2 * a5 + p3 * a6
            out[4 * EACH + t] += p0 * a4 + p1 * a5 + p2 * a6 + p3 * a7
    for j in range(columns - columns % 4, columns):
        p, a = row[j * EACH :], source[j * EACH :]
        for t in range(EACH):
            out[t] += p[t] * a[t]
            out[EACH + t] += p[t] * a[EACH + t]
            out[2 * EACH + t] += p[t] * a[2 * EACH + t]
            out[3 * EACH + t] += p[t] * a[3 * EACH + t]
            out[4 * EACH + t] += p[t] * a[4 * EACH + t]


@_serial
def _copy(source: Floats, out: Floats) -> None:
    """`out[:] = source`, many times faster for short arrays."""
    for b in range(len(out)):
        out[b] = source[b]


@_serial
def _largest(above: Floats, below: Floats, best: Floats, which: Floats) -> None:
    """The largest of four: the two halves of a row above and those of a row below; and its number, the first of many.

    By arithmetic, since branches mispredict.
    """
    n = len(best)
    a, b, c, d = above[:n], above[n : 2 * n], below[:n], below[n : 2 * n]
    for t in range(n):
        top, bottom = max(a[t], b[t]), max(c[t], d[t])
        upper, lower = np.float32(b[t] > a[t]), np.float32(2) + np.float32(d[t] > c[t])
        best[t] = max(top, bottom)
        which[t] = upper + (lower - upper) * np.float32(bottom > top)


@_serial
def _back_to_largest(gradient: Floats, which: Floats, step: int, above: Floats, below: Floats) -> None:
    """The gradient of `_largest`'s values; the second half of a row begins `step` elements after the first."""
    n = len(gradient)
    a, b, c, d = above[:n], above[step : step + n], below[:n], below[step : step + n]
    for t in range(n):
        g, number = gradient[t], which[t]
        a[t] = g * np.float32(number == 0)
        b[t] = g * np.float32(number == 1)
        c[t] = g * np.float32(number == 2)
        d[t] = g * np.float32(number == 3)


@_serial
def _pool(rows: Floats, best: Floats, which: Floats) -> None:
    """One row of pooled maps [columns, batch] from two rows [2, 2 · columns · batch]."""
    columns, batch = best.shape
    for j in range(columns):
        _largest(rows[0, 2 * j * batch :], rows[1, 2 * j * batch :], best[j], which[j])


@_serial
def _unpool(gradient: Floats, which: Floats, step: int, rows: Floats) -> None:
    """The gradient of `_pool`'s rows, columns apart by `step` elements; what lies between is left."""
    columns, batch = gradient.shape
    for j in range(columns):
        if len(rows) == 1:
            _copy(gradient[j], rows[0, j * step : j * step + batch])
        else:
            above, below = rows[0, 2 * j * step :], rows[1, 2 * j * step :]
            _back_to_largest(gradient[j], which[j], step, above, below)


@_parallel
def convolve(
    images: Floats,
    weight: Floats,
    bias: Floats,
    offsets: Integers,
    row: int,
    step: int,
    size: int,
    out: Floats,
    which: Floats,
) -> None:
    """Convolve the maps of each model with its weights, and keep the largest of each window of 2 × 2, or all.

    images: [models or 1, elements]; weight: [models, outputs, taps], taps a multiple of `TAPS`; bias: [models,
    outputs]; offsets: [taps], where a tap's input begins relative to its output's; row, step: elements between the
    inputs of two output rows, and of two columns; size: 2 to pool, else 1; out: [models, outputs, rows, columns,
    batch] and, only if it is pooled, `which` of a window was the largest.
    """
    models, outputs, taps = weight.shape
    rows, columns, batch = out.shape[2:]
    # A row is one piece if its input is, without skipped columns.
    pieces, length = (1, size * columns * batch) if step == batch else (size * columns, batch)
    pairs = (outputs + 1) // 2
    for n in prange(models * pairs):
        k, o = n // pairs, 2 * (n % pairs)
        p = min(o + 1, outputs - 1)
        w, u = weight[k, o], weight[k, p]
        first, second = np.empty((size, pieces * length), np.float32), np.empty((size, pieces * length), np.float32)
        for i in range(rows):
            if size == 1:
                first, second = out[k, o, i].reshape(1, -1), out[k, p, i].reshape(1, -1) if p > o else second
            for r in range(size):
                first[r] = bias[k, o]
                second[r] = bias[k, p]
                for s in range(pieces):
                    a, b = first[r, s * length : (s + 1) * length], second[r, s * length : (s + 1) * length]
                    source = images[k % len(images), (i * size + r) * row + s * step :]
                    for t in range(0, taps, TAPS):
                        _add_taps(a, b, source, offsets[t : t + TAPS], w[t : t + TAPS], u[t : t + TAPS])
            if size == 2:
                _pool(first, out[k, o, i], which[k, o, i])
                if p > o:
                    _pool(second, out[k, p, i], which[k, p, i])


@_parallel
def correlate(
    images: Floats, gradient: Floats, which: Floats, offsets: Integers, row: int, step: int, size: int, out: Floats
) -> None:
    """The gradient of `convolve`'s weights, into `out` [models, outputs, taps]; `gradient` is that of its output."""
    models, outputs, taps = out.shape
    rows, columns, batch = gradient.shape[2:]
    pieces, length = (1, size * columns * batch) if step == batch else (size * columns, batch)
    pairs = (outputs + 1) // 2
    for n in prange(models * pairs):
        k, o = n // pairs, 2 * (n % pairs)
        p = min(o + 1, outputs - 1)
        first, second = np.empty((size, pieces * length), np.float32), np.empty((size, pieces * length), np.float32)
        g, h = np.zeros(taps, np.float32), np.zeros(taps, np.float32)
        for i in range(rows):
            if size == 1:
                first, second = gradient[k, o, i].reshape(1, -1), gradient[k, p, i].reshape(1, -1)
            else:
                _unpool(gradient[k, o, i], which[k, o, i], batch, first)
                _unpool(gradient[k, p, i], which[k, p, i], batch, second)
            for r in range(size):
                for s in range(pieces):
                    a, b = first[r, s * length : (s + 1) * length], second[r, s * length : (s + 1) * length]
                    source = images[k % len(images), (i * size + r) * row + s * step :]
                    for t in range(0, taps, TAPS):
                        _dot_taps(a, b, source, offsets[t : t + TAPS], g[t : t + TAPS], h[t : t + TAPS])
        out[k, p] = h
        out[k, o] = g


@_parallel
def correlate_each(images: Floats, gradient: Floats, which: Floats, size: int, out: Floats) -> None:
    """The gradient of `convolve`'s weights for each image alone, of a stride and dilation of 1.

    images: [models or 1, channels, height, width, EACH], at least as wide as the gradient's columns before pooling and
    the kernel's width less one; gradient, which, size: as of `correlate`; out: [models, outputs, channels, kernel
    height, kernel width, EACH], of a kernel width that is a multiple of `TAPS`.
    """
    models, outputs, channels, kernel_height, kernel_width = out.shape[:5]
    rows, columns = gradient.shape[2], size * gradient.shape[3]
    for n in prange(models * outputs):
        k, o = n // outputs, n % outputs
        maps, sums = images[k % len(images)], out[k, o]
        sums[:] = 0
        spread = np.empty((size, columns * EACH), np.float32)
        for i in range(rows):
            _unpool(gradient[k, o, i], which[k, o, i], EACH, spread)
            for r in range(size):
                for c in range(channels):
                    for dy in range(kernel_height):
                        source = maps[c, i * size + r + dy].reshape(-1)
                        for dx in range(0, kernel_width, TAPS):
                            taps = sums[c, dy, dx : dx + TAPS].reshape(-1)
                            _dot_columns(spread[r], source[dx * EACH :], taps)


@_parallel
def convolve_back(
    gradient: Floats, which: Floats, weight: Floats, stride: Pair, dilation: Pair, size: int, out: Floats
) -> None:
    """The gradient of `convolve`'s images, into `out` [models, channels, height, width · batch].

    weight: [models, channels, outputs, kernel height, kernel width], its last axis reversed.
    """
    models, channels, outputs, kernel_height, kernel_width = weight.shape
    rows, batch = size * gradient.shape[2], gradient.shape[4]
    height, length = out.shape[2:]
    margin = dilation[1] * (kernel_width - 1) * batch
    most = outputs * kernel_height * kernel_width
    for k in prange(models):
        # Columns apart by the stride, and zeros left and right, so that every tap is of whole rows.
        spread = np.zeros((outputs, rows, length + margin), np.float32)
        for o in range(outputs):
            for z in range(0, rows, size):
                _unpool(
                    gradient[k, o, z // size],
                    which[k, o, z // size],
                    stride[1] * batch,
                    spread[o, z : z + size, margin:],
                )
        flat, spare = spread.reshape(-1), np.empty(length, np.float32)
        offsets = np.zeros(most + TAPS, np.int64)
        w, u = np.zeros(most + TAPS, np.float32), np.zeros(most + TAPS, np.float32)
        for y in range(height):
            for c in range(0, channels, 2):
                d = min(c + 1, channels - 1)
                taps = 0
                for o in range(outputs):
                    for dy in range(kernel_height):
                        z = y - dy * dilation[0]
                        if z < 0 or z % stride[0] > 0 or z // stride[0] >= rows:
                            continue
                        start = (o * rows + z // stride[0]) * (length + margin)
                        for dx in range(kernel_width):
                            offsets[taps] = start + dx * dilation[1] * batch
                            w[taps] = weight[k, c, o, dy, dx]
                            u[taps] = weight[k, d, o, dy, dx]
                            taps += 1
                offsets[taps : taps + TAPS] = 0
                w[taps : taps + TAPS] = 0
                u[taps : taps + TAPS] = 0
                first, second = out[k, c, y], out[k, d, y] if d > c else spare
                first[:] = 0
                second[:] = 0
                for t in range(0, taps, TAPS):
                    _add_taps(first, second, flat, offsets[t : t + TAPS], w[t : t + TAPS], u[t : t + TAPS])


@_parallel
def max_pool(images: Floats, out: Floats, which: Floats) -> None:
    """The largest of each window of 2 × 2, the first if several are, and its number within the window.

    images: [maps, height, width · batch]; out, which: [maps, height // 2, width // 2, batch].
    """
    maps, rows = out.shape[:2]
    for m in prange(maps):
        for i in range(rows):
            _pool(images[m, 2 * i : 2 * i + 2], out[m, i], which[m, i])


@_parallel
def max_unpool(gradient: Floats, which: Floats, out: Floats) -> None:
    """The gradient of `max_pool`'s images, into `out` [maps, height, width · batch]."""
    maps, rows, columns, batch = gradient.shape
    for m in prange(maps):
        if out.shape[1] > 2 * rows or out.shape[2] > 2 * columns * batch:
            out[m] = 0
        for i in range(rows):
            _unpool(gradient[m, i], which[m, i], batch, out[m, 2 * i : 2 * i + 2])


@_parallel
def tanh(values: Floats, out: Floats) -> None:
    """Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + …))), thirteen deep, as a fraction of polynomials.

    Exact up to rounding, six units in the last place at most. Beyond 9.1 tanh is 1 in float32. PyTorch's takes ten
    times as long. values, out: [models, elements].
    """
    p0, p1, p2, p3 = (
        np.float32(7905853580625),
        np.float32(1159525191825),
        np.float32(41247931725),
        np.float32(523783260),
    )
    p4, p5 = np.float32(2552550), np.float32(4095)
    q1, q2, q3 = np.float32(3794809718700), np.float32(252070693875), np.float32(5237832600)
    q4, q5, q6 = np.float32(41351310), np.float32(120120), np.float32(91)
    end, one = np.float32(9.1), np.float32(1)
    for k in prange(len(values)):
        x, y = values[k], out[k]
        for t in range(len(x)):
            a = min(max(x[t], -end), end)
            z = a * a
            over = p0 + z * (p1 + z * (p2 + z * (p3 + z * (p4 + z * (p5 + z)))))
            under = p0 + z * (q1 + z * (q2 + z * (q3 + z * (q4 + z * (q5 + z * q6)))))
            y[t] = min(max(a * over / under, -one), one)
