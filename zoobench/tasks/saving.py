"""How much training a head start saves, from the mean curves of models that can be drawn again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from zoobench.tasks.estimates import Array, Estimate

WINDOW = 3
"""Measurements in a row whose mean is compared: one alone may be high by chance."""


@dataclass(frozen=True, eq=False)
class Saving(Estimate):
    """What models with a head start cost to reach the accuracy that others have in the end, from scratch.

    Accuracies are means over models, each over `WINDOW` measurements in a row: the target is that of the last ones from
    scratch; it is reached where, between two measurements, a straight line from one mean to the next does. The cost is
    all that was spent until then: the head start's own, and training. What is never reached costs the whole training,
    which is the least that it may cost. of: `saved`, 1 minus the cost by that from scratch, which has to reach the
    target too; `reached`, the share of models whose own accuracies reach it.

    sums: [models, 2 · points + 2]: accuracies, those from scratch, what was spent before, and count; images: seen until
    each of the points; both costs in operations, of which an image in training takes `per_image`.
    """

    of: Literal["saved", "reached"] = "saved"
    images: tuple[float, ...] = ()
    per_image: float = 1.0

    @classmethod
    def curves(cls, of: Literal["saved", "reached"], table: pd.DataFrame, spent: pd.Series) -> Saving:
        """Of rows with the columns model, step, images, accuracy, scratch and per_image; spent: beside each row."""
        rows = table[["model", "images", "accuracy", "scratch"]].assign(spent=spent, count=1.0)
        summed = rows.groupby([rows["model"].astype(str), "images"], sort=True)
        columns = summed[["accuracy", "scratch", "spent", "count"]].sum()
        models, images = (columns.index.get_level_values(level).unique() for level in (0, 1))
        accuracy, scratch, before, count = (
            columns.to_numpy(float).reshape(len(models), len(images), 4).transpose(2, 0, 1)
        )
        sums = np.concatenate([accuracy, scratch, before[:, :1], count[:, :1]], axis=1)
        every = tuple(float(each) for each in images)
        return cls("mean", tuple(map(str, models)), sums, None, of, every, float(table["per_image"].iloc[0]))

    def resampled(self, weights: Array) -> Array:
        """The metric [...] if each model counts as often as `weights` [..., models] say."""
        points = len(self.images)
        with np.errstate(divide="ignore", invalid="ignore"):
            totals = weights @ self.sums
            mean = totals / totals[..., -1:]
            target = _smooth(mean[..., points : 2 * points])[..., -1]
            if self.of == "reached":
                own = _smooth(self.sums[:, :points] / self.sums[:, -1:])
                reached = own.max(-1) >= target[..., None]
                return np.asarray((weights * self.sums[:, -1] * reached).sum(-1) / totals[..., -1])
            scratch = self._until(mean[..., points : 2 * points], target)
            cost = self._until(mean[..., :points], target) + mean[..., -2]
            return np.asarray(np.where(scratch > 0, 1 - cost / scratch, np.nan))

    def _until(self, curve: Array, target: Array) -> Array:
        """Operations in training until the curve [..., points] reaches the target [...], on a straight line between two
        points; all if it does not."""
        means, images = _smooth(curve), np.array(self.images)
        reached = means >= target[..., None]
        place = reached.argmax(-1)
        before, after = (
            np.take_along_axis(means, each[..., None], -1)[..., 0] for each in (np.maximum(place - 1, 0), place)
        )
        part = np.where(place > 0, (target - before) / (after - before), 0.0)
        seen = images[np.maximum(place - 1, 0)] * (1 - part) + images[place] * part
        return np.asarray(np.where(reached.any(-1), seen, images[-1]) * self.per_image)


def _smooth(curve: Array) -> Array:
    """The mean [..., points - WINDOW + 1] of each of the measurements [..., points] and those that follow it, rounded:
    the same numbers, summed in another order, are equal."""
    parts = [curve[..., start : curve.shape[-1] - WINDOW + 1 + start] for start in range(WINDOW)]
    return np.asarray(np.mean(parts, axis=0).round(9))


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last `WINDOW` points, by which final accuracies are measured."""
    last = sorted(table["images"].unique())[-WINDOW:]
    return table[table["images"].isin(last)]
