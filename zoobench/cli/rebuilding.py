"""Build the zoos of tracks, say whether they are what the tracks mean, and record them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zoo_generation.files import written_aside
from zoobench.cli.console import console, shown_progress, table
from zoobench.evaluation.cells import prepare
from zoobench.leaderboard.reference import KEYS, population_digest, reference_path, write_reference
from zoobench.leaderboard.running import study_of
from zoobench.leaderboard.track import Track, read_tracks
from zoobench.populations import Population, TokenSet
from zoobench.zoo.workspace import Workspace


def rebuild(tracks: Sequence[Track], leaderboards: Path, place: Workspace, record: bool) -> bool:
    """Build each zoo of the tracks, compare it with what was recorded or, with `record`, record it now.

    Returns whether all are as recorded.
    """
    recorded = {zoo: digest for track in tracks for zoo, digest in track.zoos.items()}
    plans = [study_of(leaderboards, track).plan(place) for track in tracks]
    origins = {origin.name: origin for plan in plans for origin in plan.origins}
    with shown_progress() as progress:
        cells = prepare(list(origins.values()), place, progress)
    shown = table("Zoos of tracks", ["zoo"], ["models", "checkpoints", "content", "as recorded"])
    same = True
    for name, origin in origins.items():
        population = replace(cells.population(origin), name=name)
        digest = population_digest(population)
        if record:
            asking = [track.get_task() for track in read_tracks(leaderboards) if name in track.targets]
            write_reference(reference_path(leaderboards, name), name, population, asking, cells.token_size)
            _record(leaderboards, name, digest)
            verdict = "recorded now"
        elif recorded[name] is None:
            verdict = "never recorded"
        elif digest == recorded[name]:
            verdict = "yes, to the bit"
        else:
            verdict = f"no: {_difference(population, reference_path(leaderboards, name))}"
            same = False
        models = population.table["model_id"].nunique()
        shown.add_row(name, str(models), str(len(population)), digest[:12], verdict)
    console.print(shown)
    return same


def _record(leaderboards: Path, zoo: str, digest: str) -> None:
    """Write a zoo's content into every track that has it."""
    line = re.compile(rf"^(  {re.escape(zoo)}:) (null|[0-9a-f]{{64}})$", re.MULTILINE)
    for track in read_tracks(leaderboards):
        path = leaderboards / track.name / "track.yaml"
        with written_aside(path) as aside:
            aside.write_text(line.sub(rf"\1 {digest}", path.read_text()))


def _difference(population: Population, path: Path) -> str:
    """How far checkpoints are from those that were recorded."""
    there = TokenSet.read(path).populations[0].table[[*KEYS, "test_accuracy"]]
    both = there.merge(population.table[[*KEYS, "test_accuracy"]], on=KEYS, suffixes=("", "_here"))
    if len(both) < len(there):
        return f"{len(there) - len(both)} of {len(there)} recorded checkpoints are missing"
    largest = float((both["test_accuracy"] - both["test_accuracy_here"]).abs().max())
    return f"other roundings; test accuracies differ by {largest:.4f} at most"
