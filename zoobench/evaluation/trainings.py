"""The contents of a training set: which checkpoints of which models, within its budget."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.evaluation.plan import TrainingSet
from zoobench.populations import Population, TokenSet
from zoobench.populations.schema import SPLITS


def chosen(training: TrainingSet, populations: Sequence[Population], token_size: int) -> TokenSet:
    """The training set's part of its populations: without test models, and without other zoos.

    Models are taken in the order of a hash of their ids, so a smaller budget takes a subset of a larger one.
    Validation models are not limited. Raises `InputError` if a population has too few training models; one that was
    published without any has none to give.
    """
    parts = []
    for origin, population in zip(training.origins, populations, strict=True):
        table = population.table
        epochs = training.checkpoint_epochs
        eligible = pd.Series(True, table.index) if epochs is None else table["epoch"].isin(epochs)
        learning = eligible & (table["split"] == "train")
        models = _by_hash(table.loc[learning, "model_id"])
        if not models and not origin.kind.training_models:  # they were published for validation or testing alone
            if (held_out := eligible & (table["split"] == "val")).any():
                parts.append(population.select(held_out).with_own_table())
            continue
        if not models:
            what = "; name other epochs" if epochs else ", because it has too few models; take a larger zoo"
            raise InputError(
                f"the composition '{training.name}' has no checkpoints of '{origin.name}' to train on{what}"
            )
        wanted = _wanted(training, int(learning.sum()) * len(population.tokenizer) / len(models), len(models))
        check_enough(training.name, wanted, origin.name, len(models))
        taken = learning & table["model_id"].isin(models[:wanted])
        parts.append(population.select(taken | (eligible & (table["split"] == "val"))).with_own_table())
    if not any((part.splits == SPLITS.index("train")).any() for part in parts):
        raise InputError(f"the composition '{training.name}' has no models to train on; add a zoo that has some")
    return TokenSet(token_size, tuple(parts))


def check_enough(training: str, wanted: int, origin: str, there: int) -> None:
    """Raise `InputError` if a training set wants more training models of a population than exist."""
    if wanted > there:
        raise InputError(
            f"the composition '{training}' takes {wanted} training models of '{origin}', which has {there}; ask for "
            "fewer, or give the zoo more seeds"
        )


def key_of(tokens: TokenSet) -> str:
    """Sixteen hexadecimal digits: a hash of which checkpoints of which models are trained on."""
    parts = [
        (each.name, sorted(zip(each.table["model_id"], each.table["epoch"], strict=True)))
        for each in tokens.populations
    ]
    return hashlib.sha256(repr((tokens.token_size, parts)).encode()).hexdigest()[:16]


def counts_of(tokens: TokenSet) -> tuple[int, int, int]:
    """Numbers of training models, of their checkpoints, and of the checkpoints' tokens."""
    training = tokens.split("train").populations
    models = sum(population.table["model_id"].nunique() for population in training)
    checkpoints = sum(len(population) for population in training)
    return models, checkpoints, sum(len(population) * len(population.tokenizer) for population in training)


def _wanted(training: TrainingSet, tokens_of_model: float, there: int) -> int:
    """Number of training models to take from a population."""
    if training.tokens is not None:
        return max(1, round(training.tokens / len(training.origins) / tokens_of_model))
    return training.share or there


def _by_hash(models: pd.Series) -> list[str]:
    """Each model once, in the order in which smaller budgets take them."""
    return sorted(models.unique(), key=lambda model: hashlib.sha256(f"budget:{model}".encode()).digest())
