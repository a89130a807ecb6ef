"""Which images models saw: the measures against their definitions, the truth, and what methods see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.subset_models import IMAGES, bank_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoobench.evaluation.statistics import interval
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population
from zoobench.populations.population import OPEN
from zoobench.populations.subsets import masks_of
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting
from zoobench.tasks.membership import FALSE, Membership

TASK = Membership(evaluated="all", models=5)


def setting() -> Setting:
    """A bank of six subsets to learn from, and a target of others."""
    return Setting(bank_of(8, 2, first=100), (bank_of(),), images=ImageStore())


def table(scores: np.ndarray, seen: np.ndarray) -> pd.DataFrame:
    rows, images = scores.shape
    known = {"model": np.repeat([f"m{row}" for row in range(rows)], images), "image": np.tile(np.arange(images), rows)}
    return pd.DataFrame(known | {"score": scores.ravel(), "seen": seen.ravel()})


@settings(max_examples=25, deadline=None)
@given(models=st.integers(2, 5), images=st.integers(4, 20), values=st.integers(1, 30), seed=st.integers(0, 999))
def test_scores_are_shares_of_pairs(models: int, images: int, values: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(values, size=(models, images)).astype(float)  # with ties
    seen = random.random((models, images)) < 0.5
    seen[:, 0], seen[:, 1] = True, False
    found = TASK.score(table(scores, seen))

    def won(one: float, other: float) -> float:
        return 1.0 if one > other else 0.5 if one == other else 0.0

    auc, tpr, across = [], [], []
    for row, has in zip(scores, seen, strict=True):
        auc.append(np.mean([won(one, other) for one in row[has] for other in row[~has]]))
        worst = [one for one in row[has] if np.mean(row[~has] >= one) <= FALSE]
        tpr.append(len(worst) / has.sum())
    for image in range(images):
        column, has = scores[:, image], seen[:, image]
        across += [won(one, other) for one in column[has] for other in column[~has]]
    assert found["auc"].value() == pytest.approx(np.mean(auc))
    assert found["tpr"].value() == pytest.approx(np.mean(tpr))
    if across:
        assert found["auc_by_image"].value() == pytest.approx(np.mean(across))


def test_the_truth_scores_one_and_saying_the_same_of_everything_a_half() -> None:
    here = setting()
    form = TASK.form(here)
    table = here.target.table[here.target.table["epoch"] == 4]
    asked = here.target.names[table.index.to_numpy()].tolist()
    assert len(form.rows) == 5 and set(form.rows) < set(asked) and form.columns == tuple(map(str, range(IMAGES)))
    rows = table.iloc[[asked.index(name) for name in form.rows]]
    truth = masks_of(rows, IMAGES).float()
    found = TASK.score(TASK.judge(Scores(truth, form.rows, form.columns), here))
    assert [found[name].value() for name in ("auc", "tpr", "auc_by_image")] == [1, 1, 1]
    constant = TASK.score(TASK.judge(Scores(torch.zeros(5, IMAGES), form.rows, form.columns), here))
    assert [constant[name].value() for name in ("auc", "tpr", "auc_by_image")] == [0.5, 0, 0.5]
    chance = TASK.score(TASK.judge(Scores(torch.randn(5, IMAGES), form.rows, form.columns), here))
    bounds = interval([chance["auc_by_image"]])
    assert bounds.low < chance["auc_by_image"].value() < bounds.high


class Noting:
    """Says which weights it was given."""

    asked: Population
    known: Population

    def memberships(self, asked: Population, known: Population) -> Tensor:
        self.asked, self.known = asked, known
        return torch.zeros(len(asked), len(known.evidence.labelled("train").labels))


def test_methods_see_weights_of_what_is_asked_and_the_subsets_of_others_alone() -> None:
    here, method = setting(), Noting()
    answer = TASK.ask(method, here)
    TASK.form(here).check(answer)
    assert {*method.asked.table} <= {*OPEN, "split"} and tuple(method.asked.names) == answer.rows
    assert set(method.known.table["subset_seed"]).isdisjoint(here.target.table["subset_seed"])


def test_models_without_other_subsets_are_refused() -> None:
    here = setting()
    with pytest.raises(InputError, match="take 1 or more"):
        Membership(models=0)
    with pytest.raises(InputError, match="give the task evaluated='test'"):
        TASK.ask(Noting(), replace(here, sources=(here.target,)))
    whole = here.target.table.assign(subset_fraction=None, subset_seed=None)
    same = Population.of("whole", here.target.tokenizer, here.target.weights, whole)
    with pytest.raises(InapplicableError, match="did not see random subsets"):
        TASK.form(replace(here, target=same))
