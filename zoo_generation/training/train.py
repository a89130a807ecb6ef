"""Trainers: model specs and images in, trained models out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from zoo_generation.data import ImageDataset
from zoo_generation.errors import InputError
from zoo_generation.networks.module import State, first_line
from zoo_generation.networks.stack import UnstackableError
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.models import outputs_of
from zoo_generation.training.objective import Objective
from zoo_generation.training.single import train_model
from zoo_generation.training.sink import TrainedModel
from zoo_generation.training.spec import ModelSpec
from zoo_generation.training.stacked import stack_key, train_stack
from zoo_generation.training.trial import why_alone

__all__ = [
    "Objective",
    "State",
    "UnstackableError",
    "stack_key",
    "train_model",
    "train_models",
    "train_stack",
    "why_alone",
]


def train_models(
    specs: Sequence[ModelSpec],
    dataset: ImageDataset,
    size: int,
    device: str = "cpu",
    progress: Progress = QUIET,
    start: Sequence[State] | None = None,
    objective: Objective | None = None,
    averaging: float = 0.0,
    curve: Collection[int] = (),
) -> list[TrainedModel]:
    """Train models of one `stack_key`: in stacks of `size`, or one at a time if a stack does not compute the same.

    A stack of one on a GPU is also trained alone, which is quicker.

    Each starts from its weights in `start`, or from its spec's initialization if that is None. Each minimises its part
    of `objective`, or the cross-entropy with the labels of the training images if that is None. Metrics and status are
    always those of the network alone, without offsets, against the labels of the images. With `averaging` above 0,
    checkpoints hold an exponential moving average of the weights, which keeps that share of itself at each step.
    curve: numbers of optimizer steps, 0 for before the first, after which the weights that a checkpoint would hold are
    measured on the test images; what is trained does not depend on it.
    `progress` gets one stage per model, named by the model's id. Raises `InputError` if a user's network cannot be
    trained, if the objective does not fit the models or the images, and unless `averaging` is from 0 to below 1.
    """
    if not 0 <= averaging < 1:
        raise InputError(f"averaging is {averaging:g}; give 0, for no averages, or more, and less than 1")
    if objective is not None:
        objective.check(len(specs), len(dataset.train), outputs_of(specs[0], dataset), specs[0].augment)
    if why_alone(specs[0], dataset, device) is None and (size > 1 or device == "cpu"):
        parts = [slice(first, first + size) for first in range(0, len(specs), size)]
        return [
            model
            for part in parts
            for model in train_stack(
                specs[part],
                dataset,
                device,
                progress,
                start[part] if start else None,
                objective.part(part) if objective else None,
                averaging,
                curve,
            )
        ]
    return [
        _train_alone(
            spec,
            dataset,
            device,
            progress,
            start[place] if start else None,
            objective.part(slice(place, place + 1)) if objective else None,
            averaging,
            curve,
        )
        for place, spec in enumerate(specs)
    ]


def _train_alone(
    spec: ModelSpec,
    dataset: ImageDataset,
    device: str,
    progress: Progress,
    start: State | None,
    objective: Objective | None,
    averaging: float,
    curve: Collection[int],
) -> TrainedModel:
    try:
        return train_model(spec, dataset, device, progress, start, objective, averaging, curve)
    except Exception as error:  # whatever a user's forward pass raises on some batch
        if ":" not in spec.architecture or isinstance(error, InputError):
            raise
        raise InputError(f"the architecture '{spec.architecture}' fails in training: {first_line(error)}") from error
