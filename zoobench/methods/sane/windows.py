"""Windows of token sequences: random ones for training, overlapping ones to run a long sequence through."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoobench.methods.sane.standardization import Standardization
from zoobench.populations import Population
from zoobench.populations.windows import cut_windows, lengthened

TOGETHER = 2**15  # tokens


@dataclass(frozen=True)
class Batch:
    """Windows of several populations, padded to the longest.

    inputs: two views of each window with noise [2, batch, tokens, token_size], float32; targets: the same without;
    mask: real elements, same shape without the views; positions [batch, tokens, 3]; real [batch, tokens]: tokens that
    are not padding; whole: whether all tokens are real, which is known without waiting for a device.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor
    positions: Tensor
    real: Tensor
    whole: bool

    def to(self, device: torch.device | str) -> Batch:
        return self._each(lambda part: part.to(device, non_blocking=True))

    def pinned(self) -> Batch:
        """In memory from which a GPU copies while it computes."""
        return self._each(Tensor.pin_memory)

    def share(self, number: int, of: int) -> Batch:
        """One of `shares` equal parts of the windows."""
        size = len(self.real) // of
        part = slice(number * size, (number + 1) * size)
        return Batch(
            self.inputs[:, part],
            self.targets[:, part],
            self.mask[part],
            self.positions[part],
            self.real[part],
            self.whole,
        )

    def _each(self, of: Callable[[Tensor], Tensor]) -> Batch:
        views = of(self.inputs), of(self.targets)
        return Batch(*views, of(self.mask), of(self.positions), of(self.real), self.whole)


@dataclass(frozen=True, eq=False)
class View:
    """The transformations of a population's windows for the second view: index maps on its tokens.

    sources: [maps, tokens, token_size] int32, the element of the flat vector for each place (arbitrary for padding);
    factors: multipliers of the elements, same shape, or None.
    """

    sources: Tensor
    factors: Tensor | None = None


class WindowSampler:
    """Random windows of random checkpoints; every checkpoint is equally likely.

    A batch depends only on the seed and its number, so training can go on from any step, and any number of workers see
    the same. Weights are not copied, and may be mapped. Without a view, both views of a window are the same.
    """

    def __init__(
        self,
        populations: Sequence[Population],
        views: Sequence[View | None],
        window: int,
        seed: int,
        *,
        noise: float = 0.0,
        erase: float = 0.0,
        standardization: Standardization | None = None,
    ) -> None:
        self.populations = populations
        self.views = views
        self.window = window
        self.seed = seed
        self.noise = noise
        self.erase = erase
        self.standardization = standardization or Standardization()
        self.ends = torch.tensor([len(population) for population in populations]).cumsum(0)

    def draw(self, number: int, batch: int) -> Batch:
        """The batch of that number."""
        generator = generator_of(self.seed, number)
        chosen = torch.randint(int(self.ends[-1]), (batch,), generator=generator).sort().values
        owner = torch.bucketize(chosen, self.ends, right=True)
        pieces = []
        for i in owner.unique().tolist():
            first = int(self.ends[i - 1]) if i else 0
            pieces.append(self._windows(i, chosen[owner == i] - first, generator))
        longest = max(piece.real.shape[1] for piece in pieces)
        targets = torch.cat([lengthened(piece.targets, longest, 2) for piece in pieces], dim=1)
        return Batch(
            inputs=disturbed(targets, self.noise, self.erase, generator),
            targets=targets,
            mask=torch.cat([lengthened(piece.mask, longest) for piece in pieces]),
            positions=torch.cat([lengthened(piece.positions, longest) for piece in pieces]),
            real=torch.cat([lengthened(piece.real, longest) for piece in pieces]),
            whole=all(piece.real.shape[1] == longest for piece in pieces),
        )

    def _windows(self, number: int, rows: Tensor, generator: torch.Generator) -> Batch:
        population, view = self.populations[number], self.views[number]
        tokenizer = population.tokenizer
        length = min(self.window, len(tokenizer))
        first = torch.randint(len(tokenizer) - length + 1, (len(rows),), generator=generator)
        places = first[:, None] + torch.arange(length)
        mask = tokenizer.mask[places]
        tokens = cut_windows(population.rows.select(rows), tokenizer, first, length).float()
        views = [tokens, tokens if view is None else _moved(view, population, rows, places, mask, generator)]
        targets = torch.stack([self.standardization.standardised(each, tokenizer, places) for each in views])
        return Batch(
            inputs=targets,
            targets=targets,
            mask=mask,
            positions=tokenizer.positions[places],
            real=torch.ones(len(rows), length, dtype=torch.bool),
            whole=True,
        )


def disturbed(targets: Tensor, noise: float, erase: float, generator: torch.Generator) -> Tensor:
    """Windows [2, batch, tokens, token_size] multiplied by noise, and with rectangles erased in a share of them."""
    if not noise and not erase:
        return targets
    inputs = targets * (1 + noise * torch.randn(targets.shape, generator=generator, device=generator.device))
    return inputs * ~_rectangles(inputs.shape, erase, generator) if erase else inputs


def generator_of(seed: int, number: int) -> torch.Generator:
    """The source of all randomness in one batch."""
    digest = hashlib.sha256(f"sane:{seed}:{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def _moved(
    view: View, population: Population, rows: Tensor, places: Tensor, mask: Tensor, generator: torch.Generator
) -> Tensor:
    """Windows [rows, length, token_size] of other tokens of the same function: one of the view's maps per row."""
    drawn = torch.randint(len(view.sources), (len(rows), 1), generator=generator)
    starts = population.rows.starts[rows]
    moved = population.rows.values[view.sources[drawn, places] + starts[:, None, None]] * mask
    return moved if view.factors is None else moved * view.factors[drawn, places]


def _rectangles(shape: torch.Size, share: float, generator: torch.Generator) -> Tensor:
    """True in a rectangle of tokens and elements, in that share of the windows [2, batch, tokens, token_size].

    The rectangle's part of the window's tokens, and of their elements, is drawn uniformly up to one half
    (after Zhong et al., Random Erasing, arXiv 1708.04896).
    """
    device = generator.device
    erased = torch.rand(*shape[:2], generator=generator, device=device) < share
    inside = erased[..., None, None]
    for dim, size in ((-1, shape[2]), (-2, shape[3])):
        part, begin = torch.rand(2, *shape[:2], generator=generator, device=device)
        begin, part = begin[..., None] * (1 - part[..., None] / 2) * size, part[..., None] * size / 2
        place = torch.arange(size, device=device)
        inside = inside & ((place >= begin) & (place < begin + part)).unsqueeze(dim)
    return inside


def halo_starts(length: int, window: int, halo: int) -> Tensor:
    """Where the windows of a sequence that is longer than one window begin, [windows] int64.

    Each window has `halo` tokens of context on either side and the next `window - 2 * halo` tokens as its own; the
    first and the last have more context on one side. As published (arXiv 2406.09997, section 3.3, and its code).
    """
    own = window - 2 * halo
    return (torch.arange(-(-length // own)) * own - halo).clamp(0, length - window)


def in_windows(
    run: Callable[[Tensor, Tensor], Tensor], sequence: Tensor, positions: Tensor, window: int, halo: int
) -> Tensor:
    """Run sequences [models, tokens, features] through `run(features, positions)`, in windows: see `halo_starts`.

    Each token's result is that of the window that owns it. Windows of all models run together, up to `TOGETHER` tokens
    at once.
    """
    models, length, _ = sequence.shape
    if length <= window:
        starts, window, own = torch.zeros(1, dtype=torch.int64), length, length
    else:
        starts, own = halo_starts(length, window, halo), window - 2 * halo
    starts = starts.to(sequence.device)
    places = starts[:, None] + torch.arange(window, device=sequence.device)
    model = torch.arange(models, device=sequence.device).repeat_interleave(len(starts))[:, None]
    within, positions = places.repeat(models, 1), positions.to(sequence.device)
    pieces = [
        run(sequence[model[some], within[some]], positions[within[some]])
        for some in torch.arange(len(model), device=sequence.device).split(max(1, TOGETHER // window))
    ]
    result = torch.cat(pieces).unflatten(0, (models, len(starts)))
    place = torch.arange(length, device=sequence.device)
    return result[:, place // own, place - starts[place // own]]
