"""Make all pieces of a study that are missing, with progress: zoos, token sets, trainings, cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rich.progress import BarColumn, TaskProgressColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo_generation.networks.program import device_of
from zoo_generation.training.cluster import Resources, ray_session
from zoobench.cli.console import Column, console, shown_progress, stages
from zoobench.studies.bench import Bench, token_sets
from zoobench.studies.cost import cell_seconds, fit_seconds
from zoobench.studies.plan import Fit, Plan
from zoobench.studies.runner import Piece, Progress, run_plan
from zoobench.studies.sources import Source, sources_of
from zoobench.studies.study import Study
from zoobench.zoo.building import build_zoo
from zoobench.zoo.source import check_card
from zoobench.zoo.workspace import Workspace


@dataclass(frozen=True)
class Studied:
    """A study whose pieces are there, but for those that failed: reasons by their names."""

    plan: Plan
    bench: Bench
    sources: dict[str, Source]
    failures: dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where a study runs, and keeps what it makes: a home, the images' folder, a Ray, and what each job has of it."""

    home: Path
    data_root: Path | None = None
    workers: int | None = None
    ray_address: str | None = None
    resources: Resources = field(default_factory=Resources)


def run_study(study: Study, place: Place) -> Studied:
    """Build, train, measure what is not kept there yet."""
    sources, plan = sources_of(study, place.home / "zoos"), Plan(study)
    with ray_session(place.ray_address, place.workers):
        tokens = build_zoos(sources, place)
        folder = (place.home / "runs" / "pieces").absolute()
        data_root, device = place.data_root and place.data_root.absolute(), device_of(place.resources.device)
        bench = Bench(study, tokens, folder, data_root, device)
        with _bar(cache(lambda piece: _seconds(piece, bench, sources))) as show:
            failures = run_plan(plan, bench, resources=place.resources, report=show)
    return Studied(plan, bench, sources, failures)


def build_zoos(sources: dict[str, Source], place: Place) -> dict[str, Path]:
    """Train what the zoos lack of their specs; the token set of each, by its name."""
    for source in sources.values():
        if source.spec is not None:
            check_card(source.path, source.spec)
            workspace = Workspace(place.home, place.data_root, place.resources.device)
            with shown_progress() as progress:
                build_zoo(source.spec, source.path, workspace, progress)
    with stages() as stage:
        return token_sets(sources, place.home / "runs" / "tokens", stage)


def _seconds(piece: Piece, bench: Bench, sources: dict[str, Source]) -> float:
    """About how long a piece takes on one core."""
    if isinstance(piece, Fit):
        return fit_seconds(bench.config(piece))
    return cell_seconds(bench.task(piece.task), bench.config(piece.fit), sources[piece.target])


@contextmanager
def _bar(seconds: Callable[[Piece], float]) -> Iterator[Callable[[Progress], None]]:
    """A bar, as long as the block lasts; what it yields is told how far the run is."""
    columns = (
        *(Column("{task.description}"), BarColumn(), TaskProgressColumn()),
        *(TimeElapsedColumn(), TimeRemainingColumn(), Column("{task.fields[state]}")),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("measuring", total=None, state="")

        def show(now: Progress) -> None:
            done, of = (sum(seconds(piece) for piece in pieces) for pieces in (now.ended, now.missing))
            failed = f", {len(now.failures)} failed" if now.failures else ""
            what = f"{len(now.ended)}/{len(now.missing)}{failed}"
            bar.update(task, completed=done, total=of, description=what, state=_running(now))

        yield show


def _running(now: Progress) -> str:
    first = now.running[0].name if now.running else ""
    return f"{first[:50]}{f' +{len(now.running) - 1}' if len(now.running) > 1 else ''}"
