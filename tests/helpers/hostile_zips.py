"""Hostile and broken submissions: zips."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path
from typing import Any

from helpers.hostile_folders import CASES, Case, case
from helpers.submitting import Board, artefact

from zoobench.leaderboard.untrusted.archive import pack

NAMES = {name: name for name in ("entry.json", "weights.safetensors")}


def zipped(folder: Path, names: dict[str, str], **fields: Any) -> Path:
    """Files of a folder under other names, with other fields of their headers."""
    path = folder.parent / "submission.zip"
    with zipfile.ZipFile(path, "w", fields.pop("method", zipfile.ZIP_DEFLATED)) as archive:
        for name, source in names.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = archive.compression
            for key, value in fields.items():
                setattr(member, key, value)
            archive.writestr(member, (folder / source).read_bytes())
    return path


for bad in (
    "../entry.json",
    "/entry.json",
    "..\\entry.json",
    "C:\\entry.json",
    "x/entry.json",
    "entry.json/",
    "ENTRY.JSON",
):

    def _named(folder: Path, board: Board, bad: str = bad) -> Path:
        return zipped(folder, {bad: "entry.json", "weights.safetensors": "weights.safetensors"})

    CASES[f"zip_with_{bad!r}"] = Case(_named, "generation", "may hold only")


@case("holds 3 files")
def zip_with_others(folder: Path, board: Board) -> Path:
    return zipped(folder, NAMES | {"readme": "entry.json"})


@case("is a link or a folder")
def zip_with_links(folder: Path, board: Board) -> Path:
    return zipped(folder, NAMES, external_attr=(stat.S_IFLNK | 0o777) << 16)


@case("a file twice")
def zip_with_twins(folder: Path, board: Board) -> Path:
    path = zipped(folder, {"entry.json": "entry.json", "entry.jsox": "entry.json"})
    path.write_bytes(path.read_bytes().replace(b"entry.jsox", b"entry.json"))
    return path


@case("may hold only")
def zip_with_a_name_cut_by_nul(folder: Path, board: Board) -> Path:
    path = zipped(folder, {"entry.jsonXYZ": "entry.json", "weights.safetensors": "weights.safetensors"})
    path.write_bytes(path.read_bytes().replace(b"entry.jsonXYZ", b"entry.json\0YZ"))
    return path


@case("compressed in an unusual way")
def zip_of_another_method(folder: Path, board: Board) -> Path:
    return zipped(folder, NAMES, method=zipfile.ZIP_LZMA)


@case("is encrypted")
def zip_encrypted(folder: Path, board: Board) -> Path:
    path = zipped(folder, NAMES)
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\1\2")
    content[place + 8] |= 1
    path.write_bytes(content)
    return path


@case("may have at most")
def zip_bomb(folder: Path, board: Board) -> Path:
    artefact(folder).write_bytes(bytes(10**8))
    return zipped(folder, NAMES)


def _lie(path: Path, size: int) -> Path:
    """Let a zip claim that its weights have that many bytes."""
    content = bytearray(path.read_bytes())
    start = content.rindex(b"PK\1\2")
    content[start + 24 : start + 28] = struct.pack("<L", size)
    path.write_bytes(content)
    return path


@case("damaged and cannot be unpacked")
def zip_bomb_that_lies(folder: Path, board: Board) -> Path:
    return _lie(zip_bomb(folder, board) or folder, 1000)


@case("that it claims")
def zip_that_claims_more(folder: Path, board: Board) -> Path:
    return _lie(zipped(folder, NAMES), artefact(folder).stat().st_size + 7)


@case("something behind")
def zip_with_a_tail(folder: Path, board: Board) -> Path:
    path = zipped(folder, NAMES)
    path.write_bytes(path.read_bytes() + b"tail")
    return path


@case("something behind")
def zip_cut_short(folder: Path, board: Board) -> Path:
    pack(folder, NAMES, folder.parent / "cut.zip")
    (folder.parent / "cut.zip").write_bytes((folder.parent / "cut.zip").read_bytes()[:-30])
    return folder.parent / "cut.zip"


@case("of an unusual kind")
def zip_with_a_head(folder: Path, board: Board) -> Path:
    path = zipped(folder, NAMES)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    return path
