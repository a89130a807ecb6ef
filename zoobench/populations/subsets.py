"""Which training images the models of a population saw, from their rows alone."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.subset import subset_mask


def masks_of(table: pd.DataFrame, images: int) -> Tensor:
    """Whether each model saw each of its training images: bool [rows, images], all true for models without a subset.

    table: rows of a zoo or population; images: how many training images their dataset has for them.
    """
    masks = torch.ones(len(table), images, dtype=torch.bool)
    if "subset_seed" not in table:
        return masks
    known: dict[tuple[float, int], Tensor] = {}
    for number, (fraction, seed) in enumerate(zip(table["subset_fraction"], table["subset_seed"], strict=True)):
        if pd.isna(fraction) or pd.isna(seed):
            continue
        subset = float(fraction), int(seed)
        if subset not in known:
            known[subset] = subset_mask(images, *subset)
        masks[number] = known[subset]
    return masks
