"""Made-up families of models: what training adds to weights is drawn at random, and nothing is trained."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.networks.architectures import get_architecture
from zoobench.populations import Population, Tokenizer
from zoobench.populations.target import Target

ROW = {"dataset": "digits", "train_images": 300, "data_part": None, "architecture": "cnn_s", "width": 1.0}
ROW |= {"image_size": 28, "channels": 1, "classes": 10, "init": "kaiming_uniform"}
STEP = 0.3
"""How far a child is from its parent, as a share of the parent's norm."""


def families(
    count: int, activation: str = "tanh", split: str = "test", steps: tuple[float, ...] = (STEP,), seed: int = 0
) -> Population:
    """Trunks `t`, each with children `t.0` and `t.1`, which have two children each, and a model `t.x` that has only the
    initialization in common with it, and a child of its own. Children differ by these steps in turn."""
    empty = Target(
        activation,
        pd.Series(ROW | {"activation": activation}),
        Tokenizer.of(get_architecture("cnn_s").layout(1, 10, 1.0)),
    )
    fresh = iter(empty.new_models(count, seed))
    generator = torch.Generator().manual_seed(seed)
    rows: list[dict[str, object]] = []
    weights: list[Tensor] = []

    def add(name: str, start: Tensor, step: float, parent: str | None = None, epoch: int | None = None) -> Tensor:
        added = torch.randn(start.shape, generator=generator)
        weights.append(start + step * start.norm() * added / added.norm())
        rows.append({"model_id": name, "parent": parent, "parent_epoch": epoch, "seed": int(name.split(".")[0])})
        return weights[-1]

    for number in range(count):
        first = next(fresh)
        name = f"{seed + number}"
        trunk = add(name, first, 0.5)
        line = [(name, trunk, f"{name}.{child}") for child in range(2)]
        for parent, start, child in line:
            own = add(child, start, steps[len(rows) % len(steps)], parent, 10)
            for each in range(2):
                add(f"{child}.{each}", own, steps[len(rows) % len(steps)], child, 10)
        other = add(f"{name}.x", first, 0.5, name, 0)
        add(f"{name}.x.0", other, steps[len(rows) % len(steps)], f"{name}.x", 10)
    table = pd.DataFrame(rows).assign(**ROW | {"activation": activation, "epoch": 10, "split": split})
    return Population.of(f"families-{activation}", empty.tokenizer, torch.stack(weights), table)
