"""Whether methods tell copies of models from the originals: a metric of probes and of reconstructions."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from helpers.measuring import asked, observed, values
from helpers.submitting import Board
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.networks.accuracy import accuracies
from zoo_generation.networks.module import build_module
from zoobench.methods.baselines import FlatWeights, SpectralStatistics
from zoobench.populations import Population
from zoobench.tasks.base import Setting
from zoobench.tasks.invariance import copies_of
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.reconstruction import Reconstruction


def test_a_copy_computes_the_same_and_has_other_weights(small_board: Board) -> None:
    models = small_board.population.split("test")
    copies = copies_of(models, 0)
    assert copies is not None and copies.table.equals(models.table)
    assert (copies.weights != models.weights).float().mean(1).min() > 0.5
    row = models.table.iloc[0]
    of = (models.layout, build_module(row), images_of(row, "test").first(200))
    assert torch.equal(accuracies(copies.weights, *of), accuracies(models.weights, *of))
    assert torch.equal(copies_of(models, 0).weights, copies.weights)  # type: ignore[union-attr]
    unknown = Population.of("x", models.tokenizer, models.weights, models.table.assign(activation=None))
    assert copies_of(unknown, 0) is None


def test_what_reads_off_invariants_does_not_change_for_copies(small_board: Board) -> None:
    """Spectra do not depend on the order of units; the weights themselves do. Other scores stay as they are."""
    population = small_board.population
    task, setting = (
        PropertyPrediction(properties=("test_accuracy", "learning_rate")),
        Setting(population, (population,)),
    )
    scores = {kind: values(task, observed(task, kind(), setting)) for kind in (SpectralStatistics, FlatWeights)}
    assert scores[SpectralStatistics]["change:test_accuracy"] < 1e-2 < scores[FlatWeights]["change:test_accuracy"]
    assert scores[SpectralStatistics]["change:learning_rate"] == 0

    answer = asked(task, FlatWeights(), setting)
    assert isinstance(answer.table, pd.DataFrame) and set(answer.table["model"]) == set(
        population.split("test").table["model_id"]
    )
    alone = answer.table[["model", "epoch", "property", "predicted", "predicted_class"]]
    judged = values(task, task.judge(type(answer)(alone), setting))  # as of a submission
    others = {name: each for name, each in scores[FlatWeights].items() if "change" not in name}
    assert judged == pytest.approx(others, nan_ok=True)  # boosted trees of few models may give one value, without a tau


class Rounded:
    """Gives weights back; of models whose first weight is negative, with its sign lost."""

    def reconstruct(self, population: Population) -> Tensor:
        lost = population.weights[:, :1] < 0
        return torch.where(lost, population.weights.abs(), population.weights)


class Same:
    def reconstruct(self, population: Population) -> Tensor:
        return population.weights


def test_a_reconstruction_of_a_copy_is_compared_by_its_accuracy(small_board: Board) -> None:
    task, setting = Reconstruction(), Setting(small_board.population, seed=1)
    assert values(task, observed(task, Same(), setting))["change"] == 0
    rows = observed(task, Rounded(), setting)
    assert values(task, rows)["change"] == pytest.approx((rows["of_copy"] - rows["reconstructed"]).abs().mean())
    assert "change" not in values(task, rows.drop(columns="of_copy"))
