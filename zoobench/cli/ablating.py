"""Run a study with progress; show its tables, answers and leaderboards, write its report."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from zoo_generation.files import directory_written_aside
from zoo_generation.machine import cores
from zoo_generation.names import inside
from zoo_generation.provenance import command, commit, hardware, versions
from zoobench.cli.ablation_tables import answer_tables, score_tables
from zoobench.cli.console import console, stages, styled, table
from zoobench.cli.ranking import standings_tables
from zoobench.cli.studying import Place, run_study
from zoobench.studies.cost import cell_seconds, fit_seconds, zoo_seconds
from zoobench.studies.plan import Plan
from zoobench.studies.report import Report, write_report
from zoobench.studies.reporting import entrants, report_of
from zoobench.studies.results import Results
from zoobench.studies.sources import sources_of
from zoobench.studies.study import Study
from zoobench.tasks.standings import standings


def ablate(study: Study, place: Place) -> bool:
    """Build, train, measure, report; returns whether a piece failed."""
    started = time.monotonic()
    studied = run_study(study, place)
    plan, bench, failures = studied.plan, studied.bench, studied.failures
    with stages() as stage:
        stage("drawing samples again for intervals, and the report")
        results = Results.of(plan, bench, studied.sources)
        report = report_of(
            plan, bench, results, failures, _made(study, time.monotonic() - started, bench.seconds(plan))
        )
        ranking = standings(entrants(report.measurements), report.primary)
        path = inside(place.home / "results", study.name)
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
    there = cores()
    console.print(
        f"About {_time(total)} of one core of this machine, {_time(total / there)} on its {there}; what is kept under "
        f"{home / 'runs'} is not made again",
        soft_wrap=True,
    )


def _show(report: Report) -> None:
    for each in (*score_tables(report), *answer_tables(report)):
        console.print(each)
    for cell, reason in report.failures.itertuples(index=False):
        console.print(styled("failed", "red"), f"{cell}: {reason}", soft_wrap=True)


def _made(study: Study, seconds: float, work: float) -> dict[str, str]:
    """How a report was made."""
    return {
        "command": command(),
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
