"""Run a study with progress; show its tables, answers and leaderboards, write its report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo_generation.cluster import Resources, ray_session
from zoobench.ablation.bench import Bench, token_sets
from zoobench.ablation.cost import cell_seconds, fit_seconds, zoo_seconds
from zoobench.ablation.plan import Fit, Plan
from zoobench.ablation.report import Report, write_report
from zoobench.ablation.reporting import entrants, report_of
from zoobench.ablation.results import Results
from zoobench.ablation.runner import Piece, Progress, run_plan
from zoobench.ablation.sources import Source, sources_of
from zoobench.ablation.study import Study
from zoobench.cli.ablation_tables import answer_tables, score_tables
from zoobench.cli.building import build
from zoobench.cli.console import console, stages, table
from zoobench.cli.ranking import standings_tables
from zoobench.evaluation import device_of
from zoobench.files import directory_written_aside
from zoobench.provenance import commit, hardware, versions
from zoobench.tasks.standings import standings


def ablate(
    study: Study,
    home: Path,
    data_root: Path | None,
    *,
    workers: int | None,
    ray_address: str | None,
    resources: Resources,
) -> bool:
    """Build, train, measure, report; returns whether a piece failed."""
    started = time.monotonic()
    sources, plan = sources_of(study, home / "zoos"), Plan(study)
    with ray_session(ray_address, workers):
        for source in sources.values():
            if source.spec is not None:
                build(source.spec, source.path, data_root=data_root, resources=resources)
        with stages() as stage:
            tokens = token_sets(sources, home / "runs" / "tokens", stage)
        folder = (home / "runs" / "pieces").absolute()
        bench = Bench(study, tokens, folder, data_root and data_root.absolute(), device_of(resources.device))
        with _bar(cache(lambda piece: _seconds(piece, bench, sources))) as show:
            failures = run_plan(plan, bench, resources=resources, report=show)
    with stages() as stage:
        stage("drawing samples again for intervals, and the report")
        results = Results.of(plan, bench, sources)
        report = report_of(
            plan, bench, results, failures, _made(study, time.monotonic() - started, bench.seconds(plan))
        )
        ranking = standings(entrants(report.measurements), report.primary)
        path = home / "results" / study.name
        with directory_written_aside(path) as aside:
            write_report(report, aside)
            ranking.to_csv(aside / "standings.csv", index=False)
    _show(report)
    for shown in standings_tables(ranking):
        console.print(shown)
    console.print(f"Report: {path / 'report.html'}, and as Markdown, Parquet and CSV beside it", soft_wrap=True)
    return bool(failures)


def show_plan(study: Study, home: Path) -> None:
    """Print what a study would do, and about how long it takes: its zoos, trainings and cells by name."""
    sources, plan = sources_of(study, home / "zoos"), Plan(study)
    configs = {fit: study.config(fit.method, study.all_compositions().get(fit.composition)) for fit in plan.fits}
    tasks = {task.name: task for task in study.all_tasks()}
    zoos = {
        f"{source.name}: {len(source.ids)} models, {source.path}": zoo_seconds(source) for source in sources.values()
    }
    fits = {fit.name: fit_seconds(config) for fit, config in configs.items()}
    cells = {
        cell.name: cell_seconds(tasks[cell.task], configs.get(cell.fit), sources[cell.target]) for cell in plan.cells
    }
    for title, pieces in (("Zoos", zoos), ("Trainings", fits), ("Cells", cells)):
        shown = table(f"{title}: {len(pieces)}", ["what"], ["core time, about"])
        shown.columns[0].no_wrap = False
        for name, seconds in pieces.items():
            shown.add_row(name, _time(seconds))
        console.print(shown)
    total = sum(zoos.values()) + sum(fits.values()) + sum(cells.values())
    cores = os.cpu_count() or 1
    console.print(
        f"About {_time(total)} of one core of this machine, {_time(total / cores)} on its {cores}; what is kept under "
        f"{home / 'runs'} is not made again",
        soft_wrap=True,
    )


def _seconds(piece: Piece, bench: Bench, sources: dict[str, Source]) -> float:
    """About how long a piece takes on one core."""
    if isinstance(piece, Fit):
        return fit_seconds(bench.config(piece))
    return cell_seconds(bench.task(piece.task), bench.config(piece.fit), sources[piece.target])


@contextmanager
def _bar(seconds: Callable[[Piece], float]) -> Iterator[Callable[[Progress], None]]:
    """A bar, as long as the block lasts; what it yields is told how far the run is."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()),
        *(TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}")),
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


def _show(report: Report) -> None:
    for each in (*score_tables(report), *answer_tables(report)):
        console.print(each)
    for cell, reason in report.failures.itertuples(index=False):
        console.print(f"[red]failed[/red] {cell}: {reason}", soft_wrap=True)


def _made(study: Study, seconds: float, work: float) -> dict[str, str]:
    """How a report was made."""
    return {
        "command": _command(),
        "commit": commit(),
        "hardware": hardware(),
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "date": datetime.now(UTC).date().isoformat(),
        "seeds": ", ".join(map(str, study.all_seeds())),
        "duration": f"{_time(seconds)} for what was not there yet; trainings and cells took {_time(work)} in all",
    }


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _command() -> str:
    return " ".join(["zoobench", *sys.argv[1:]])
