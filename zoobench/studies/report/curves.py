"""Points of the plots: scores against the size of a composition, and against epochs of fine-tuning.

All are tables of points with columns target, line, x, mean, std; a line's points are sorted by x.
"""

from __future__ import annotations

import pandas as pd

from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.studies.report.content import Report
from zoobench.studies.report.scores import primary_scores

POINT = ["target", "line", "x", "mean", "std"]


def size_curves(report: Report, task: str) -> pd.DataFrame:
    """Primary metric against number of models, one line per zoos and method, for zoos in at least two sizes."""
    sizes = report.compositions[["composition", "zoos", "models"]]
    scores = primary_scores(report, task).dropna(subset="mean").merge(sizes, on="composition")
    scores = scores[scores.groupby("zoos")["models"].transform("nunique") >= 2]
    return _points(scores.assign(line=scores["zoos"] + " · " + scores["method"], x=scores["models"]))


def epoch_curves(report: Report, task: str) -> dict[str, pd.DataFrame]:
    """Metrics `after_<epochs>` against epochs by learned method: one line per composition, then one per baseline."""
    scores = report.summary[report.summary["task"] == task]
    epochs = scores["metric"].str.extract(r"^after_(\d+)$", expand=False)
    scores = scores.assign(x=pd.to_numeric(epochs)).dropna(subset=["x", "mean"])
    if scores["x"].nunique() < 2:
        return {}
    learns = scores["composition"] != NO_COMPOSITION
    baselines = scores[~learns].assign(line=scores["method"])
    return {
        str(method): _points(pd.concat([rows.assign(line=rows["composition"]), baselines]))
        for method, rows in scores[learns].groupby("method", sort=False)
    }


def _points(scores: pd.DataFrame) -> pd.DataFrame:
    """Lines in order of appearance, not by name, and the points of each from left to right."""
    order = {line: place for place, line in enumerate(dict.fromkeys(scores["line"]))}
    return scores.assign(place=scores["line"].map(order)).sort_values(["place", "x"], kind="stable")[POINT]
