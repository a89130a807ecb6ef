"""Extraction: what is asked counts, a frozen body is copied from 21 logits, and bases are what they are called."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.groups import MadeUpImages
from helpers.lineages import families
from helpers.measuring import asked, values
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.extraction import BaseAlone, Imitation, LastLayer
from zoobench.methods.victims import Told, Victims
from zoobench.populations import Access, Evidence, Population
from zoobench.populations.lineage import Lineage
from zoobench.populations.logits import logits_of
from zoobench.tasks.base import Setting
from zoobench.tasks.extraction import PROBES, Extraction

IMAGES = MadeUpImages(count=120)


def shown(models: Population) -> Population:
    return models.shown(Evidence(Access.IMAGES, IMAGES))


def with_other_heads(models: Population) -> Population:
    """Children whose body was frozen: all but the last layer is the parent's."""
    weights = models.weights.clone()
    for part in ("weight", "bias"):
        weights[:, models.layout[f"module_list.11.{part}"].span] += 0.3
    noise = torch.randn(len(weights), 200, generator=torch.Generator().manual_seed(0))
    weights[:, models.layout["module_list.11.weight"].span] += noise
    return models.with_weights(weights)


@pytest.mark.parametrize("told", ["logits", "probabilities"])
def test_a_frozen_body_is_copied_from_21_queries_and_not_from_20(told: Told) -> None:
    """With tanh, whose units are never silent: 20 weights of each class and a bias."""
    bases = shown(families(2))
    children, images = with_other_heads(bases), IMAGES.of(bases.row, "val").images
    wanted = logits_of(children, images).softmax(2)
    for queries, exact in ((21, True), (20, False)):
        made = LastLayer().extract(Victims(children, told, queries), bases, 0)
        apart = (logits_of(children.with_weights(made), images).softmax(2) - wanted).abs().amax((1, 2))
        assert (apart < 1e-2).all() if exact else apart.median() > 1e-2
        if exact and told == "logits":
            torch.testing.assert_close(made, children.weights, atol=2e-2, rtol=0)


def test_the_task_finds_a_frozen_body_copied_from_21_logits() -> None:
    parents = families(2)
    roots = parents.select(parents.table["parent"].isna())
    children = with_other_heads(roots)
    named = children.table.assign(parent=roots.table["model_id"], parent_epoch=10.0)
    named["model_id"] += ".child"
    table = pd.concat([roots.table, named], ignore_index=True)
    zoo = Population.of("frozen", roots.tokenizer, torch.cat([roots.weights, children.weights]), table)
    task = Extraction(budgets=(20, 21), told=("logits",), bases=("none", "true"))
    setting = Setting(shown(zoo), images=IMAGES)
    found = values(task, task.judge(asked(task, LastLayer(), setting), setting))
    assert found["agreement:logits:true:21"] == 1 and found["agreement:logits:none:21"] < 0.9
    assert found["reached:logits:true"] == 1 > found["reached:logits:none"]
    assert found["queries:logits:true"] < 21.01


def test_queries_are_counted_and_end() -> None:
    models = shown(families(1))
    victims = Victims(models, "labels", 5)
    answers = victims.ask(victims.images[:3])
    assert torch.equal(answers.argmax(2), logits_of(models, victims.images[:3]).argmax(2))
    assert victims.left == 2 and set(answers.unique().tolist()) == {0.0, 1.0}
    with pytest.raises(InputError, match="asked about 3 images with 2 queries left"):
        victims.ask(victims.images[:3])
    assert victims.left == 2 and not {"model_id", "parent", "val_accuracy"} & set(victims.target.row.index)


class Noted:
    """Gives the bases back, or zeros, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[int, Population | None]] = []

    def extract(self, victims: Victims, bases: Population | None, seed: int) -> Tensor:
        self.given.append((victims.left, bases))
        return torch.zeros(len(victims), victims.target.layout.size) if bases is None else bases.weights


def test_bases_are_what_they_are_called_and_identifying_one_costs_queries() -> None:
    task, method = Extraction(victims=6, budgets=(8, 30)), Noted()
    setting = Setting(shown(families(4, steps=(0.05,))), images=IMAGES)
    line, rows = task._drawn(setting.target)
    observations = task.judge(asked(task, method, setting), setting)
    assert [left for left, _ in method.given] == [8, 30, 8, 30, 4, 30 - PROBES, 8, 30]
    none, true, found, wrong = (method.given[number][1] for number in (1, 3, 5, 7))
    parents = line.models.weights[line.parents[rows]]
    assert none is None and torch.equal(true.weights, parents) and torch.equal(found.weights, parents)
    place = [int((line.models.weights == each).all(1).nonzero()) for each in wrong.weights]
    assert (line.families[place] != line.families[rows]).all() and len(set(line.families[rows])) == 4
    assert all(not {"model_id", "parent", "seed"} & set(each.table) for each in (true, found, wrong))
    test = IMAGES.of(setting.target.row, "test")
    victims, copies = (
        logits_of(line.models.with_weights(each), test.images)
        for each in (line.models.weights, line.models.weights[line.parents])
    )
    alike = (victims.argmax(2) == copies.argmax(2)).double().mean(1)[rows]
    own = observations[(observations["base"] == "true") & (observations["budget"] == 30)]
    np.testing.assert_allclose(own["agreement"], alike)
    assert observations["base"].unique().tolist() == [*task.bases] and len(observations) == 48


def test_queries_to_enough_are_between_budgets_and_never_beyond_them() -> None:
    """Between budgets on the logarithm: 0.95 lies half way between 0.93 and 0.97, and 1,000 between 100 and 10,000."""
    curves = {("none", 0): (0.5, 0.93, 0.97), ("none", 1): (0.5, 0.6, 0.94), ("true", 0): (0.96, 0.94, 0.9)}
    curves[("true", 1)] = (0.2, 0.95, 0.99)
    rows = [(*of, *each) for of, curve in curves.items() for each in zip((10, 100, 10_000), curve, strict=True)]
    table = pd.DataFrame(rows, columns=["base", "victim", "budget", "agreement"]).assign(told="logits", accuracy=0.5)
    found = values(Extraction(), table.assign(model=table["victim"].astype(str)))
    assert found["queries:logits:none"] == pytest.approx((1_000 + 10_000) / 2)  # the second is never reached
    assert (found["reached:logits:none"], found["reached:logits:true"]) == (0.5, 1.0)
    assert found["queries:logits:true"] == pytest.approx((10 + 100) / 2)
    assert found["advantage:logits:true"] == pytest.approx(100)
    assert found["agreement:logits:true:10"] == pytest.approx(0.58) and "advantage:logits:none" not in found


def test_imitation_learns_the_answers_and_depends_on_the_seed_alone() -> None:
    victims = shown(families(1))
    method = Imitation(steps=60)
    made = [method.extract(Victims(victims, "labels", 60), None, seed) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    images = Victims(victims, "labels", 0).images
    wanted = logits_of(victims, images).argmax(2)
    alike = [
        float((logits_of(victims.with_weights(each), images).argmax(2) == wanted).double().mean())
        for each in (made[0], BaseAlone().extract(Victims(victims, "labels", 0), None, 0))
    ]
    assert alike[0] > alike[1] + 0.2
    alone = method.extract(Victims(victims, "labels", 0), victims, 0)
    assert torch.equal(alone, victims.weights)


def test_settings_that_cannot_be_are_refused() -> None:
    for settings, says in (
        ({"budgets": (50, 10)}, "ascending budgets"),
        ({"victims": 0}, "0 victims"),
        ({"bases": ("stolen",)}, "some of none, true, identified, wrong"),
        ({"told": ("logits", "logits")}, "some of labels, probabilities, logits, each once"),
    ):
        with pytest.raises(InputError, match=says):
            Extraction(**settings)
    one = Lineage.of(families(1)).models
    with pytest.raises(InputError, match="no base is wrong"):
        Extraction(bases=("wrong",)).ask(Noted(), Setting(one))
