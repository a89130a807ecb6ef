"""Splits of a population into training, validation and test models: zoobench's own, or published ones."""

from __future__ import annotations

import hashlib
import json

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


def splits_of(models: pd.DataFrame, seed: int = 0) -> pd.Series:
    """The split of each row's model: the one it was published in, if it was imported with one, else by `split_models`
    of its family, since a model and its children have much in common, and so have models on one subset of the images.

    models: one or more rows per model, with columns model_id, parent, subset_seed and source.
    """
    published = published_splits(models["source"])
    families = families_of(models["model_id"], models["parent"], models["subset_seed"])
    return published.where(published.notna(), split_models(families, seed)).astype(str)


def families_of(ids: pd.Series, parents: pd.Series, subsets: pd.Series) -> pd.Series:
    """For each model id, that of its first known ancestor, its own if it has no parent; `subset` and the seed of its
    subset of the training images in place of either, if it has one.

    >>> parents, subsets = pd.Series([None, "a", "b", None, None]), pd.Series([None, None, None, 7, 7])
    >>> families_of(pd.Series(list("abcde")), parents, subsets).tolist()
    ['a', 'a', 'a', 'subset 7', 'subset 7']
    """
    has = parents.notna()
    known = dict(zip(ids[has], parents[has], strict=True))

    def first(model: str) -> str:
        line = [model]
        while (parent := known.get(line[-1])) is not None and parent not in line:  # a damaged table may have a circle
            line.append(parent)
        return line[-1]

    families = ids.map({model: first(model) for model in known}).where(has, ids)
    numbered = subsets.notna()
    return families.where(~numbered, "subset " + subsets.where(numbered, 0).astype("int64").astype(str))


def published_splits(sources: pd.Series) -> pd.Series:
    """The split that each imported model was published in, as its `source` says; null for others.

    >>> published_splits(pd.Series(['{"layout": "small_cnn_zoo", "split": "val"}', None])).tolist()
    ['val', None]
    """
    named = {source: split for source in sources.dropna().unique() if (split := _split_in(source))}
    return sources.map(named).astype(object).where(sources.isin(named), None)


def _split_in(source: str) -> str | None:
    if '"split"' not in source:  # most have none, and there may be many
        return None
    try:
        told = json.loads(source)
    except (ValueError, RecursionError):
        return None
    split = told.get("split") if isinstance(told, dict) else None
    return split if split in ("train", "val", "test") else None
