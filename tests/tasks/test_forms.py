"""Answers describe themselves: what a form refuses, and a whole task whose answer is a matrix of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.measuring import observed, values

from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoobench.methods.protocols import Embedder
from zoobench.populations import Access, Population, Tokenizer
from zoobench.tasks.answers import Answer, Predictions, Scores, Weights
from zoobench.tasks.base import Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import Form, PredictionForm, ScoreForm, WeightForm


def population() -> Population:
    """Two models of two checkpoints, the second and third of which have the same weights."""
    layout = Layout.of_shapes({"weight": (2, 2)})
    weights = torch.arange(16, dtype=torch.float32).reshape(4, 4)
    weights[2] = weights[1]
    table = {"model_id": ["a", "a", "b", "b"], "epoch": [1, 2, 1, 2], "split": "test", "test_accuracy": 0.5}
    return Population.of("made-up", Tokenizer.of(layout, 2), weights, pd.DataFrame(table))


PREDICTIONS = PredictionForm.of(population(), ["epoch"], ["optimizer"])
RIGHT = PREDICTIONS.items.assign(
    predicted=np.where(PREDICTIONS.items["kind"] == "number", 1.0, np.nan),
    predicted_class=np.where(PREDICTIONS.items["kind"] == "class", "adam", None),
)
WEIGHTS, EACH = WeightForm.made(range(1, 4), 4), WeightForm.of_each(population())
TOLD = WeightForm.made(range(1, 4), 4, beside={"flops": 1})
SCORES = ScoreForm(("x", "y"), ("m", "n", "o"))


def scores(**changes: Any) -> Scores:
    return Scores(**{"values": torch.zeros(2, 3), "rows": SCORES.rows, "columns": SCORES.columns} | changes)


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        (PREDICTIONS, Predictions(RIGHT)),
        (PREDICTIONS, Predictions(RIGHT.sample(frac=1, random_state=0))),
        (WEIGHTS, Weights(torch.zeros(3, 4))),
        (EACH, Weights(torch.zeros(4, 4))),
        (TOLD, Weights(torch.zeros(2, 4), beside={"flops": torch.zeros(2, 1)})),
        (SCORES, scores()),
    ],
)
def test_a_form_takes_what_it_asks_for(form: Form, answer: Answer) -> None:
    form.check(answer)


@pytest.mark.parametrize(
    ("form", "answer", "reason"),
    [
        (PREDICTIONS, Predictions(RIGHT.iloc[1:]), "no row for epoch of model"),
        (PREDICTIONS, Predictions(pd.concat([RIGHT, RIGHT.iloc[:1]])), "two rows for epoch of model"),
        (PREDICTIONS, Predictions(RIGHT.assign(predicted=np.nan)), "says nothing of epoch of model"),
        (PREDICTIONS, Predictions(RIGHT.assign(predicted=np.inf)), "not finite for epoch of model"),
        (PREDICTIONS, Predictions(RIGHT.drop(columns="predicted")), "no column 'predicted'"),
        (PREDICTIONS, Predictions(RIGHT.assign(predicted_class=None)), "says nothing of optimizer of model"),
        (PREDICTIONS, Weights(torch.zeros(4, 4)), "the answer is Weights; give predictions of epoch, optimizer for 3"),
        (WEIGHTS, Weights(torch.zeros(4, 4)), r"shape \[4, 4\]; give weights \[1 to 3 models, 4\]"),
        (WEIGHTS, Weights(torch.zeros(0, 4)), r"shape \[0, 4\]"),
        (WEIGHTS, Weights(torch.zeros(4)), r"shape \[4\]"),
        (EACH, Weights(torch.zeros(3, 4)), r"shape \[3, 4\]; give weights \[3 models, 4\]"),
        (EACH, Weights(torch.zeros(4, 5)), r"shape \[4, 5\]"),
        (TOLD, Weights(torch.zeros(2, 4)), r"has nothing; give flops \[2, 1\]"),
        (TOLD, Weights(torch.zeros(2, 4), beside={"flops": torch.zeros(3, 1)}), r"flops \[3, 1\]; give flops \[2, 1\]"),
        (WEIGHTS, Weights(torch.zeros(1, 4), beside={"flops": torch.zeros(1, 1)}), "give nothing"),
        (SCORES, scores(rows=("y", "x")), "other rows or columns"),
        (SCORES, scores(values=torch.zeros(3, 2)), r"\[3, 2\]; give scores \[2 rows, 3 columns\]"),
        (SCORES, scores(values=torch.zeros(2, 3).double()), "float64"),
        (SCORES, scores(values=torch.full((2, 3), torch.nan)), "not finite"),
        (SCORES, Predictions(RIGHT), "the answer is Predictions"),
    ],
)
def test_a_form_says_what_is_wrong(form: Form, answer: Answer, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        form.check(answer)


def test_weights_are_handed_in_once_a_name_and_judged_in_their_own_order() -> None:
    judged = population().weights
    handed_in = EACH.handed_in(judged)
    assert len(handed_in) == 3 and torch.equal(EACH.judged(handed_in), judged)
    assert torch.equal(
        handed_in, judged[[list(population().names).index(name) for name in sorted(set(population().names))]]
    )
    assert torch.equal(WEIGHTS.judged(WEIGHTS.handed_in(judged)), judged)


@dataclass(frozen=True)
class Kinship:
    """Which model a checkpoint is of: a score for each checkpoint and model, the highest of which is to be its own."""

    name: ClassVar[str] = "kinship"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Which model a checkpoint is of"
    paper: ClassVar[str] = ""
    primary: ClassVar[str] = "found"
    asks: ClassVar = Embedder
    access: ClassVar[Access] = Access.WEIGHTS
    uses_sources: ClassVar[bool] = False

    def form(self, setting: Setting) -> ScoreForm:
        table = setting.target.table
        return ScoreForm(tuple(map(str, table.index)), tuple(table["model_id"].unique()))

    def ask(self, method: Any, setting: Setting) -> Scores:
        features = setting.target.asked(method.embed)
        form = self.form(setting)
        first = setting.target.table.drop_duplicates("model_id").index.tolist()
        return Scores(-torch.cdist(features, features[first]), form.rows, form.columns)

    def judge(self, answer: Scores, setting: Setting) -> pd.DataFrame:
        best = [answer.columns[each] for each in answer.values.argmax(1)]
        return pd.DataFrame({"model": setting.target.table["model_id"], "found": best})

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        right = observations["found"] == observations["model"]
        return {"found": Estimate.mean(observations["model"], right.astype(float))}

    def reads(self, target: Population) -> Population:
        return target

    def work(self, checkpoints: int, train_images: int) -> Work:
        return Work(models=checkpoints)


class Features:
    def __init__(self, features: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.embed = lambda population: features(population.weights)


def test_a_task_may_ask_for_a_matrix_of_scores() -> None:
    setting = Setting(population())
    seen = observed(Kinship(), Features(lambda weights: weights), setting)
    assert values(Kinship(), seen) == {"found": 0.75}  # the second has the weights of the other model
    estimate = Kinship().score(seen)["found"]
    assert estimate.resampled(np.array([2.0, 0.0])) == 0.5 and estimate.resampled(np.array([0.0, 2.0])) == 1.0
    with pytest.raises(InputError, match="not finite"):
        observed(Kinship(), Features(lambda weights: weights / 0), setting)
