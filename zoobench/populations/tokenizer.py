"""A tokenizer maps elements of a flat weight vector to tokens: layer by layer, in blocks.

The rule is the published one (Schürholt et al., SANE, arXiv 2406.09997, section 3): walk the state dict in order;
every entry whose name contains `weight` is reshaped to [out_channels, -1] and gets its bias as last column; each row
is cut into pieces of the token size, the last piece zero-padded. BatchNorm's weight and bias form tokens like any
layer's unless left out; running statistics are never tokens. Parameters that the published rule would lose (neither a
weight nor the bias of one, or a bias whose length is not its weight's number of rows) are a layer of their own here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from zoo_generation.networks.architectures import Layout, LayoutEntry
from zoobench.populations.joining import can_join, join

RUNNING = ("running_mean", "running_var")


@dataclass(frozen=True)
class Block:
    """A layer: the tokens of `weight`, [rows, columns] with the bias as last column, `pieces` tokens per row.

    `first` is the index of its first token.
    """

    weight: LayoutEntry
    bias: LayoutEntry | None
    first: int
    pieces: int

    @property
    def rows(self) -> int:
        return self.weight.shape[0] if self.weight.shape else 1

    @property
    def columns(self) -> int:
        """Elements of the weight per row, without the bias."""
        return self.weight.numel // self.rows

    @property
    def tokens(self) -> slice:
        return slice(self.first, self.first + self.rows * self.pieces)


@dataclass(frozen=True)
class Runs:
    """The same, token by token: `length` elements from `start` on are consecutive in the flat vector, then comes the
    element `bias` unless it is -1, then padding. All are [tokens] int64."""

    start: Tensor
    length: Tensor
    bias: Tensor


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Tokens of one layout at one token size; `batch_norm` says whether BatchNorm's parameters are among them."""

    layout: Layout
    token_size: int
    batch_norm: bool
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, layout: Layout, token_size: int = 0, batch_norm: bool = True) -> Tokenizer:
        """The tokenizer of a layout; token size 0 means the longest row; `batch_norm=False` leaves BatchNorm out."""
        return _tokenizer(layout, token_size, batch_norm)

    def __len__(self) -> int:
        """Tokens per checkpoint."""
        return self.blocks[-1].tokens.stop if self.blocks else 0

    @property
    def layers(self) -> tuple[str, ...]:
        """Name of the weight of each layer."""
        return tuple(block.weight.name for block in self.blocks)

    @cached_property
    def index(self) -> Tensor:
        """[tokens, token_size] int64: position in the flat vector, or D for padding."""
        size = self.layout.size
        places = torch.arange(size)
        index = torch.full((len(self), self.token_size), size)
        self._fill(index[None], places[None])
        return index

    @cached_property
    def mask(self) -> Tensor:
        """[tokens, token_size] bool, true for a real parameter."""
        runs = self.runs
        real = runs.length + (runs.bias >= 0)
        return torch.arange(self.token_size) < real[:, None]

    @cached_property
    def positions(self) -> Tensor:
        """[tokens, 3] int32: index in the sequence, index of the layer, index of the output channel."""
        places = [torch.zeros(0, 2, dtype=torch.int64)]
        for layer, block in enumerate(self.blocks):
            channel = torch.arange(block.rows).repeat_interleave(block.pieces)
            places.append(torch.stack([torch.full_like(channel, layer), channel], dim=1))
        return torch.cat([torch.arange(len(self))[:, None], torch.cat(places)], dim=1).int()

    @cached_property
    def runs(self) -> Runs:
        start, length, bias = [], [], []
        for block in self.blocks:
            piece = torch.arange(block.pieces) * self.token_size
            row = torch.arange(block.rows)[:, None]
            start.append((block.weight.offset + row * block.columns + piece.clamp(max=block.columns)).flatten())
            length.append((block.columns - piece).clamp(0, self.token_size).expand(block.rows, -1).flatten())
            last = torch.full((block.rows, block.pieces), -1)
            if block.bias is not None:
                last[:, -1] = block.bias.offset + row[:, 0]
            bias.append(last.flatten())
        return Runs(*(torch.cat([torch.zeros(0, dtype=torch.int64), *parts]) for parts in (start, length, bias)))

    def tokens(self, weights: Tensor, out: Tensor | None = None) -> Tensor:
        """Tokens [models, tokens, token_size] of flat weights [models, D].

        `out`, the result of an earlier call for the same number of models, is overwritten: memory that the process
        already has is several times faster than new memory.
        """
        if out is None:
            out = weights.new_zeros(len(weights), len(self), self.token_size)
        self._fill(out, weights)
        return out

    def weights(self, tokens: Tensor, base: Tensor | None = None, out: Tensor | None = None) -> Tensor:
        """Flat weights [models, D] of tokens [models, tokens, token_size]; `out` is memory for them.

        Elements outside tokens come from `base` ([D] or [models, D]); without one, they are those of a new layer:
        variance and BatchNorm weight one, everything else zero.
        """
        if base is None:
            base = blank(self.layout)
        flat = tokens.new_empty(len(tokens), self.layout.size) if out is None else out
        if can_join(tokens, flat):
            join(tokens, (self.runs.start, self.runs.length, self.runs.bias), flat)
        else:
            self._empty(tokens, flat)
        for entry in self._left_out:
            flat[:, entry.span] = base[..., entry.span].to(flat)
        return flat

    def _fill(self, tokens: Tensor, weights: Tensor) -> None:
        """Write the real elements of tokens."""
        for block in self.blocks:
            rows, bias = self._views(tokens, weights, block)
            rows.copy_(weights[:, block.weight.span].view(rows.shape))
            if block.bias is not None:
                bias.copy_(weights[:, block.bias.span])

    def _empty(self, tokens: Tensor, weights: Tensor) -> None:
        """Write the real elements of tokens where they belong."""
        for block in self.blocks:
            rows, bias = self._views(tokens, weights, block)
            weights[:, block.weight.span].view(rows.shape).copy_(rows)
            if block.bias is not None:
                weights[:, block.bias.span] = bias

    def _views(self, tokens: Tensor, weights: Tensor, block: Block) -> tuple[Tensor, Tensor]:
        """Views of a block's tokens: weights [models, rows, columns], and the column after them [models, rows]."""
        whole = tokens[:, block.tokens].view(len(tokens), block.rows, block.pieces * self.token_size)
        column = min(block.columns, whole.shape[2] - 1)
        return whole[..., : block.columns], whole[..., column]

    @cached_property
    def _left_out(self) -> tuple[LayoutEntry, ...]:
        held = {entry for block in self.blocks for entry in (block.weight, block.bias)}
        return tuple(entry for entry in self.layout if entry not in held)


def blank(layout: Layout) -> Tensor:
    """Flat vector [D] of a layout without a model: BatchNorm's weight and variance one, everything else zero."""
    flat = torch.zeros(layout.size)
    for entry in layout:
        if entry.name.endswith("running_var") or (_is_norm(layout, entry.name) and entry.name.endswith("weight")):
            flat[entry.span] = 1.0
    return flat


def longest_row(layout: Layout) -> int:
    """Elements of the longest row of any layer: the token size at which every row is one token."""
    rows = (Block(weight, bias, 0, 1).columns + (bias is not None) for weight, bias in _layers(layout, True))
    return max(rows, default=1)


def _is_norm(layout: Layout, name: str) -> bool:
    """Whether an entry's layer normalises a batch: it has running statistics."""
    return f"{name.rpartition('.')[0]}.running_mean".removeprefix(".") in layout


def _layers(layout: Layout, batch_norm: bool) -> Iterator[tuple[LayoutEntry, LayoutEntry | None]]:
    """Each layer's entry, and the bias that is its last column."""
    biases = {}
    for entry in layout:
        bias = entry.name.replace("weight", "bias")
        if bias != entry.name and entry.numel and bias in layout and layout[bias].shape == entry.shape[:1]:
            biases[entry] = layout[bias]
    attached = set(biases.values())
    for entry in layout:
        if entry in attached or not entry.numel or entry.name.endswith(RUNNING):
            continue
        if batch_norm or not _is_norm(layout, entry.name):
            yield entry, biases.get(entry)


@lru_cache(maxsize=64)
def _tokenizer(layout: Layout, token_size: int, batch_norm: bool) -> Tokenizer:
    token_size = token_size or longest_row(layout)
    blocks, first = [], 0
    for weight, bias in _layers(layout, batch_norm):
        block = Block(weight, bias, first, 1)
        pieces = -(-(block.columns + (bias is not None)) // token_size)
        blocks.append(Block(weight, bias, first, pieces))
        first += block.rows * pieces
    return Tokenizer(layout, token_size, batch_norm, tuple(blocks))
