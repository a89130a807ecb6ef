"""What a composition trains on: which checkpoints of which models, within its budget."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from zoo_generation.errors import InputError
from zoobench.ablation.study import Composition
from zoobench.tokens import Population, TokenSet


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

    @property
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
    share = len(composition.zoos)
    chosen = []
    for zoo in composition.zoos:
        population = populations[zoo]
        table = population.table
        rows = table["split"] != "test"
        if composition.epochs is not None:
            rows &= table["epoch"].isin(composition.epochs)
        if not (rows & (table["split"] == "train")).any():
            raise InputError(f"the composition '{name}' has no checkpoints of '{zoo}': epochs are {composition.epochs}")
        wanted = _models(composition, share, table[rows & (table["split"] == "train")], len(population.tokenizer))
        if wanted is not None:
            rows &= (table["split"] == "val") | table["model_id"].isin(_first(name, zoo, table, wanted))
        chosen.append(population.select(rows))
    return TrainingSet(TokenSet(token_size, tuple(chosen)))


def _models(composition: Composition, zoos: int, training: pd.DataFrame, tokens: int) -> int | None:
    """How many of a zoo's training models are taken; none for all of them."""
    if composition.models is not None:
        return max(1, composition.models // zoos)
    if composition.tokens is not None:
        a_model = tokens * len(training) / training["model_id"].nunique()
        return max(1, round(composition.tokens / zoos / a_model))
    return None


def _first(composition: str, zoo: str, table: pd.DataFrame, count: int) -> list[str]:
    """The first training models of a zoo."""
    models = table.loc[table["split"] == "train", "model_id"].unique()
    if len(models) < count:
        raise InputError(
            f"the composition '{composition}' takes {count} training models of '{zoo}', which has {len(models)}; ask "
            "for fewer, or give the zoo more seeds"
        )
    return sorted(models, key=lambda model: hashlib.sha256(f"budget:{model}".encode()).digest())[:count]
