"""Methods ranked on targets, as a table."""

from __future__ import annotations

import pandas as pd

from zoobench.cli.console import Table, table


def standings_tables(standings: pd.DataFrame) -> list[Table]:
    """One table a task, of `standings`: one row a method, best first, one column a target."""
    tables = []
    for (task, metric), rows in standings.groupby(["task", "metric"], sort=False):
        targets = list(dict.fromkeys(rows["target"]))
        result = table(
            f"{task}: {metric}".replace("_", " "),
            ["", "method"],
            ["mean", *(name.replace("-", "\n") for name in targets)],
        )
        for (rank, method), of_method in rows.groupby(["rank", "method"], sort=True):
            scores = of_method.set_index("target")[["mean", "std"]]
            cells = [score_text(*scores.loc[target]) if target in scores.index else "–" for target in targets]
            result.add_row(str(rank), str(method), score_text(of_method["average"].iloc[0], None), *cells)
        tables.append(result)
    return tables


def score_text(mean: float | None, std: float | None) -> str:
    """`mean ± std`, or what there is of it."""
    if mean is None or pd.isna(mean):
        return "–"
    return f"{mean:.3f}" if std is None or pd.isna(std) else f"{mean:.3f} ± {std:.3f}"
