"""How good generated models are on images, without any training.

Source: Schürholt et al., SANE, arXiv 2406.09997, section 4.2 (subsampled: draw many, keep the best by validation
accuracy).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoobench.evaluation import accuracies, build_module, condition_batch_norm, images_of
from zoobench.methods.base import Generator
from zoobench.tasks.measurement import Measurement
from zoobench.tokens import Population

TASK = "generation"


@dataclass(frozen=True)
class GenerationProtocol:
    """How many anchors, how many models are drawn, how many are kept, and by how many validation images."""

    anchors: int = 5
    drawn: int = 200
    kept: int = 10
    selection_images: int = 500


@dataclass(frozen=True)
class Generated:
    """Models of one method: kept weights [kept, D], their test accuracy, and all draws' validation accuracy."""

    weights: Tensor
    test_accuracy: Tensor
    drawn_accuracy: Tensor


def choose_anchors(population: Population, count: int) -> Population:
    """The best checkpoint of each of the best training models, by validation accuracy.

    Anchors share the activation of the best, since weights do not say which activation they were trained for.
    """
    table = population.table
    candidates = table[table["split"] == "train"].sort_values("val_accuracy", ascending=False, kind="stable")
    same = candidates[candidates["activation"] == candidates["activation"].iloc[0]]
    best = same.drop_duplicates("model_id").head(count)
    return population.select(table.index.isin(best.index))


def generate(
    method: Generator, anchors: Population, protocol: GenerationProtocol, seed: int, data_root: Path | None
) -> Generated:
    """Draw models, condition their BatchNorm on training images, keep the best on validation images, and
    evaluate those kept on test images."""
    row = anchors.table.iloc[0]
    module, layout = build_module(row), anchors.layout
    drawn = method.generate(anchors, protocol.drawn, seed)
    drawn = condition_batch_norm(drawn, layout, module, images_of(row, "train", data_root))
    validation = images_of(row, "val", data_root).first(protocol.selection_images)
    drawn_accuracy = accuracies(drawn, layout, module, validation)
    kept = drawn[torch.argsort(drawn_accuracy, descending=True, stable=True)[: protocol.kept]]
    return Generated(kept, accuracies(kept, layout, module, images_of(row, "test", data_root)), drawn_accuracy)


def score(name: str, generated: Generated, population: str, seed: int) -> list[Measurement]:
    """Mean, spread and best test accuracy of the kept models, and mean validation accuracy of all drawn."""
    kept = generated.test_accuracy
    metrics = {
        "kept_mean": kept.mean(),
        "kept_std": kept.std(correction=0),
        "kept_best": kept.max(),
        "drawn_mean": generated.drawn_accuracy.mean(),
    }
    return [Measurement(TASK, name, population, metric, seed, float(value)) for metric, value in metrics.items()]
