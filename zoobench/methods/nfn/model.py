"""Layers that commute with permutations of hidden units, for chains of linear layers and convolutions.

Source: Zhou et al., Permutation equivariant neural functionals, arXiv 2302.14040, section 3 (NF-layers) and appendix
(encodings of inputs and outputs for the variant NP).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from zoobench.methods.protocols import InapplicableError
from zoobench.methods.units import VECTORS, UnitGraph

BIAS = VECTORS.index("bias")


@dataclass(frozen=True)
class Chain:
    """What all networks that one neural functional reads have in common: widths of hidden layers are free.

    features: weights between two units, by layer; inputs, outputs: their number.
    """

    features: tuple[int, ...]
    inputs: int
    outputs: int

    @classmethod
    def of(cls, graph: UnitGraph, name: str) -> Chain:
        """Raises `InapplicableError` unless each set of units is written by one layer and read by the next."""
        steps = [(each.source, each.target) for each in graph.edges]
        chained = all(one[1] == other[0] for one, other in pairwise(steps))
        visited = [steps[0][0], *(target for _, target in steps)] if steps else []
        plain = all(present is None for each in graph.vectors for at, present in enumerate(each.entries) if at != BIAS)
        if not steps or not chained or len(set(visited)) != len(visited) or not plain:
            raise InapplicableError(
                f"nfn reads plain chains of linear layers and convolutions, and the networks of {name} have "
                "normalization, residual connections or other layers; take neural_graph for these"
            )
        features = tuple(rows * columns for rows, columns in (each.grid for each in graph.edges))
        return cls(features, graph.sets[visited[0]].size, graph.sets[visited[-1]].size)

    @property
    def words(self) -> str:
        """As in a sentence.

        >>> Chain((25, 9, 1), 3, 10).words
        'chains of 3 layers with 25, 9 and 1 weights between units, from 3 inputs to 10 outputs'
        """
        *first, last = map(str, self.features)
        features = f"{', '.join(first)} and {last}" if first else last
        return (
            f"chains of {len(self.features)} layers with {features} weights between units, from {self.inputs} inputs "
            f"to {self.outputs} outputs"
        )


class NeuralFunctional(nn.Module):
    """Features [models, features] of flat weights [models, D]: NF-layers of these `channels`, pooling, two layers."""

    def __init__(self, chain: Chain, channels: tuple[int, ...], hidden: int, features: int) -> None:
        super().__init__()
        layers, first = len(chain.features), channels[0]
        self.weights = nn.ModuleList(nn.Linear(size, first) for size in chain.features)
        self.biases = nn.ModuleList(nn.Linear(1, first) for _ in chain.features)
        self.inputs = nn.Parameter(0.1 * torch.randn(chain.inputs, first))
        self.outputs = nn.Parameter(0.1 * torch.randn(chain.outputs, first))
        self.layers = nn.ModuleList(EquivariantLayer(layers, one, other) for one, other in pairwise(channels))
        self.readout = nn.Sequential(
            nn.Linear(2 * layers * channels[-1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, features),
            nn.ReLU(),
        )

    def forward(self, graph: UnitGraph, flat: Tensor) -> Tensor:
        """Of models that share a graph."""
        given = {each.units: each.values(flat)[:, :, BIAS : BIAS + 1] for each in graph.vectors}
        weights, biases = [], []
        for each, weight, bias in zip(graph.edges, self.weights, self.biases, strict=True):
            numbers = given.get(each.target)
            if numbers is None:
                numbers = flat.new_zeros(len(flat), graph.sets[each.target].size, 1)
            weights.append(weight(each.weights(flat).flatten(3)))
            biases.append(bias(numbers))
        weights[0] = weights[0] + self.inputs
        weights[-1], biases[-1] = weights[-1] + self.outputs[:, None], biases[-1] + self.outputs
        for layer in self.layers:
            weights, biases = layer([each.relu() for each in weights], [each.relu() for each in biases])
        pooled = [each.mean((1, 2)) for each in weights] + [each.mean(1) for each in biases]
        return self.readout(torch.cat(pooled, dim=1))


class EquivariantLayer(nn.Module):
    """A linear map between features of all weights [models, targets, sources, channels] and biases [models, targets,
    channels] that commutes with permutations of the units of each layer.

    A weight's output is of itself, of the means and biases of its target and of its source, and of the means of all.
    """

    def __init__(self, layers: int, inputs: int, outputs: int) -> None:
        super().__init__()

        def maps(terms: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Linear(terms * inputs, outputs, bias=terms > 3) for _ in range(layers))

        self.own, self.target, self.source = maps(1), maps(3), maps(3)
        self.bias = maps(3)
        self.all_to_weight, self.all_to_bias = maps(2 * layers), maps(2 * layers)

    def forward(self, weights: list[Tensor], biases: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Of a chain of layers, in order."""
        written = [each.mean(2) for each in weights]
        read = [each.mean(1) for each in weights]
        everything = torch.cat([each.mean(1) for each in (*written, *biases)], dim=1)
        # Of the units that each layer writes, and of those before the first: mean of what writes them, their bias, and
        # mean of what reads them.
        absent = [torch.zeros_like(read[0]), torch.zeros_like(written[-1])]
        units = [
            torch.cat(each, dim=2)
            for each in zip((absent[0], *written), (absent[0], *biases), (*read, absent[1]), strict=True)
        ]
        new_weights, new_biases = [], []
        for at, weight in enumerate(weights):
            new = (
                self.own[at](weight) + self.target[at](units[at + 1])[:, :, None] + self.source[at](units[at])[:, None]
            )
            new_weights.append(new + self.all_to_weight[at](everything)[:, None, None])
            new_biases.append(self.bias[at](units[at + 1]) + self.all_to_bias[at](everything)[:, None])
        return new_weights, new_biases
