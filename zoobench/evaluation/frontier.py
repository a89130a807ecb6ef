"""Accuracy of generated models against their novelty, beside noise around anchors, which has both for nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

METRICS = ("novelty", "kept_mean")
"""Metrics of generation that are drawn against each other."""
NOISE = r"anchors|noise_\d+"
"""The methods between which noise of any size is interpolated."""
KEYS = ["composition", "method", "task", "target"]


def points_of(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per composition, method, task and target where models were generated, with the means of `METRICS` over
    seeds as columns; no rows if there are none."""
    of_two = measurements[measurements["metric"].isin(METRICS)]
    table = of_two.pivot_table(index=KEYS, columns="metric", values="value", sort=False, observed=True)
    return table.reindex(columns=list(METRICS)).dropna().reset_index()


def above_noise(measurements: pd.DataFrame) -> pd.DataFrame:
    """How much more accurate generated models are than anchors with so much noise that they are as new.

    measurements: as `Results.measurements`. The rows of `points_of`, with two columns more: noise, the accuracy of
    anchors with noise at that novelty, interpolated between the target's `anchors` and `noise_…`; above, `kept_mean`
    less that. Both are NaN where the strongest noise is not as new, or where anchors or noise were not measured.

    Source of the control: Zeng et al., arXiv 2506.07998.

    >>> rows = [("anchors", 0.0, 0.95), ("noise_10", 2.0, 0.91), ("mine", 1.0, 0.94)]
    >>> tidy = [("–", n, "generation", "mnist", m, v) for n, *two in rows for m, v in zip(METRICS, two)]
    >>> table = above_noise(pd.DataFrame(tidy, columns=[*KEYS, "metric", "value"]))
    >>> round(float(table.set_index("method")["above"]["mine"]), 3)
    0.01
    """
    table = points_of(measurements)
    noise = pd.Series(np.nan, index=table.index)
    for _, rows in table.groupby(["task", "target"], sort=False):
        known = rows[rows["method"].str.fullmatch(NOISE)].sort_values("novelty")
        if len(known) > 1:
            noise[rows.index] = np.interp(
                rows["novelty"], known["novelty"], known["kept_mean"], left=np.nan, right=np.nan
            )
    return table.assign(noise=noise, above=table["kept_mean"] - noise)
