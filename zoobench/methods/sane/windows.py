"""Windows of token sequences: random ones to train on, overlapping ones to run a long sequence through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zoobench.tokens import Population


@dataclass(frozen=True)
class Batch:
    """Windows of several populations, padded to the longest.

    views: two views of each window [2, batch, tokens, token_size]; mask: real elements, same shape without the
    views; positions [batch, tokens, 3]; real [batch, tokens]: tokens that are not padding.
    """

    views: Tensor
    mask: Tensor
    positions: Tensor
    real: Tensor


class WindowSampler:
    """Random windows of random checkpoints; every checkpoint is drawn as often as every other.

    `permutations` holds, for each population, index maps [maps, D + 1] that leave the model's function as it is: the
    second view of a window is taken under one of them at random.
    """

    def __init__(
        self,
        populations: Sequence[Population],
        permutations: Sequence[Tensor],
        window: int,
        generator: torch.Generator,
    ) -> None:
        self.populations = populations
        self.permutations = permutations
        self.window = window
        self.generator = generator
        self.owner = torch.cat([torch.full((len(p),), i) for i, p in enumerate(self.populations)])
        self.row = torch.cat([torch.arange(len(p)) for p in self.populations])
        self.padded = [F.pad(population.weights, (0, 1)) for population in self.populations]

    def draw(self, batch: int) -> Batch:
        """One batch."""
        chosen = torch.randint(len(self.owner), (batch,), generator=self.generator)
        pieces = [self._windows(i, self.row[chosen[self.owner[chosen] == i]]) for i in range(len(self.populations))]
        pieces = [piece for piece in pieces if piece.views.shape[1]]
        longest = max(piece.real.shape[1] for piece in pieces)
        return Batch(
            views=torch.cat([_lengthen(piece.views, longest, 2) for piece in pieces], dim=1),
            mask=torch.cat([_lengthen(piece.mask, longest, 1) for piece in pieces]),
            positions=torch.cat([_lengthen(piece.positions, longest, 1) for piece in pieces]),
            real=torch.cat([_lengthen(piece.real, longest, 1) for piece in pieces]),
        )

    def _windows(self, population: int, rows: Tensor) -> Batch:
        tokenizer = self.populations[population].tokenizer
        length = min(self.window, len(tokenizer))
        starts = torch.randint(len(tokenizer) - length + 1, (len(rows),), generator=self.generator)
        places = starts[:, None] + torch.arange(length)
        index = tokenizer.index[places]
        maps = self.permutations[population]
        drawn = maps[torch.randint(len(maps), (len(rows),), generator=self.generator)]
        moved = drawn[torch.arange(len(rows))[:, None, None], index]
        weights, row = self.padded[population], rows[:, None, None]
        return Batch(
            views=torch.stack([weights[row, index], weights[row, moved]]),
            mask=tokenizer.mask[places],
            positions=tokenizer.positions[places],
            real=torch.ones(len(rows), length, dtype=torch.bool),
        )


def _lengthen(values: Tensor, length: int, dim: int) -> Tensor:
    missing = length - values.shape[dim]
    return F.pad(values, (0, 0) * (values.dim() - dim - 1) + (0, missing)) if missing else values


def in_windows(
    run: Callable[[Tensor, Tensor], Tensor], sequence: Tensor, positions: Tensor, window: int, halo: int
) -> Tensor:
    """Run a sequence [models, tokens, features] through `run(features, positions)`, window by window.

    A window's outermost `halo` tokens on either side are context only: each token's result is that of a window in
    which it has at least `halo` neighbours, or the sequence's end. Source: arXiv 2406.09997, section 3.3.
    """
    models, length, _ = sequence.shape
    if length <= window:
        return run(sequence, positions.expand(models, -1, -1))
    step = window - 2 * halo
    pieces, covered = [], 0
    while covered < length:
        start = min(max(covered - halo, 0), length - window)
        end = length if start == length - window else start + window - halo
        whole = run(sequence[:, start : start + window], positions[start : start + window].expand(models, -1, -1))
        pieces.append(whole[:, covered - start : end - start])
        covered = end
    assert step > 0
    return torch.cat(pieces, dim=1)
