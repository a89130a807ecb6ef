"""Models without the images that a method names: each is what plain training makes of the others."""

from __future__ import annotations

import pytest
import torch
from helpers.subset_models import IMAGES, bank_of, dataset

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import build_module
from zoo_generation.training.objective import Objective
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.train import train_model
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting
from zoobench.tasks.brittleness import Brittleness
from zoobench.tasks.fine_tuning import specs_like


def test_a_model_is_trained_without_the_images_that_score_highest() -> None:
    task = Brittleness(images=3, left_out=(1, 20), seeds=2)
    here = Setting(bank_of(), images=ImageStore())
    form = task.form(here)
    values = torch.randn(3, IMAGES, generator=torch.Generator().manual_seed(0))
    found = task.judge(Scores(values, form.rows, form.columns), here)
    assert len(found) == 3 * 2 * 2 and set(found["model"]) == set(form.rows)
    whole, row = dataset(), here.target.table.iloc[0]
    pixels, module = whole.normalise(whole.test.images), build_module(row)

    def wrong(spec: ModelSpec, weights: torch.Tensor, number: int) -> tuple[bool, float]:
        """Whether it is, and the margin."""
        objective = Objective(whole.train.labels, weights=weights[None])
        state = train_model(spec, whole, objective=objective).checkpoints[-1].state
        layout = Layout.of(state)
        answer = logits(layout.flatten(state)[None], layout, module, pixels[number : number + 1])
        p = answer[0, 0].double().softmax(0)[whole.test.labels[number]]
        return int(answer[0, 0].argmax()) != int(whole.test.labels[number]), float((p / (1 - p)).log())

    specs = specs_like(row, 2, (4,), 0)
    for each in found.itertuples():
        weights = torch.ones(IMAGES)
        weights[values[form.rows.index(each.model)].topk(each.left_out).indices] = 0
        assert wrong(specs[each.seed], weights, int(each.model)) == (each.flipped, pytest.approx(each.margin, abs=1e-4))
    alone = {number: not any(wrong(spec, torch.ones(IMAGES), int(number))[0] for spec in specs) for number in form.rows}
    assert dict(zip(found["model"], found["right"], strict=True)) == alone


def test_no_model_names_a_class_that_it_has_not_seen() -> None:
    task = Brittleness(images=10, left_out=(30,), seeds=1)
    whole = dataset()
    here = Setting(bank_of(width=0.25), images=ImageStore())
    form = task.form(here)
    labels = whole.test.labels[[int(row) for row in form.rows]]
    scores = (labels[:, None] == whole.train.labels).float()
    found = task.score(task.judge(Scores(scores, form.rows, form.columns), here))
    assert found["flips"].value() == 1 == found["flips_30"].value()
    assert found["advantage"].value() == pytest.approx(1 - found["flips_at_random"].value())
    assert found["advantage"].value() > 0 and found["drop"].value() > 1


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(InputError, match="take 1 or more of each"):
        Brittleness(left_out=(0, 10))
