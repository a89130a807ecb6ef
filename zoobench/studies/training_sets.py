"""What a composition trains on: which checkpoints of which models, within its budget."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.populations import Population, TokenSet
from zoobench.studies.sources import check_enough
from zoobench.studies.study import Composition


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training and validation models of a composition; no test model is in it, and no other zoo's."""

    tokens: TokenSet

    @property
    def models(self) -> int:
        """Models that train."""
        return sum(population.table["model_id"].nunique() for population in self._training)

    @property
    def checkpoints(self) -> int:
        return sum(len(population) for population in self._training)

    @property
    def token_count(self) -> int:
        """Tokens of all checkpoints that train."""
        return sum(len(population) * len(population.tokenizer) for population in self._training)

    @property
    def _training(self) -> tuple[Population, ...]:
        return self.tokens.split("train").populations

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits: a hash of what is trained on."""
        parts = [
            (p.name, sorted(zip(p.table["model_id"], p.table["epoch"], strict=True))) for p in self.tokens.populations
        ]
        return hashlib.sha256(repr((self.tokens.token_size, parts)).encode()).hexdigest()[:16]


def training_set(
    composition: Composition, name: str, populations: Mapping[str, Population], token_size: int
) -> TrainingSet:
    """The composition's part of the populations, which are given by the name of their zoo.

    Smaller budgets take models that larger ones take too, in the order of a hash of their ids, so that sizes are
    nested. Validation models are not limited. Raises `InputError` where a zoo has too few training models.
    """
    chosen = []
    for zoo in composition.zoos:
        population = populations[zoo]
        table = population.table
        eligible = (
            pd.Series(True, table.index) if composition.epochs is None else table["epoch"].isin(composition.epochs)
        )
        training = eligible & (table["split"] == "train")
        models = _by_hash(table.loc[training, "model_id"])
        if not models:
            raise InputError(f"the composition '{name}' has no checkpoints of '{zoo}' to train on; name other epochs")
        wanted = _wanted(composition, int(training.sum()) * len(population.tokenizer) / len(models), len(models))
        check_enough(name, wanted, zoo, len(models))
        taken = training & table["model_id"].isin(models[:wanted])
        chosen.append(population.select(taken | (eligible & (table["split"] == "val"))).with_own_table())
    return TrainingSet(TokenSet(token_size, tuple(chosen)))


def _wanted(composition: Composition, tokens_a_model: float, there: int) -> int:
    """How many of a zoo's training models are taken."""
    if composition.tokens is not None:
        return max(1, round(composition.tokens / len(composition.zoos) / tokens_a_model))
    return composition.share or there


def _by_hash(models: pd.Series) -> list[str]:
    """Each model once, in the order in which smaller budgets take them."""
    return sorted(models.unique(), key=lambda model: hashlib.sha256(f"budget:{model}".encode()).digest())
