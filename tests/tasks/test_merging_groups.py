"""Groups to merge differ as they should, and merged models are judged as by a loop over groups."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch
from helpers.groups import HALVES, MadeUpImages, models_to_merge
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.errors import InputError
from zoo_generation.networks.module import Network, runnable_module
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.registry import get_method
from zoobench.populations import Population
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import Setting
from zoobench.tasks.groups import Groups
from zoobench.tasks.merging import Merging

CLASSES = ("classes-0-of-2", "classes-1-of-2")


def family(trunks: int = 3, parts: tuple[str | None, ...] = (*CLASSES, None)) -> Population:
    """Trunks with checkpoints after epochs 1 and 4, and a child of each for each part, forked after epoch 1 and after
    epoch 0; the trunks' own initialization is not kept."""
    rows = [("trunk", None, None, epoch) for epoch in (1, 4)]
    rows += [("child", part, after, epoch) for after in (0, 1) for part in parts for epoch in (1, 2)]
    made = models_to_merge(trunks * len(rows), parts=(None,))
    table = made.table.copy()
    for number in range(len(table)):
        trunk, (kind, part, after, epoch) = number // len(rows), rows[number % len(rows)]
        name = f"{kind}-{trunk}" + ("" if kind == "trunk" else f"-{part}-{after}")
        parent = None if kind == "trunk" else f"trunk-{trunk}"
        values = {"model_id": name, "data_part": part, "parent": parent, "parent_epoch": after}
        for column, value in (values | {"epoch": epoch, "seed": trunk}).items():
            table.loc[number, column] = value
    return Population.of("family", made.tokenizer, made.weights, table)


def members(groups: Groups) -> list[pd.DataFrame]:
    return [groups.models.table.loc[rows] for rows in groups.rows.tolist()]


def test_models_on_the_same_images_differ_in_their_seed() -> None:
    models = models_to_merge(8, parts=HALVES)
    table = models.table.assign(seed=[0, 1, 0, 1, 2, 3, 4, 5])
    population = Population.of("seeds", models.tokenizer, models.weights, table)
    groups = Merging().groups(population)
    assert groups.bases(population) is None
    for group in members(groups):
        assert group["seed"].is_unique and group["data_part"].nunique() == 1
    once = groups.rows.flatten().tolist()
    assert len(set(once)) == len(once)
    assert groups.names.tolist() == [group["model_id"].iloc[0] for group in members(groups)]
    assert not torch.equal(Merging(seed=1).groups(population).rows, groups.rows)


@pytest.mark.parametrize("after", [0, 1])
def test_siblings_share_their_trunk_and_differ_in_their_images(after: int) -> None:
    population = family()
    groups = Merging("data", after=after).groups(population)
    assert len(groups.rows) == 3
    bases = groups.bases(population)
    assert bases is not None
    for group, name, base, joint in zip(members(groups), groups.names, bases, groups.joint(), strict=True):
        assert set(group["parent"]) == {name} and set(group["data_part"]) == set(CLASSES)
        assert set(group["epoch"]) == {2} and set(group["parent_epoch"]) == {after}
        trunk = population.table["model_id"] == group["parent"].iloc[0]
        if after:
            assert torch.equal(base, population.weights[trunk & (population.table["epoch"] == 1)][0])
        else:
            built = Network("cnn_s", 1, 10, "tanh", 0.0, 1.0).build(int(group["seed"].iloc[0]), "kaiming_uniform")
            assert torch.equal(base, population.layout.flatten(built.state_dict()))
        whole = groups.models.table.loc[joint]
        assert set(whole["parent"]) == set(group["parent"]) and whole["data_part"].isna().all() and len(whole) == 1


def test_models_of_other_starts_and_other_parts_share_parts_evenly() -> None:
    for group in members(Merging("inits_and_data", size=3, after=1).groups(family(4))):
        assert group["parent"].is_unique
        assert sorted(group["data_part"].value_counts()) == [1, 2]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"differ": "data", "size": 3, "after": 1}, "no 3 models on different parts"),
        ({"differ": "inits", "after": 5}, "among its 0 test models forked after epoch 5"),
        ({"split": "val"}, "among its 0 val models that were not forked"),
    ],
)
def test_a_zoo_without_such_groups_is_told(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(InapplicableError, match=reason):
        replace(Merging(), **settings).groups(family())
    with pytest.raises(InputError, match="groups of 1 models"):
        Merging(size=1)


def mean_loss(population: Population, weights: Tensor, images: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    module = runnable_module(population.table.iloc[0])
    module.load_state_dict(population.layout.unflatten(weights), strict=False)
    with torch.no_grad():
        answers = module(images)
    return float(F.cross_entropy(answers, labels)), answers


def test_judging_is_that_of_a_loop_over_groups() -> None:
    population, images = family(), MadeUpImages()
    task = Merging("data", after=1, barrier_images=24)
    setting = Setting(population, images=images)
    answer = task.ask(get_method("average").fit(None, 0, None), setting)
    task.form(setting).check(answer)
    observed = task.judge(answer, setting)
    again = task.judge(answer, Setting(task.reads(population), images=images))
    pd.testing.assert_frame_equal(observed, again)
    for after in (0, 1):
        forked = Merging("data", after=after)
        bases = [forked.bases(Setting(each)) for each in (population, forked.reads(population))]
        assert torch.equal(*bases)
    groups = task.groups(population)
    test, val = (images.of(groups.models.row, split) for split in ("test", "val"))

    def accuracy(answers: Tensor, classes: list[int]) -> float:
        shown = torch.isin(test.labels, torch.tensor(classes))
        best = torch.tensor(classes)[answers[shown][:, classes].argmax(1)]
        return float((best == test.labels[shown]).double().mean())

    everything, halves = list(range(10)), {CLASSES[0]: list(range(5)), CLASSES[1]: list(range(5, 10))}
    for number, row in observed.iterrows():
        chosen = groups.rows[number].tolist()
        one, two = groups.models.weights[chosen]
        merged = (one + two) / 2
        assert torch.allclose(answer.weights[number], merged, atol=1e-6)
        loss, answers = mean_loss(population, merged, test.images, test.labels)
        line = [torch.lerp(one, two, share / 10) for share in range(11)]
        losses = [mean_loss(population, each, test.images, test.labels)[0] for each in line]
        beyond = [each - (losses[0] * (10 - n) + losses[-1] * n) / 10 for n, each in enumerate(losses)]
        of_models = [mean_loss(population, each, test.images, test.labels)[1] for each in (one, two)]
        on_val = [mean_loss(population, each, val.images, val.labels)[1].argmax(1) for each in (one, two)]
        best = max(range(2), key=lambda n: (float((on_val[n] == val.labels).double().mean()), -n))
        (joint,) = groups.joint()[number]
        expected = {
            "accuracy": accuracy(answers, everything),
            "loss": loss,
            "part_accuracy": sum(accuracy(answers, half) for half in halves.values()) / 2,
            "barrier": max(beyond),
            "single": sum(accuracy(each, everything) for each in of_models) / 2,
            "best_single": accuracy(of_models[best], everything),
            "single_parts": sum(
                accuracy(each, halves[groups.models.table.at[row, "data_part"]])
                for each, row in zip(of_models, chosen, strict=True)
            )
            / 2,
            "ensemble_logits": accuracy(sum(of_models), everything),
            "ensemble_probabilities": accuracy(sum(each.softmax(1) for each in of_models), everything),
            "joint": accuracy(
                mean_loss(population, groups.models.weights[joint], test.images, test.labels)[1], everything
            ),
        }
        assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)
    scores = {name: estimate.value() for name, estimate in task.score(observed).items()}
    assert scores["accuracy"] == pytest.approx(observed["accuracy"].mean())
    assert scores["to_joint"] == pytest.approx(observed["accuracy"].sum() / observed["joint"].sum())


def test_a_model_that_is_not_finite_is_wrong_on_every_image() -> None:
    population = family(2)
    setting = Setting(population, images=MadeUpImages())
    task = Merging()
    (group,) = task.groups(population).rows
    broken = Weights(torch.full((1, population.layout.size), torch.nan))
    huge = task.judge(Weights(torch.full((1, population.layout.size), 1e30)), setting)
    assert huge["accuracy"].between(0, 1).all()
    scores = task.score(task.judge(broken, setting))
    assert scores["accuracy"].value() == 0 and scores["best_single"].value() > 0 and len(group) == 2
    assert "joint" not in scores
