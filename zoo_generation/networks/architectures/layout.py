"""Where each weight of an architecture lies in one flat vector."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayoutEntry:
    """One floating-point entry of a state dict: its key, its shape, and its first index in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def span(self) -> slice:
        """The entry's elements in the flat vector."""
        return slice(self.offset, self.offset + self.numel)


@dataclass(frozen=True)
class Layout:
    """The floating-point entries of a state dict, in state-dict order, laid end to end.

    BatchNorm's running statistics are entries like any other. `num_batches_tracked`, an integer that no
    forward pass with a fixed momentum reads, is left out. Order is kept here explicitly because safetensors
    sorts names.
    """

    entries: tuple[LayoutEntry, ...]

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Layout:
        """The layout of a state dict."""
        shapes = {name: value.shape for name, value in state.items() if torch.is_tensor(value)}
        return cls.of_shapes({name: shape for name, shape in shapes.items() if state[name].is_floating_point()})

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
        """The layout of named shapes, given in state-dict order."""
        entries, offset = [], 0
        for name, shape in shapes.items():
            entries.append(LayoutEntry(name, tuple(shape), offset))
            offset += entries[-1].numel
        return cls(tuple(entries))

    @property
    def size(self) -> int:
        """Length D of the flat vector."""
        return self.entries[-1].span.stop if self.entries else 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {entry.name: entry.shape for entry in self.entries}

    @cached_property
    def _by_name(self) -> dict[str, LayoutEntry]:
        return {entry.name: entry for entry in self.entries}

    def __getitem__(self, name: str) -> LayoutEntry:
        return self._by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[LayoutEntry]:
        return iter(self.entries)

    def flatten(self, state: Mapping[str, Tensor]) -> Tensor:
        """A state dict as one flat vector [D], or a stacked one ([models, *shape] each) as [models, D]."""
        first = self.entries[0]
        batch = state[first.name].shape[: state[first.name].dim() - len(first.shape)]
        return torch.cat([state[entry.name].reshape(*batch, entry.numel) for entry in self.entries], dim=-1).float()

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """A flat vector [..., D] as a state dict of views [..., *shape]."""
        return {entry.name: flat[..., entry.span].reshape((*flat.shape[:-1], *entry.shape)) for entry in self.entries}
