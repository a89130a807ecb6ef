"""A submission as one zip file, and back; an untrusted zip is judged only by what it inflates to."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo_generation.files import written_aside
from zoo_generation.text import quoted
from zoobench.leaderboard.untrusted.files import Refused, check_folder, open_plain

OVERHEAD = 10_000
"""Bytes that a zip file may have beside the files in it."""

MOST = 2**31 - 2**20
"""Most bytes to pack: zips beyond 2 GiB are of another type, which is not unpacked here."""

END = struct.Struct("<4s4H2LH")  # of the central directory, at the end of the file
BLOCK = 2**20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1 | 0x40 | 0x2000  # bits of a member's flags


def pack(folder: Path, names: Collection[str], path: Path) -> None:
    """Write a submission's existing files of these names as one zip: the same bytes each time.

    Raises `Refused` if the folder holds other files, or more bytes than a plain zip may have.
    """
    check_folder(folder, names)
    if (size := sum(path.stat().st_size for path in folder.iterdir())) > MOST:
        raise Refused([f"the submission has {size} bytes, but a zip may have {MOST}; submit the folder, or an address"])
    with written_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(names):
            if (folder / name).exists():
                member = zipfile.ZipInfo(name)  # dated 1980, so always the same
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = (stat.S_IFREG | 0o644) << 16
                with (folder / name).open("rb") as source, archive.open(member, "w") as out:
                    while block := source.read(BLOCK):
                        out.write(block)


@contextmanager
def opened(path: Path, most: Mapping[str, int]) -> Iterator[Path]:
    """A submission's folder: `path` itself or, if it is a zip file, its unpacked content, while the block lasts.

    most: the largest size in bytes of each allowed file, by its name. Raises `Refused`.
    """
    if path.is_dir() or path.is_symlink() or not path.exists():
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="zoobench-") as folder:
        unpack(path, Path(folder), most)
        yield Path(folder)


def unpack(path: Path, folder: Path, most: Mapping[str, int]) -> None:
    """Write the files of a zip into an empty folder. Raises `Refused`, and may leave some of them there."""
    try:
        with open_plain(path, sum(most.values()) + OVERHEAD) as file:
            _check_end(file, len(most))
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if problems := list(_wrong(members, most)):
                    raise Refused(problems)
                for member in members:
                    _inflate(archive, member, folder / member.filename, most[member.filename])
    except Refused:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
        raise Refused([f"{quoted(path.name)} is damaged and cannot be unpacked ({quoted(error, 100)})"]) from None


def _check_end(file: BinaryIO, most: int) -> None:
    """Refuse anything but a plain zip of a few files, before a reader makes an object for each of millions."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END.size - 20))
    tail = file.read()
    file.seek(0)
    if len(tail) < END.size or tail[-END.size :][:4] != b"PK\5\6":
        raise Refused(["the file is not a zip file, or has something behind; make it with 'zoobench submit --out'"])
    _, disk, first, here, count, directory, start, comment = END.unpack(tail[-END.size :])
    if tail[:4] == b"PK\6\7" or disk or first or here != count or comment or start + directory + END.size != size:
        raise Refused(["the zip file is of an unusual kind; make it with 'zoobench submit --out'"])
    if count > most or directory > OVERHEAD:
        raise Refused([f"the zip file holds {count} files, but may hold {most}"])


def _wrong(members: list[zipfile.ZipInfo], most: Mapping[str, int]) -> Iterator[str]:
    """The problems of the files in a zip, by what it says of them."""
    names = [member.orig_filename for member in members]
    for member in members:
        name, mode = member.orig_filename, member.external_attr >> 16
        if name not in most or member.filename != name:
            yield f"the zip file holds '{quoted(name)}', but may hold only {' and '.join(sorted(most))}"
        elif member.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield f"{name} in the zip file is a link or a folder, but must be a plain file"
        elif member.flag_bits & ENCRYPTED:
            yield f"{name} in the zip file is encrypted; pack it without a password"
        elif member.compress_type not in METHODS:
            yield f"{name} in the zip file is compressed in an unusual way; make it with 'zoobench submit --out'"
        elif member.file_size > most[name]:
            yield f"{name} in the zip file has {member.file_size} bytes, but may have at most {most[name]}"
    if len(set(names)) < len(names):
        yield "the zip file holds a file twice"


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, most: int) -> None:
    """Inflate a file, and stop beyond `most` bytes, whatever size the zip claims."""
    written = 0
    with archive.open(member) as source, path.open("xb") as out:
        while block := source.read(BLOCK):
            written += len(block)
            if written > most:
                raise Refused([f"{member.filename} in the zip file inflates beyond {most} bytes"])
            out.write(block)
    if written != member.file_size:
        raise Refused([f"{member.filename} in the zip file does not have the {member.file_size} bytes that it claims"])
