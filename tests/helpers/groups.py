"""Made-up models to merge, and made-up images of theirs: nothing is trained and nothing is read."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from helpers.flat_models import narrow
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import build_module
from zoobench.methods.granting import granted
from zoobench.methods.registry import get_method
from zoobench.populations import Access, Population, Tokenizer

HALVES = ("iid-0-of-2", "iid-1-of-2")


@dataclass(frozen=True)
class MadeUpImages(ImageStore):
    """Random images, others for each part and split, whose mean and spread differ from part to part."""

    count: int = 24
    size: int = 28

    def of(self, row: pd.Series, split: str) -> Images:
        part = HALVES.index(row["data_part"]) + 1 if row["data_part"] in HALVES else 0
        generator = torch.Generator().manual_seed(10 * part + ("train", "val", "test").index(split))
        pixels = torch.randn(self.count, int(row["channels"]), self.size, self.size, generator=generator)
        labels = torch.randint(int(row["classes"]), (self.count,), generator=generator)
        return Images(pixels * (1 + part) + 0.2 * part, labels)


def models_to_merge(
    count: int, architecture: str = "cnn_s", activation: str = "tanh", parts: tuple[str | None, ...] = HALVES
) -> Population:
    """Models with random weights, on these parts of the images in turn."""
    row = {"dataset": "made-up", "train_images": None, "architecture": architecture, "image_size": 28}
    row["width"] = 2 * narrow(architecture)
    row |= {"activation": activation, "channels": 1, "classes": 10, "init": "kaiming_uniform", "dropout": 0.0}
    torch.manual_seed(0)
    modules = [build_module(pd.Series(row)) for _ in range(count)]
    layout = Layout.of(modules[0].state_dict())
    weights = torch.stack([layout.flatten(module.state_dict()) for module in modules]).detach()
    for entry in layout:  # no layer is as it was built: biases are not near 0, statistics are not 0 and 1
        weights[:, entry.span] *= torch.rand(count, entry.numel) + 0.5
    table = pd.DataFrame([row] * count)
    table["data_part"] = [parts[number % len(parts)] for number in range(count)]
    table["val_accuracy"] = [0.5 + 0.01 * (number % 3) for number in range(count)]
    table["model_id"] = [f"{number:016x}" for number in range(count)]
    table["seed"], table["epoch"], table["split"] = range(count), 1, "test"
    return Population.of("made-up", Tokenizer.of(layout), weights, table)


def merged(
    name: str, models: Population, groups: list[list[int]], bases: Tensor | None = None, **settings: object
) -> Tensor:
    """What a method makes of the groups, with the access that it declares and no more."""
    method = get_method(name)
    shown = granted(method, models, Access.LABELS, MadeUpImages()).as_anchors()
    return method.fit(None, 0, method.config(None, settings)).merge(shown, torch.tensor(groups), bases, 0)
