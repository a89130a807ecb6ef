"""Windows of consecutive tokens, gathered from flat weights when they are asked for.

windows = Windows(token_set.split("train").populations, length=32)
loader = DataLoader(windows, sampler=RandomWindows(windows, batch_size=32, batches=1000), batch_size=None)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset, Sampler

from zoo_generation.errors import InputError
from zoobench.populations.population import Population
from zoobench.populations.rows import Rows
from zoobench.populations.tokenizer import Tokenizer

Integers = NDArray[np.int64]
Bits = NDArray[np.int16] | NDArray[np.int32]
BITS = {2: torch.int16, 4: torch.int32}  # elements are copied as bits, whatever they mean


@dataclass(frozen=True)
class WindowBatch:
    """Windows of one or several populations, padded to the longest.

    tokens: [windows, length, token_size] in the token set's dtype; mask: the same shape, bool, true for a real
    parameter; positions: [windows, length, 3] int32, as the tokenizer's; population and checkpoint: [windows] int64,
    the number of the population and the row of its table.
    """

    tokens: Tensor
    mask: Tensor
    positions: Tensor
    population: Tensor
    checkpoint: Tensor


class Windows(Dataset[WindowBatch]):
    """Every window of `length` consecutive tokens of every checkpoint, or the whole sequence if it is shorter.

    Window i of a population with W windows per checkpoint begins at token i % W of checkpoint i // W; populations
    follow one another. An item is one window, or a batch of them if a tensor of numbers asks for it, which is much
    faster: give a `DataLoader` a sampler of such tensors, as `RandomWindows`, and `batch_size=None`.
    """

    def __init__(self, populations: Sequence[Population], length: int) -> None:
        self.populations = tuple(population for population in populations if len(population))
        if not self.populations:
            raise InputError("there are no checkpoints to take windows of; choose another split or zoo")
        self.lengths = [min(length, len(population.tokenizer)) for population in self.populations]
        self.per_checkpoint = torch.tensor(
            [len(p.tokenizer) - taken + 1 for p, taken in zip(self.populations, self.lengths, strict=True)]
        )
        self.checkpoints = torch.tensor([len(population) for population in self.populations])
        self.bounds = F.pad((self.per_checkpoint * self.checkpoints).cumsum(0), (1, 0))

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __getitem__(self, numbers: int | Tensor) -> WindowBatch:
        """The windows of these numbers, those of one population together. Raises `IndexError` for others."""
        asked = torch.as_tensor(numbers).reshape(-1)
        if not len(asked) or not 0 <= int(asked.min()) <= int(asked.max()) < len(self):
            raise IndexError(f"ask for one or more windows, numbered from 0 to {len(self) - 1}")
        owner = torch.bucketize(asked, self.bounds[1:], right=True)
        batches = [self._of_population(int(i), asked[owner == i]) for i in owner.unique()]
        if len(batches) == 1:
            return batches[0]
        longest = max(batch.tokens.shape[1] for batch in batches)
        return WindowBatch(
            tokens=torch.cat([lengthened(batch.tokens, longest) for batch in batches]),
            mask=torch.cat([lengthened(batch.mask, longest) for batch in batches]),
            positions=torch.cat([lengthened(batch.positions, longest) for batch in batches]),
            population=torch.cat([batch.population for batch in batches]),
            checkpoint=torch.cat([batch.checkpoint for batch in batches]),
        )

    def _of_population(self, number: int, asked: Tensor) -> WindowBatch:
        population, length = self.populations[number], self.lengths[number]
        within = asked - self.bounds[number]
        checkpoint = within // self.per_checkpoint[number]
        first = within % self.per_checkpoint[number]
        places = (first[:, None] + torch.arange(length)).flatten()
        tokenizer, shape = population.tokenizer, (len(asked), length, -1)
        return WindowBatch(
            tokens=cut_windows(population.rows.select(checkpoint), tokenizer, first, length),
            mask=tokenizer.mask.index_select(0, places).view(shape),
            positions=tokenizer.positions.index_select(0, places).view(shape),
            population=torch.full_like(checkpoint, number),
            checkpoint=checkpoint,
        )


class RandomWindows(Sampler[Tensor]):
    """Batches of random windows: every checkpoint is equally likely, and so is each of its windows.

    The same seed gives the same batches; each pass over the sampler gives the same ones.
    """

    def __init__(self, windows: Windows, batch_size: int, batches: int, seed: int = 0) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.batches = batches
        self.seed = seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(self.seed)
        ends = self.windows.checkpoints.cumsum(0)
        begins = ends - self.windows.checkpoints
        for _ in range(self.batches):
            checkpoint = torch.randint(int(ends[-1]), (self.batch_size,), generator=generator)
            owner = torch.bucketize(checkpoint, ends, right=True)
            windows = self.windows.per_checkpoint[owner]
            share = torch.rand(self.batch_size, generator=generator, dtype=torch.float64)
            first = (share * windows).long()
            yield self.windows.bounds[owner] + (checkpoint - begins[owner]) * windows + first


def cut_windows(rows: Rows, tokenizer: Tokenizer, first: Tensor, length: int) -> Tensor:
    """Tokens [rows, length, token_size] of each row from its token `first` [rows] on, in the dtype of the rows."""
    out = torch.empty(len(rows), length, tokenizer.token_size, dtype=rows.values.dtype)
    bits, runs = BITS[rows.values.itemsize], tokenizer.runs
    values, into = rows.values.view(bits).numpy(), out.view(bits).numpy()
    starts, tokens = rows.starts.numpy(), first.numpy()
    index = (runs.start.numpy(), runs.length.numpy(), runs.bias.numpy())
    at_once = rows.at_once(length * tokenizer.token_size * bits.itemsize)
    for begin in range(0, len(rows), at_once):
        part = slice(begin, begin + at_once)
        _cut(values, starts[part], tokens[part], index, into[part])
        rows.give_back()
    return out


@njit(nogil=True, cache=True)
def _cut(values: Bits, rows: Integers, first: Integers, runs: tuple[Integers, Integers, Integers], out: Bits) -> None:
    start, length, bias = runs
    for window in range(out.shape[0]):
        for place in range(out.shape[1]):
            token, run = out[window, place], first[window] + place
            real, begin = length[run], rows[window] + start[run]
            token[:real] = values[begin : begin + real]
            if bias[run] >= 0:
                token[real] = values[rows[window] + bias[run]]
                real += 1
            token[real:] = 0


def lengthened(values: Tensor, length: int, dim: int = 1) -> Tensor:
    """Values padded with zeros to a length along a dimension."""
    missing = length - values.shape[dim]
    return F.pad(values, (0, 0) * (values.dim() - dim - 1) + (0, missing)) if missing else values
