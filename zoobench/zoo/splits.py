"""Splits of a population into training, validation and test models."""

from __future__ import annotations

import hashlib

import pandas as pd

TRAIN, VAL = 0.70, 0.15  # and the rest to test; Schürholt et al., arXiv 2209.14764, section 4


def split_models(ids: pd.Series, seed: int = 0) -> pd.Series:
    """`train`, `val` or `test` for each model id, 70/15/15.

    Models are assigned in the order of a hash of seed and id, so the split does not depend on the order of the rows,
    and all checkpoints of a model are in one split.

    >>> split_models(pd.Series(list("abcdefghijklmnopqrst"))).value_counts().to_dict()
    {'train': 14, 'val': 3, 'test': 3}
    """
    unique = sorted(ids.unique(), key=lambda model: hashlib.sha256(f"{seed}:{model}".encode()).digest())
    train, val = round(TRAIN * len(unique)), round((TRAIN + VAL) * len(unique))
    split = {model: "train" if i < train else "val" if i < val else "test" for i, model in enumerate(unique)}
    return ids.map(split)
