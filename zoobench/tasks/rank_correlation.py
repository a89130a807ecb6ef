"""Spearman's rank correlation of many pairs of columns, whose rows are drawn again many times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def drawn_counts(rows: int, draws: int, seed: int = 0) -> Array:
    """How often each row is drawn: [1 + draws, rows], once each in the first, with replacement in the others."""
    random = np.random.default_rng(seed)
    return np.concatenate([np.ones((1, rows)), random.multinomial(rows, np.full(rows, 1 / rows), size=draws)])


def spearman(one: Array, other: Array, counts: Array) -> Array:
    """Spearman's correlation of each column of `one` with that of `other`, [rows, columns]: [columns, draws].

    counts: how often each row is there, [draws, rows]. Equal values have their mean rank. It is 0 where all values of a
    column are equal, so that nothing is gained by saying the same of everything.

    >>> values = np.array([[1.0], [2.0], [3.0]])
    >>> spearman(values, values**2, np.array([[1.0, 1, 1], [2, 0, 1]])).round(3).tolist()
    [[1.0, 1.0]]
    """
    return np.stack([_of_column(*columns, counts) for columns in zip(one.T, other.T, strict=True)])


def _of_column(one: Array, other: Array, counts: Array) -> Array:
    total = counts.sum(1, keepdims=True)
    ranks = [_ranks(values, counts) for values in (one, other)]
    first, second = (each - (counts * each).sum(1, keepdims=True) / total for each in ranks)
    product, squares = (counts * first * second).sum(1), (counts * first**2).sum(1) * (counts * second**2).sum(1)
    fine = squares > 1e-9 * total[:, 0]
    return np.where(fine, product / np.sqrt(np.where(fine, squares, 1.0)), 0.0)


def _ranks(values: Array, counts: Array) -> Array:
    """The mean rank of each row, as often as it is drawn: [draws, rows]."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    of_group = np.add.reduceat(counts[:, order], starts, axis=1)
    middle = of_group.cumsum(1) - of_group / 2
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    return middle[:, group]
