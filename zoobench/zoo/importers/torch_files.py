"""Read files of `torch.save`: a zip archive of a pickle and storages, or, before torch 1.6, one after the other."""

from __future__ import annotations

import io
import math
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

import torch
from torch import Tensor

from zoobench.zoo.importers.files import RejectedError
from zoobench.zoo.importers.pickles import BYTES, DenseTensor, Odd, Storage, is_size, read_pickle

DIRECTORY = 8 << 20  # bytes of an archive's list of records, at most
END = struct.Struct("<4sHHHHIIH")  # of an archive, as the format has it
END64 = struct.Struct("<4sQHHIIQQQQ")
LOCATOR = struct.Struct("<4s4xQ4x")
LOCAL = struct.Struct("<4s22xHH")  # before each record: the lengths of its name and of its extra field
MAGIC = 0x1950A86A20F9469CFC6C
PICKLE = "data.pkl"

Fetch = Callable[[Storage], bytearray]
"""All bytes of a storage. Raises ValueError if they are not as the file says."""


def read_archive(file: BinaryIO, size: int) -> tuple[object, Fetch]:
    """The pickle's content in an archive, and a reader of storages. Raises as `read_pickle`, or BadZipFile."""
    records = records_of(file, size)
    pickles = [name for name in records if name.rpartition("/")[2] == PICKLE]
    if len(pickles) != 1:
        raise ValueError(f"it holds {len(pickles)} records {PICKLE}")
    root = pickles[0].removesuffix(PICKLE)
    checked = any(record.CRC for record in records.values())  # `torch.save` can be set to compute none

    def read(name: str, most: int = size) -> bytearray:
        if root + name not in records:
            raise ValueError(f"its record {name!r:.100} is missing")
        content = _read(file, records[root + name], most)
        if checked and zlib.crc32(content) != records[root + name].CRC:
            raise ValueError(f"the checksum of its record {name!r:.100} does not fit")
        return content

    order = bytes(read("byteorder", 10)).decode() if root + "byteorder" in records else "little"
    if order not in ("little", "big"):
        raise ValueError(f"its order of bytes is {order!r:.20}")

    def fetch(storage: Storage) -> bytearray:
        content = read(f"data/{storage.key}", storage.numel * storage.dtype.itemsize)
        if order != sys.byteorder and content:
            torch.frombuffer(content, dtype=torch.uint8).untyped_storage().byteswap(storage.dtype)
        return content

    return read_pickle(io.BytesIO(read(PICKLE, BYTES))), fetch


def records_of(file: BinaryIO, size: int) -> dict[str, zipfile.ZipInfo]:
    """The records of an archive by name. Raises ValueError or BadZipFile if it is damaged, or lists too many."""
    if _directory_bytes(file, size) > DIRECTORY:
        raise ValueError("it lists more records than any state dict has")
    with zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
    records = {record.filename: record for record in listed}
    if len(records) < len(listed):
        raise ValueError("a record is in it twice")
    return records


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """The bytes to read to list an archive's records, which `zipfile` does not bound."""
    file.seek(max(0, size - END.size - (1 << 16)))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < END.size:
        raise ValueError("the list of its records is missing, which stands at the end")
    length: int = END.unpack_from(tail, place)[5]
    if tail[max(0, place - LOCATOR.size) : place].startswith(b"PK\6\7"):  # of a large archive, which counts instead
        told = LOCATOR.unpack_from(tail, place - LOCATOR.size)[1]
        for start in (told, size - len(tail) + place - LOCATOR.size - END64.size):
            length = max(length, END64.unpack(_exactly(file, start, END64.size))[8])
    return length


def _read(file: BinaryIO, record: zipfile.ZipInfo, most: int) -> bytearray:
    if record.compress_type != zipfile.ZIP_STORED:
        raise ValueError("its records are compressed, as torch.save never does")
    if record.file_size > most:
        raise ValueError(f"its record {record.filename!r:.100} has {record.file_size:,} bytes")
    file.seek(record.header_offset)
    header = file.read(LOCAL.size)
    if len(header) < LOCAL.size or not header.startswith(b"PK\3\4"):
        raise ValueError(f"its record {record.filename!r:.100} is not where it says")
    _, name, more = LOCAL.unpack(header)
    return _exactly(file, record.header_offset + LOCAL.size + name + more, record.file_size)


def _exactly(file: BinaryIO, place: int, size: int) -> bytearray:
    content = bytearray(size)
    file.seek(place)
    if file.readinto(content) < size:  # type: ignore[attr-defined]
        raise ValueError("it ends before its weights do")
    return content


def read_legacy(file: BinaryIO, size: int) -> tuple[object, Fetch]:
    """As `read_archive`, for the format before torch 1.6: pickles, and then the storages in order."""
    file.seek(0)
    stream = io.BytesIO(file.read(BYTES))
    if read_pickle(stream) != MAGIC:
        raise RejectedError(
            "its file is a pickle, but not of torch.save; only tensors are unpickled: save the state dict with "
            "torch.save or as safetensors"
        )
    read_pickle(stream), read_pickle(stream)  # of the version, and of the machine
    storages: dict[str | int, Storage] = {}
    content, keys = read_pickle(stream, storages), read_pickle(stream)
    places, place = {}, stream.tell()
    for key in keys if isinstance(keys, list) else ():  # each storage behind its number of elements
        elements = int.from_bytes(_exactly(file, place, 8), "little", signed=True)
        if not isinstance(key, str | int) or key not in storages or elements != storages[key].numel:
            raise ValueError("one of its storages has another size than it says")
        places[key] = place + 8
        place += 8 + elements * storages[key].dtype.itemsize

    def fetch(storage: Storage) -> bytearray:
        whole = storages[storage.key]
        return _exactly(file, places[whole.key], whole.numel * whole.dtype.itemsize)

    if place > size:
        raise ValueError("it ends before its weights do")
    return content, fetch


def tensor_of(name: str, entry: DenseTensor | Odd, fetch: Fetch) -> Tensor:
    """An entry of a state dict. Raises `RejectedError` unless it is dense, with all its elements in the file."""
    if isinstance(entry, Odd):
        raise RejectedError(f"its entry {name!r:.100} is not a dense tensor but a {entry.kind}: save it dense")
    shape, stride, storage = entry.shape, entry.stride, entry.storage
    sizes = (*shape, *stride, entry.offset, storage.numel, storage.start)
    plain = all(map(is_size, sizes)) and len(shape) == len(stride) <= 64
    elements = storage.numel * storage.dtype.itemsize // entry.dtype.itemsize
    if plain and math.prod(shape):
        last = entry.offset + sum((each - 1) * step for each, step in zip(shape, stride, strict=True))
        plain = math.prod(shape) <= elements and last < elements
    if not plain:
        raise RejectedError(f"its entry {name!r:.100} is not a dense tensor with all its elements in the file")
    content = fetch(storage)
    start = storage.start * storage.dtype.itemsize
    if len(content) < start + storage.numel * storage.dtype.itemsize:
        raise ValueError(f"it holds too few elements of {name!r:.100}")
    if not math.prod(shape):
        return torch.empty(shape, dtype=entry.dtype)
    flat = torch.frombuffer(content, dtype=entry.dtype, offset=start, count=elements)
    return flat.as_strided(shape, stride, entry.offset)
