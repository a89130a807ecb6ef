"""Accuracy of generated models when they are trained further, epoch by epoch.

Sources: Schürholt et al., arXiv 2209.14733, section 4.3; Schürholt, Mahoney & Borth, SANE, arXiv 2406.09997, section
4.2 (test accuracy after 0, 1, 5 and 25 epochs, beside training from random initialization).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pandas as pd
from torch import Tensor

from zoo_generation.data.load import load_images
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.program import with_ties
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.memory import stack_size_for
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.train import train_models
from zoobench.methods.protocols import Generator
from zoobench.methods.sampling import generate
from zoobench.populations import Access, Population
from zoobench.populations.target import Target
from zoobench.tasks.answers import Weights
from zoobench.tasks.base import TEST_IMAGES, Setting, Work
from zoobench.tasks.estimates import Estimate
from zoobench.tasks.forms import WeightForm
from zoobench.tasks.generation import Generation

COLUMNS = ("width", "activation", "optimizer", "learning_rate", "batch_size", "weight_decay", "dropout", "image_size")
"""Columns of a zoo's row that say how its model was trained, except for the schedule."""

FIRST_SEED = 10_000  # beyond those that zoos are usually trained with
SEEDS = 100  # per seed of the benchmark; if more models are trained, some share their seed with the next


@dataclass(frozen=True)
class FineTuning:
    """Train the best `models` of those that `generation` keeps as the best anchor was trained, at a constant rate.

    epochs: those after which test accuracy is measured; 0 is before training. All methods' models, random ones too, are
    drawn and selected alike, and see the same images in the same order.
    """

    epochs: tuple[int, ...] = (0, 1, 5, 25)
    models: int = 5
    generation: Generation = field(default_factory=Generation)

    name: ClassVar[str] = "fine_tuning"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "Generate models, and train them further: test accuracy after some epochs"
    paper: ClassVar[str] = "arXiv 2209.14733"
    asks: ClassVar = Generator
    access: ClassVar[Access] = Access.IMAGES
    uses_sources: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.epochs or min(self.epochs) < 0 or max(self.epochs) < 1:
            raise InputError(
                f"fine-tuning was given the epochs {self.epochs}; give numbers from 0 on, one of them above 0"
            )
        if self.models < 1:
            raise InputError(f"fine-tuning was given {self.models} models to train; take 1 or more")

    @property
    def primary(self) -> str:
        """After the first epoch above 0."""
        return f"after_{next(epoch for epoch in self.epochs if epoch)}"

    def form(self, setting: Setting) -> WeightForm:
        """At most as many models as are trained."""
        return WeightForm.made(range(1, self.models + 1), setting.target.layout.size)

    def anchors_of(self, target: Population) -> Population:
        """The best of the target's training models."""
        return self.generation.anchors_of(target)

    def ask(self, method: Generator, setting: Setting) -> Weights:
        """Generate; the weights are those before training."""
        anchors = self.anchors_of(setting.target)
        how = self.generation.how
        generated = generate(method, anchors, how, setting.seed, setting.images, device=setting.device)
        return Weights(generated.weights[: self.models])

    def reads(self, target: Population) -> Population:
        return self.anchors_of(target)

    def judge(self, answer: Weights, setting: Setting) -> pd.DataFrame:
        """Train. Observations: model, its number, best first, as a string; epoch; test_accuracy."""
        anchors = self.anchors_of(setting.target)
        best = anchors.table.iloc[int(anchors.table["val_accuracy"].argmax())]
        specs = specs_like(best, len(answer.weights), self.epochs, setting.seed)
        return self.train(answer.weights, Target.of(anchors), specs, setting)

    def train(self, weights: Tensor, target: Target, specs: Sequence[ModelSpec], setting: Setting) -> pd.DataFrame:
        """Train models of the target, weights [models, D], as their specs say. Observations as in `judge`."""
        tied = with_ties(weights, target.layout, target.module())
        trained = fine_tune(tied, target.layout, specs, setting.images.data_root, setting.device)
        rows = []
        for number, model in enumerate(trained):
            rows += [(str(number), epoch, accuracy_after(model, epoch)) for epoch in self.epochs]
        return pd.DataFrame(rows, columns=["model", "epoch", "test_accuracy"])

    def score(self, observations: pd.DataFrame) -> dict[str, Estimate]:
        """Mean test accuracy after each of the epochs."""
        by_epoch = observations.groupby("epoch", sort=True)
        return {f"after_{epoch}": Estimate.mean(rows["model"], rows["test_accuracy"]) for epoch, rows in by_epoch}

    def work(self, checkpoints: int, train_images: int) -> Work:
        """Generation, then training (a backward pass counts as two forward ones), and evaluation after the epochs."""
        drawn = self.generation.work(checkpoints, train_images)
        images = 3 * max(self.epochs) * train_images + len(self.epochs) * (train_images + TEST_IMAGES)
        return Work(drawn.models, drawn.images + self.models * images)


def specs_like(row: pd.Series, count: int, epochs: tuple[int, ...], seed: int) -> list[ModelSpec]:
    """Specs of `count` models to be trained as the row of a zoo was, and kept after each of the epochs.

    Raises `InputError` if the row does not say how.
    """
    if missing := [column for column in COLUMNS if pd.isna(row[column])]:
        raise InputError(
            f"models of {row['dataset']} {row['architecture']} cannot be trained further, because the zoo does "
            f"not say the {missing[0]} of model {row['model_id']}; take a zoo that says it"
        )
    cap, part = row["train_images"], row.get("data_part")
    spec = make_spec(
        {"datasets": row["dataset"], "architectures": row["architecture"], "schedule": "constant"}
        | {column: row[column] for column in COLUMNS}
        | {"train_images": None if pd.isna(cap) else int(cap), "image_size": int(row["image_size"])}
        | {"channels": int(row["channels"]), "part": None if pd.isna(part) else part}
        | {"epochs": max(epochs), "checkpoint_epochs": epochs}
        | {"seeds": count, "seed": FIRST_SEED + SEEDS * seed}
    )
    return spec.models()


def fine_tune(
    weights: Tensor | None,
    layout: Layout,
    specs: Sequence[ModelSpec],
    data_root: Path | None,
    device: str,
    curve: Collection[int] = (),
) -> list[TrainedModel]:
    """The models of these weights [models, D], or new ones for None, trained as their specs say; curve: as of
    `train_models`."""
    images = load_images(dataset_key(specs[0]), data_root)
    size = stack_size_for(specs[0], images, device)
    start = None if weights is None else [layout.unflatten(each) for each in weights]
    return train_models(specs, images, size, device, start=start, curve=curve)


def accuracy_after(model: TrainedModel, epoch: int) -> float:
    """Test accuracy after an epoch; 0 if the model has diverged by then."""
    reached = {checkpoint.epoch: checkpoint.metrics.test_accuracy for checkpoint in model.checkpoints}
    return reached.get(epoch, 0.0)


FINE_TUNING = FineTuning()
