"""Evaluate a method beside the baselines, with progress; print tables, write files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from zoo_generation.files import directory_written_aside, write_json
from zoo_generation.machine import check_writable
from zoo_generation.names import inside
from zoo_generation.training.sink import Status
from zoobench.cli.console import Table, console, stages, styled, table
from zoobench.cli.ranking import score_text, standings_tables
from zoobench.evaluation import Evaluation, run
from zoobench.methods.registry import Method, baselines
from zoobench.populations import KEPT
from zoobench.tasks.generation import Generation
from zoobench.tasks.measurement import records, summary
from zoobench.tasks.standings import standings
from zoobench.zoo import Zoo

TITLES = {
    "property_prediction": "Property prediction: linear probe on embeddings, held-out models",
    "pooled_property_prediction": "Pooled: one probe for all populations",
    "generation": "Generation: test accuracy without any training, kept by validation accuracy",
}


def evaluate(
    zoos: Sequence[Zoo],
    method: Method,
    config: object,
    seeds: Sequence[int],
    home: Path,
    data_root: Path | None,
    protocol: Generation = Generation(),
    statuses: Sequence[Status] = KEPT,
) -> Evaluation:
    """Measure, print, write `results/<zoos>-<method>/`; returns the evaluation."""
    check_writable(home)
    title = "+".join(zoo.name for zoo in zoos)
    methods = {each: each.config(None) for each in (method, *baselines())} | {method: config}
    with stages() as stage:
        evaluation = run(
            zoos,
            methods,
            seeds,
            home / "runs",
            protocol=protocol,
            statuses=statuses,
            data_root=data_root,
            stage=stage,
        )
    measurements = evaluation.table()
    averaged = summary(measurements)
    for task, rows in averaged.groupby("task", sort=False):
        console.print(result_table(TITLES[str(task)], rows))
    ranking = standings(measurements)
    for shown in standings_tables(ranking):
        console.print(shown)
    folder = inside(home / "results", f"{title}-{method.name}")
    with directory_written_aside(folder) as aside:
        measurements.to_parquet(aside / "measurements.parquet", index=False)
        averaged.to_parquet(aside / "summary.parquet", index=False)
        write_json(aside / "summary.json", records(averaged))
        ranking.to_csv(aside / "standings.csv", index=False)
        plot(evaluation, method.name, aside / "accuracies.png")
    for reason, whose in evaluation.failures.items():
        console.print(f"Not measured ({', '.join(whose)}): {reason}", soft_wrap=True)
    console.print(f"Results, tables and plot: {folder}")
    return evaluation


def result_table(title: str, rows: pd.DataFrame) -> Table:
    """A block of rows a target, a row a metric, one column a method: mean ± standard deviation over seeds."""
    methods = list(dict.fromkeys(rows["method"]))
    result = table(title, [""], methods)
    for target, of_target in rows.groupby("target", sort=False):
        result.add_row(styled(str(target), "bold"))
        for metric, of_metric in of_target.groupby("metric", sort=False):
            scores = of_metric.set_index("method")[["mean", "std"]]
            cells = [score_text(*scores.loc[method]) if method in scores.index else "" for method in methods]
            result.add_row(f"  {metric}".replace("_", " "), *cells)
    return result


def plot(evaluation: Evaluation, method: str, path: Path) -> None:
    """Histograms, a panel a population: test accuracy of the zoo's models, and of those the method generates."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    populations = evaluation.tokens.populations
    figure, axes = plt.subplots(
        len(populations), 1, figsize=(7, 2.6 * len(populations)), squeeze=False, layout="constrained"
    )
    bins = np.linspace(0, 1, 51)
    for axis, population in zip(axes[:, 0], populations, strict=True):
        last = population.table.groupby("model_id")["test_accuracy"].last()
        axis.hist(last, bins, alpha=0.6, label="zoo, last checkpoints", density=True)
        for name in (method, "random_init"):
            kept = [
                outcome.observations["test_accuracy"].dropna()
                for (who, where, _), outcome in evaluation.generated.items()
                if (who, where) == (name, population.name)
            ]
            if kept:
                axis.hist(np.concatenate(kept), bins, alpha=0.6, label=f"{name}, kept", density=True)
        axis.set(title=population.name, xlabel="test accuracy", ylabel="density", xlim=(0, 1))
        axis.legend()
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
