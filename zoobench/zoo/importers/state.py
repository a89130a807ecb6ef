"""Read state dicts from files that nobody vouches for: tensors, and nothing that runs code."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoobench.zoo.importers.tolerance import RejectedError

WRAPPERS = ("state_dict", "model_state_dict", "model")
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True)
class State:
    """The floating-point entries of a state dict, float32; `ordered` where they are in the state dict's order."""

    tensors: dict[str, Tensor]
    ordered: bool

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def read_state(file: Path) -> State:
    """A state dict in safetensors or as `torch.save` writes it, plain or in one of the `WRAPPERS`.

    Raises `RejectedError`.
    """
    if not file.is_file():
        raise RejectedError(f"its file {file.name} is missing")
    return read_safetensors([file]) if file.suffix == ".safetensors" else _read_torch(file)


def read_safetensors(files: Iterable[Path], expected: Set[str] = frozenset()) -> State:
    """The entries of all the files together; raises `RejectedError`, also where one is missing that is `expected`."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as content:
                tensors |= {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118, no mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise RejectedError(f"its {file.name} is damaged ({_first_line(error)})") from None
    if missing := expected - tensors.keys():
        raise RejectedError(f"its files lack the entry {min(missing)!r:.100}")
    return State(_floating(tensors), ordered=False)


def _read_torch(file: Path) -> State:
    try:
        _check_archive(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RejectedError(_why_refused(str(error))) from None
    except Exception as error:  # neither reader says what it raises on damaged files; struct.error is among it
        raise RejectedError(f"its file is cut short or damaged ({_first_line(error)})") from None
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise RejectedError(f"its file holds no state dict, but a {type(content).__name__}")
    return State(_floating(content), ordered=True)


def _check_archive(file: Path) -> None:
    """Hold the records against their checksums, which `torch.load` does not; older files are no archives."""
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        if sum(record.file_size for record in archive.infolist()) > file.stat().st_size:
            raise ValueError("its records are compressed, as torch.save never does")
        if record := archive.testzip():
            raise ValueError(f"the checksum of its record {record!r:.100} does not fit")


def _why_refused(message: str) -> str:
    if found := FORBIDDEN.search(message):
        return f"its file is a pickle that asks for {found[1].rstrip('.')}; only tensors are unpickled"
    return "its file is a pickle of more than tensors, or damaged; only tensors are unpickled"


def _floating(entries: Mapping[Any, object]) -> dict[str, Tensor]:
    tensors = {
        str(name): tensor
        for name, tensor in entries.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point()
    }
    if not tensors:
        raise RejectedError("its file holds no floating-point tensors")
    for name, tensor in tensors.items():
        if not _is_backed(tensor):
            raise RejectedError(f"its entry {name!r:.100} is no dense tensor with all its elements in the file")
    return {name: tensor.detach().float() for name, tensor in tensors.items()}


def _is_backed(tensor: Tensor) -> bool:
    """Whether the elements are all in memory: a tensor of a few bytes may claim a size that no memory holds."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _first_line(error: Exception) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200]
