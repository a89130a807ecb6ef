"""Run a method on tracks with progress; show its scores among the entries, write what can be handed in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import safe_open

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, sha256_of, write_json
from zoo_generation.names import inside
from zoo_generation.provenance import command, hardware, versions
from zoobench.cli.console import console, shown_progress, styled
from zoobench.cli.leaderboards import track_table
from zoobench.evaluation import Results, run
from zoobench.leaderboard import Entry, Track, read_entries
from zoobench.leaderboard.entry import ENTRY, FORMAT
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.running import answers_of, check_applicable, study_of, write_answers
from zoobench.methods.registry import get_method
from zoobench.studies.study import MethodChoice
from zoobench.zoo.workspace import Workspace


def run_tracks(tracks: Sequence[Track], method: str, choice: MethodChoice, place: Workspace) -> bool:
    """Run the method on each track that it can do, of several; returns whether nothing failed."""
    failed = False
    for track in tracks:
        try:
            check_applicable(track, method)
            failed |= not run_track(track, method, choice, place)
        except InputError as error:
            if len(tracks) == 1:
                raise
            console.print(f"{track.name}: {error}", soft_wrap=True)
    return not failed


def run_track(track: Track, method: str, choice: MethodChoice, place: Workspace) -> bool:
    """Run, judge, show, write `results/<track>/<method>/`; returns whether nothing failed."""
    leaderboards = place.home / "leaderboards"
    references = read_references(leaderboards, track)
    with shown_progress() as progress:
        results = run(study_of(leaderboards, track, method, choice).plan(place), place, progress)
    for piece, reason in results.failures.items():
        console.print(styled("failed", "red"), f"{piece}: {reason}", soft_wrap=True)
    if results.failures:
        return False
    answers = answers_of(results)
    seeds = sorted({seed for _, seed in answers})
    folder = inside(inside(place.home / "results", track.name), method)
    with shown_progress() as progress, directory_written_aside(folder, marked=False) as aside:
        progress.stage(f"judging {method} on {track.name}")
        write_answers(aside / track.artefact, track, references, answers)
        scores = judge(track, references, answers, seeds, place.data_root)
        draft = _draft(track, method, seeds, aside / track.artefact, results)
        write_json(aside / ENTRY, draft | {"scores": [score.model_dump() for score in scores]})
    mine = Entry(**draft | {"authors": ("–",), "licence": "–", "scores": scores})
    others = [each for each in read_entries(leaderboards, track.name) if each.name != mine.name]
    console.print(track_table(track, [*others, mine], {mine.name}))
    console.print(f"What can be handed in: {folder} (zoobench submit {folder} --help)", soft_wrap=True)
    return True


def _draft(track: Track, method: str, seeds: Sequence[int], artefact: Path, results: Results) -> dict[str, Any]:
    """What a run knows of its entry: all but who hands it in, and under which licence."""
    seconds = results.seconds
    return {
        "format": FORMAT,
        "track": track.name,
        "name": method,
        "method": method,
        "baseline": get_method(method).baseline,
        "parameters": _parameters(results),
        "compute": f"{seconds / 60:.1f} core-minutes, training and measuring, all seeds" if seconds else "",
        "seeds": list(seeds),
        "command": command(),
        "hardware": hardware(),
        "versions": versions(),
        "date": datetime.now(UTC).date().isoformat(),
        "artefact": {"sha256": sha256_of(artefact), "bytes": artefact.stat().st_size},
    }


def _parameters(results: Results) -> int | None:
    """Numbers that the first of the trained methods is kept as; none of a method that learns nothing."""
    if not results.plan.fits:
        return None
    total = 0
    for file in results.cells.fit_path(results.plan.fits[0]).rglob("*.safetensors"):
        with safe_open(file, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118 – no mapping
                total += int(content.get_tensor(name).numel())
    return total
