"""Train many models of the same shape at once: the same results as `single`, many times faster."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Hashable, Sequence

import torch
from torch import Tensor

from zoo_generation.data import ImageDataset
from zoo_generation.data.images import normalised
from zoo_generation.networks.module import State
from zoo_generation.networks.stack import Stack
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
from zoo_generation.training.optimizers import StackedOptimizer, average, rate_factors
from zoo_generation.training.randomness import Augmentation, order_generator
from zoo_generation.training.sink import Checkpoint, Metrics, Point, TrainedModel
from zoo_generation.training.spec import ModelSpec

EVALUATION_BATCH = 64  # images; rows of larger batches fall out of the first-level cache
OWN = {
    *("seed", "order_seed", "subset_seed", "init", "learning_rate", "weight_decay", "dropout"),
    *("parent", "parent_epoch"),
}
"""Fields in which the models of one stack may differ. Their subsets have one size, because a step is of all models."""


def stack_key(spec: ModelSpec) -> Hashable:
    """Models of one key can be trained in one stack. Those of a user's function share their dropout, its argument."""
    own = OWN - {"dropout"} if ":" in spec.architecture else OWN
    return spec.model_copy(update={"order_seed": None}).model_dump_json(exclude=own), spec.order_seed is None


def train_stack(
    specs: Sequence[ModelSpec],
    dataset: ImageDataset,
    device: str = "cpu",
    progress: Progress = QUIET,
    start: Sequence[State] | None = None,
    objective: Objective | None = None,
    averaging: float = 0.0,
    curve: Collection[int] = (),
) -> list[TrainedModel]:
    """Train models of one `stack_key`, with one forward and backward pass per step for all of them.

    Each starts from its weights in `start` if there are any, and minimises its part of `objective`. averaging,
    curve: as of `train_models`. The results are those of `train_model` within float tolerance, and no model's depends
    on the others. Raises `UnstackableError` if the architecture has a layer that stacks do not know.
    """
    started = time.perf_counter()
    training = StackTraining(specs, dataset, device, start, objective, averaging, curve)
    training.measure()
    steps = [progress.stage(spec.id) for spec in specs]
    for epoch in range(specs[0].epochs + 1):
        if epoch > 0:
            training.epoch()
        training.save(epoch)
        if epoch > 0:
            for step, spec, checkpoints in zip(steps, specs, training.checkpoints, strict=True):
                tell_epoch(step, spec, epoch, checkpoints)
    threads = torch.get_num_threads() if device == "cpu" else 1
    seconds = (time.perf_counter() - started) * threads / len(specs)
    return [
        TrainedModel(
            spec=spec,
            status=status_of(checkpoints, diverged, dataset.val),
            seconds=seconds,
            channels=dataset.channels,
            classes=outputs_of(spec, dataset),
            checkpoints=tuple(checkpoints),
            curve=tuple(points),
        )
        for spec, diverged, checkpoints, points in zip(
            specs, training.diverged.tolist(), training.checkpoints, training.points, strict=True
        )
    ]


class StackTraining:
    """A stack in training: weights [models, *shape] by name, and each model's position in its order of the images.

    shown: the weights that checkpoints hold: these, or their averages; points: of each model's curve so far.
    """

    def __init__(
        self,
        specs: Sequence[ModelSpec],
        dataset: ImageDataset,
        device: str,
        start: Sequence[State] | None = None,
        objective: Objective | None = None,
        averaging: float = 0.0,
        curve: Collection[int] = (),
    ) -> None:
        self.wanted, self.steps = frozenset(curve), 0
        self.points: list[list[Point]] = [[] for _ in specs]
        self.spec, self.models, self.averaging = specs[0], len(specs), averaging
        self.objective = (objective or Objective(truth_of(self.spec, dataset.train.labels))).to(device)
        loaded = [normalised(dataset, split, device) for split in (dataset.train, dataset.val, dataset.test)]
        self.splits = [(images, truth_of(self.spec, labels)) for images, labels in loaded]
        modules = [
            build_model(spec, dataset, device, start[place] if start else None) for place, spec in enumerate(specs)
        ]
        self.stack = Stack(modules)
        states = [module.state_dict() for module in modules]
        self.weights = {
            name: torch.stack([state[name] for state in states])
            for name, value in states[0].items()
            if value.is_floating_point()
        }
        self.shown = {name: value.clone() for name, value in self.weights.items()} if averaging else self.weights
        self.parameters = [self.weights[name].requires_grad_() for name in self.stack.trained]
        self.optimizer = StackedOptimizer(self.parameters, specs)
        seen = [seen_images(spec, len(dataset.train)) for spec in specs]
        self.seen = torch.stack(seen) if self.spec.order_seed is None else seen[0][None]
        steps = math.ceil(self.seen.shape[1] / self.spec.batch_size)
        self.factors = iter(rate_factors(self.spec.schedule, steps * self.spec.epochs))
        self.orders = [order_generator(spec) for spec in (specs if self.spec.order_seed is None else specs[:1])]
        self.checkpoints: list[list[Checkpoint]] = [[] for _ in specs]
        self.diverged = torch.zeros(self.models, dtype=torch.bool)

    def epoch(self) -> None:
        """Show every model every training image that it sees once, each in its own order, or all in one."""
        images = self.splits[0][0]
        orders = [torch.randperm(self.seen.shape[1], generator=generator) for generator in self.orders]
        for chosen in self.seen.gather(1, torch.stack(orders)).to(images.device).split(self.spec.batch_size, dim=1):
            self._step(self._batch(images, chosen), chosen)

    def _batch(self, images: Tensor, chosen: Tensor) -> Tensor:
        """The chosen images [models or 1, batch] as maps."""
        batch = images[chosen]
        if self.spec.augment:
            drawn = Augmentation.join([Augmentation.draw(chosen.shape[1], generator) for generator in self.orders])
            batch = drawn(batch.flatten(0, 1)).view_as(batch)
        return batch.permute(0, 2, 3, 4, 1)

    def _step(self, maps: Tensor, chosen: Tensor) -> None:
        with training_precision(self.spec, maps.device):
            logits = self.stack(self.weights, maps, training=True).float()
        loss = self.objective.loss(logits, chosen).sum()
        self.optimizer.step(torch.autograd.grad(loss, self.parameters), next(self.factors))
        if self.averaging:
            average(list(self.shown.values()), list(self.weights.values()), self.averaging)
        self.steps += 1
        self.measure()

    def measure(self) -> None:
        """Add the points of this step to the curves of models whose weights are finite, if it is wanted."""
        if self.steps not in self.wanted:
            return
        finite, (loss, accuracy) = self._finite(), self.evaluate(*self.splits[2])
        for k in finite.nonzero().flatten().tolist():
            self.points[k].append(Point(self.steps, float(loss[k]), float(accuracy[k])))

    def _finite(self) -> Tensor:
        """Whether all weights that a checkpoint would hold are finite [models], on the CPU."""
        finite = [value.detach().flatten(1).isfinite().all(1) for value in self.shown.values()]
        return torch.stack(finite).all(0).cpu()

    def save(self, epoch: int) -> None:
        """Record which models have diverged, and keep a checkpoint of the others if one is due."""
        self.diverged |= ~self._finite()
        if epoch not in self.spec.checkpoint_epochs or self.diverged.all():
            return
        columns = [column for images, labels in self.splits for column in self.evaluate(images, labels)]
        states = {name: value.detach().cpu() for name, value in self.shown.items()}
        for k in (~self.diverged).nonzero().flatten().tolist():
            metrics = Metrics(*(float(column[k]) for column in columns))
            state = {name: value[k].clone() for name, value in states.items()}
            self.checkpoints[k].append(Checkpoint(epoch, metrics, state))

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy [models] in evaluation mode; NaN without images."""
        loss = torch.zeros(self.models, dtype=torch.float64, device=images.device)
        correct = torch.zeros_like(loss)
        if not len(images):
            return loss / 0, correct / 0
        for batch, truth in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            logits = self.stack(self.shown, batch.permute(1, 2, 3, 0)[None].contiguous(), training=False)
            truth = truth.expand(self.models, -1)
            loss += losses_of(logits, truth, "none").double().sum(1)
            correct += are_right(logits, truth).sum(1)
        return loss / len(images), correct / len(images)
