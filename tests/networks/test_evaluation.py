"""Many models evaluated at once give the results of each alone."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from helpers.flat_models import narrow
from torch import Tensor, nn

from zoo_generation.data.images import Images
from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import accuracies, accuracies_among, condition_batch_norm, evaluate
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import build_module
from zoo_generation.networks.program import Program


class WithLayerNorm(nn.Module):
    """A layer that no stack knows, BatchNorm, and dropout that must not drop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.last = nn.Linear(4, 10)
        self.layer = nn.LayerNorm(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.layer(self.drop(self.norm(self.conv(images)).mean((2, 3)))))


def module_of(name: str) -> nn.Module:
    if name == "unstackable":
        return WithLayerNorm().eval()
    return build_module(
        pd.Series({"architecture": name, "channels": 1, "classes": 10, "activation": "relu", "width": narrow(name) / 2})
    )


def models_of(name: str, count: int) -> tuple[Tensor, Layout, nn.Module]:
    torch.manual_seed(0)
    modules = [module_of(name) for _ in range(count)]
    layout = Layout.of(modules[0].state_dict())
    return torch.stack([layout.flatten(module.state_dict()) for module in modules]).detach(), layout, modules[0]


def images(count: int) -> Images:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(count, 1, 28, 28, generator=generator)
    return Images(
        pixels.contiguous(memory_format=torch.channels_last), torch.randint(10, (count,), generator=generator)
    )


@pytest.mark.parametrize(
    ("name", "stacked"), [("cnn_s", True), ("resnet18", True), ("mlp", True), ("unstackable", False)]
)
def test_many_models_at_once_are_each_alone(name: str, stacked: bool) -> None:
    weights, layout, module = models_of(name, 11)  # more than a stack, and not a multiple of one
    assert (Program(module, layout, images(1).images, "cpu").stack is not None) == stacked
    weights[3, 5] = torch.nan
    shown = images(150)
    training = images(70).images
    conditioned = condition_batch_norm(weights, layout, module, Images(training, shown.labels), passes=3, batch=30)
    loss, accuracy = evaluate(conditioned, layout, module, shown)
    assert torch.equal(accuracies(conditioned, layout, module, shown), accuracy)
    assert accuracy[3] == 0 and loss[3].isnan() and not weights.isfinite()[3, 5]
    for model in [m for m in range(11) if m != 3]:
        module.load_state_dict(layout.unflatten(weights[model]), strict=False)
        for norm in [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]:
            norm.reset_running_stats()
            norm.momentum = None  # PyTorch's plain average
            norm.train()
        with torch.no_grad():
            for batch in training.split(30):
                module(batch)
            logits = module.eval()(shown.images)
        torch.testing.assert_close(conditioned[model], layout.flatten(module.state_dict()), atol=1e-4, rtol=1e-4)
        right = int((logits.argmax(1) == shown.labels).sum())
        assert abs(right - round(float(accuracy[model]) * 150)) <= 1
        assert loss[model].item() == pytest.approx(nn.functional.cross_entropy(logits, shown.labels).item(), rel=1e-3)


@pytest.mark.parametrize("classes", [(0, 1, 2, 3, 4), (7, 2), (3,), tuple(range(10))])
def test_accuracy_among_classes_leaves_out_all_others(classes: tuple[int, ...]) -> None:
    weights, layout, module = models_of("mlp", 5)
    weights[3, 5] = torch.nan
    shown = images(60)
    found = accuracies_among(weights, layout, module, shown, classes)
    for model in range(5):
        module.load_state_dict(layout.unflatten(weights[model]))
        logits, right = module.eval()(shown.images), []
        for row, label in zip(logits.tolist(), shown.labels.tolist(), strict=True):
            if label in classes:
                right.append(model != 3 and max(classes, key=row.__getitem__) == label)
        assert float(found[model]) == pytest.approx(sum(right) / len(right))
    if len(classes) == 10:
        assert torch.equal(found, accuracies(weights, layout, module, shown))


def test_accuracy_among_classes_without_images_is_refused() -> None:
    weights, layout, module = models_of("mlp", 1)
    with pytest.raises(InputError, match=r"none of 60 images is of the classes \[10, 11\]"):
        accuracies_among(weights, layout, module, images(60), (10, 11))
