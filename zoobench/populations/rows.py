"""Flat weights of checkpoints, in memory or in a mapped file, which may be larger than memory."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo_generation.errors import InputError

RESIDENT = 128 * 2**20  # bytes of a mapped file that are read at random before its pages are given back
AROUND = 2 * 2**20  # bytes, at most, that the system maps around those that are read
IN_MEMORY = 2**30  # bytes of copied rows, at most: more are written to a temporary file


class MappedFile:
    """A file in the address space of the process; the file itself is never changed through it.

    Pages that were read count as the process's memory until they are given back. This happens here for files larger
    than `RESIDENT`, so that no more of any file is resident. The system's cache may still keep them.
    """

    def __init__(self, mapped: mmap.mmap, dtype: torch.dtype) -> None:
        self._map = mapped
        self.values = torch.frombuffer(mapped, dtype=dtype, count=len(mapped) // dtype.itemsize)
        self.large = len(mapped) > RESIDENT

    @classmethod
    def open(cls, path: Path, dtype: torch.dtype) -> MappedFile:
        """An existing file."""
        with path.open("rb") as file:
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), dtype)

    @classmethod
    def new(cls, elements: int, dtype: torch.dtype) -> MappedFile:
        """A nameless temporary file with room for that many elements; it is removed with its last mapping.

        Raises `InputError` if the temporary folder is too small.
        """
        size = elements * dtype.itemsize
        try:
            with tempfile.TemporaryFile(prefix="zoobench-") as file:
                os.posix_fallocate(file.fileno(), 0, size)  # without it, a page without room would end the process
                return cls(mmap.mmap(file.fileno(), 0), dtype)
        except OSError as error:
            raise InputError(
                f"{size} bytes of weights do not fit into the temporary folder ({error.strerror or error}); set TMPDIR "
                "to one that has room"
            ) from None

    def give_back(self) -> None:
        """Give back the pages that were read."""
        self._map.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, eq=False)
class Rows:
    """Weights of checkpoints in one vector: row i is `values[starts[i] : starts[i] + size]`.

    values: [elements] of any dtype; starts: [rows] int64; file: what `values` are mapped from, if so.
    """

    values: Tensor
    starts: Tensor
    size: int
    file: MappedFile | None = None

    @classmethod
    def of(cls, weights: Tensor) -> Rows:
        """The rows of a matrix [rows, D] in memory."""
        size = weights.shape[1]
        return cls(weights.contiguous().flatten(), torch.arange(len(weights)) * size, size)

    @classmethod
    def mapped(cls, path: Path, dtype: torch.dtype, size: int, blocks: list[tuple[int, int]]) -> Rows:
        """The rows of a file, given as blocks (offset in bytes, number of rows) of consecutive ones."""
        file = MappedFile.open(path, dtype)
        starts = [torch.arange(rows) * size + offset // dtype.itemsize for offset, rows in blocks]
        return cls(file.values, torch.cat(starts), size, file)

    def __len__(self) -> int:
        return len(self.starts)

    def select(self, rows: Tensor) -> Rows:
        """Some of the rows, by number or mask; copies only where they start."""
        return Rows(self.values, self.starts[rows], self.size, self.file)

    def copied(self, numbers: Tensor) -> Rows:
        """The rows of these numbers, in this order, copied apart from all others: in memory or in a file."""
        count, kind = len(numbers), self.values.dtype
        large = count * self.size * kind.itemsize > IN_MEMORY
        file = MappedFile.new(count * self.size, kind) if large else None
        values = torch.empty(count * self.size, dtype=kind) if file is None else file.values
        copied = Rows(values, torch.arange(count) * self.size, self.size, file)
        step = self.at_once(self.size * kind.itemsize)
        for begin in range(0, count, step):
            part = self.select(numbers[begin : begin + step]).dense()
            values[begin * self.size :][: part.numel()] = part.flatten()
            self.give_back()
            copied.give_back()
        return copied

    def at_once(self, size: int) -> int:
        """How many rows of `size` bytes each may be read before `give_back`."""
        large = self.file is not None and self.file.large
        return max(1, RESIDENT // (size + AROUND) if large else len(self))

    def pieces(self) -> Iterator[Tensor]:
        """The rows as matrices [some rows, D], one after another; pages of a large file are given back."""
        for some in torch.arange(len(self)).split(self.at_once(self.size * self.values.itemsize)):
            yield self.select(some).dense()
            self.give_back()

    def give_back(self) -> None:
        """Give back the pages of a large file that were read."""
        if self.file is not None and self.file.large:
            self.file.give_back()

    def dense(self) -> Tensor:
        """The rows as [rows, D]: a view if they are consecutive, else a copy."""
        if not len(self):
            return self.values.new_zeros(0, self.size)
        first = int(self.starts[0])
        if torch.equal(self.starts, first + torch.arange(len(self)) * self.size):
            return self.values[first : first + len(self) * self.size].view(len(self), self.size)
        return torch.stack([self.values[start : start + self.size] for start in self.starts.tolist()])
