"""Training models on soft labels of their own, all together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_generation.data import ImageDataset, Split
from zoo_generation.data.images import Images
from zoo_generation.networks.program import device_of
from zoo_generation.networks.registry import known_activation
from zoo_generation.training.fields import Optimizer
from zoo_generation.training.memory import stack_size_for
from zoo_generation.training.objective import Objective
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.train import train_models
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Population


@dataclass(frozen=True)
class Teaching:
    """How students are trained: without schedule, augmentation or dropout, on the same images in the same order.

    averaging: the share of itself that an average of the weights keeps at each step; 0 for no average.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    optimizer: Optimizer = "sgd"
    averaging: float = 0.0

    def taught(self, students: Population, soft: Tensor, shown: Images, seed: int) -> Tensor:
        """Weights [students, D] after training on soft labels [students, images, classes] of the images shown.

        A student whose training diverges comes back with all weights 0: at chance.
        """
        weights = torch.zeros_like(students.weights)
        dataset, device = _dataset_of(students, shown), device_of("auto")
        for activation, rows in students.table.groupby("activation", dropna=False):
            places, spec = rows.index.tolist(), self.spec(students, activation, seed)
            trained = train_models(
                [spec] * len(places),
                dataset,
                stack_size_for(spec, dataset, device),
                device,
                start=[students.layout.unflatten(each) for each in students.weights[places]],
                objective=Objective(soft[places]),
                averaging=self.averaging,
            )
            for place, model in zip(places, trained, strict=True):
                if model.checkpoints:
                    weights[place] = students.layout.flatten(model.checkpoints[-1].state)
        return weights

    def spec(self, students: Population, activation: object, seed: int) -> ModelSpec:
        """How students of an activation are trained. Raises `InapplicableError` if it is not known."""
        row, known = students.table.iloc[0], known_activation(activation)
        if known is None:
            raise InapplicableError(f"models of {students.name} have no known activation, so they cannot be trained")
        return ModelSpec(
            dataset=str(row["dataset"]),
            train_images=None,
            architecture=str(row["architecture"]),
            width=float(row["width"]),
            image_size=int(row["image_size"]),
            activation=known,
            init="kaiming_uniform",
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=0.0,
            batch_size=self.batch_size,
            schedule="constant",
            augment=False,
            epochs=self.epochs,
            checkpoint_epochs=(self.epochs,),
            seed=seed,
            order_seed=seed,
        )


def _dataset_of(students: Population, shown: Images) -> ImageDataset:
    """A dataset of these training images alone; they are normalised already."""
    classes = tuple(map(str, range(int(students.table["classes"].iloc[0]))))
    train, none = Split(shown.images, shown.labels), Split(shown.images[:0], shown.labels[:0])
    return ImageDataset(students.name, classes, train, none, none, mean=(), std=())
