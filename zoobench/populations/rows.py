"""Flat weights of checkpoints, wherever they lie: in memory, or in a file that is mapped and may be larger."""

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
IN_MEMORY = 2**30  # bytes of copied rows, at most: more are written to a temporary file, which may be larger


class MappedFile:
    """A file in the address space of the process; what were written to one that was there would not reach it.

    Pages that were read count as the process's memory until they are given back, as they are here for files larger
    than `RESIDENT`, so that of a file of any size no more is resident. The system's cache keeps them as it likes.
    """

    def __init__(self, mapped: mmap.mmap, dtype: torch.dtype) -> None:
        self._map = mapped
        self.values = torch.frombuffer(mapped, dtype=dtype, count=len(mapped) // dtype.itemsize)
        self.large = len(mapped) > RESIDENT

    @classmethod
    def open(cls, path: Path, dtype: torch.dtype) -> MappedFile:
        """A file that is there."""
        with path.open("rb") as file:
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), dtype)

    @classmethod
    def new(cls, elements: int, dtype: torch.dtype) -> MappedFile:
        """A temporary file without a name, of so many elements to be written; it goes with the last who maps it.

        Raises `InputError` where the temporary folder has no room.
        """
        size = elements * dtype.itemsize
        try:
            with tempfile.TemporaryFile(prefix="zoobench-") as file:
                os.posix_fallocate(file.fileno(), 0, size)  # or a page without room would end the process
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
        """Some of the rows, by number or mask; nothing is copied but where they start."""
        return Rows(self.values, self.starts[rows], self.size, self.file)

    def copied(self, numbers: Tensor) -> Rows:
        """The rows of these numbers, in this order, where nothing else lies: neither in memory nor in a file."""
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
        """Of how many rows `size` bytes each may be read before `give_back`."""
        large = self.file is not None and self.file.large
        return max(1, RESIDENT // (size + AROUND) if large else len(self))

    def pieces(self) -> Iterator[Tensor]:
        """The rows as matrices [some rows, D], one after another; what was read of a large file is given back."""
        for some in torch.arange(len(self)).split(self.at_once(self.size * self.values.itemsize)):
            yield self.select(some).dense()
            self.give_back()

    def give_back(self) -> None:
        """Give back what was read of a large file."""
        if self.file is not None and self.file.large:
            self.file.give_back()

    def dense(self) -> Tensor:
        """The rows as [rows, D]: a view where they follow one another, else a copy."""
        if not len(self):
            return self.values.new_zeros(0, self.size)
        first = int(self.starts[0])
        if torch.equal(self.starts, first + torch.arange(len(self)) * self.size):
            return self.values[first : first + len(self) * self.size].view(len(self), self.size)
        return torch.stack([self.values[start : start + self.size] for start in self.starts.tolist()])
