"""Files and folders take their place whole, whoever else writes there and whenever the writer is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
from helpers.submitting import fingerprint

from zoo_generation import files
from zoo_generation.errors import InputError
from zoo_generation.files import MARK, beside, directory_written_aside, sweep, written_aside

FILES = 5


def write(path: Path, content: str, names: int = FILES) -> None:
    with directory_written_aside(path) as aside:
        for number in range(names):
            (aside / f"f{number}").write_text(content)


def contents(path: Path) -> set[str]:
    """The content of a folder's files, which must all exist."""
    assert {file.name for file in path.iterdir()} == {MARK, *(f"f{number}" for number in range(FILES))}
    return {(path / f"f{number}").read_text() for number in range(FILES)}


def by_hand(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text("weeks of training")

    return make


def and_by_hand(name: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write(path, "old", FILES + 2)
        by_hand(name)(path)

    return make


STANDING: dict[str, tuple[Callable[[Path], object], bool]] = {
    "nothing": (lambda path: None, True),
    "an empty folder": (Path.mkdir, True),
    "what was written before": (lambda path: write(path, "old", FILES + 2), True),
    "what an earlier version wrote": (by_hand("f0"), True),
    "what a file browser leaves": (and_by_hand(".DS_Store"), True),
    "a folder of others": (by_hand("precious.txt"), False),
    "a hidden file of others": (by_hand(".git"), False),
    "something put into what was written": (and_by_hand("notes/precious.txt"), False),
    "a mark that is none": (by_hand(MARK), False),
    "a file": (lambda path: path.write_text("precious"), False),
    "a link to a folder": (lambda path: path.symlink_to(path.parent), False),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), False),
}


@pytest.mark.parametrize("standing", STANDING)
def test_only_what_zoobench_wrote_is_replaced(tmp_path: Path, standing: str) -> None:
    make, replaced = STANDING[standing]
    path = tmp_path / "results"
    make(path)
    if standing == "a mark that is none":
        (path / "precious.txt").touch()
    before = fingerprint(tmp_path)
    if replaced:
        write(path, "new")
        assert contents(path) == {"new"}
    else:
        with pytest.raises(InputError, match="move it away"):
            write(path, "new")
        assert fingerprint(tmp_path) == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_folder_replaces_nothing_and_has_no_mark(tmp_path: Path) -> None:
    for _ in range(2):
        with directory_written_aside(tmp_path / "export", new=True) as aside:
            (aside / "a").touch()
        assert [file.name for file in (tmp_path / "export").iterdir()] == ["a"]
        write(tmp_path / "written", "old")
        with (
            pytest.raises(InputError, match="is there already"),
            directory_written_aside(tmp_path / "written", new=True),
        ):
            pass
        (tmp_path / "export" / "a").unlink()
        (tmp_path / "export").rmdir()


def test_what_comes_to_be_there_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "results"
    with pytest.raises(InputError, match="move it away"), directory_written_aside(path) as aside:
        (aside / "a").touch()
        by_hand("precious.txt")(path)
    assert [file.name for file in path.iterdir()] == ["precious.txt"] and list(tmp_path.iterdir()) == [path]


def test_a_file_is_no_way_out(tmp_path: Path) -> None:
    """A link is replaced, not followed; a folder stays."""
    (tmp_path / "outside").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    with written_aside(tmp_path / "link") as aside:
        aside.write_text("mine")
    assert (tmp_path / "outside").read_text() == "precious" and not (tmp_path / "link").is_symlink()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"), written_aside(tmp_path / "folder"):
        pass
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "link", "outside"]


def again_and_again(path: Path, content: str, times: int) -> None:
    for _ in range(times):
        write(path, content)


def test_writers_at_once_all_succeed(tmp_path: Path) -> None:
    path, fork = tmp_path / "results", get_context("fork")
    write(path, "0")
    writers = [fork.Process(target=again_and_again, args=(path, str(number), 40)) for number in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.is_dir()
        time.sleep(0.0005)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert contents(path) < {"0", "1", "2"} and list(tmp_path.iterdir()) == [path]


ENDLESS = """
import itertools, sys
from pathlib import Path
from zoo_generation import files
files.GRACE = 0
path = Path(sys.argv[1])
for number in itertools.count():
    with files.directory_written_aside(path) as aside:
        for name in range(5):
            (aside / f"f{name}").write_text(str(number))
    with files.written_aside(path.with_suffix(".json")) as aside:
        aside.write_text(f"[{number}]")
    print(number, flush=True)
"""


def test_killed_at_any_moment_the_old_or_the_new_is_there(tmp_path: Path) -> None:
    path = tmp_path / "results"
    for moment in range(6):
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None and writer.stdout.readline() == "0\n"
        time.sleep(0.0013 * moment)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        assert len(contents(path)) == 1
        assert path.with_suffix(".json").read_text().endswith("]")
    again_and_again(path, "again", 1)
    with written_aside(path.with_suffix(".json")) as aside:
        aside.write_text("[]")
    assert contents(path) == {"again"} and sorted(tmp_path.iterdir()) == [path, path.with_suffix(".json")]


def test_what_a_living_writer_holds_is_not_swept(tmp_path: Path) -> None:
    path = tmp_path / "results"
    with directory_written_aside(path) as aside:
        write(path, "quicker")
        sweep(tmp_path)
        assert aside.is_dir()
        for number in range(FILES):
            (aside / f"f{number}").write_text("slower")
    assert contents(path) == {"slower"}


def test_strangers_hidden_files_are_not_swept(tmp_path: Path) -> None:
    for name in (".results.swp", ".results.abcd1234", ".results.abcd1234.d"):
        by_hand("precious.txt")(tmp_path / name)
    (tmp_path / ".results.zyxw9876").write_text("precious")
    before = fingerprint(tmp_path)
    write(tmp_path / "results", "new")
    sweep(tmp_path)
    for file in (tmp_path / "results").iterdir():
        file.unlink()
    (tmp_path / "results").rmdir()
    assert fingerprint(tmp_path) == before


def test_where_a_system_cannot_exchange_what_was_there_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that was killed between two renames left neither; the next one finds the old."""
    path = tmp_path / "results"
    write(path, "old")
    monkeypatch.setattr(files, "_exchanged", lambda new, old: False)
    monkeypatch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
    with beside(path) as aside:
        path.rename(aside.with_name(f"{aside.name}{files.OLD}"))
    monkeypatch.undo()
    assert not path.exists()
    sweep(tmp_path)
    assert contents(path) == {"old"} and list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(files, "_exchanged", lambda new, old: False)
    write(path, "new")
    assert contents(path) == {"new"} and list(tmp_path.iterdir()) == [path]
