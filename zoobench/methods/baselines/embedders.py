"""Embed checkpoints without learning: their weights, or statistics of each layer's weights."""

from __future__ import annotations

import torch
from torch import Tensor

from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population

PERCENTILES = torch.tensor([0.01, 0.25, 0.50, 0.75, 0.99])


class FlatWeights(Unlearned):
    """The weights themselves, flattened."""

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, D]"""
        return population.weights


class LayerStatistics(Unlearned):
    """Seven numbers per layer: mean, variance, percentiles 1, 25, 50, 75, 99 of its weights and of its biases.

    Source: Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448, section 4.
    """

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, 7 · entries of the state dict]"""
        features = []
        for entry in population.layout:
            values = population.weights[:, entry.span]
            features += [values.mean(1), values.var(1, correction=0), *values.quantile(PERCENTILES, dim=1)]
        return torch.stack(features, dim=1)
