"""A report on a zoo: tables, a plot, files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.filesize import decimal

from zoo_generation.files import write_json
from zoo_generation.names import inside
from zoo_generation.text import shown
from zoobench.cli.console import Table, console, table
from zoobench.display.figures import save
from zoobench.zoo.inspection import BINS, PopulationReport, ZooReport, figure_of

BARS = " ▁▂▃▄▅▆▇█"


def show(report: ZooReport, results: Path) -> None:
    """Print a report, and write `zoo-<name>.json` and `zoo-<name>.png` into `results`."""
    console.print(count_table(report))
    console.print(accuracy_table(report))
    console.print(cost_table(report))
    console.print(f"{decimal(report.bytes)} in {report.path}; {report.core_hours:.2f} core-hours on {report.hardware}")
    file = inside(results, f"zoo-{report.name}", ".json")
    write_json(file, asdict(report))
    save(figure_of(report.populations), file.with_suffix(".png"))
    console.print(f"Report and plot: {file}, .png")


def count_table(report: ZooReport) -> Table:
    """One row a population: models by status, those missing, checkpoints."""
    statuses = list(report.populations[0].models) if report.populations else []
    headers = [status.replace("_", " ") for status in statuses]
    result = table(f"Zoo {report.name}: models", ["population"], [*headers, "check-\npoints"])
    for population in report.populations:
        counts = [str(population.models[status] or "–") for status in statuses]
        result.add_row(_title(population), *counts, str(population.checkpoints))
    return result


def accuracy_table(report: ZooReport) -> Table:
    """One row a population: test accuracy of the last checkpoints, and its histogram."""
    result = table("Test accuracy of the last checkpoints", ["population"], ["mean ± std"])
    result.add_column(f"{'0 %':<{BINS - 5}}100 %", no_wrap=True)
    for population in report.populations:
        result.add_row(_title(population), _accuracy(population), bars(population.accuracy_histogram))
    return result


def cost_table(report: ZooReport) -> Table:
    """One row a population: what a core trains in an hour."""
    result = table("Trained in an hour on one core", ["population"], ["models", "epochs of a model"])
    for population in report.populations:
        rates = (population.models_per_core_hour, population.model_epochs_per_core_hour)
        result.add_row(_title(population), *("–" if rate is None else f"{rate:,.0f}" for rate in rates))
    return result


def _title(population: PopulationReport) -> str:
    """What an imported zoo's tables name may be anything."""
    return shown(population.title)


def bars(counts: tuple[int, ...]) -> str:
    """A histogram in one line: as many characters as bins; the highest bar is full, and none but empty bins blank."""
    highest = max(counts, default=0)
    return "".join(BARS[-(-count * (len(BARS) - 1) // highest) if highest else 0] for count in counts)


def _accuracy(population: PopulationReport) -> str:
    if population.accuracy_mean is None:
        return "–"
    std = "" if population.accuracy_std is None else f" ± {population.accuracy_std:.1%}"
    return f"{population.accuracy_mean:.1%}{std}"
