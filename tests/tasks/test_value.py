"""Value as a task: sums of logits against adding them up pair by pair, and what methods get to see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.measuring import asked, values
from tasks.test_transfer import population
from torch import Tensor

from zoo_generation.data.load import images_of
from zoo_generation.errors import InputError
from zoo_generation.networks.module import build_module
from zoobench.methods.protocols import InapplicableError, ValueNetworks
from zoobench.methods.registry import get_method
from zoobench.populations import Population
from zoobench.populations.planes import alone, idle, layout_like
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.value import Value

TRAINED = {"optimizer": "adam", "learning_rate": 0.01, "batch_size": 50, "weight_decay": 0.0, "dropout": 0.0}
TASK = Value(models=2, epochs=1)


def zoo(architecture: str = "mlp", models: int = 4, **columns: Any) -> Population:
    """Test models of random weights, and how they were trained."""
    return population(architecture, models, **TRAINED | columns)


class Random:
    """Networks of random weights, of which the first reads no planes; notes what it was given."""

    def learn(self, bases: Population, seed: int) -> ValueNetworks:
        self.bases = bases
        random = torch.Generator().manual_seed(seed)
        added = 0.1 * torch.randn(len(bases), layout_like(bases.row).size, generator=random)
        added[:1] = idle(alone(added[:1], bases.row)[0], bases.row)
        subtracted = 0.1 * torch.randn(bases.weights.shape, generator=random)
        subtracted[1:] = 0
        return ValueNetworks(added, subtracted)


def logits(row: pd.Series, weights: Tensor, images: Tensor) -> Tensor:
    """Of a model alone, by its plain module."""
    module = build_module(row)
    layout = layout_like(row, planes=False)
    module.load_state_dict(layout.unflatten(weights), strict=False)
    with torch.no_grad():
        return module.eval()(images).double()


def own_row(population: Population, model: str, dataset: str) -> tuple[pd.Series, Tensor]:
    """The last checkpoint of a model, as a model for a dataset, and its weights."""
    table = population.table[population.table["model_id"] == model]
    row = table.loc[table["epoch"].idxmax()]
    return pd.Series({**row, "dataset": dataset}), population.weights[row.name]


def test_sums_are_those_of_each_pair_alone() -> None:
    own, other = zoo(), zoo("cnn_s")
    strange = zoo("cnn_m", train_images=200)
    setting = Setting(own, others=(other, strange), seed=3)
    method = Random()
    answer = asked(TASK, method, setting)
    rows = TASK.judge(answer, setting)
    where = {name: each for each in (own, other, strange) for name in each.table["model_id"]}
    shown = sorted(set(own.table[own.table["split"] == "test"]["model_id"]))[::2]
    assert rows.groupby("kind").size().to_dict() == {"own": 2, "unseen": 4, "other": 4}
    assert {where[name].name for name in rows["base_model"]} == {"mlp", "cnn_s"}
    assert set(rows["network"]) == set(shown) and not set(shown) & set(rows.loc[rows["kind"] != "own", "base_model"])
    for pair in rows.groupby("kind").head(2).itertuples():
        place = shown.index(pair.network)
        for dataset, columns in (("digits+inverted", ("sum", "base")), ("digits", ("former_sum", "former_base"))):
            row, weights = own_row(where[pair.base_model], pair.base_model, dataset)
            test = images_of(row, "test")
            base = logits(row, weights, test.images)
            network, _ = own_row(own, pair.network, dataset)
            seen = images_of(network, "test").images
            planes = torch.zeros(len(seen), 10, 28, 28)
            for image, answers in enumerate(base.softmax(1)):
                for label, probability in enumerate(answers):
                    planes[image, label] = probability
            sees = pd.Series({**network, "channels": 11})
            added = logits(sees, answer.weights[place], torch.cat([seen, planes], 1))
            minus = logits(network, answer.beside["subtracted"][place], seen)
            counts = [int((each.argmax(1) == test.labels).sum()) for each in (base + added - minus, base)]
            assert [getattr(pair, column) for column in columns] == pytest.approx(counts, abs=1)


def test_methods_see_the_new_images_beside_half_of_the_models() -> None:
    method = Random()
    own = zoo(models=5)
    asked(TASK, method, Setting(own))
    assert set(method.bases.table["dataset"]) == {"digits+inverted"} and "model_id" not in method.bases.table
    assert len(method.bases) == 2 and "digits" not in set(method.bases.table.iloc[0].astype(str))
    part = zoo(data_part="classes-0-of-2")
    task = Value(onto="whole", models=2, epochs=1)
    setting = Setting(part)
    rows = task.judge(asked(task, method, setting), setting)
    assert method.bases.table["data_part"].isna().all() and set(method.bases.table["dataset"]) == {"digits"}
    test = images_of(part.table.iloc[0], "test")
    assert set(rows["images"]) == {len(test.labels)}
    assert set(rows["former_images"]) == {int((test.labels < 5).sum())}


def test_nothing_added_is_the_base_and_a_base_that_knows_nothing_is_the_network_alone() -> None:
    own = zoo()
    zero = own.with_weights(torch.where(torch.tensor(own.table["model_id"] == "mlp-3")[:, None], 0.0, own.weights))
    setting = Setting(zero)
    nothing = get_method("zero_value").config(None)
    rows = TASK.judge(asked(TASK, nothing, setting), setting)
    assert (rows["sum"] == rows["base"]).all() and (rows["former_sum"] == rows["former_base"]).all()
    rows = TASK.judge(asked(TASK, Random(), setting), setting)
    beside_nothing = rows[rows["base_model"] == "mlp-3"]
    assert len(beside_nothing) and (beside_nothing["sum"] == beside_nothing["alone"]).all()
    scores = values(TASK, rows)
    assert scores["gain_unseen"] <= scores["accuracy_unseen"] - max(scores["base_unseen"], scores["scratch"]) + 1e-9


def test_scores_are_shares_of_images() -> None:
    random = np.random.default_rng(0)
    pairs = [("a", "a", "own"), ("b", "b", "own")] + [(n, b, "unseen") for n in "ab" for b in "cd"]
    table = pd.DataFrame(pairs, columns=["network", "base_model", "kind"]).assign(
        images=100, former_images=50, model=""
    )
    for name in ("sum", "base", "alone", "scratch", "tuned", "former_sum", "former_base"):
        table[name] = random.integers(1, 50, len(table))
    found, unseen = values(TASK, table), table[table["kind"] == "unseen"]
    floor = max(unseen[name].mean() for name in ("base", "alone", "scratch"))
    assert found["gain_unseen"] == pytest.approx((unseen["sum"].mean() - floor) / 100)
    over = unseen["sum"].sum() - unseen["base"].sum()
    assert found["recovered_unseen"] == pytest.approx(over / (unseen["tuned"].sum() - unseen["base"].sum()))
    assert found["retention_unseen"] == pytest.approx(unseen["former_sum"].sum() / unseen["former_base"].sum())
    assert found["accuracy_own"] == pytest.approx(table[table["kind"] == "own"]["sum"].mean() / 100)
    assert TASK.score(table)["gain_unseen"].models == ("a", "b", "c", "d")


def test_weights_that_are_not_finite_are_wrong_on_every_image() -> None:
    setting = Setting(zoo())
    answer = asked(TASK, Random(), setting)
    rows = TASK.judge(Weights(torch.full_like(answer.weights, torch.nan), beside=answer.beside), setting)
    assert (rows["sum"] == 0).all() and (rows["alone"] == 0).all() and (rows["base"] > 0).any()


@pytest.mark.parametrize(
    ("task", "columns", "reason"),
    [
        (Value(onto="whole"), {}, "were trained on all its images"),
        (Value(onto="digits"), {}, "know its images already"),
        (Value(onto="parity-36-3"), {}, "has 2 classes, so models of 10 classes cannot learn it"),
        (Value(onto="+upside_down"), {}, r"the dataset 'digits\+upside_down' is not known"),
        (Value(), {"data_part": 5 * ["iid-0-of-2", "iid-1-of-2"]}, "were trained on different images"),
    ],
)
def test_models_that_have_nothing_to_learn_are_left_out(task: Value, columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(InapplicableError, match=reason):
        task.form(Setting(zoo(models=3, **columns)))


def test_too_few_models_are_one_sentence() -> None:
    with pytest.raises(InputError, match="has one test model, and no other"):
        TASK.form(Setting(zoo(models=1)))
    with pytest.raises(InputError, match="1 or more of each"):
        Value(models=0)
