"""Write the site's files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.files import MARK, directory_written_aside, write_json
from zoobench.display.environment import asset
from zoobench.leaderboard.board import Board
from zoobench.leaderboard.site.content import rows
from zoobench.leaderboard.site.render import GENERATOR, entry_page, index_page, site_environment, track_page

INDEX, DATA = "index.html", "entries.json"
ASSETS = ["style.css", "script.js"]
FORMAT = "zoobench-board/1"


def write_site(boards: Sequence[Board], folder: Path, repository: str | None = None) -> None:
    """Write pages of all tracks and entries into a folder, whole or not at all, replacing an earlier site there.

    repository: its address, for a link to the guide. Raises `InputError` if that is not https, if the folder holds
    anything else, or if a name would take another file's place.
    """
    folder = folder.resolve()  # follows a link to a folder
    _may_replace(folder)
    _names_differ(boards)
    environment = site_environment()
    with directory_written_aside(folder) as aside:
        for name in ASSETS:
            (aside / name).write_text(asset(name) + asset(name, "zoobench.leaderboard.site"), encoding="utf-8")
        (aside / INDEX).write_text(index_page(environment, boards, _address(repository)), encoding="utf-8")
        for board in boards:
            track = aside / board.track.name
            track.mkdir()
            (track / INDEX).write_text(track_page(environment, board), encoding="utf-8")
            write_json(track / DATA, _data(board))
            for row in rows(board):
                (track / row.entry.name).mkdir()
                (track / row.entry.name / INDEX).write_text(entry_page(environment, board, row), encoding="utf-8")


def _address(repository: str | None) -> str | None:
    if repository is not None and not repository.startswith("https://"):
        raise InputError(f"the repository was given as '{repository}'; give its address, https://…")
    return repository and repository.rstrip("/")


def _may_replace(folder: Path) -> None:
    """Anything there that is not ours would be lost: a clone's `.git`, a host's `CNAME`."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the leaderboard's pages")
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        is_ours = path.name in (*ASSETS, MARK) or _is_page(path if path.name == INDEX else path / INDEX)
        if not is_ours:
            raise InputError(
                f"{folder} holds '{path.name}', which is not a page of a leaderboard and would be lost; "
                "give a folder that is new, empty, or was written by this command"
            )


def _is_page(file: Path) -> bool:
    mark = f'<meta name="generator" content="{GENERATOR}">'
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return mark.encode() in content.read(2000)


def _names_differ(boards: Sequence[Board]) -> None:
    for board in boards:
        for name, taken in ((board.track.name, [INDEX, *ASSETS]), *((e.name, [INDEX, DATA]) for e in board.entries)):
            if name.lower() in taken:
                raise InputError(f"'{name}' is the name of a file of the leaderboard's pages; choose another name")


def _data(board: Board) -> dict[str, Any]:
    """The table for machines: the track, and each entry with its rank and its means over targets."""
    entries = [
        {
            "rank": row.rank,
            "means": {metric: None if math.isnan(mean) else mean for metric, mean in row.means.items()},
            **row.entry.fields(),
        }
        for row in rows(board)
    ]
    return {"format": FORMAT, "track": board.track.fields(), "entries": entries}
