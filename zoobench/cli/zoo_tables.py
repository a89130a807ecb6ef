"""Tables about zoos, in 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zoo_generation.text import shown
from zoobench.cli.console import Table, styled, table
from zoobench.zoo.importers import Fault, Imported
from zoobench.zoo.inspection import BINS, PopulationReport, ZooReport
from zoobench.zoo.recomputation import Recomputed, percent
from zoobench.zoo.validation import ValidationReport

BARS = " ▁▂▃▄▅▆▇█"
FAULTS = 40  # in a table; all of them are in the file


def population_tables(report: ZooReport) -> list[Table]:
    """Two tables with one row per population: models by status and checkpoints; test accuracy and its histogram."""
    statuses = list(report.populations[0].models) if report.populations else []
    headers = [status.replace("_", " ") for status in statuses]
    counts = table(f"Zoo {report.name}: models", ["population"], [*headers, "check-\npoints"])
    accuracies = table("Test accuracy of the last checkpoints", ["population"], ["mean ± std"])
    accuracies.add_column(f"{'0 %':<{BINS - 5}}100 %", no_wrap=True)
    for each in report.populations:
        title = shown(each.title)  # the tables of an imported zoo may name anything
        counts.add_row(title, *(str(each.models[status] or "–") for status in statuses), str(each.checkpoints))
        accuracies.add_row(title, _accuracy(each), bars(each.accuracy_histogram))
    return [counts, accuracies]


def cost_table(report: ZooReport) -> Table:
    """What one core trains in an hour, one row per population."""
    result = table("Trained in an hour on one core", ["population"], ["models", "epochs of a model"])
    for each in report.populations:
        rates = (each.models_per_core_hour, each.model_epochs_per_core_hour)
        result.add_row(shown(each.title), *("–" if rate is None else f"{rate:,.0f}" for rate in rates))
    return result


def bars(counts: Sequence[int]) -> str:
    """A histogram in one line, one character per bin: the highest bar is full, and only empty bins are blank.

    >>> bars((0, 1, 4, 8))
    ' ▁▄█'
    """
    highest = max(counts, default=0)
    return "".join(BARS[-(-count * (len(BARS) - 1) // highest) if highest else 0] for count in counts)


def _accuracy(population: PopulationReport) -> str:
    if population.accuracy_mean is None:
        return "–"
    std = "" if population.accuracy_std is None else f" ± {population.accuracy_std:.1%}"
    return f"{population.accuracy_mean:.1%}{std}"


def check_table(report: ValidationReport) -> Table:
    """How much was checked and what came of it, one row per check."""
    result = table(f"Zoo {report.name}: validation", ["check"], ["checked"])
    result.add_column("")
    result.add_column("outcome")
    for check in report.checks:
        outcome = styled("sound", "green") if check.count else styled("–")
        if check.problems:
            outcome = styled(f"{check.problems} problem{'s' if check.problems > 1 else ''}", "red")
        result.add_row(check.name, str(check.count), check.of, outcome)
    return result


def recomputed_table(results: Sequence[Recomputed]) -> Table:
    """Accuracies, their difference and that of losses: one block per population, one row per checkpoint and split."""
    numbers = ["recorded", "recomputed", "differ-\nence", "\nof loss"]
    result = table("Accuracy, recorded and recomputed", ["model", "epoch", "split"], numbers)
    population = ""
    for each in results:
        if each.population != population:
            population = each.population
            result.add_row(styled(population, "bold"))
        loss = "–" if each.recorded_loss is None else f"{each.recomputed_loss - each.recorded_loss:+.4f}"
        accuracies = (percent(each.recorded), percent(each.recomputed), percent(each.difference, "+"))
        style = None if each.agrees else "red"
        result.add_row(f"  {each.model_id}", str(each.epoch), each.split, *accuracies, loss, style=style)
    return result


def fault_tables(imported: Imported) -> Iterator[Table]:
    """What an import left out, and what it took in changed or in doubt; no table for what did not occur."""
    if imported.faults:
        yield _faults("What did not come in", imported.faults)
    if imported.notes:
        yield _faults("What came in otherwise, or in doubt", imported.notes)


def _faults(title: str, faults: Sequence[Fault]) -> Table:
    result = table(title, [], [])
    result.add_column("model", overflow="fold", max_width=40)
    result.add_column("checkpoint")
    result.add_column("reason", overflow="fold")
    for fault in faults[:FAULTS]:
        checkpoint = "model" if fault.checkpoint is None else str(fault.checkpoint)
        result.add_row(shown(fault.model), checkpoint, shown(fault.reason))
    if len(faults) > FAULTS:
        result.caption = f"and {len(faults) - FAULTS} more"
    return result
