"""Run a method on a track: measure it as the track says, which judges it as all entries are, and write a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, sha256_of, write_json
from zoo_generation.names import inside
from zoo_generation.progress import QUIET, Progress
from zoo_generation.provenance import command, hardware, versions
from zoobench.evaluation import Results, run
from zoobench.evaluation.cells import prepare
from zoobench.leaderboard.answers import Answers, write_answers
from zoobench.leaderboard.entry import ENTRY, FORMAT, Entry
from zoobench.leaderboard.judging import remember, scores_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.track import Track
from zoobench.methods.method import Method
from zoobench.methods.protocols import TablePredictor
from zoobench.populations import Population, TokenSet
from zoobench.zoo.workspace import Workspace

NOBODY = {"authors": ("–",), "licence": "–"}
"""Values of an entry before somebody submits it."""


class FailedError(RuntimeError):
    """Parts of a run failed. pieces: the reason for each, by its name."""

    def __init__(self, pieces: Mapping[str, str]) -> None:
        self.pieces = dict(pieces)
        super().__init__("; ".join(f"{piece} failed: {reason}" for piece, reason in self.pieces.items()))


def run_track(
    method: Method, track: Track, workspace: Workspace, progress: Progress = QUIET, config: object = None
) -> Entry:
    """Run a method on a track. Returns its entry, described by the method's summary and paper; the
    submitter adds authors and a licence.

    config: of the method, None for its first preset. Then `results/<track>/<method>/` of the workspace holds a
    submission, see `submit`. Raises `InputError` if the method cannot do what the track asks for, or needs more access
    than the track allows, and `FailedError` if a part of the run failed.
    """
    references = read_references(workspace.leaderboards, track)
    results, answers = measure(method, config, track, workspace, progress)
    seeds = sorted({seed for _, seed in answers})
    measured = {target: by_seed for (*_, target), by_seed in results.estimates.items()}
    scores = scores_of(track, {target: [measured[target][seed] for seed in seeds] for target in track.targets})
    if results.cells.device == "cpu":  # where everybody judges
        remember(track, references, answers, seeds, workspace.data_root, scores)
    folder = inside(inside(workspace.results, track.name), method.name)
    with directory_written_aside(folder, marked=False) as aside:
        write_answers(aside / track.artefact, track, references, answers)
        draft = _draft(track, method, seeds, aside / track.artefact, results)
        write_json(aside / ENTRY, draft | {"scores": [score.model_dump() for score in scores]})
    return Entry(**draft | NOBODY | {"scores": scores})


def measure(
    method: Method,
    config: object,
    track: Track,
    workspace: Workspace,
    progress: Progress = QUIET,
    seed: int | None = None,
    leaderboards: Path | None = None,
) -> tuple[Results, Answers]:
    """The answers of a method on a track, by target and seed, and their measurements. Raises as `run_track` does.

    seed: the first of the track's zoos, None for that of their specs; leaderboards: their folder, None for that of the
    workspace.
    """
    check_applicable(track, method)
    specs = leaderboards or workspace.leaderboards
    plan = track.plan(specs, workspace.zoos, method, method.config(None) if config is None else config, seed)
    results = run(plan, workspace, progress)
    if results.failures:
        raise FailedError(results.failures)
    answers = results.answers
    for cell in results.plan.cells:
        if (cell.target.name, cell.fit.seed) not in answers:
            raise InputError(
                f"{method.name} cannot do {track.task} on {cell.target.name}, which does not fit what it is or was "
                "trained on; leave this track to other methods"
            )
    return results, answers


def check_applicable(track: Track, method: Method) -> None:
    """Raise `InputError` if a method cannot do what a track asks for, or needs more access than the track allows."""
    task = track.task.replace("_", " ")
    if not isinstance(method.kind, track.get_task().asks):
        raise InputError(f"{method.name} does not do what the track {track.name} asks for ({task})")
    if not track.allows(method):
        raise InputError(f"{method.name} needs {method.access.words}, and the track {track.name} does not allow that")
    if isinstance(method.kind, TablePredictor) and not method.baseline:
        raise InputError(
            f"{method.name} predicts from how models were trained, which tracks do not tell of models that they ask "
            "about; only baselines may, as floors"
        )


def zoos_of(
    tracks: Sequence[Track], workspace: Workspace, progress: Progress = QUIET
) -> dict[str, tuple[Population, int]]:
    """The populations of the tracks' zoos, built if they are missing, and their token size, by name."""
    found: dict[str, tuple[Population, int]] = {}
    for track in tracks:
        with workspace.ray():
            cells = prepare(track.plan(workspace.leaderboards, workspace.zoos).origins, workspace, progress)
        for name, path in cells.tokens.items():
            tokens = TokenSet.read(path)
            found[name] = replace(tokens.populations[0], name=name), tokens.token_size
    return found


def _core_seconds(method: Method, results: Results) -> dict[str, float]:
    """Mean CPU time of a fit, 0 if the method learns nothing, and inside the method in a cell; without those that an
    older zoobench did not take."""
    free = {} if method.learns else {"fit_core_seconds": 0.0}
    means = results.costs[["fit_core_seconds", "asked_core_seconds"]].mean().dropna()
    return free | {str(name): round(float(mean), 2) for name, mean in means.items()}


def _draft(track: Track, method: Method, seeds: Sequence[int], artefact: Path, results: Results) -> dict[str, Any]:
    """What a run knows of its entry: everything but the submitter and the licence."""
    seconds = results.seconds
    return {
        "format": FORMAT,
        "track": track.name,
        "name": method.name,
        "method": method.name,
        "description": method.summary,
        "paper": method.link,
        "baseline": method.baseline,
        "parameters": results.cells.parameters(results.plan.cells[0].fit),
        "compute": f"{seconds / 60:.1f} core-minutes, training and measuring, all seeds" if seconds else "",
        "access": method.access.name.lower(),
        "runs_models": method.runs_models,
        **_core_seconds(method, results),
        "seeds": list(seeds),
        "command": command(),
        "hardware": hardware(),
        "versions": versions(),
        "task_version": track.task_version,
        "method_version": method.version,
        "date": datetime.now(UTC).date().isoformat(),
        "artefact": {"sha256": sha256_of(artefact), "bytes": artefact.stat().st_size},
    }
