"""Which checkpoints a model is trained on and which it is validated on, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoobench.populations import Population
from zoobench.populations.schema import SPLITS

MOST_BATCHES = 32  # of one look at held-out examples, however many there are


@dataclass(frozen=True, eq=False)
class Examples:
    """Numbers of the examples of each group, such as the rows of each population; a batch is of one group.

    train, held_out: int64 [examples] for each group, in the same order; either may be empty. passes: how often a look
    goes through the held-out examples; more than one averages over noise that a loss draws.

    >>> examples = Examples((torch.arange(6), torch.arange(2)), (torch.arange(6, 8), torch.arange(0)))
    >>> [rows.tolist() for _, rows in examples.batches(64)]
    [[6, 7]]
    """

    train: tuple[Tensor, ...]
    held_out: tuple[Tensor, ...]
    passes: int = 1

    @classmethod
    def of(cls, populations: Sequence[Population], passes: int = 1) -> Examples:
        """One group per population: its rows of the training split, and those of the validation split.

        Splits are by model, so no model has checkpoints on both sides.
        """
        splits = [torch.from_numpy(population.splits) for population in populations]
        train, held_out = (
            tuple((split == SPLITS.index(name)).nonzero().flatten() for split in splits) for name in ("train", "val")
        )
        return cls(train, held_out, passes)

    def __len__(self) -> int:
        """The number of training examples."""
        return sum(map(len, self.train))

    def draw(self, size: int, generator: torch.Generator) -> tuple[int, Tensor]:
        """A group, in proportion to its training examples, and numbers [size] of some of these, drawn uniformly.

        Each at most once, if the group has as many.
        """
        number = int(torch.randint(len(self), (1,), generator=generator))
        for group, rows in enumerate(self.train):
            if number < len(rows):
                if size <= len(rows):
                    return group, rows[torch.randperm(len(rows), generator=generator)[:size]]
                return group, rows[torch.randint(len(rows), (size,), generator=generator)]
            number -= len(rows)
        raise AssertionError("a number below the number of examples")

    def batches(self, size: int) -> Iterator[tuple[int, Tensor]]:
        """The held-out examples, each group's in batches of at most `size`; of very many batches some, evenly spread.

        Each pass gives the same ones.
        """
        found = [(group, rows) for group, held in enumerate(self.held_out) for rows in held.split(size) if len(rows)]
        found = found[:: -(-len(found) // MOST_BATCHES)] if found else []
        for _ in range(self.passes):
            yield from found


def generator_of(seed: int, number: int) -> torch.Generator:
    """The source of all randomness of one step, or with a negative number of something else, of a training."""
    return torch.Generator().manual_seed(number_of(seed, number))


def number_of(seed: int, number: int) -> int:
    """A seed of 63 bits, unlike those of other seeds and numbers."""
    digest = hashlib.sha256(f"learning:{seed}:{number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
