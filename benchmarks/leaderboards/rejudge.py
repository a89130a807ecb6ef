"""Judge a track's entries again from the answers that they hold, without running a method.

    python benchmarks/leaderboards/rejudge.py attribution-lds

For those who keep the leaderboards, where the judges changed and the question did not: the task has a new version, or
its target other models, and answers are still what they were. Entries that the task's version has scored already are
left out, so that a killed run goes on where it was; with `--all` none is.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import zoobench as zb
from zoo_generation.files import write_json
from zoobench.leaderboard import read_entries
from zoobench.leaderboard.entry import ENTRY
from zoobench.zoo.workspace import Workspace

OF_JUDGING = ("scores", "content", "marks", "fresh")


def main() -> None:
    """Judge, and replace the entries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--home", type=Path, default=Path())
    parser.add_argument("--data-root", type=Path)
    args = parser.parse_args()
    workspace = Workspace(args.home, args.data_root)
    track = zb.get_track(args.track, workspace=workspace)
    for entry in read_entries(workspace.leaderboards, track.name):
        if entry.task_version == track.task_version and not args.all:
            continue
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder)
            shutil.copy(workspace.leaderboards / track.name / entry.name / track.artefact, source)
            said = {name: value for name, value in entry.fields().items() if name not in OF_JUDGING}
            write_json(source / ENTRY, said | {"task_version": track.task_version})
            judged = zb.submit(source, replace=True, workspace=workspace)
        print(
            f"{judged.name}: {track.metric} {entry.mean(track.metric):.4f}, now {judged.mean(track.metric):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
