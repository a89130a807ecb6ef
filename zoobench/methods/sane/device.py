"""Training on an accelerator: windows are drawn there, and the model is compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from zoobench.methods.sane.windows import Batch, View, WindowSampler, disturbed, generator_of
from zoobench.populations import Population

SHARE = 0.5  # of the free memory, at most, that weights and index maps take; the rest is for the model


class Draws(Protocol):
    """A source of batches, each of which depends only on its number."""

    def draw(self, number: int, batch: int) -> Batch:
        """The batch of that number."""
        ...


def on_device(sampler: WindowSampler, device: torch.device) -> Draws:
    """The sampler itself on a CPU. On another device: windows drawn there if all weights fit, else copied ahead."""
    if device.type == "cpu":
        return sampler
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
    return ResidentSampler(sampler, device) if bytes_of(sampler) <= SHARE * free else AheadSampler(sampler, device)


def bytes_of(sampler: WindowSampler) -> int:
    """Bytes that `ResidentSampler` needs for the weights and the index maps of a sampler's populations."""
    total = 0
    for population, view in zip(sampler.populations, sampler.views, strict=True):
        elements = len(population.tokenizer) * population.tokenizer.token_size
        maps = 0 if view is None else view.sources.numel() * (1 if view.factors is None else 2)
        total += len(population) * population.layout.size * population.rows.values.itemsize
        total += 4 * (maps + 4 * elements)
    return total


@dataclass(frozen=True)
class Tables:
    """What windows of all populations are gathered with, populations one after another, each on the device.

    rows: each checkpoint's population [checkpoints]; starts: of its first element among all weights [checkpoints];
    lengths: tokens of a window [populations]; firsts: how many tokens a window can begin at [populations]; tokens: of a
    model [populations]; tables: the row of its first token in the tables by token [populations]; maps: number of maps
    of its view [populations]; views: the row of the first token of its first map in `sources` [populations].
    """

    rows: Tensor
    starts: Tensor
    lengths: Tensor
    firsts: Tensor
    tokens: Tensor
    tables: Tensor
    maps: Tensor
    views: Tensor


class ResidentSampler:
    """`WindowSampler`'s windows, drawn on a device that holds all weights: one gather per batch, and no copy.

    Windows, views, noise and erased rectangles have the same distribution as `WindowSampler`'s, but their random
    numbers are a stream of their own: those of the device's generator, seeded by the seed and the batch's number. All
    batches have the same shape: shorter models are padded to the longest window of any population.
    """

    def __init__(self, sampler: WindowSampler, device: torch.device) -> None:
        self.device = device
        self.seed, self.noise, self.erase = sampler.seed, sampler.noise, sampler.erase
        populations = sampler.populations
        tokenizers = [population.tokenizer for population in populations]
        tokens = torch.tensor([len(each) for each in tokenizers])
        lengths = tokens.clamp(max=sampler.window)
        self.length = int(lengths.max())
        self.whole = bool((lengths == self.length).all())
        self.values = _joined([_flat(population) for population in populations], device)
        views = [_view(view, population) for view, population in zip(sampler.views, populations, strict=True)]
        maps = torch.tensor([len(view.sources) for view in views])
        sizes = torch.tensor([population.layout.size for population in populations])
        counts = torch.tensor([len(population) for population in populations])
        starts, begin = [], 0
        for count, size in zip(counts.tolist(), sizes.tolist(), strict=True):
            starts.append(begin + torch.arange(count) * size)
            begin += count * size
        tables = Tables(
            rows=torch.arange(len(populations)).repeat_interleave(counts),
            starts=torch.cat(starts),
            lengths=lengths,
            firsts=tokens - lengths + 1,
            tokens=tokens,
            tables=_begins(tokens),
            maps=maps,
            views=_begins(maps * tokens),
        )
        self.tables = Tables(*(value.to(device) for value in vars(tables).values()))
        index = [each.index.clamp(max=size - 1).int() for each, size in zip(tokenizers, sizes.tolist(), strict=True)]
        self.index = _joined(index, device)
        self.mask = _joined([each.mask for each in tokenizers], device)
        self.positions = _joined([each.positions for each in tokenizers], device)
        self.sources = _joined([view.sources.flatten(0, 1) for view in views], device)
        self.factors = _factors(views, device)
        scales = [sampler.standardization.scales(each) for each in tokenizers]
        self.scales = (
            None if scales[0] is None else tuple(_joined(list(parts), device) for parts in zip(*scales, strict=True))
        )
        self.generator = torch.Generator(device)

    def draw(self, number: int, batch: int) -> Batch:
        """The batch of that number; nothing waits for the device."""
        t, generator = self.tables, self.generator
        generator.manual_seed(generator_of(self.seed, number).initial_seed())
        checkpoint = torch.randint(len(t.rows), (batch,), generator=generator, device=self.device)
        owner = t.rows[checkpoint]
        first, which = (
            (torch.rand(batch, generator=generator, device=self.device, dtype=torch.float64) * count[owner]).long()
            for count in (t.firsts, t.maps)
        )
        slots = torch.arange(self.length, device=self.device)
        real = slots < t.lengths[owner, None]
        places = torch.minimum(first[:, None] + slots, t.tokens[owner, None] - 1)
        rows = t.tables[owner, None] + places
        moved = (t.views[owner] + which * t.tokens[owner])[:, None] + places
        mask = self.mask[rows] & real[..., None]
        elements = torch.stack([self.index[rows], self.sources[moved]]) + t.starts[checkpoint, None, None]
        targets = self.values[elements].float()
        if self.factors is not None:
            targets = torch.stack([targets[0], targets[1] * self.factors[moved]])
        targets = targets * mask
        if self.scales is not None:
            mean, deviation = (scale[rows] for scale in self.scales)
            targets = (targets - mean) / deviation * mask
        return Batch(
            inputs=disturbed(targets, self.noise, self.erase, generator),
            targets=targets,
            mask=mask,
            positions=self.positions[rows] * real[..., None],
            real=real,
            whole=self.whole,
        )


class AheadSampler:
    """A sampler on the CPU whose next batch is drawn and pinned by a thread while the device computes."""

    def __init__(self, sampler: WindowSampler, device: torch.device) -> None:
        self.sampler, self.device = sampler, device
        self.pool = ThreadPoolExecutor(1)
        self.drawn: dict[tuple[int, int], Future[Batch]] = {}

    def draw(self, number: int, batch: int) -> Batch:
        """The batch of that number; the next one is begun."""
        ready = self.drawn.pop((number, batch), None) or self.pool.submit(self._pinned, number, batch)
        self.drawn = {(number + 1, batch): self.pool.submit(self._pinned, number + 1, batch)}
        return ready.result().to(self.device)

    def _pinned(self, number: int, batch: int) -> Batch:
        drawn = self.sampler.draw(number, batch)
        return drawn.pinned() if self.device.type == "cuda" else drawn


def compiled(model: nn.Module, trial: Callable[[nn.Module], Tensor], *, graphs: bool = True) -> nn.Module:
    """The model compiled, and with `graphs` captured as CUDA graphs; with a warning the model itself if that fails.

    `trial` runs a model and gives a loss, so that both passes are compiled before the first step.
    """
    try:
        fast = cast(nn.Module, torch.compile(model, mode="reduce-overhead" if graphs else "default"))
        trial(fast).backward()
    except Exception as error:  # whatever the compiler raises on a machine that it does not suit
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        warnings.warn(f"the model is not compiled, and trains more slowly: {reason}", stacklevel=2)
        return model
    finally:
        model.zero_grad(set_to_none=True)
    return fast


def _joined(parts: Sequence[Tensor], device: torch.device) -> Tensor:
    """Parts one after another on the device, which never holds more than the result and one part."""
    joined = torch.empty(sum(len(part) for part in parts), *parts[0].shape[1:], dtype=parts[0].dtype, device=device)
    begin = 0
    for part in parts:
        joined[begin : begin + len(part)].copy_(part)
        begin += len(part)
    return joined


def _flat(population: Population) -> Tensor:
    return torch.cat([piece.flatten() for piece in population.rows.pieces()])


def _begins(counts: Tensor) -> Tensor:
    return counts.cumsum(0) - counts


def _view(view: View | None, population: Population) -> View:
    """The view, or the one whose only map is the identity."""
    tokenizer = population.tokenizer
    return view or View(tokenizer.index.clamp(max=population.layout.size - 1).int()[None])


def _factors(views: Sequence[View], device: torch.device) -> Tensor | None:
    """Factors beside `sources`, one for views without; None if none of the views has any."""
    if all(view.factors is None for view in views):
        return None
    return _joined(
        [
            (torch.ones(view.sources.shape) if view.factors is None else view.factors.float()).flatten(0, 1)
            for view in views
        ],
        device,
    )
