"""Read state dicts from untrusted files: tensors, without running code."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoobench.zoo.importers.files import RejectedError, open_inside
from zoobench.zoo.importers.kinds import kind_of
from zoobench.zoo.importers.mappings import ENTRIES, Entries, state_dict_in
from zoobench.zoo.importers.pickles import DenseTensor, Storage, is_size
from zoobench.zoo.importers.torch_files import Fetch, read_archive, read_legacy, tensor_of

SHARE = 8  # a file may take 1/8 of the free memory; several are read at once
HEADER = 16 << 20  # bytes of a safetensors file's header, at most
COUNTER = "num_batches_tracked"  # an integer that layouts leave out


@dataclass(frozen=True)
class State:
    """The floating-point entries of a state dict, float32; `ordered` if they are in the state dict's order.

    notes: what of the file was left out or changed, as clauses.
    """

    tensors: dict[str, Tensor]
    ordered: bool
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read_state(file: Path) -> State:
    """A state dict in safetensors or as `torch.save` writes it, whatever the file is called, and under any key.

    Raises `RejectedError`.
    """
    with open_inside(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        kind = kind_of(opened, size, file.name)
        if kind != "archive":
            _check_memory(size)  # of an archive, only the necessary part is read
        if kind != "safetensors":
            return _read_torch(opened, size, archive=kind == "archive")
    return read_safetensors([file])


def read_safetensors(files: Iterable[Path], expected: Set[str] = frozenset()) -> State:
    """The entries of all the files together. Raises `RejectedError`, also if an `expected` one is missing."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        with open_inside(file) as opened:
            _check_memory(os.fstat(opened.fileno()).st_size)
            if int.from_bytes(opened.read(8), "little") > HEADER:
                raise RejectedError(f"its {file.name:.100} is damaged, or lists more entries than any state dict has")
        try:
            with safe_open(file, framework="pt") as content:
                names = content.keys()
                _check_count(len(names) + len(tensors))
                slices = (content.get_slice(name) for name in names)
                _check_memory(sum(8 * math.prod(each.get_shape()) for each in slices))
                tensors |= {name: content.get_tensor(name) for name in names}
        except (SafetensorError, OSError, ValueError, TypeError, RuntimeError) as error:
            raise RejectedError(f"its {file.name:.100} is damaged ({_first_line(error)})") from None
    if missing := expected - tensors.keys():
        raise RejectedError(f"its files lack the entry {min(missing)!r:.100}")
    return _state(tensors, ordered=False)


def _read_torch(file: BinaryIO, size: int, *, archive: bool) -> State:
    try:
        content, fetch = (read_archive if archive else read_legacy)(file, size)
        entries, left = state_dict_in(content)
        tensors = _tensors(entries, fetch)
    except RejectedError:
        raise
    except Exception as error:  # whatever a damaged file leads to, among others struct.error and RecursionError
        raise RejectedError(f"its file is cut short or damaged ({_first_line(error)})") from None
    return _state(tensors, ordered=True, notes=[left] if left else [])


def _tensors(entries: Entries, fetch: Fetch) -> dict[str, Tensor]:
    """The entries with their elements; each storage is read once."""
    places = [entry for entry in entries.values() if isinstance(entry, DenseTensor)]
    storages: dict[object, int] = {}
    for storage in (place.storage for place in places):
        storages[storage.key] = max(storages.get(storage.key, 0), storage.numel * storage.dtype.itemsize)
    _check_memory(sum(storages.values()) + sum(4 * _numel(place) for place in places))
    kept: dict[object, bytearray] = {}

    def once(storage: Storage) -> bytearray:
        if storage.key not in kept:
            kept[storage.key] = fetch(storage)
        return kept[storage.key]

    return {name: tensor_of(name, entry, once) for name, entry in entries.items()}


def _numel(place: DenseTensor) -> int:
    """The number of elements it claims, at most what its storage can hold; larger claims are refused later."""
    plain = len(place.shape) <= 64 and all(map(is_size, place.shape))
    return min(math.prod(place.shape), place.storage.numel) if plain else 0


def _check_count(entries: int) -> None:
    if entries > ENTRIES:
        raise RejectedError(f"its state dict has {entries:,} entries, but may have at most {ENTRIES:,}")


def _check_memory(needed: int) -> None:
    free = psutil.virtual_memory().available // SHARE
    if needed > free:
        raise RejectedError(f"its weights take {needed >> 20:,} MiB to read, but {free >> 20:,} are free for them")


def _state(entries: Mapping[str, Tensor], *, ordered: bool, notes: Iterable[str] = ()) -> State:
    """The entries that are weights, float32. Raises `RejectedError` for weights that do not fit that type."""
    told = list(notes)
    for name, tensor in entries.items():
        if why := _why_not_kept(name, tensor):
            raise RejectedError(f"its entry {name!r:.100} {why}; only real weights that fit into float32 are kept")
    tensors = {name: tensor.detach().float() for name, tensor in entries.items() if tensor.is_floating_point()}
    if not tensors:
        raise RejectedError("its file holds no floating-point tensors")
    if rounded := [name for name in tensors if not _same(tensors[name], entries[name])]:
        told.append(f"its weights are float64, and came in rounded to float32 ({listed(rounded)})")
    if integers := [name for name in entries if name not in tensors and not name.endswith(COUNTER)]:
        told.append(f"its entries {listed(integers)} are not floating-point numbers; the model came in without them")
    return State(tensors, ordered, tuple(told))


def _why_not_kept(name: str, tensor: Tensor) -> str | None:
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_complex():
        return f"is complex ({kind})"
    if tensor.is_floating_point() and tensor.dtype.itemsize == 1:
        return f"is quantised ({kind})"
    if not tensor.is_floating_point() and name.rpartition(".")[2] in ("weight", "bias"):
        return f"is of integers ({kind}), as quantised weights are"
    if tensor.dtype == torch.float64 and not torch.equal(tensor.isfinite(), tensor.float().isfinite()):
        return f"goes beyond the range of float32 ({kind})"
    return None


def _same(kept: Tensor, given: Tensor) -> bool:
    return given.dtype != torch.float64 or torch.equal(kept.double().nan_to_num(), given.nan_to_num())


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"{name!r:.80}" for name in names[:3]) + more


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
