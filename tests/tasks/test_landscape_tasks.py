"""Landscapes and phases are read by readers that saw no model of the same cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.measuring import observed, values

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.methods.baselines import FlatWeights, Hyperparameters
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population, Tokenizer
from zoobench.tasks.base import Setting
from zoobench.tasks.landscape import LandscapePrediction
from zoobench.tasks.registry import get_task

LAYOUT = Layout.of_shapes({"weight": (4, 4)})
CELLS, SIBLINGS = 16, 6


def population(name: str, weights: torch.Tensor, trace: np.ndarray) -> Population:
    """Models of which only the last is of no cell: it was not measured."""
    count = len(trace)
    splits = np.array(["train", "train", "train", "val", "test", "test"] * (count // 6))
    cells = pd.Series(np.repeat(np.arange(count // SIBLINGS), SIBLINGS)).map("{:016x}".format)
    table = pd.DataFrame(
        {
            "model_id": [f"{name}-{number}" for number in range(count)],
            "epoch": 6,
            "split": splits,
            "cell": cells.where(np.arange(count) < count - 1),
            "hessian_trace": np.exp(trace),
            "hessian_top_eigenvalue": -np.exp(trace / 2),
            "mode_connectivity": trace.mean(),
            "cka": 0.5,
            "phase": np.where(trace > 0, "I", "III"),
            "test_accuracy": 0.5,
            "train_accuracy": 0.5,
            "batch_size": np.repeat(2 ** np.arange(count // SIBLINGS), SIBLINGS),
        }
        | dict.fromkeys(("activation", "init", "optimizer", "learning_rate", "weight_decay", "dropout"), 0)
    )
    return Population.of(name, Tokenizer.of(LAYOUT, 4), weights, table)


def readable(name: str, seed: int) -> Population:
    weights = torch.randn(CELLS * SIBLINGS, LAYOUT.size, generator=torch.Generator().manual_seed(seed))
    return population(name, weights, weights[:, :3].sum(1).double().numpy())


def test_what_weights_show_is_read_across_populations() -> None:
    first, target = readable("a", 0), readable("b", 1)
    for of, metric in (("ln_trace", "r2:ln_trace"), ("phase", "accuracy:phase")):
        chosen = LandscapePrediction(properties=(of,), folds=2)
        rows = observed(chosen, FlatWeights(), Setting(target, (first, target)))
        assert chosen.primary == metric and values(chosen, rows)[metric] > 0.85
        test = target.table[(target.table["split"] == "test") & target.table["cell"].notna()]
        assert set(rows["model"]) == set(test["model_id"])
    asked = LandscapePrediction()
    floor = observed(asked, Hyperparameters(), Setting(target, (first, target)))
    assert set(floor["property"]) == {"ln_trace", "ln_top_eigenvalue", "mode_connectivity", "cka"}
    assert values(asked, floor)["r2:ln_trace"] < 0.2


def test_a_model_is_not_recognised_by_its_siblings() -> None:
    """Weights that say which cell a model is of, and nothing else, do not tell what was measured of the cell."""
    random = np.random.default_rng(2)
    direction = torch.randn(CELLS, LAYOUT.size, generator=torch.Generator().manual_seed(3))
    weights = direction.repeat_interleave(SIBLINGS, 0)
    noise = population("c", weights, np.repeat(random.standard_normal(CELLS), SIBLINGS))
    task = LandscapePrediction(properties=("ln_trace",), folds=4)
    found = values(task, observed(task, FlatWeights(), Setting(noise, (noise,))))
    assert found["r2:ln_trace"] < 0.4 and found["r2:boosted_ln_trace"] < 0.4


def test_a_population_that_was_not_measured_cannot_be_asked_about() -> None:
    target = readable("b", 1)
    plain = target.table.drop(columns=["cell", "hessian_trace", "phase"])
    unmeasured = Population.of("plain", target.tokenizer, target.weights, plain)
    for sources in ((unmeasured,), (target,)):
        with pytest.raises(InapplicableError, match="no test models whose landscape was measured"):
            LandscapePrediction().ask(FlatWeights(), Setting(unmeasured, sources))
    one = target.select(target.table["cell"] == target.table["cell"].iloc[0]).with_own_table()
    with pytest.raises(InapplicableError, match="one cell"):
        LandscapePrediction().ask(FlatWeights(), Setting(one, (one,)))


def test_settings_are_those_that_it_takes() -> None:
    with pytest.raises(InputError, match="landscape prediction was asked for 'test_accuracy'"):
        LandscapePrediction(properties=("test_accuracy",))
    with pytest.raises(InputError, match="2 or more folds"):
        LandscapePrediction(folds=1)
    assert LandscapePrediction(properties=("boosted_phase",)).name == "phase_prediction"
    with pytest.raises(InputError, match="into 'phase_prediction'"):
        get_task("landscape_prediction", {"properties": ["phase"]})
