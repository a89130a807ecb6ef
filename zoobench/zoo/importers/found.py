"""What importers find in a folder before they read weights, and what they must leave out."""

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
    """A model, or one checkpoint of it, that was not imported (or a note in its files), and why."""

    model: str
    checkpoint: int | None
    reason: str


@dataclass(frozen=True)
class Told:
    """A value that was not imported, or was changed; many alike are reported once.

    what: a clause, the same for all alike. example: this one. lost: whether it was not imported.
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
    """A checkpoint's epoch, its measurements, and how its weights are read.

    metrics: its original row of the model's history, or an empty one, until it is `measured`; then `METRICS`, null for
    values that were not measured. `read` raises `RejectedError` if weights cannot be read.
    """

    epoch: int
    metrics: Row
    read: Callable[[], State]


@dataclass(frozen=True)
class FoundModel:
    """The content of a model's files beside its weights.

    row: known columns of `MODELS`; for a model that zoobench exported, a `whole` row, taken unchanged, and the id that
    its `content` had then. source: kept verbatim. history: measurements after every recorded epoch, in order, as for
    checkpoints. faults: what was left out. told: notes on its values.
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
    """A folder that looks like a model; `read` raises `RejectedError` if it cannot be one."""

    name: str
    read: Callable[[], FoundModel]


@dataclass(frozen=True)
class SourceLayout:
    """A way in which folders hold models.

    matches: whether a folder has this layout; candidates: the models in it; summary: one line on the content of such a
    folder, for users; paper: the origin of the layout.
    """

    matches: Callable[[Path], bool]
    candidates: Callable[[Path], list[Candidate]]
    summary: str
    paper: str = ""


def subfolders(folder: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def looks(like: Callable[[Path], bool], folder: Path, otherwise: bool) -> bool:
    """Whether a folder looks like a model; `otherwise` if it cannot be listed: reading it gives the reason."""
    try:
        return like(folder)
    except OSError:
        return otherwise


def shown_name(path: Path) -> str:
    """The name of a file, with bytes that are not UTF-8 replaced."""
    return os.fsencode(path.name).decode("utf-8", "replace")


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object. Raises `RejectedError`."""
    content = parsed(file)
    if not isinstance(content, dict):
        raise RejectedError(f"its {file.name} holds no JSON object")
    return content


def parsed(file: Path) -> Any:
    """The JSON in a file. Raises `RejectedError`."""
    if not file.is_file():  # also false for a pipe, which would never end
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
    """The file that a table or an index names. Raises `RejectedError` if it is outside the folder."""
    try:
        file = (folder / name).resolve()
        within = ".." not in Path(name).parts and file.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, with a null character, a loop of links
        within = False
    if not within:
        raise RejectedError(f"its file {name!r:.200} does not lie in the folder, and is not read")
    return file
