"""Convolutions and pooling of many small models on a CPU.

Maps are laid out [models, channels, height, width, batch]: the batch is innermost, so that whole rows of a map are
one vector (width · batch elements), whatever the number of channels. Libraries vectorise over channels, of which a
zoo's models have eight. A convolution is a sum of *taps*, one a weight: row of the input at an offset, times the
weight. Each loop here takes five taps to two output channels, which is what sixteen registers hold.

Each model's arithmetic is done in the same order whatever the number of models or threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

TAPS = 5

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

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


@_parallel
def convolve(images: Floats, weight: Floats, bias: Floats, offsets: Integers, row: int, step: int, out: Floats) -> None:
    """Convolve the maps of each model with its weights.

    images: [models or 1, elements]; weight: [models, outputs, taps], taps a multiple of `TAPS`; bias: [models,
    outputs]; offsets: [taps], where a tap's input begins relative to its output's; row, step: elements between the
    inputs of two output rows, and of two pieces of a row; out: [models, outputs, rows, pieces, elements of a piece].
    """
    models, outputs, taps = weight.shape
    rows, pieces, length = out.shape[2:]
    pairs = (outputs + 1) // 2
    for n in prange(models * pairs):
        k, o = n // pairs, 2 * (n % pairs)
        alone = o + 1 == outputs
        w = weight[k, o]
        u = w if alone else weight[k, o + 1]
        spare = np.empty(length if alone else 0, np.float32)
        for i in range(rows):
            for s in range(pieces):
                first = out[k, o, i, s]
                second = spare if alone else out[k, o + 1, i, s]
                first[:] = bias[k, o]
                second[:] = bias[k, o] if alone else bias[k, o + 1]
                source = images[k % len(images), i * row + s * step :]
                for t in range(0, taps, TAPS):
                    _add_taps(first, second, source, offsets[t : t + TAPS], w[t : t + TAPS], u[t : t + TAPS])


@_parallel
def correlate(images: Floats, gradient: Floats, offsets: Integers, row: int, step: int, out: Floats) -> None:
    """The gradient of `convolve`'s weights, into `out` [models, outputs, taps]; `gradient` is that of its output."""
    models, outputs, taps = out.shape
    rows, pieces = gradient.shape[2:4]
    pairs = (outputs + 1) // 2
    for n in prange(models * pairs):
        k, o = n // pairs, 2 * (n % pairs)
        alone = o + 1 == outputs
        g = out[k, o]
        h = np.empty(taps, np.float32) if alone else out[k, o + 1]
        g[:] = 0
        h[:] = 0
        for i in range(rows):
            for s in range(pieces):
                first = gradient[k, o, i, s]
                second = first if alone else gradient[k, o + 1, i, s]
                source = images[k % len(images), i * row + s * step :]
                for t in range(0, taps, TAPS):
                    _dot_taps(first, second, source, offsets[t : t + TAPS], g[t : t + TAPS], h[t : t + TAPS])


@_serial
def _keep_larger(best: Floats, which: Floats, values: Floats, number: np.float32) -> None:
    """Where a value is larger than the best so far, keep it and its number. By arithmetic: branches mispredict."""
    for b in range(len(best)):
        new, old, before = values[b], best[b], which[b]
        which[b] = before + (number - before) * np.float32(new > old)
        best[b] = max(new, old)


@_parallel
def max_pool(images: Floats, size: int, out: Floats, which: Floats) -> None:
    """The largest of each size × size window, the first where several are, and its number within the window.

    images: [maps, height, width, batch]; out, which: [maps, height // size, width // size, batch].
    """
    maps, height, width, _ = out.shape
    for m in prange(maps):
        for i in range(height):
            for j in range(width):
                out[m, i, j] = images[m, i * size, j * size]
                which[m, i, j] = 0
                for q in range(1, size * size):
                    values = images[m, i * size + q // size, j * size + q % size]
                    _keep_larger(out[m, i, j], which[m, i, j], values, np.float32(q))


@_parallel
def max_unpool(gradient: Floats, which: Floats, size: int, out: Floats) -> None:
    """The gradient of `max_pool`'s images, into `out` [maps, height, width, batch]."""
    maps, height, width, batch = gradient.shape
    for m in prange(maps):
        if out.shape[1] > height * size or out.shape[2] > width * size:
            out[m] = 0
        for i in range(height):
            for j in range(width):
                for q in range(size * size):
                    target = out[m, i * size + q // size, j * size + q % size]
                    g, chosen = gradient[m, i, j], which[m, i, j]
                    for b in range(batch):
                        target[b] = g[b] if chosen[b] == q else np.float32(0)
