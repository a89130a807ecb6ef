"""The type of a file of weights, by its first bytes and its records, and what to do if it has no state dict."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import BinaryIO, Literal

from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.torch_files import PICKLE, records_of

Kind = Literal["safetensors", "archive", "legacy"]

HEAD = 512
OTHERS: dict[bytes, str] = {
    rb"version https://git-lfs": "is a Git LFS pointer: fetch the file itself with 'git lfs pull'",
    rb"\s*<": "is a page of HTML or XML, as a failed download leaves it: download it again",
    rb"\x89HDF\r\n": "is HDF5, as Keras writes it: load it there, and save its weights as safetensors",
    rb"\x93NUMPY": "is an array of NumPy: save the state dict with torch.save or as safetensors",
    rb"PAR1": "is a Parquet table, and holds no state dict",
    rb"GGUF|GGML|ggml|tjgg|lmgg": "is GGUF of llama.cpp: save the state dict it was made of as safetensors",
    rb".{4}TFL3": "is TensorFlow Lite: load the model that it was made of, and save its weights as safetensors",
    rb"\x08[\x01-\x20](\x12|:|\x1a|\x22|B)": "is ONNX: load the model that it was made of, and save its state_dict()",
    rb"[\x81-\x8f\xde\xdf].{0,4}[\xa1-\xbf\xd9\xda]": "is msgpack, as Flax writes it: save its arrays as safetensors",
    rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!": "is compressed: unpack it first",
    rb".{257}ustar": "is a tar file, as PyTorch wrote them before 0.2: load it there, and save its state_dict()",
    rb"\s*[{\[]": "is text, maybe JSON, and holds no state dict",
}
"""By patterns of how a file begins."""


def kind_of(file: BinaryIO, size: int, name: str) -> Kind:
    """The reader for a file. If there is none, raises `RejectedError` with the file's type and what to do."""
    file.seek(0)
    head = file.read(HEAD)
    if not head:
        raise RejectedError("its file is cut short or damaged (it is empty)")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size:
        return "safetensors"
    if head.startswith(b"PK\3\4") or head.startswith(b"PK\5\6"):
        return _archive(file, size)
    if re.match(rb"\x80[\x02-\x05]", head):
        return "legacy"
    for pattern, what in OTHERS.items():
        if re.match(pattern, head, re.DOTALL):
            raise RejectedError(f"its file {what}")
    if name.lower().endswith(".safetensors"):
        return "safetensors"
    if not head.strip(b"\0"):
        raise RejectedError("its file is cut short or damaged (it begins with nothing but zeros)")
    raise RejectedError(
        "its file is neither safetensors nor of torch.save, or it is damaged: save the state dict with either"
    )


def _archive(file: BinaryIO, size: int) -> Kind:
    try:
        names = records_of(file, size)
    except Exception as error:  # a damaged list of records leads to BadZipFile, struct.error and others
        raise RejectedError(f"its file is cut short or damaged ({str(error) or type(error).__name__:.200})") from None
    if what := _other(names):
        raise RejectedError(f"its file {what}")
    return "archive"


def _other(names: Collection[str]) -> str | None:
    """The type of an archive that `torch.save` did not write."""
    last = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in last or any("/code/" in name for name in names):
        return "is TorchScript, code with weights: load it with torch.jit.load, and save its state_dict()"
    if PICKLE in last:
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "is NumPy's npz: save its arrays with torch.save or as safetensors"
    if "model.weights.h5" in last:
        return "is of Keras: load it there, and save its weights as safetensors"
    return "is a zip archive, but not of torch.save: unpack it, or save the state dict alone"
