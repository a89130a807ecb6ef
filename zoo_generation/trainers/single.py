"""Train one model at a time: the plain loop that every faster trainer must agree with."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset, Split
from zoo_generation.init import initialise
from zoo_generation.sink import Checkpoint, Metrics, Status, TrainedModel
from zoo_generation.spec import ModelSpec

EVALUATION_BATCH = 500  # images; larger batches fall out of the cache on a CPU

Report = Callable[[int, float], None]  # (epochs done, validation accuracy)


def train_model(
    spec: ModelSpec, dataset: ImageDataset, device: str = "cpu", report: Report | None = None
) -> TrainedModel:
    """Train one model and keep its checkpoints.

    Everything random (weights, dropout, order of the images, augmentation) comes from `spec.seed`, so that the
    result depends on the spec and the images alone. `dataset` must already have the channels and size of the
    model. Weights that stop being finite end the training: what was saved stays, with status `diverged`.
    """
    started = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device != "cpu" else []):
        torch.manual_seed(spec.seed)
        model = _build(spec, dataset)
        order = memory_format(model)
        model = model.to(device).to(memory_format=order)
        splits = [prepare(dataset, split, device, order) for split in (dataset.train, dataset.val, dataset.test)]
        checkpoints, status = _train(model, spec, splits, report)
    return TrainedModel(
        spec=spec,
        status=status,
        seconds=time.perf_counter() - started,
        channels=dataset.channels,
        classes=len(dataset.classes),
        checkpoints=tuple(checkpoints),
    )


def prepare(dataset: ImageDataset, split: Split, device: str, order: torch.memory_format) -> tuple[Tensor, Tensor]:
    """Normalised images [images, channels, size, size] in a memory format, and labels, on the device."""
    images = dataset.normalise(split.images.to(device)).contiguous(memory_format=order)
    return images, split.labels.to(device)


def memory_format(model: nn.Module) -> torch.memory_format:
    """Channels-last, which is a third faster on a CPU, unless the model has a layer that it corrupts the heap on.

    That layer is a strided 1×1 convolution of fewer than eight channels: the gradient that oneDNN 3.13
    (PyTorch 2.15) computes for it in channels-last order writes past its memory.
    """
    corrupting = any(
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels < 8
        for layer in model.modules()
    )
    return torch.contiguous_format if corrupting else torch.channels_last


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a model in evaluation mode."""
    model.eval()
    loss = torch.zeros((), dtype=torch.float64)
    correct = 0
    with torch.no_grad():
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits = model(images[batch])
            loss += F.cross_entropy(logits, labels[batch], reduction="sum").double().cpu()
            correct += int((logits.argmax(1) == labels[batch]).sum())
    model.train()
    return float(loss) / len(images), correct / len(images)


def _build(spec: ModelSpec, dataset: ImageDataset) -> nn.Module:
    model = get_architecture(spec.architecture).build(
        channels=dataset.channels,
        classes=len(dataset.classes),
        activation=spec.activation,
        dropout=spec.dropout,
        width=spec.width,
    )
    initialise(model, spec.init)
    return model


def _train(
    model: nn.Module, spec: ModelSpec, splits: list[tuple[Tensor, Tensor]], report: Report | None
) -> tuple[list[Checkpoint], Status]:
    images, labels = splits[0]
    steps = math.ceil(len(images) / spec.batch_size)
    optimizer = _optimizer(model, spec)
    schedule = _schedule(optimizer, spec, steps * spec.epochs)
    order = torch.Generator().manual_seed(spec.seed)
    checkpoints: list[Checkpoint] = []
    for epoch in range(spec.epochs + 1):
        if epoch > 0:
            for chosen in _batches(len(images), spec.batch_size, order):
                batch = augmented(images[chosen], order) if spec.augment else images[chosen]
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(model(batch), labels[chosen]).backward()
                optimizer.step()
                schedule.step()
        if not all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()):
            return checkpoints, "diverged"
        if epoch in spec.checkpoint_epochs:
            checkpoints.append(Checkpoint(epoch, _metrics(model, splits), _snapshot(model)))
        if report is not None and epoch > 0:
            report(epoch, checkpoints[-1].metrics.val_accuracy if checkpoints else math.nan)
    return checkpoints, "trained"


def _metrics(model: nn.Module, splits: list[tuple[Tensor, Tensor]]) -> Metrics:
    return Metrics(*(value for images, labels in splits for value in evaluate(model, images, labels)))


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: copy.deepcopy(value.detach().cpu().contiguous()) for name, value in model.state_dict().items()}


def _optimizer(model: nn.Module, spec: ModelSpec) -> torch.optim.Optimizer:
    if spec.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), spec.learning_rate, weight_decay=spec.weight_decay, fused=True)
    return torch.optim.SGD(
        model.parameters(), spec.learning_rate, momentum=0.9, weight_decay=spec.weight_decay, fused=True
    )


def _schedule(optimizer: torch.optim.Optimizer, spec: ModelSpec, steps: int) -> LRScheduler:
    if spec.schedule == "onecycle":
        return OneCycleLR(optimizer, spec.learning_rate, total_steps=steps, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0)


def _batches(images: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from torch.randperm(images, generator=generator).split(size)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crop after four pixels of zero padding, and horizontal flip, drawn for each image."""
    count, channels, height, width = images.shape
    flip = torch.rand(count, generator=generator) < 0.5
    top, left = torch.randint(0, 9, (2, count, 1), generator=generator)
    rows = torch.arange(height) + top
    columns = torch.arange(width)
    columns = torch.where(flip[:, None], columns.flip(0), columns) + left
    image, channel = torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None]
    return F.pad(images, (4, 4, 4, 4))[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
