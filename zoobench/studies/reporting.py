"""From what a study measured to what its report, and its leaderboards, are made of."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from zoobench.studies.bench import Bench
from zoobench.studies.comparisons import compare
from zoobench.studies.names import NO_COMPOSITION
from zoobench.studies.plan import Plan
from zoobench.studies.report import Report
from zoobench.studies.results import Results


def report_of(plan: Plan, bench: Bench, results: Results, failures: Mapping[str, str], made: dict[str, str]) -> Report:
    """A study's report."""
    return Report(
        title=plan.study.name,
        description=plan.study.description,
        compositions=_compositions(bench),
        summary=results.summary(),
        measurements=results.measurements(),
        comparisons=compare(plan.study, results),
        failures=pd.DataFrame(list(failures.items()), columns=["cell", "reason"]),
        primary={task.name: task.primary for task in plan.study.all_tasks()},
        made=made,
    )


def _compositions(bench: Bench) -> pd.DataFrame:
    """What each trains on: its zoos, and how many models, checkpoints and tokens of theirs."""
    rows = []
    for name, composition in bench.study.all_compositions().items():
        trained = bench.training_set(name)
        zoos = ", ".join(composition.zoos)
        rows.append((name, zoos, trained.models, trained.checkpoints, trained.token_count))
    return pd.DataFrame(rows, columns=["composition", "zoos", "models", "checkpoints", "tokens"])


def entrants(measurements: pd.DataFrame) -> pd.DataFrame:
    """Measurements as a leaderboard ranks them: a method once for each composition that it was trained on."""
    trained = measurements["composition"] != NO_COMPOSITION
    names = measurements["method"].where(~trained, measurements["method"] + "." + measurements["composition"])
    return measurements.assign(method=names).drop(columns=["composition", "relation"])
