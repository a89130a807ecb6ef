"""Shared by both trainers: building a model, what it answers, deciding its status, measuring skills, telling epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo_generation.data import ImageDataset, Split, get_dataset
from zoo_generation.data.subset import subset_rows
from zoo_generation.errors import InputError
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import Network, State
from zoo_generation.networks.randomness import seed_dropout
from zoo_generation.networks.skills import skill_strengths
from zoo_generation.progress import Step
from zoo_generation.training.randomness import dropout_generator
from zoo_generation.training.sink import Checkpoint, Status, TrainedModel
from zoo_generation.training.spec import ModelSpec

CHANCE_DEVIATIONS = 3.0


def build_model(spec: ModelSpec, dataset: ImageDataset, device: str, start: State | None = None) -> nn.Module:
    """The model of a spec before training, on the device.

    Its weights are those of `start`; if that is None, they depend on `spec.seed` alone.
    """
    model = network_of(spec, dataset).build(spec.seed, spec.init)
    if start is not None:
        model.load_state_dict({**model.state_dict(), **start})  # the counters of BatchNorm are not among flat weights
    seed_dropout(model, dropout_generator(spec, device))
    return model.to(device)


def seen_images(spec: ModelSpec, images: int) -> Tensor:
    """Which of that many training images a model is trained on: int64, ascending; all, unless it has a subset."""
    if spec.subset_fraction is None or spec.subset_seed is None:
        return torch.arange(images)
    return subset_rows(images, spec.subset_fraction, spec.subset_seed)


def training_precision(spec: ModelSpec, device: torch.device) -> AbstractContextManager[object]:
    """The precision of a spec's convolutions and matrix products: bfloat16 if asked for, on a GPU; else float32."""
    if spec.precision is None or device.type == "cpu":
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, spec.precision))


def status_of(checkpoints: list[Checkpoint], diverged: bool, val: Split) -> Status:
    """The status of a trained model.

    It is `at_chance` if its last validation accuracy is not `CHANCE_DEVIATIONS` above the share of the largest class,
    in standard deviations of a binomial distribution over the validation images. Without any of these it is `trained`.
    """
    if diverged:
        return "diverged"
    if not len(val):
        return "trained"
    share = float(val.labels.bincount().max()) / len(val)
    chance = share + CHANCE_DEVIATIONS * math.sqrt(share * (1 - share) / len(val))
    return "trained" if checkpoints[-1].metrics.val_accuracy > chance else "at_chance"


def tell_epoch(step: Step, spec: ModelSpec, epoch: int, checkpoints: list[Checkpoint]) -> None:
    """Report that a model has completed an epoch, with the validation accuracy of its last checkpoint if it has one."""
    numbers = {"val_accuracy": checkpoints[-1].metrics.val_accuracy} if checkpoints else {}
    step(epoch, spec.epochs, numbers)


def network_of(spec: ModelSpec, dataset: ImageDataset) -> Network:
    """The network of a spec, for the dataset's channels and classes."""
    outputs = outputs_of(spec, dataset)
    return Network(spec.architecture, dataset.channels, outputs, spec.activation, spec.dropout, spec.width)


def outputs_of(spec: ModelSpec, dataset: ImageDataset) -> int:
    """How many outputs a spec's network has: one for each class, or one for the number to regress on."""
    return len(dataset.classes) if spec.loss is None else 1


def with_skills(models: Sequence[TrainedModel], dataset: ImageDataset, device: str = "cpu") -> list[TrainedModel]:
    """Models of one `stack_key` with how far each checkpoint has learned each skill of their dataset.

    `skill_1` and so on are strengths, `skill_loss_1` and so on losses, see `skill_strengths`. The same models where the
    skills of the dataset are not known, or models do not answer with a number.
    """
    spec, skills = models[0].spec, get_dataset(models[0].spec.dataset).skills
    states = [checkpoint.state for model in models for checkpoint in model.checkpoints]
    if skills is None or spec.loss is None or not states:
        return list(models)
    layout = Layout.of(states[0])
    weights = torch.stack([layout.flatten(state) for state in states])
    found = skill_strengths(weights, layout, network_of(spec, dataset).build(spec.seed, spec.init), skills, device)
    names = [f"{name}_{number + 1}" for name in ("skill", "skill_loss") for number in range(skills.skills)]
    rows = iter(torch.cat(found, dim=1).tolist())
    measured = []
    for model in models:
        checkpoints = [replace(each, skills=dict(zip(names, next(rows), strict=True))) for each in model.checkpoints]
        measured.append(replace(model, checkpoints=tuple(checkpoints)))
    return measured


def truth_of(spec: ModelSpec, labels: Tensor) -> Tensor:
    """What a spec's network is to answer: the labels int64 [images], or the numbers that stand for them, float32.

    Raises `InputError` if none stand for the classes of its dataset.
    """
    if spec.loss is None:
        return labels
    if not (targets := get_dataset(spec.dataset).targets):
        raise InputError(
            f"the classes of '{spec.dataset}' stand for no numbers, so there is no squared error; leave out loss, or "
            "take the dataset sparse_parity"
        )
    return torch.tensor(targets, device=labels.device)[labels]
