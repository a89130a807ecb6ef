"""Random projections of long vectors, such as gradients, to fewer numbers, which keep inner products in the mean."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**20  # signs of a projection that are made at once


@dataclass(frozen=True)
class Projection:
    """A random projection of vectors to `size` numbers, which keeps inner products in the mean.

    Its matrix [inputs, size] is of ±1/√size, which depends on the seed, the size and the place alone, on every machine.
    It is made block by block, and only so much of it is kept as to be quick for small networks.

    >>> Projection(size=2, seed=0)(torch.eye(3)).abs()
    tensor([[0.7071, 0.7071],
            [0.7071, 0.7071],
            [0.7071, 0.7071]])
    """

    size: int
    seed: int = 0

    def __call__(self, values: Tensor) -> Tensor:
        """Values [..., inputs] projected to [..., size]."""
        length = max(1, BLOCK_ELEMENTS // self.size)
        out = values.new_zeros(*values.shape[:-1], self.size)
        for number, part in enumerate(values.split(length, dim=-1)):
            signs = _signs(self.seed, self.size, number)[: part.shape[-1]]
            out += part @ signs.to(part)
        return out / self.size**0.5


@dataclass(frozen=True)
class SparseProjection:
    """The same, of a matrix that is almost empty: each input counts in a single one of the `size` numbers, by ±1.

    As many inputs count in each number, or one fewer. It takes one addition for each input, whatever the size.
    Source: Charikar, Chen & Farach-Colton, Finding frequent items in data streams, 2002 (count sketch).

    >>> SparseProjection(size=2, seed=0)(torch.eye(3)).abs().sum(1)
    tensor([1., 1., 1.])
    """

    size: int
    seed: int = 0

    def __call__(self, values: Tensor) -> Tensor:
        """Values [..., inputs] projected to [..., size]."""
        order, signs = _order(self.seed, self.size, values.shape[-1])
        shape = -1, *[1] * (values.dim() - 1)
        # Inputs first, since whole rows are quick to take, and gradients of stacks are such rows.
        turned = values.movedim(-1, 0).index_select(0, order) * signs.to(values).view(shape)
        rows, rest = divmod(len(order), self.size)
        whole = turned[: rows * self.size].unflatten(0, (rows, self.size)).sum(0)
        whole[:rest] += turned[rows * self.size :]
        return whole.movedim(0, -1)


@lru_cache(maxsize=64)
def _order(seed: int, size: int, inputs: int) -> tuple[Tensor, Tensor]:
    """The order of inputs, whose places modulo `size` are where they count, and their signs: int64, int8 [inputs]."""
    generator = _generator(f"sparse projection:{seed}:{size}:{inputs}")
    order = torch.randperm(inputs, generator=generator)
    return order, torch.randint(2, (inputs,), generator=generator, dtype=torch.int8).mul_(2).sub_(1)


def _generator(text: str) -> torch.Generator:
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


@lru_cache(maxsize=64)  # of a mebibyte each
def _signs(seed: int, size: int, block: int) -> Tensor:
    """A block [rows, size] of a projection's signs, int8."""
    generator = _generator(f"projection:{seed}:{size}:{block}")
    shape = max(1, BLOCK_ELEMENTS // size), size
    return torch.randint(2, shape, generator=generator, dtype=torch.int8).mul_(2).sub_(1)
