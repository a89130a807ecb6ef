"""Points of the plots: scores against what a composition is made of, and against epochs of fine-tuning.

All are tables of points with columns target, line, x, mean, std; a line's points are sorted by x.
"""

from __future__ import annotations

import pandas as pd

from zoobench.evaluation.plan import NO_COMPOSITION
from zoobench.studies.effects import PLACES, kind_of
from zoobench.studies.report.content import Report

POINT = ["target", "line", "x", "mean", "std"]


def composition_curves(report: Report, task: str, over: str) -> pd.DataFrame:
    """Primary metric against the number of datasets or models, in place of targets in and out of distribution; a
    baseline is a horizontal line. Bars reach to the further bound of the 95 % interval."""
    curves = report.curves
    curves = curves[(curves["over"] == over) & (curves["task"] == task)]
    named = curves["line"] + curves["budget"].map(lambda budget: f", {budget}" if budget else "")
    named += " (targets: " + curves["targets"].astype(str) + ")"  # levels of lines over other targets do not compare
    curves = curves.assign(target=curves["relation"].map(PLACES), line=named)
    bounds = curves[["low", "high"]].astype(float)  # of objects, where no point has an interval
    curves["std"] = bounds.sub(curves["mean"].astype(float), axis=0).abs().max(axis=1)
    flat = curves[curves["x"].isna()].drop(columns="x").assign(std=float("nan"))
    reaching = curves.dropna(subset="x")
    of_target = reaching.groupby("target")["x"]
    ends = reaching[reaching["x"].eq(of_target.transform("min")) | reaching["x"].eq(of_target.transform("max"))]
    ends = ends[["target", "x"]].drop_duplicates()
    return _points(pd.concat([reaching, flat.merge(ends, on="target")]))


def epoch_curves(report: Report, task: str) -> pd.DataFrame:
    """Metrics `after_<epochs>` against epochs: means over compositions, one line per method in and one out of
    distribution, and one per baseline. Bars are one standard deviation over compositions; over seeds, of a single one.
    Empty if fewer than two numbers of epochs were measured."""
    scores = report.summary[report.summary["task"] == task]
    epochs = scores["metric"].str.extract(r"^after_(\d+)$", expand=False)
    scores = scores.assign(x=pd.to_numeric(epochs)).dropna(subset=["x", "mean"])
    if scores["x"].nunique() < 2:
        return pd.DataFrame(columns=POINT)
    place = ", " + scores["relation"].map(lambda relation: kind_of(relation) or relation)
    named = scores["method"] + place.where(scores["composition"] != NO_COMPOSITION, "")
    of_line = scores.assign(line=named).groupby(["target", "line", "x"], sort=False)
    points = of_line.agg(mean=("mean", "mean"), over=("mean", "std"), std=("std", "first")).reset_index()
    return _points(points.assign(std=points["over"].fillna(points["std"])))


def _points(scores: pd.DataFrame) -> pd.DataFrame:
    """Lines in order of appearance, not by name, and the points of each from left to right."""
    order = {line: place for place, line in enumerate(dict.fromkeys(scores["line"]))}
    return scores.assign(place=scores["line"].map(order)).sort_values(["place", "x"], kind="stable")[POINT]
