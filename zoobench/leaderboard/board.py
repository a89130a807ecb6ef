"""Put verified entries into a leaderboard: whole or not at all, whoever else does the same at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock

from zoo_generation.errors import InputError
from zoo_generation.files import beside, exchange, write_json
from zoobench.leaderboard.entry import ENTRY, read_entries
from zoobench.leaderboard.track import Track
from zoobench.leaderboard.untrusted.files import folded
from zoobench.leaderboard.untrusted.refusal import Refused
from zoobench.leaderboard.verification import Verified, copies, verified

LOCK = ".lock"


def add(
    leaderboards: Path,
    track: Track,
    path: Path,
    data_root: Path | None,
    replace: bool = False,
    fetch: bool = False,
) -> Path:
    """Verify a submission, a folder or a zip of one, and put it into the track; where it lies then.

    replace: take the place of the entry of that name. Raises as `verify` does, and `Refused` where the name is taken;
    the leaderboard is then as it was.
    """
    found = verified(leaderboards, track, path, data_root, fetch)
    folder = leaderboards / track.name
    place = folder / found.entry.name
    _check_place(leaderboards, track, found, replace)  # here too, so that what is refused leaves not even a lock
    with _aside(place, found, track.artefact) as aside, FileLock(folder / LOCK):
        _check_place(leaderboards, track, found, replace)
        if place.exists():
            exchange(aside, place)
        else:
            aside.rename(place)
    return place


def _check_place(leaderboards: Path, track: Track, found: Verified, replace: bool) -> None:
    """Raise `Refused` where the name is taken, or another entry holds the same; judging took long enough for either."""
    name = found.entry.name
    alike = [path for path in (leaderboards / track.name).iterdir() if folded(path.name) == folded(name)]
    for path in alike:
        if path.name != name or not (path / ENTRY).is_file() or path.is_symlink():
            raise Refused([f"the name '{name}' cannot be taken, since the track has '{path.name}'; choose another"])
        if not replace:
            raise Refused([f"the track has an entry '{name}' already; choose another name, or give --replace"])
    if problems := copies(read_entries(leaderboards, track.name), name, str(found.entry.content)):
        raise Refused(problems)


@contextmanager
def _aside(place: Path, found: Verified, artefact: str) -> Iterator[Path]:
    """The entry's folder, hidden beside where it is to lie; what is left there in the end is removed."""
    with ExitStack() as stack:
        try:
            aside = stack.enter_context(beside(place))
        except OSError as error:
            raise InputError(f"cannot write into {place.parent} ({error.strerror or error})") from None
        aside.mkdir()
        if found.submission.beside:
            (aside / artefact).write_bytes(found.submission.artefact)
        write_json(aside / ENTRY, found.entry.fields())
        aside.chmod(0o755)
        yield aside
