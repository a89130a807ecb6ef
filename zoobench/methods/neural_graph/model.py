"""Message passing on the unit graph of a network: equivariant to permutations of units, whatever the architecture.

Source: Kofinas et al., Graph neural networks for learning equivariant representations of neural networks, arXiv
2403.12143, section 4 (NG-GNN: messages that edges scale and shift, updates of edges, several aggregators).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoobench.methods.units import VECTORS, Kind, UnitGraph

FREQUENCIES = 8  # of the encoding of a place or a depth
LONGEST = 1000.0  # wavelength of that encoding, in units or layers
SMALLEST = 1e-5  # added to variances over messages, so that their roots have a derivative

Grid = tuple[int, int]


class GraphNetwork(nn.Module):
    """Features [models, features] of flat weights [models, D].

    width: of nodes, edges and features; rounds: of message passing; grids: by kind, the most rows and columns of
    weights between two units, smaller ones stand in the middle of zeros.
    """

    def __init__(self, width: int, rounds: int, grids: dict[Kind, Grid]) -> None:
        super().__init__()
        self.grids = grids
        self.weights = nn.ModuleDict({kind: _perceptron(h * w, width, width) for kind, (h, w) in grids.items()})
        self.vectors = _perceptron(2 * len(VECTORS), width, width)
        self.places = nn.Linear(2 * FREQUENCIES, width)
        self.depths = nn.ModuleDict({each: nn.Linear(4 * FREQUENCIES, width) for each in ("sets", "edges", "vectors")})
        self.node_norm, self.edge_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.rounds = nn.ModuleList(Round(width) for _ in range(rounds))
        self.readout = nn.Sequential(_perceptron(5 * width, 2 * width, width), nn.GELU())

    def forward(self, graph: UnitGraph, flat: Tensor) -> Tensor:
        """Of models that share a graph."""
        nodes = [self.node_norm(each) for each in self._nodes(graph, flat)]
        edges = [self.edge_norm(each) for each in self._edges(graph, flat)]
        for one_round in self.rounds:
            nodes, edges = one_round(graph, nodes, edges)
        outputs = torch.cat([nodes[number] for number in graph.outputs], dim=1)
        means = torch.stack([each.mean(1) for each in nodes]).mean(0)
        largest = torch.stack([each.amax(1) for each in nodes]).mean(0)
        return self.readout(torch.cat([_aggregated(outputs, 1), means, largest], dim=1))

    def _nodes(self, graph: UnitGraph, flat: Tensor) -> list[Tensor]:
        """[models, units, width] for each set: depth, vectors, and if places are fixed, the place."""
        nodes = []
        for units in graph.sets:
            start = self.depths["sets"](_depth(units.depth, len(graph.edges), flat))
            if units.fixed:
                start = start + self.places(_waves(torch.arange(units.size, device=flat.device)))
            nodes.append(start.expand(len(flat), units.size, -1))
        for each in graph.vectors:
            own = self.vectors(each.values(flat)) + self.depths["vectors"](_depth(each.depth, len(graph.edges), flat))
            nodes[each.units] = nodes[each.units] + F.gelu(own)
        return nodes

    def _edges(self, graph: UnitGraph, flat: Tensor) -> list[Tensor]:
        """[models, targets, sources, width] for each layer's weights: themselves, and their depth."""
        edges = []
        for each in graph.edges:
            weights = _in_the_middle(each.weights(flat), self.grids[each.kind]).flatten(3)
            depth = self.depths["edges"](_depth(each.depth, len(graph.edges), flat))
            edges.append(self.weights[each.kind](weights) + depth)
        return edges


class Round(nn.Module):
    """One round of messages along all edges, both ways, and updates of edges and nodes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.source, self.target = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.film, self.edge = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.node = _perceptron(7 * width, 2 * width, width)
        self.node_norm, self.edge_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, graph: UnitGraph, nodes: list[Tensor], edges: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of nodes [models, units, width] and edges [models, targets, sources, width]."""
        received: list[list[Tensor]] = [[] for _ in nodes]
        answered: list[list[Tensor]] = [[] for _ in nodes]
        updated = []
        for each, edge in zip(graph.edges, edges, strict=True):
            pair = self.source(nodes[each.source])[:, None] + self.target(nodes[each.target])[:, :, None]
            scale, shift = self.film(edge).chunk(2, dim=-1)
            message = F.gelu(torch.addcmul(shift + pair, scale, pair))
            updated.append(self.edge_norm(edge + self.edge(message)))
            received[each.target].append(message)
            answered[each.source].append(message.transpose(1, 2))
        changed = []
        for node, *sides in zip(nodes, received, answered, strict=True):
            seen = [_gathered(messages, node) for messages in sides]
            changed.append(self.node_norm(node + self.node(torch.cat([node, *seen], dim=-1))))
        return changed, updated


def _gathered(messages: list[Tensor], node: Tensor) -> Tensor:
    """Statistics [models, units, 3 · width] of all messages to each unit; zeros if there are none."""
    if not messages:
        return node.new_zeros(*node.shape[:-1], 3 * node.shape[-1])
    return _aggregated(torch.cat(messages, dim=2) if len(messages) > 1 else messages[0], 2)


def _aggregated(values: Tensor, dim: int) -> Tensor:
    """Mean, maximum and deviation along a dimension, side by side."""
    variance, mean = torch.var_mean(values, dim, correction=0)
    return torch.cat([mean, values.amax(dim), (variance + SMALLEST).sqrt()], dim=-1)


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


def _waves(numbers: Tensor) -> Tensor:
    """Sines and cosines [..., 2 · FREQUENCIES] of numbers, as of positions in a transformer."""
    rates = LONGEST ** (-torch.arange(FREQUENCIES, device=numbers.device) / FREQUENCIES)
    angles = numbers[..., None].float() * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _depth(depth: int, layers: int, like: Tensor) -> Tensor:
    """The encoding [4 · FREQUENCIES] of a depth, counted from the input and from the output."""
    return _waves(torch.tensor([depth, layers - depth], device=like.device)).flatten()


def _in_the_middle(weights: Tensor, grid: Grid) -> Tensor:
    """Weights [..., rows, columns] in the middle of zeros [..., *grid]."""
    (rows, columns), (height, width) = weights.shape[-2:], grid
    top, left = (height - rows) // 2, (width - columns) // 2
    return F.pad(weights, (left, width - columns - left, top, height - rows - top))
