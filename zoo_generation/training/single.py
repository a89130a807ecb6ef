"""Train one model at a time: the plain loop that every faster trainer must agree with."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from zoo_generation.data import ImageDataset
from zoo_generation.data.images import normalised
from zoo_generation.networks.module import State, kept, load
from zoo_generation.networks.randomness import EVALUATION_SEED, seeded
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.models import (
    build_model,
    outputs_of,
    seen_images,
    status_of,
    tell_epoch,
    training_precision,
    truth_of,
)
from zoo_generation.training.objective import Objective, are_right, losses_of
from zoo_generation.training.optimizers import MOMENTUM, average, momentum_of
from zoo_generation.training.randomness import Augmentation, order_generator, training_seed
from zoo_generation.training.sink import Checkpoint, Metrics, Point, TrainedModel
from zoo_generation.training.spec import ModelSpec

EVALUATION_BATCH = 500  # images; larger batches fall out of the cache on a CPU


def train_model(
    spec: ModelSpec,
    dataset: ImageDataset,
    device: str = "cpu",
    progress: Progress = QUIET,
    start: State | None = None,
    objective: Objective | None = None,
    averaging: float = 0.0,
    curve: Collection[int] = (),
) -> TrainedModel:
    """Train one model, from the weights `start` if there are any, and keep its checkpoints.

    It minimises `objective`, or the cross-entropy with the labels of the training images if that is None. averaging,
    curve: as of `train_models`.

    Everything random (weights, dropout, noise, order of the images, augmentation) comes from `spec.seed`, so that the
    result depends on the spec, the images, the start and the objective alone. `dataset` must already have the channels
    and size of the model. Training ends if a weight is not finite: what was saved stays, with status `diverged`.
    Metrics are measured in a new network with the weights that a zoo keeps.
    """
    started = time.perf_counter()
    training = ModelTraining(spec, dataset, device, start, objective, averaging, curve)
    with seeded(training_seed(spec), device):
        checkpoints, diverged = _train(training, progress)
    threads = torch.get_num_threads() if device == "cpu" else 1
    return TrainedModel(
        spec=spec,
        status=status_of(checkpoints, diverged, dataset.val),
        seconds=(time.perf_counter() - started) * threads,
        channels=dataset.channels,
        classes=outputs_of(spec, dataset),
        checkpoints=tuple(checkpoints),
        curve=tuple(training.points),
    )


class ModelTraining:
    """One model in training; `shown` is another of its kind, in which metrics are measured; `average` one that holds
    the average of its weights, None if these count as they are; `points` are those of its curve so far."""

    def __init__(
        self,
        spec: ModelSpec,
        dataset: ImageDataset,
        device: str,
        start: State | None = None,
        objective: Objective | None = None,
        averaging: float = 0.0,
        curve: Collection[int] = (),
    ) -> None:
        self.spec, self.averaging = spec, averaging
        self.wanted, self.steps, self.points = frozenset(curve), 0, list[Point]()
        self.model, self.shown = build_model(spec, dataset, device, start), build_model(spec, dataset, device)
        self.average = build_model(spec, dataset, device, start) if averaging else None
        layout = memory_format(self.model, spec.architecture)
        if layout is torch.channels_last:
            self.model, self.shown = self.model.to(memory_format=layout), self.shown.to(memory_format=layout)
        self.splits = []
        for split in (dataset.train, dataset.val, dataset.test):
            images, labels = normalised(dataset, split, device)
            self.splits.append((images.contiguous(memory_format=layout), truth_of(spec, labels)))
        self.objective = (objective or Objective(truth_of(spec, dataset.train.labels))).to(device)
        self.seen = seen_images(spec, len(dataset.train))
        steps = math.ceil(len(self.seen) / spec.batch_size)
        momentum = momentum_of(spec)
        self.optimizer = optimizer_of(self.model, spec.optimizer, spec.learning_rate, spec.weight_decay, momentum)
        self.schedule = _schedule(self.optimizer, spec, steps * spec.epochs)
        self.order = order_generator(spec)

    @property
    def counted(self) -> nn.Module:
        """The model whose weights checkpoints hold."""
        return self.average or self.model

    def epoch(self) -> None:
        """Show the model every training image that it sees once."""
        images, spec = self.splits[0][0], self.spec
        order = self.seen[torch.randperm(len(self.seen), generator=self.order)]
        for chosen in order.to(images.device).split(spec.batch_size):
            batch = images[chosen]
            if spec.augment:
                batch = Augmentation.draw(len(chosen), self.order)(batch)
            self.optimizer.zero_grad(set_to_none=True)
            with training_precision(spec, images.device):
                loss = self.objective.loss(self.model(batch), chosen)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            if self.average is not None:
                average(_floats(self.average), _floats(self.model), self.averaging)
            self.steps += 1
            self.measure()

    def measure(self) -> None:
        """Add the point of this step to the curve, if it is wanted, and the weights are finite."""
        if self.steps not in self.wanted:
            return
        state = kept(self.counted.state_dict())
        if _is_finite(state):
            load(self.shown, state)
            self.points.append(Point(self.steps, *evaluate(self.shown, *self.splits[2])))


def _floats(model: nn.Module) -> list[Tensor]:
    """Parameters and statistics, tied ones once."""
    return [value.detach() for value in (*model.parameters(), *model.buffers()) if value.is_floating_point()]


def memory_format(model: nn.Module, architecture: str) -> torch.memory_format:
    """Channels-last, which is a third faster on a CPU, unless a layer of the model corrupts the heap in that order.

    That layer is a strided 1×1 convolution of fewer than eight channels: the gradient that oneDNN 3.13
    (PyTorch 2.15) computes for it in channels-last order writes past its memory. A user's network has the order of
    plain PyTorch: `x.view(len(x), -1)` fails on any other.
    """
    corrupting = any(
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels < 8
        for layer in model.modules()
    )
    return torch.contiguous_format if corrupting or ":" in architecture else torch.channels_last


def evaluate(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean loss and accuracy of a model in evaluation mode, see `losses_of` and `are_right`; its random numbers are the
    same each time. NaN without images."""
    if not len(images):
        return math.nan, math.nan
    model.eval()
    loss = torch.zeros((), dtype=torch.float64)
    correct = 0
    with torch.no_grad(), seeded(EVALUATION_SEED, images.device.type):
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits = model(images[batch])
            loss += losses_of(logits, labels[batch], "sum").double().cpu()
            correct += int(are_right(logits, labels[batch]).sum())
    model.train()
    return float(loss) / len(images), correct / len(images)


def optimizer_of(
    model: nn.Module, name: str, learning_rate: float, weight_decay: float, momentum: float = MOMENTUM
) -> torch.optim.Optimizer:
    """PyTorch's own; parameters that no gradient reaches stay as they are. momentum: of SGD."""
    if name == "adam":
        return torch.optim.Adam(model.parameters(), learning_rate, weight_decay=weight_decay, fused=True)
    return torch.optim.SGD(model.parameters(), learning_rate, momentum, weight_decay=weight_decay, fused=True)


def _train(training: ModelTraining, progress: Progress) -> tuple[list[Checkpoint], bool]:
    spec, model = training.spec, training.counted
    step = progress.stage(spec.id)
    checkpoints: list[Checkpoint] = []
    training.measure()
    for epoch in range(spec.epochs + 1):
        if epoch > 0:
            training.epoch()
        state = kept(model.state_dict())
        if not _is_finite(state):
            return checkpoints, True
        if epoch in spec.checkpoint_epochs:
            checkpoints.append(Checkpoint(epoch, _metrics(training.shown, state, training.splits), _snapshot(model)))
        if epoch > 0:
            tell_epoch(step, spec, epoch, checkpoints)
    return checkpoints, False


def _is_finite(state: State) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in state.values())


def _metrics(shown: nn.Module, state: State, splits: list[tuple[Tensor, Tensor]]) -> Metrics:
    values: list[float] = []
    for images, labels in splits:
        load(shown, state)  # each time, because a forward pass may change it
        values += evaluate(shown, images, labels)
    return Metrics(*values)


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    tensors = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    return {name: copy.deepcopy(value.detach().cpu().contiguous()) for name, value in tensors.items()}


def _schedule(optimizer: torch.optim.Optimizer, spec: ModelSpec, steps: int) -> LRScheduler:
    if spec.schedule == "onecycle":
        return OneCycleLR(optimizer, spec.learning_rate, total_steps=steps, cycle_momentum=False)
    return ConstantLR(optimizer, factor=1.0)
