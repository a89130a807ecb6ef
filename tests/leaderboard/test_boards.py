"""Leaderboards while several people submit, and after failures in between."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers.board_process import submit
from helpers.submitting import Board, artefact, change, fingerprint, judged, read_fields, rewrite

from zoo_generation import files
from zoo_generation.files import exchange
from zoobench.leaderboard import board as board_module
from zoobench.leaderboard import read_entries, read_entry
from zoobench.leaderboard.board import add
from zoobench.leaderboard.untrusted import fetching
from zoobench.leaderboard.untrusted.files import AbsentError, Refused


def another(board: Board, folder: str, name: str, shift: float) -> Path:
    """A submission of that name, whose predictions have that error."""
    path = board.honest.parent / "mine" / folder
    shutil.copytree(board.honest / "property", path)
    rewrite(path, lambda of: of.assign(predicted=of["predicted"] + shift))
    change(path, name=name)
    return path


def together(board: Board, folders: list[Path], replace: bool = False) -> dict[str, str]:
    """The result of each of several processes that write at the same moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zoobench.leaderboard.board"])
    barrier, told = context.Barrier(len(folders)), context.Queue()
    processes = [
        context.Process(target=submit, args=(board.path, folder, replace, barrier, told)) for folder in folders
    ]
    for process in processes:
        process.start()
    answers = dict(told.get(timeout=90) for _ in processes)
    for process in processes:
        process.join(60)
    return answers


def check_whole(board: Board) -> list[str]:
    """Names on the track; each entry is whole, no two are the same, and nothing else lies about."""
    entries = read_entries(board.path, "property")
    assert len({entry.content for entry in entries}) == len(entries)
    for entry in entries:
        place = board.path / "property" / entry.name
        assert artefact(place).stat().st_size == entry.artefact.bytes
    names = [entry.name for entry in entries]
    assert {path.name for path in (board.path / "property").iterdir()} <= {*names, "track.yaml", ".lock"}
    return names


@pytest.mark.faults
def test_of_those_who_submit_at_once_each_lands_or_is_told_why_not(board: Board) -> None:
    folders = [
        another(board, "first", "x", 0.1),
        another(board, "same name", "x", 0.2),
        another(board, "same content", "y", 0.1),
        another(board, "case", "X", 0.3),
        another(board, "other", "z", 0.4),
    ]
    told = together(board, folders)
    names = check_whole(board)
    assert told["other"] == "landed: z"
    assert sum(told[each].startswith("landed") for each in ("first", "same name", "case")) == 1
    assert told["same content"] == "landed: y" or told["first"] == "landed: x"
    for name, text in told.items():
        fits = ("landed", "has the same content as", "has an entry 'x' already", "cannot be taken, since the track has")
        assert any(each in text for each in fits), (name, text)
    assert len(names) == 1 + sum(text.startswith("landed") for text in told.values())


@pytest.mark.faults
def test_who_replaces_at_once_leaves_one_of_them(board: Board) -> None:
    add(board.path, board.track("property"), another(board, "old", "x", 0.1), None)
    told = together(board, [another(board, "a", "x", 0.2), another(board, "b", "x", 0.3)], replace=True)
    assert {*told.values()} == {"landed: x"}
    assert check_whole(board) == ["earlier", "x"]


def test_a_name_that_is_taken_is_refused_unless_it_is_replaced(board: Board) -> None:
    track, old, new = board.track("property"), another(board, "a", "x", 0.1), another(board, "b", "x", 0.2)
    place = add(board.path, track, old, None)
    before = fingerprint(board.path)
    with pytest.raises(Refused, match="give --replace"):
        add(board.path, track, new, None)
    copy = another(board, "c", "y", 0.1)
    with pytest.raises(Refused, match="has the same content as the entry 'x'"):
        add(board.path, track, copy, None, replace=True)
    assert fingerprint(board.path) == before
    assert add(board.path, track, new, None, replace=True) == place
    assert read_entry(place).artefact.sha256 == read_fields(new)["artefact"]["sha256"]
    assert add(board.path, track, copy, None).name == "y"  # the old one's content is free
    assert check_whole(board) == ["earlier", "x", "y"]


def test_what_was_verified_is_what_lands(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the folder changes in between."""
    folder = another(board, "a", "x", 0.1)
    expected = artefact(folder).read_bytes()

    def verified(*given: Any, **named: Any) -> Any:
        found = original(*given, **named)
        artefact(folder).write_bytes(b"other")
        return found

    original = board_module.verified
    monkeypatch.setattr(board_module, "verified", verified)
    assert artefact(add(board.path, board.track("property"), folder, None)).read_bytes() == expected


@pytest.mark.parametrize("at_once", [True, False])
def test_folders_are_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    if not at_once:
        monkeypatch.setattr(files, "_exchanged", lambda new, old: False)
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    exchange(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "which").read_text() == "new" and (tmp_path / "new" / "which").read_text() == "old"
    shutil.rmtree(tmp_path / "new")
    before = fingerprint(tmp_path)
    with pytest.raises(OSError):
        exchange(tmp_path / "new", tmp_path / "old")
    assert fingerprint(tmp_path) == before


def test_a_disk_that_is_full_leaves_the_board_as_it_was(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(board_module, "write_json", full)
    before = fingerprint(board.path)
    with pytest.raises(OSError):
        add(board.path, board.track("property"), another(board, "a", "x", 0.1), None)
    assert fingerprint(board.path) == before


class Server:
    """Stands for HTTPS: answers with its content, again and again where that is asked for."""

    def __init__(self, content: bytes, endless: bool = False) -> None:
        self.content, self.endless, self.calls, self.sent = content, endless, 0, 0

    def open(self, url: str, timeout: float) -> Any:
        assert url.startswith("https://") and timeout
        self.calls += 1
        server = self

        class Answer(io.BytesIO):
            def read1(self, size: int | None = -1) -> bytes:
                block = b"x" * (size or 0) if server.endless else super().read1(size)
                server.sent += len(block)
                return block

        return Answer(self.content)


@pytest.fixture
def remote(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Server]]:
    """A submission whose artefact is elsewhere, and its address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = another(board, "a", "x", 0.1)
    server = Server(artefact(folder).read_bytes())
    change(folder, artefact=read_fields(folder)["artefact"] | {"url": "https://example.org/predictions.parquet"})
    artefact(folder).unlink()
    monkeypatch.setattr(urllib.request, "build_opener", lambda *_: server)
    yield folder, server


def test_an_artefact_elsewhere_is_neither_verified_nor_refused_until_it_is_fetched(
    board: Board, remote: tuple[Path, Server]
) -> None:
    folder, server = remote
    track = board.track("property")
    with pytest.raises(AbsentError, match="not in the repository, but at https://") as caught:
        judged(board.path, track, folder, None)
    assert not isinstance(caught.value, Refused) and not server.calls
    first = judged(board.path, track, folder, None, fetch=True)
    assert first.scores and judged(board.path, track, folder, None, fetch=True) == first and server.calls == 1
    place = add(board.path, track, folder, None, fetch=True)
    assert [path.name for path in place.iterdir()] == ["entry.json"]
    for kept in (fetching.cache_folder() / "artefacts").iterdir():
        kept.write_bytes(b"spoilt")
    assert judged(board.path, track, place, None, fetch=True) == first and server.calls == 2


@pytest.mark.parametrize("endless", [True, False])
def test_another_file_at_the_address_is_refused(board: Board, remote: tuple[Path, Server], endless: bool) -> None:
    folder, server = remote
    server.endless, server.content = endless, server.content[:-1] + b"?"
    with pytest.raises(Refused, match="is not the artefact that the entry describes"):
        judged(board.path, board.track("property"), folder, None, fetch=True)
    assert server.sent <= read_fields(folder)["artefact"]["bytes"] + 1
    assert not (fetching.cache_folder() / "artefacts").exists()


LEADS_AWAY = {
    "http://example.org": "not HTTPS",
    "file:///etc/passwd": "not HTTPS",
    "ftp://example.org": "not HTTPS",
    "HTTPX://a": "not HTTPS",
    "https://example.org:99999/x": "Port out of range",
    "https://example.org:0/x": "Port out of range",
    "https://example.org:x/": "Port could not be cast",
    "https:///x": "is not a host",
    "https://a..b/": "is not a host",
    "https://[::1]/": "is not a host",
    f"https://{'a' * 64}.org/": "is not a host",
}


@pytest.mark.parametrize("url", LEADS_AWAY)
def test_an_address_may_lead_to_https_only(url: str) -> None:
    asked = urllib.request.Request("https://example.org")
    with pytest.raises(Refused, match=LEADS_AWAY[url]):
        fetching._HttpsOnly().redirect_request(asked, None, 302, "Found", {}, url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0"])
def test_an_address_within_the_verifiers_own_network_is_refused(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Before anything is sent there, whatever name it has."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = another(board, "a", "x", 0.1)
    change(folder, artefact=read_fields(folder)["artefact"] | {"url": f"https://{host}:9/x"})
    artefact(folder).unlink()
    with pytest.raises(Refused, match="is not a public address"):
        judged(board.path, board.track("property"), folder, None, fetch=True)


def test_a_server_that_drips_is_given_up_after_the_whole_patience(
    board: Board, remote: tuple[Path, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its bytes comes in time, and all of them do not; one that hangs for good is given up too."""
    folder, server = remote
    ends = threading.Event()
    monkeypatch.setattr(fetching, "PATIENCE", 0.3)
    for wait in (0.02, 60.0):

        class Drips(io.BytesIO):
            def read1(self, size: int | None = -1, wait: float = wait) -> bytes:
                ends.wait(wait)
                return super().read1(1)

        monkeypatch.setattr(server, "open", lambda url, timeout, kind=Drips: kind(server.content))
        with pytest.raises(Refused, match=r"took more than 0\.3 seconds, and was given up"):
            judged(board.path, board.track("property"), folder, None, fetch=True)
    ends.set()


def test_killed_in_between_a_board_is_whole(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a killed process are hidden, and are not an entry."""

    class Killed(BaseException):
        pass

    def kill(*_: Any) -> None:
        raise Killed

    monkeypatch.setattr(board_module, "exchange", kill)
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
    track = board.track("property")
    with suppress(Killed):
        add(board.path, track, another(board, "a", "earlier", 0.1), None, replace=True)
    hidden = [path for path in (board.path / "property").iterdir() if path.is_dir() and path.name.startswith(".")]
    assert len(hidden) == 1 and (hidden[0] / "earlier" / "entry.json").exists()
    assert [entry.name for entry in read_entries(board.path, "property")] == ["earlier"]
    monkeypatch.undo()
    assert add(board.path, track, another(board, "b", "y", 0.1), None).name == "y"
