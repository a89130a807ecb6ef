"""Copies of checkpoints that compute the same function, to see whether a method tells them from the originals.

Source: Zeng et al., arXiv 2506.07998 (a learned autoencoder decodes a permuted copy of a model to another function).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from zoo_generation.errors import InputError
from zoo_generation.networks.symmetry import random_symmetries
from zoobench.populations import Population
from zoobench.populations.symmetries import groups_of
from zoobench.tasks.estimates import Estimate

MOST = 200
"""Number of checkpoints that are copied, at most, evenly spaced."""

MARK = "~copy"
NEEDED = ["architecture", "width", "activation", "image_size", "channels", "classes"]
KEY = ["model", "epoch", "property"]
OF_COPY = {"predicted": "predicted_of_copy", "predicted_class": "class_of_copy"}


def copies_of(population: Population, seed: int) -> Population | None:
    """The checkpoints with their units permuted, and flipped where that is a symmetry, at random: the same functions.

    None if no symmetry of the network is known, for example because the table does not say what it is.
    """
    if not len(population) or population.table.reindex(columns=NEEDED).isna().any(axis=None):
        return None
    try:
        groups = [group for group in groups_of(population) if group.kind != "scale"]
    except InputError:  # the network cannot be run here, and nothing else in a probe needs it to
        return None
    if not groups or any(axis.entry not in population.layout for group in groups for axis in group.axes):
        return None
    generator = torch.Generator().manual_seed(seed)
    index, factor = random_symmetries(population.layout, groups, len(population), generator)
    return population.with_weights(population.weights.gather(1, index) * factor)


def with_copies(population: Population, seed: int) -> Population:
    """The checkpoints, and behind them copies of at most `MOST`, whose `model_id` ends in `MARK`."""
    rows = np.linspace(0, len(population) - 1, min(MOST, len(population))).round().astype(int)
    some = population.select(np.isin(np.arange(len(population)), rows)).with_own_table()
    if (copies := copies_of(some, seed)) is None:
        return population
    marked = some.table.assign(model_id=some.table["model_id"].astype(str) + MARK)
    table = pd.concat([population.table, marked], ignore_index=True)
    weights = torch.cat([population.weights, copies.weights])
    joined = Population.of(population.name, population.tokenizer, weights, table)
    return replace(joined, granted=population.granted)


def beside_copies(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of checkpoints and of their copies, one row per checkpoint and property.

    The columns of `OF_COPY` hold what was predicted for the copy; they are missing if nothing was copied.
    """
    is_copy = predictions["model"].str.endswith(MARK)
    if not is_copy.any():
        return predictions
    copies = predictions[is_copy][[*KEY, *OF_COPY]].rename(columns=OF_COPY)
    copies = copies.assign(model=copies["model"].str.removesuffix(MARK))
    return predictions[~is_copy].merge(copies, on=KEY, how="left")


def changes(observations: pd.DataFrame) -> dict[str, Estimate]:
    """How much predictions change for copies, as `change:…`, from observations with the columns of `OF_COPY`.

    For numbers: the root mean square of the change, as a share of the deviation of the truth: 0 if a method is
    invariant. For classes: the share of checkpoints whose copy is given another class.
    """
    found = {}
    for (name, kind), rows in observations.groupby(["property", "kind"], sort=False):
        copied = rows[rows["predicted_of_copy"].notna() | rows["class_of_copy"].notna()]
        if not len(copied):
            continue
        if kind == "number":
            change = copied["predicted"].astype(float) - copied["predicted_of_copy"].astype(float)
            deviation = float(rows["truth"].astype(float).std(ddof=0))
            share = float((change**2).mean()) ** 0.5 / deviation if deviation > 0 else float("nan")
            found[f"change:{name}"] = Estimate.constant(share)
        else:
            other = copied["predicted_class"] != copied["class_of_copy"]
            found[f"change:{name}"] = Estimate.mean(copied["model"], other.astype(float))
    return found
