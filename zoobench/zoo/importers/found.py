"""What importers find in a folder, before any weights are read, and what they must leave out."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoobench.zoo.importers.files import RejectedError, read_inside
from zoobench.zoo.importers.state import State
from zoobench.zoo.sink import Row


@dataclass(frozen=True)
class Fault:
    """A model, or one checkpoint of it, that did not come in (or a note in its files that did not), and why."""

    model: str
    checkpoint: int | None
    reason: str


@dataclass(frozen=True)
class Told:
    """A value that did not come in, or not as it stands, of which there may be many alike: they are told once.

    what: a clause, the same for all alike. example: this one. lost: whether it did not come in.
    """

    what: str
    example: str
    model: str
    lost: bool = True


def told_once(found: Iterable[Told]) -> list[Fault]:
    """One fault for all alike, of the first model that has it."""
    alike: dict[str, list[Told]] = defaultdict(list)
    for each in found:
        alike[each.what].append(each)
    return [
        Fault(same[0].model, None, f"{what}{same[0].example}{f' (and {len(same) - 1:,} more)' if same[1:] else ''}")
        for what, same in alike.items()
    ]


@dataclass(frozen=True)
class FoundCheckpoint:
    """A checkpoint's epoch, what was measured of it, and how its weights are read.

    metrics: a row of the model's history as it stands in the files, or an empty one, until it is `measured`; then
    `METRICS`, null where nothing was measured.
    `read` raises `RejectedError` if weights cannot be read.
    """

    epoch: int
    metrics: Row
    read: Callable[[], State]


@dataclass(frozen=True)
class FoundModel:
    """What the files of a model say beside its weights.

    row: columns of `MODELS` that are known; of a model that zoobench exported, a `whole` row, taken as it is, and the
    id that its `content` had then. source: what is kept verbatim. history: what was measured after every epoch on
    record, in order, as of checkpoints. faults: what was left out. told: what of its values was.
    """

    name: str
    row: Row
    whole: bool
    source: Row
    history: Sequence[tuple[int | None, Row]]
    checkpoints: Sequence[FoundCheckpoint]
    faults: Sequence[Fault] = ()
    told: Sequence[Told] = ()
    content: str | None = None


@dataclass(frozen=True)
class Candidate:
    """What looks like a model; `read` raises `RejectedError` if it cannot be one."""

    name: str
    read: Callable[[], FoundModel]


@dataclass(frozen=True)
class SourceLayout:
    """A way in which folders hold models.

    matches: whether a folder is laid out so; candidates: the models in it; summary: one line, which tells users what
    such a folder holds; paper: who defined the layout.
    """

    matches: Callable[[Path], bool]
    candidates: Callable[[Path], list[Candidate]]
    summary: str
    paper: str = ""


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def looks(like: Callable[[Path], bool], folder: Path, otherwise: bool) -> bool:
    """Whether a folder looks like a model; `otherwise` where it cannot be looked into: reading tells."""
    try:
        return like(folder)
    except OSError:
        return otherwise


def shown_name(path: Path) -> str:
    """The name of a file, in which bytes that are not UTF-8 are replaced."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object; raises `RejectedError`."""
    content = parsed(file)
    if not isinstance(content, dict):
        raise RejectedError(f"its {file.name} holds no JSON object")
    return content


def parsed(file: Path) -> Any:
    """The JSON in a file; raises `RejectedError`."""
    if not file.is_file():  # nor a pipe, which would never end
        raise RejectedError(f"it has no {file.name}")
    try:
        return json.loads(read_inside(file))
    except OSError as error:
        raise RejectedError(f"its {file.name} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError):
        raise RejectedError(f"its {file.name} is not JSON") from None


def line_of(text: str) -> Any:
    """The JSON in a line; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def inside(folder: Path, name: str) -> Path:
    """The file that a table or an index names; raises `RejectedError` if that lies outside the folder."""
    try:
        file = (folder / name).resolve()
        within = ".." not in Path(name).parts and file.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null character, a loop of links
        within = False
    if not within:
        raise RejectedError(f"its file {name!r:.200} does not lie in the folder, and is not read")
    return file
