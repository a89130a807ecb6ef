"""Gradient descent on parameters of many models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.methods.descent import Descent, Losses, Parameters, batches_of, descend


def _lines(images: Tensor, truth: Tensor) -> Losses:
    def losses(parameters: Parameters, chosen: Tensor) -> Tensor:
        answers = parameters["slope"] * images[chosen] + parameters["offset"]
        return (answers - truth[chosen]).square().mean(1)

    return losses


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_each_model_learns_by_itself(optimizer: str) -> None:
    images = torch.randn(50, generator=torch.Generator().manual_seed(0))
    losses, how = _lines(images, 3 * images - 1), Descent(400, 16, 0.05, optimizer=optimizer)  # type: ignore[arg-type]
    start = {"slope": torch.tensor([[0.0], [torch.nan], [5.0]]), "offset": torch.zeros(3, 1)}
    found = descend(start, losses, 50, how, seed=1)
    assert torch.equal(start["slope"][0], torch.tensor([0.0]))
    assert found["slope"][1].isnan()
    for model in (0, 2):
        assert found["slope"][model].item() == pytest.approx(3, abs=0.02)
        alone = descend({name: each[[model]] for name, each in start.items()}, losses, 50, how, seed=1)
        assert torch.equal(alone["slope"][0], found["slope"][model])


def test_every_image_is_seen_once_before_any_is_seen_again() -> None:
    batches = batches_of(10, 4, seed=0)
    first, second = (torch.cat([next(batches) for _ in range(3)]) for _ in range(2))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(10))
    assert not torch.equal(first, second)
    with pytest.raises(InputError, match="no training images"):
        next(batches_of(0, 4, seed=0))


def test_what_no_descent_can_do_is_refused() -> None:
    with pytest.raises(InputError, match="learning rate of 0"):
        Descent(1, 1, 0.0)
