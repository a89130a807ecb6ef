"""Standardise each layer's weights by its mean and standard deviation over the zoo, and undo it after sampling.

As in original SANE (arXiv 2406.09997, section 3.1, after arXiv 2209.14733). Statistics are those of the training models
of one architecture. Zoos of several architectures have several statistics, so weights of the same kind mean different
things in each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.populations import Population, Tokenizer
from zoobench.zoo.schema import entries_of

SMALLEST = 1e-8  # standard deviation; an entry that is the same in all models stays at distance zero


@dataclass(frozen=True, eq=False)
class Standardization:
    """Mean and standard deviation [2, entries] of each state-dict entry, by architecture; without any, weights stay
    raw."""

    statistics: dict[str, Tensor] = field(default_factory=dict)
    _tokens: dict[Tokenizer, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, populations: Sequence[Population]) -> Standardization:
        """From training populations; those of one architecture are taken together."""
        weights: dict[Layout, list[Tensor]] = {}
        for population in populations:
            weights.setdefault(population.layout, []).append(population.weights)
        return cls({_key(layout): statistics_of(layout, torch.cat(of)) for layout, of in weights.items()})

    def standardised(self, tokens: Tensor, tokenizer: Tokenizer, places: Tensor | slice = slice(None)) -> Tensor:
        """Raw tokens [..., tokens, token_size] from `places` of a model, standardised; padding stays zero."""
        if not self.statistics:
            return tokens
        mean, deviation = (scale.to(tokens.device) for scale in self._of(tokenizer))
        return (tokens - mean[places]) / deviation[places]

    def raw(self, tokens: Tensor, tokenizer: Tokenizer) -> Tensor:
        """Undo it for standardised tokens [..., tokens, token_size] of whole models."""
        if not self.statistics:
            return tokens
        mean, deviation = (scale.to(tokens.device) for scale in self._of(tokenizer))
        return tokens * deviation + mean

    def scales(self, tokenizer: Tokenizer) -> tuple[Tensor, Tensor] | None:
        """Means and deviations of each element of the tokens [tokens, token_size]; None if weights stay raw."""
        return self._of(tokenizer) if self.statistics else None

    def _of(self, tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
        """Means, and deviations (1 for padding), of each element of the tokens [tokens, token_size]."""
        if tokenizer not in self._tokens:
            key = _key(tokenizer.layout)
            if key not in self.statistics:
                raise InputError(
                    "this SANE standardises each layer ('layer' normalization), but it was not trained on models of "
                    "this architecture; train one with another normalization, or on a zoo that has such models"
                )
            counts = torch.tensor([entry.numel for entry in tokenizer.layout])
            mean, deviation = tokenizer.tokens(self.statistics[key].repeat_interleave(counts, dim=1))
            self._tokens[tokenizer] = mean, deviation.where(tokenizer.mask, 1.0)
        return self._tokens[tokenizer]


def statistics_of(layout: Layout, weights: Tensor) -> Tensor:
    """Mean and standard deviation [2, entries] of each entry over models [models, D]."""
    spans = [weights[:, entry.span] for entry in layout]
    means = [span.mean() if span.numel() else torch.tensor(0.0) for span in spans]
    deviations = [span.std(correction=0) if span.numel() else torch.tensor(1.0) for span in spans]
    return torch.stack([torch.stack(means), torch.stack(deviations).clamp(min=SMALLEST)])


def _key(layout: Layout) -> str:
    """A name for an architecture that safetensors accepts."""
    return hashlib.sha256(json.dumps(entries_of(layout)).encode()).hexdigest()[:16]
