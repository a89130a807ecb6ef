"""Validate a zoo, with progress, a table of checks, and a file that says all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, write_json
from zoo_generation.names import inside
from zoo_generation.text import shown
from zoobench.cli.console import Table, console, counting, styled, table
from zoobench.zoo import Zoo
from zoobench.zoo.recomputation import Recomputation, Recomputed, recompute
from zoobench.zoo.validation import Check, ValidationReport, validate

SHOWN = 20  # problems on the screen


def run(path: StoragePath, count: int, seed: int, data_root: Path | None, results: Path) -> None:
    """Print what was found and write it to `validation-<name>.json`; raises `InputError` unless the zoo is valid."""
    with counting("checking parts") as advance:
        report = validate(path, advance)
    again = Recomputation((), ())
    if count and report.valid:
        with counting("evaluating checkpoints") as advance:
            again = recompute(Zoo(path), count, seed, data_root, advance)
    checks = [*report.checks, *([_recomputed_check(again)] if count and report.valid else [])]
    problems = [*map(str, report.problems), *again.failures, *map(_sentence, _differing(again))]
    notes = [*report.notes, *_notes(report, again, count)]
    file = inside(results, f"validation-{report.name}", ".json")
    _write(file, report, checks, problems, notes, again)
    console.print(check_table(report.name, checks))
    if again.results:
        console.print(recomputed_table(again))
    for note in notes:
        _print(f"Note: {note}")
    for problem in problems[:SHOWN]:
        _print(f"✗ {problem}")
    _print(f"Report: {file}")
    if problems:
        raise InputError(_verdict(path, problems, file))
    _print(f"✓ {shown(path)} is valid")


def check_table(name: str, checks: list[Check]) -> Table:
    """One row a check: how many of what it looked at, and what came of it."""
    result = table(f"Zoo {name}: validation", ["check"], ["checked"])
    result.add_column("")
    result.add_column("outcome")
    for check in checks:
        outcome = styled("sound", "green") if check.count else styled("–")
        if check.problems:
            outcome = styled(f"{check.problems} problem{'s' if check.problems > 1 else ''}", "red")
        result.add_row(check.name, str(check.count), check.of, outcome)
    return result


def recomputed_table(again: Recomputation) -> Table:
    """A block of rows a population, one row a checkpoint and split: accuracies, their difference, that of losses."""
    numbers = ["recorded", "recomputed", "differ-\nence", "\nof loss"]
    result = table("Accuracy, recorded and recomputed", ["model", "epoch", "split"], numbers)
    population = ""
    for each in again.results:
        if each.population != population:
            population = each.population
            result.add_row(styled(population, "bold"))
        style = None if each.agrees else "red"
        loss = None if each.recorded_loss is None else each.recomputed_loss - each.recorded_loss
        result.add_row(
            f"  {each.model_id}",
            str(each.epoch),
            each.split,
            *(_percent(each.recorded), _percent(each.recomputed), _percent(each.difference, "+")),
            "–" if loss is None else f"{loss:+.4f}",
            style=style,
        )
    return result


def _percent(value: float | None, sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.2%}"


def _differing(again: Recomputation) -> list[Recomputed]:
    return [each for each in again.results if not each.agrees]


def _sentence(each: Recomputed) -> str:
    which = f"{each.population}: model {each.model_id} after epoch {each.epoch} is recorded with a {each.split}"
    if not each.accuracy_agrees:
        return f"{which} accuracy of {_percent(each.recorded)}, and has {_percent(each.recomputed)}"
    return f"{which} loss of {each.recorded_loss:.4f}, and has {each.recomputed_loss:.4f}"


def _recomputed_check(again: Recomputation) -> Check:
    checkpoints = len({(each.model_id, each.epoch) for each in again.results})
    return Check("metrics", checkpoints, "checkpoints evaluated", len(again.failures) + len(_differing(again)))


def _notes(report: ValidationReport, again: Recomputation, count: int) -> Iterator[str]:
    if count and not report.valid:
        yield "no checkpoint was evaluated again, since the zoo is not valid"
    if unrecorded := sum(each.recorded is None for each in again.results):
        yield f"{unrecorded} of {len(again.results)} accuracies are not recorded, and cannot be compared"


def _verdict(path: StoragePath, problems: list[str], file: Path) -> str:
    if len(problems) == 1:
        return f"{shown(path)} is not valid: {problems[0]}"
    return f"{shown(path)} is not valid: it has {len(problems)} problems, all of which are in {file}"


def _write(
    file: Path,
    report: ValidationReport,
    checks: list[Check],
    problems: list[str],
    notes: list[str],
    again: Recomputation,
) -> None:
    content = {
        "name": report.name,
        "path": report.path,
        "valid": not problems,
        "checks": [asdict(check) for check in checks],
        "problems": problems,
        "notes": notes,
        "recomputed": [_finite(asdict(each) | {"agrees": each.agrees}) for each in again.results],
    }
    try:
        write_json(file, content)
    except OSError as error:
        raise InputError(f"cannot write {file} ({error.strerror or error}); choose another --home") from None


def _finite(values: dict[str, object]) -> dict[str, object]:
    """JSON has no number for the loss of weights that explode."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }


def _print(sentence: str) -> None:
    console.print(sentence, soft_wrap=True)
