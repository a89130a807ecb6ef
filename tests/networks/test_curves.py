"""Curves between many pairs of models are trained and judged as each pair alone, step by step."""

from __future__ import annotations

import pytest
import torch
from networks.test_evaluation import images, models_of
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from zoo_generation.data.images import Images
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.curves import (
    CurveTraining,
    connectivity,
    curve_middles,
    mode_connectivity,
    point,
)

TRAINING = CurveTraining(epochs=2, batch=8, rate=0.05)


def middle_alone(start: Tensor, end: Tensor, layout: Layout, module: nn.Module, shown: Images) -> Tensor:
    """The middle of a curve by the plain derivative of the loss by it, in double precision."""
    free = [name for name, _ in module.named_parameters()]
    held = {name: value for name, value in layout.unflatten(start).items() if name not in free}
    start, end = ({name: layout.unflatten(each)[name].double() for name in free} for each in (start, end))
    middle = {name: ((start[name] + end[name]) / 2).requires_grad_() for name in free}
    optimizer = torch.optim.SGD(middle.values(), lr=TRAINING.rate, momentum=0.9)
    generator = torch.Generator().manual_seed(5)
    rates = [1, 1, 1, 1, 1 - 0.99 * (4 / 6 - 0.5) / 0.4, 1 - 0.99 * (5 / 6 - 0.5) / 0.4]
    module.double().train()
    for epoch in range(TRAINING.epochs):
        order = torch.randperm(len(shown.labels), generator=generator)
        for number, chosen in enumerate(order.split(TRAINING.batch)):
            place = float(torch.rand((), generator=generator))
            here = {name: point(start[name], middle[name], end[name], place) for name in free}
            buffers = {name: value.double() for name, value in held.items()}
            logits = functional_call(module, here | buffers, (shown.images[chosen].double(),))
            loss = F.cross_entropy(logits, shown.labels[chosen])
            loss = loss + TRAINING.decay / 2 * sum(value.square().sum() for value in here.values())
            optimizer.param_groups[0]["lr"] = TRAINING.rate * rates[3 * epoch + number]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    module.float().eval()
    return torch.cat([middle[name].detach().flatten() for name in free])


@pytest.mark.parametrize("name", ["mlp", "resnet18", "unstackable"])
def test_pairs_are_trained_as_each_alone(name: str) -> None:
    weights, layout, module = models_of(name, 3)
    if name == "unstackable":
        module.drop = nn.Identity()  # its masks are drawn anew for each pair
    starts, ends, shown = weights[[0, 0, 1]], weights[[1, 2, 2]], images(20)
    found = curve_middles(starts, ends, layout, module, shown, training=TRAINING, seed=5)
    one = curve_middles(starts[2:], ends[2:], layout, module, shown, training=TRAINING, seed=5)
    moved = float((found - (starts + ends) / 2).abs().max())
    torch.testing.assert_close(one, found[2:], rtol=0, atol=1e-3 * moved)
    expected = middle_alone(starts[0], ends[0], layout, module, shown)
    free = {name for name, _ in module.named_parameters()}
    places = torch.cat([torch.arange(entry.span.start, entry.span.stop) for entry in layout if entry.name in free])
    torch.testing.assert_close(found[0, places].double(), expected, rtol=0, atol=2e-3 * moved)


def test_connectivity_has_the_sign_of_the_papers() -> None:
    barrier, flat, untrained = [0.0, 0.1, 0.3, 0.1, 0.1], [0.1] * 5, [0.6, 0.5, 0.4, 0.5, 0.6]
    found = connectivity(torch.tensor([barrier, flat, untrained], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([-0.25, 0.0, 0.2], dtype=torch.float64))


def test_errors_along_a_curve_are_those_of_conditioned_networks() -> None:
    """Ends too have the statistics of the training images, whatever they are stored with."""
    weights, layout, module = models_of("resnet18", 2)
    shown = images(24)
    found = mode_connectivity(weights[:1], weights[1:], layout, module, shown, training=TRAINING, seed=5)
    other = weights.clone()
    for entry in layout:
        if "running_var" in entry.name:
            other[:, entry.span] = 3.0
    same = mode_connectivity(other[:1], other[1:], layout, module, shown, training=TRAINING, seed=5)
    assert torch.equal(found, same)
    middle = curve_middles(weights[:1], weights[1:], layout, module, shown, training=TRAINING, seed=5)
    errors = []
    for place in (0, 0.25, 0.5, 0.75, 1):
        here = point(weights[:1], middle, weights[1:], place)
        here = condition_batch_norm(here, layout, module, shown, passes=3, batch=8)
        errors.append(1 - float(accuracies(here, layout, module, shown)))
    ends = (errors[0] + errors[4]) / 2
    assert float(found) == pytest.approx(100 * (ends - max(errors, key=lambda error: abs(error - ends))))
