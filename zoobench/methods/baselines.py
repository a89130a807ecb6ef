"""The baselines that every learned method is shown beside. None of them learns anything from a token set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoobench.methods.base import HERE, Execution
from zoobench.methods.target import Target
from zoobench.tokens import Population, TokenSet

PERCENTILES = torch.tensor([0.01, 0.25, 0.50, 0.75, 0.99])


@dataclass(frozen=True)
class _Unlearned:
    """Fitting and saving have nothing to do."""

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: None, execution: Execution = HERE) -> _Unlearned:
        return cls()

    @classmethod
    def load(cls, path: Path) -> _Unlearned:
        return cls()

    def save(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)


class FlatWeights(_Unlearned):
    """The weights themselves, flattened."""

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, D]"""
        return population.weights


class LayerStatistics(_Unlearned):
    """Seven numbers a layer: mean, variance, percentiles 1, 25, 50, 75, 99 of its weights and of its biases.

    Source: Unterthiner et al., Predicting Neural Network Accuracy from Weights, arXiv 2002.11448, section 4.
    """

    def embed(self, population: Population) -> Tensor:
        """[checkpoints, 7 · entries of the state dict]"""
        features = []
        for entry in population.layout:
            values = population.weights[:, entry.span]
            features += [values.mean(1), values.var(1, correction=0), *values.quantile(PERCENTILES, dim=1)]
        return torch.stack(features, dim=1)


class RandomInit(_Unlearned):
    """Models as they are before training, initialised as the anchors were."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        return Target.of(anchors).new_models(count, seed)


class Anchors(_Unlearned):
    """The anchors themselves, trained as they are: what generation is measured against from above."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """At most `count` models: there are no more than there are anchors."""
        return anchors.weights[:count]
