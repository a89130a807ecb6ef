"""Tracks and entries through Python: read, compared, refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoobench as zb

ROOT = Path(__file__).parents[2]


def test_tracks_and_entries_are_read_and_compared() -> None:
    here = zb.Workspace(ROOT)
    small, names = zb.list_tracks(scale="two-cores", workspace=here), zb.list_tracks(workspace=here)
    assert set(small) < set(names)
    board = zb.load_boards(["generation-id"], workspace=here)[0]
    first, second = (entry.name for _, entry in board.all()[:2])
    found = zb.compare_entries(first, second, ["generation-id"], workspace=here)
    assert [each.target for each in found] == list(board.track.targets)
    for each in found:
        assert each.first is not None and each.second is not None and each.difference == each.first - each.second
    changed = board.entries[0].model_copy(update={"description": "another"})
    assert board.with_entry(changed).entries == (*board.entries[1:], changed)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    empty = zb.Workspace(tmp_path)
    for ask in (zb.validate_zoo, zb.load_zoo, zb.load_boards):
        with pytest.raises(zb.InputError):
            ask(workspace=empty)
    with pytest.raises(zb.InputError, match=r"generation-idd.*generation-id"):
        zb.get_track("generation-idd", workspace=zb.Workspace(ROOT))
