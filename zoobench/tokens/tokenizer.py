"""A tokenizer is an index: which element of a flat weight vector goes to which slot of which token.

The rule is the published one (Schürholt et al., SANE, arXiv 2406.09997, section 3): walk the state dict in
order; every entry whose name holds `weight` is reshaped to [out_channels, -1] and gets its bias as last column;
each row is cut into pieces of the token size, the last piece zero-padded. BatchNorm's weight and bias form tokens
like any layer's unless left out; running statistics are never tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.architectures import Layout

RUNNING = ("running_mean", "running_var")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """The index of one layout at one token size.

    index: [tokens, token_size] int64, position in the flat vector, or D for padding.
    mask: [tokens, token_size] bool, true for a real parameter.
    positions: [tokens, 3] int32, (index in the sequence, index of the layer, index of the output channel).
    layers: name of the weight of each layer.
    """

    layout: Layout
    token_size: int
    index: Tensor
    mask: Tensor
    positions: Tensor
    layers: tuple[str, ...]

    @classmethod
    def of(cls, layout: Layout, token_size: int = 0, batch_norm: bool = True) -> Tokenizer:
        """The tokenizer of a layout; token size 0 means the longest row; `batch_norm=False` leaves BatchNorm out."""
        return _tokenizer(layout, token_size, batch_norm)

    def __len__(self) -> int:
        """Tokens a checkpoint."""
        return len(self.index)

    def tokens(self, weights: Tensor, start: int = 0, stop: int | None = None) -> Tensor:
        """Tokens [models, tokens, token_size] of flat weights [models, D]; `start` and `stop` cut a window."""
        return F.pad(weights, (0, 1))[:, self.index[start:stop]]

    def weights(self, tokens: Tensor, base: Tensor | None = None) -> Tensor:
        """Flat weights [models, D] of tokens [models, tokens, token_size].

        What tokens do not hold is taken from `base` ([D] or [models, D]) or, without one, is what a new layer
        has: variance and BatchNorm weight one, everything else zero.
        """
        if base is None:
            base = blank(self.layout)
        flat = base.to(tokens).expand(len(tokens), -1).clone()
        flat[:, self.index[self.mask]] = tokens[:, self.mask]
        return flat


def blank(layout: Layout) -> Tensor:
    """Flat vector [D] of a layout without a model: BatchNorm's weight and variance one, everything else zero."""
    flat = torch.zeros(layout.size)
    for entry in layout:
        if entry.name.endswith("running_var") or (_is_norm(layout, entry.name) and entry.name.endswith("weight")):
            flat[entry.span] = 1.0
    return flat


def longest_row(layout: Layout) -> int:
    """Elements of the longest row of any layer: the token size at which every row is one token."""
    return max(row.shape[1] for _, row in _rows(layout, batch_norm=True))


def _is_norm(layout: Layout, weight: str) -> bool:
    """Whether a layer normalises a batch: it has running statistics."""
    return f"{weight.rpartition('.')[0]}.running_mean" in layout


def _rows(layout: Layout, batch_norm: bool) -> list[tuple[str, Tensor]]:
    """Each layer's flat indices as [out_channels, row length], bias last."""
    rows = []
    for entry in layout:
        if "weight" not in entry.name or (not batch_norm and _is_norm(layout, entry.name)):
            continue
        row = torch.arange(entry.span.start, entry.span.stop).reshape(entry.shape[0], -1)
        bias = entry.name.replace("weight", "bias")
        if bias in layout:
            span = layout[bias].span
            row = torch.cat([row, torch.arange(span.start, span.stop)[:, None]], dim=1)
        rows.append((entry.name, row))
    return rows


@lru_cache(maxsize=64)
def _tokenizer(layout: Layout, token_size: int, batch_norm: bool) -> Tokenizer:
    rows = _rows(layout, batch_norm)
    token_size = token_size or max(row.shape[1] for _, row in rows)
    pieces, places = [], []
    for layer, (_, row) in enumerate(rows):
        channels, length = row.shape
        padded = F.pad(row, (0, -length % token_size), value=layout.size)
        pieces.append(padded.reshape(-1, token_size))
        channel = torch.arange(channels).repeat_interleave(padded.shape[1] // token_size)
        places.append(torch.stack([torch.full_like(channel, layer), channel], dim=1))
    index = torch.cat(pieces)
    positions = torch.cat([torch.arange(len(index))[:, None], torch.cat(places)], dim=1).int()
    return Tokenizer(layout, token_size, index, index < layout.size, positions, tuple(name for name, _ in rows))
