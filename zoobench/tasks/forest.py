"""The best forest of some nodes, by Edmonds' algorithm on a dense matrix.

Source: Edmonds, Optimum branchings, Journal of Research of the National Bureau of Standards 71B, 1967.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoobench.populations.lineage import NONE


def forest(scores: Tensor) -> list[int]:
    """For each node [nodes] the number of its parent, `NONE` if it has none, in the forest of the largest sum.

    scores: [children, parents]; those that are 0 or less, and the diagonal, are no edges.

    >>> from torch import tensor
    >>> forest(tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 3.0], [1.5, 1.0, 0.0]]))
    [1, 2, -1]
    """
    count = len(scores)
    values = np.full((count, count + 1), -np.inf)  # the last column is the root of all trees, whose edges cost nothing
    values[:, :count] = np.where(scores > 0, scores, -np.inf)
    np.fill_diagonal(values, -np.inf)
    values[:, count] = 0.0
    ends = np.indices(values.shape)  # child and parent of the best edge between two nodes, which may be contracted ones
    owner, alive = np.arange(count), np.ones(count, dtype=bool)
    contracted = []
    while cycle := _cycle(best := np.where(alive, values.argmax(1), count)):
        contracted.append((cycle, owner.copy(), ends[:, cycle, best[cycle]].T.tolist()))
        first, others = cycle[0], cycle[1:]
        entering, leaving = values[cycle] - values[cycle, best[cycle]][:, None], values[:, cycle]
        rows, columns = np.array(cycle)[entering.argmax(0)], np.array(cycle)[leaving.argmax(1)]
        entered, left = ends[:, rows, np.arange(count + 1)], ends[:, np.arange(count), columns]
        ends[:, first], ends[:, :, first] = entered, left
        values[first], values[:, first] = entering.max(0), leaving.max(1)
        values[first, cycle] = values[:, others] = -np.inf
        alive[others] = False
        owner[np.isin(owner, cycle)] = first
    edges = {int(node): ends[:, node, best[node]].tolist() for node in np.flatnonzero(alive)}
    for cycle, before, inner in reversed(contracted):  # the edge that enters a cycle takes the place of one within it
        entering_edge = edges[cycle[0]]
        edges |= dict(zip(cycle, inner, strict=True)) | {int(before[entering_edge[0]]): entering_edge}
    return [NONE if edges[node][1] == count else edges[node][1] for node in range(count)]


def _cycle(parents: NDArray[np.int64]) -> list[int]:
    """The nodes of a cycle among parents [nodes], which are beyond the last node where there is none; or no node."""
    begun = np.full(len(parents), -1)
    for start in range(len(parents)):
        node, line = start, list[int]()
        while node < len(parents) and begun[node] == -1:
            begun[node] = start
            line.append(node)
            node = int(parents[node])
        if node < len(parents) and begun[node] == start:
            return line[line.index(node) :]
    return []
