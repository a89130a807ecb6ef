"""The training loop that learned methods share: interruption, held-out models, and what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from zoo_generation.errors import InputError
from zoobench.methods.fitting import fit_kept
from zoobench.methods.learning import Examples, Recipe, joined, resume, seeded, train, training
from zoobench.methods.learning.examples import generator_of
from zoobench.methods.method import Method
from zoobench.methods.protocols import Execution
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import TokenSet
from zoobench.testing import made_up

RECIPE = Recipe(steps=12, batch_size=4, learning_rate=0.05)
ROWS = torch.randn(2, 30, 6, generator=torch.Generator().manual_seed(0))  # of two groups
EXAMPLES = Examples((torch.arange(20), torch.arange(10)), (torch.arange(20, 30), torch.arange(10, 12)), passes=2)


def made(seed: int = 0) -> tuple[nn.Module, Callable[[int, Tensor], Tensor]]:
    """A small network with dropout, and a loss that draws noise."""
    with seeded(seed):
        model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 6))

    def loss(group: int, rows: Tensor) -> Tensor:
        wanted = ROWS[group][rows]
        return (model(wanted + 0.1 * torch.randn_like(wanted)) - wanted).square().mean()

    return model, loss


def weights_of(model: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def fitted(execution: Execution, recipe: Recipe = RECIPE, identity: str = "a") -> tuple[nn.Module, pd.DataFrame]:
    model, loss = made()
    return model, train(model, loss, EXAMPLES, recipe, 7, identity, execution).curve


@pytest.mark.parametrize("keep", ["best", "last"])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    """Bit for bit, also when it is interrupted twice; one that has ended is not made again, and no other goes on."""
    recipe = replace(RECIPE, keep=keep)  # type: ignore[arg-type]
    before = torch.get_rng_state()
    whole, curve = fitted(Execution(device="cpu"), recipe)
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(training, "REPORT_SECONDS", -1)
    monkeypatch.setattr(resume, "SECONDS", 0)
    monkeypatch.setattr(resume, "SHARE", float("inf"))
    steps: list[float] = []

    def report(step: float, *_: object) -> None:
        steps.append(step)
        if step in interruptions:
            interruptions.remove(step)
            raise KeyboardInterrupt

    interruptions, how = [3.0, 8.0], Execution(device="cpu", scratch=tmp_path, report=report)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fitted(how, recipe)
    again, same = fitted(how, recipe)
    assert steps == [1, 2, 3, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12]  # an interrupted report's snapshot is not written
    once_more, _ = fitted(how, recipe)
    assert len(steps) == 14
    for each in (again, once_more):
        assert torch.equal(weights_of(each), weights_of(whole))
    pd.testing.assert_frame_equal(same, curve, check_exact=True)
    fitted(how, recipe, identity="b")
    assert steps[14:] == [*range(1, 13)]


def test_the_state_of_the_least_held_out_loss_is_kept() -> None:
    """Though the training gets worse afterwards."""
    model, loss = made()
    course = train(model, loss, EXAMPLES, replace(RECIPE, steps=60, learning_rate=2.0, clip=1e9), 7, "a")
    curve = course.curve
    assert curve["total"].iloc[-1] > curve["total"].min() and len(curve) == 20 and course.epochs == 8
    again, of_best = made()
    steps = int(curve["step"][curve["total"].idxmin()])
    short = replace(RECIPE, steps=60, learning_rate=2.0, clip=1e9, keep="last")

    def until(group: int, rows: Tensor) -> Tensor:
        if again.training:
            taken.append(1)
            if len(taken) > steps:
                raise KeyboardInterrupt
        return of_best(group, rows)

    taken: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(again, until, EXAMPLES, short, 7, "a")
    assert torch.equal(weights_of(again), weights_of(model))


def test_batches_are_of_one_group_and_of_training_models_alone() -> None:
    """Equally often of each example; the same of a seed and step, whatever was drawn before."""
    drawn = [EXAMPLES.draw(4, generator_of(1, step)) for step in range(1500)]
    seen = torch.zeros(2, 30)
    for group, rows in drawn:
        seen[group].index_add_(0, rows, torch.ones(4))
    expected = torch.zeros(2, 30)
    expected[0, :20] = expected[1, :10] = 1500 * 4 / 30
    assert torch.equal(seen == 0, expected == 0)
    torch.testing.assert_close(seen[expected > 0], expected[expected > 0], atol=80, rtol=0)
    assert torch.equal(EXAMPLES.draw(4, generator_of(1, 9))[1], drawn[9][1])
    held = [(group, int(row)) for group, rows in EXAMPLES.batches(4) for row in rows]
    once = [(0, row) for row in range(20, 30)] + [(1, row) for row in range(10, 12)]
    assert sorted(held) == sorted(2 * once)


def test_no_model_is_on_both_sides() -> None:
    population = made_up()
    examples = Examples.of([population])
    models = population.table["model_id"].to_numpy()
    train_models, held_out = (set(models[rows.numpy()]) for (rows,) in (examples.train, examples.held_out))
    assert train_models and held_out and not train_models & held_out
    assert {*population.table["split"][examples.held_out[0].numpy()]} == {"val"}


def test_courses_stand_behind_each_other() -> None:
    model, loss = made()
    course = train(model, loss, EXAMPLES, RECIPE, 7, "a", watch=lambda: {"norm": 1.0})
    both = joined([course, course])
    assert both.steps == 24 and both.curve["step"].tolist() == [*course.curve["step"], *(course.curve["step"] + 12)]
    assert (both.curve["norm"] == 1).all()


def test_what_cannot_be_trained_is_refused() -> None:
    model, loss = made()
    nothing = Examples((torch.arange(0),), (torch.arange(3),))
    with pytest.raises(InputError, match="no training models"):
        train(model, loss, nothing, RECIPE, 0, "a")
    with pytest.raises(InputError, match="diverged"):
        train(model, lambda group, rows: loss(group, rows) * np.inf, EXAMPLES, RECIPE, 0, "a")
    with pytest.raises(InputError, match=r"2 workers .* trains in one process; leave them out, or take sane"):
        train(model, loss, EXAMPLES, RECIPE, 0, "a", Execution(workers=2))


def test_a_training_that_diverges_late_is_reported_whatever_is_kept() -> None:
    model, loss = made()

    def late(group: int, rows: Tensor) -> Tensor:
        steps.append(model.training)
        return loss(group, rows) * (np.nan if sum(steps) > 6 and model.training else 1)

    for keep in ("best", "last"):
        steps: list[bool] = []
        with pytest.raises(InputError, match="diverged"):
            train(model, late, EXAMPLES, replace(RECIPE, keep=keep), 0, "a")  # type: ignore[arg-type]


def test_a_fit_computes_on_the_device_whether_it_is_made_or_read(tmp_path: Path) -> None:
    told: list[str] = []

    class Moving(Unlearned):
        def to(self, device: str) -> None:
            told.append(device)

    for count in (1, 2):
        fit_kept(Method("moving", Moving), None, TokenSet(64, ()), 0, tmp_path / "kept", device="cpu")
        assert told == ["cpu"] * count


def test_what_is_watched_is_watched_without_dropout() -> None:
    model, loss = made()
    watch = lambda: {"training": float(model.training)}  # noqa: E731
    course = train(model, loss, EXAMPLES, RECIPE, 7, "a", Execution(device="cpu"), watch=watch)
    assert len(course.curve) and not course.curve["training"].any()
