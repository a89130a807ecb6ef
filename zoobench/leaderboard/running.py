"""A method run on a track: it is measured as the track says, judged as everyone is, and written to be handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, sha256_of, write_json
from zoo_generation.names import inside
from zoo_generation.networks.program import device_of
from zoo_generation.progress import QUIET, Progress
from zoo_generation.provenance import command, hardware, versions
from zoobench.leaderboard.answers import Answers, write_answers
from zoobench.leaderboard.entry import ENTRY, FORMAT, Entry
from zoobench.leaderboard.judging import judge
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.track import Track, zoo_fields
from zoobench.methods.registry import get_method
from zoobench.studies.bench import Bench, token_sets
from zoobench.studies.plan import Plan
from zoobench.studies.runner import run_plan
from zoobench.studies.sources import Source, sources_of
from zoobench.studies.study import Composition, MethodChoice, Study
from zoobench.zoo.building import build_zoo
from zoobench.zoo.workspace import Workspace

NOBODY = {"authors": ("–",), "licence": "–"}
"""What stands in an entry before somebody hands it in."""


class FailedError(RuntimeError):
    """Parts of a run failed. pieces: why, by the name of each."""

    def __init__(self, pieces: Mapping[str, str]) -> None:
        self.pieces = dict(pieces)
        super().__init__("; ".join(f"{piece} failed: {reason}" for piece, reason in self.pieces.items()))


def run_track(
    method: str, choice: MethodChoice, track: Track, workspace: Workspace, progress: Progress = QUIET
) -> Entry:
    """Run a method on a track and judge it; returns its entry, to which who hands it in adds authors and a licence.

    `results/<track>/<method>/` of the workspace then holds what can be handed in, see `submit`. Raises `InputError` if
    the method does not do what the track asks for, and `FailedError` if a part of it failed.
    """
    check_applicable(track, method)
    references = read_references(workspace.leaderboards, track)
    measured = measure(workspace.leaderboards, track, method, choice, workspace, progress)
    seeds = sorted({seed for _, seed in measured.answers})
    folder = inside(inside(workspace.results, track.name), method)
    progress.stage(f"judging {method} on {track.name}")
    with directory_written_aside(folder, marked=False) as aside:
        write_answers(aside / track.artefact, track, references, measured.answers)
        scores = judge(track, references, measured.answers, seeds, workspace.data_root)
        draft = _draft(track, method, seeds, aside / track.artefact, measured)
        write_json(aside / ENTRY, draft | {"scores": [score.model_dump() for score in scores]})
    return Entry(**draft | NOBODY | {"scores": scores})


def check_applicable(track: Track, method: str) -> None:
    """Raise `InputError` if a method does nothing that a track asks for."""
    if not track.get_task().asks(get_method(method).kind):
        raise InputError(f"{method} does not do what the track {track.name} asks for ({track.task.replace('_', ' ')})")


def _draft(track: Track, method: str, seeds: Sequence[int], artefact: Path, measured: Measured) -> dict[str, Any]:
    """What a run knows of its entry: all but who hands it in, and under which licence."""
    known = get_method(method)
    took = f"{measured.seconds / 60:.1f} core-minutes, training and measuring, all seeds" if measured.seconds else ""
    return {
        "format": FORMAT,
        "track": track.name,
        "name": method,
        "method": method,
        "baseline": known.baseline,
        "parameters": measured.parameters,
        "compute": took,
        "seeds": list(seeds),
        "command": command(),
        "hardware": hardware(),
        "versions": versions(),
        "task_version": track.task_version,
        "method_version": getattr(known, "version", 1),
        "date": datetime.now(UTC).date().isoformat(),
        "artefact": {"sha256": sha256_of(artefact), "bytes": artefact.stat().st_size},
    }


# The seam to the engine: `measure`, `zoos_of` and `study_of` are all that this room knows of plans, cells and studies.


@dataclass(frozen=True, eq=False)
class Measured:
    """What a method answered on a track, by target and seed.

    seconds: that it took, each piece for itself; parameters: numbers that the first fitted method is kept as, None if
    it learns nothing; targets: what it was asked about, by name.
    """

    answers: Answers
    seconds: float
    parameters: int | None
    targets: Mapping[str, Any]


def measure(
    leaderboards: Path,
    track: Track,
    method: str,
    choice: MethodChoice,
    workspace: Workspace,
    progress: Progress = QUIET,
    seed: int | None = None,
) -> Measured:
    """Build the track's zoos, of another first seed if one is given, and ask the method. Raises `FailedError`."""
    study = study_of(leaderboards, track, method, choice, seed)
    with workspace.ray():
        tokens = _token_sets(sources_of(study, workspace.zoos), workspace, progress)
        folder = (workspace.runs / "pieces").absolute()
        data_root, device = workspace.data_root and workspace.data_root.absolute(), device_of(workspace.device)
        plan, bench = Plan(study), Bench(study, tokens, folder, data_root, device)
        step = progress.stage("measuring")
        failures = run_plan(
            plan, bench, resources=workspace.resources, report=lambda now: step(len(now.ended), len(now.missing))
        )
    if failures:
        raise FailedError(failures)
    targets = {target: bench.population(target) for target in track.targets}
    return Measured(_answers_of(plan, bench), bench.seconds(plan), _parameters(plan, bench), targets)


def zoos_of(
    leaderboards: Path, tracks: Sequence[Track], workspace: Workspace, progress: Progress = QUIET
) -> dict[str, Path]:
    """The token sets of the tracks' zoos, by name, built now if they are not there."""
    sources: dict[str, Source] = {}
    for track in tracks:
        sources |= sources_of(study_of(leaderboards, track), workspace.zoos)
    return _token_sets(sources, workspace, progress)


def study_of(
    leaderboards: Path,
    track: Track,
    method: str | None = None,
    choice: MethodChoice | None = None,
    seed: int | None = None,
) -> Study:
    """The study that measures a method, in a configuration, on a track; without one, that of the track's zoos alone.

    seed: the first of the zoos, None for that of their specs.
    """
    other = {} if seed is None else {"seed": seed}
    return Study(
        name=track.name,
        zoos={zoo: zoo_fields(leaderboards, zoo) | other for zoo in track.zoos},
        compositions={"training": Composition(zoos=track.training)},
        targets=track.targets,
        methods={method: choice or MethodChoice()} if method else {},
        baselines=False,
        tasks={track.task: track.settings},
        seeds=track.seeds,
    )


def _token_sets(sources: Mapping[str, Source], workspace: Workspace, progress: Progress) -> dict[str, Path]:
    for source in sources.values():
        if source.spec is not None:
            build_zoo(source.spec, source.path, workspace, progress)
    return token_sets(sources, workspace.runs / "tokens", progress.stage)


def _answers_of(plan: Plan, bench: Bench) -> Answers:
    """What was measured, as it is handed in; raises `InputError` if the task could not be done on a target."""
    answers: dict[tuple[str, int], pd.DataFrame | Tensor] = {}
    for cell in plan.cells:
        path, observations = bench.cell_path(cell), bench.observations(cell)
        if observations.empty:
            raise InputError(
                f"{cell.fit.method} cannot do {cell.task} on {cell.target}, which does not fit what it is or was "
                "trained on; leave this track to other methods"
            )
        weights = path / "weights.safetensors"
        answers[cell.target, cell.fit.seed] = load_file(weights)["weights"] if weights.exists() else observations
    return answers


def _parameters(plan: Plan, bench: Bench) -> int | None:
    """Numbers that the first of the trained methods is kept as; None for a method that learns nothing."""
    if not plan.fits:
        return None
    total = 0
    for file in bench.fit_path(plan.fits[0]).rglob("*.safetensors"):
        with safe_open(file, framework="pt") as content:
            for name in content.keys():  # noqa: SIM118 – no mapping
                total += int(content.get_tensor(name).numel())
    return total
