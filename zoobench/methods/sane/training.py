"""Train the autoencoder on windows of a token set."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_generation.progress import Step
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.loss import masked_variance, nt_xent, squared_error
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.optimizer import ScheduledOptimizer
from zoobench.methods.sane.resume import Snapshots
from zoobench.methods.sane.windows import Batch, WindowSampler
from zoobench.methods.sane.workers import ALONE, Workers

REPORT_SECONDS = 0.5
VALIDATION_BATCHES = 8

Log = Callable[[int, dict[str, float]], None]
"""Receives the losses of a step."""


@dataclass(frozen=True)
class Losses:
    """Losses of one batch: total to be minimised, its two parts, and the share of variance that is reconstructed."""

    total: Tensor
    contrastive: Tensor
    reconstruction: Tensor
    r2: Tensor

    def values(self) -> dict[str, float]:
        return {name: getattr(self, name).item() for name in ("contrastive", "reconstruction", "r2")}


def train(
    model: Autoencoder,
    sampler: WindowSampler,
    validation: WindowSampler | None,
    config: SaneConfig,
    *,
    report: Step | None = None,
    log: Log | None = None,
    snapshots: Snapshots | None = None,
    workers: Workers = ALONE,
) -> None:
    """Train for `config.steps` steps, on the device that the model is on.

    With snapshots, an interrupted training goes on from the last one and ends as if it had not been interrupted; on a
    CPU to the bit. With `config.patience`, the weights are those of the best look at the validation windows.
    """
    run = Training(model, config, workers)
    if snapshots is not None and (state := snapshots.read()) is not None:
        run.load(state)
    watched = report is not None or log is not None
    told = time.monotonic()
    while run.step < config.steps and not run.stopped:
        losses = run.advance(sampler)
        if validation is not None and (run.step % config.validate_every == 0 or run.step == config.steps):
            seen = run.look(validation)
            if log is not None:
                log(run.step, {f"validation/{name}": value for name, value in seen.items()})
        last = run.step == config.steps or run.stopped
        if watched and (time.monotonic() - told > REPORT_SECONDS or last):
            told = time.monotonic()
            values = losses.values()
            if report is not None:
                report(run.step, config.steps, values | run.validated)
            if log is not None:
                log(run.step, values | {"learning_rate": run.optimizer.learning_rate})
        if snapshots is not None and workers.first:
            snapshots.write_if_due(run.state)
    run.finish()


class Training:
    """A training under way: everything that changes from step to step."""

    def __init__(self, model: Autoencoder, config: SaneConfig, workers: Workers = ALONE) -> None:
        self.model, self.config, self.workers = model, config, workers
        self.device = next(model.parameters()).device
        self.together = workers.together(_compiled(model))
        self.optimizer = ScheduledOptimizer(
            model,
            config.optimizer,
            config.schedule,
            steps=config.steps,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.step = 0
        self.best = float("inf")
        self.best_weights: dict[str, Tensor] = {}
        self.waited = 0
        self.validated: dict[str, float] = {}

    @property
    def stopped(self) -> bool:
        """Whether patience is exhausted."""
        return 0 < self.config.patience <= self.waited

    def advance(self, sampler: WindowSampler) -> Losses:
        """One step."""
        self.model.train()
        batch = sampler.draw(self.step, self.config.batch_size).to(self.device)
        losses = losses_of(self.together, batch, self.config, self.workers)
        self.optimizer.zero_grad()
        losses.total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.step += 1
        return losses

    def look(self, validation: WindowSampler) -> dict[str, float]:
        """Mean losses on validation windows, the same ones every time; records whether they are the best so far."""
        self.model.eval()
        with torch.no_grad():
            found = [
                losses_of(self.model, validation.draw(number, self.config.batch_size).to(self.device), self.config)
                for number in range(VALIDATION_BATCHES)
            ]
        each_values = [each.values() for each in found]
        values = {name: sum(each[name] for each in each_values) / len(found) for name in each_values[0]}
        total = sum(each.total.item() for each in found) / len(found)
        self.waited = 0 if total < self.best else self.waited + 1
        if total < self.best:
            self.best = total
            if self.config.patience:
                self.best_weights = copy.deepcopy(self.model.state_dict())
        self.validated = {"validation": values["reconstruction"], "validation r2": values["r2"]}
        return values

    def finish(self) -> None:
        """Leave the model ready for use."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()

    def state(self) -> dict[str, object]:
        """All that another process needs to go on: only tensors, numbers, text, lists and dictionaries."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self.best_weights,
            "counts": {name: getattr(self, name) for name in ("step", "best", "waited", "validated")},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_weights = state["best_weights"]
        for name, value in state["counts"].items():
            setattr(self, name, value)


def losses_of(model: nn.Module, batch: Batch, config: SaneConfig, workers: Workers = ALONE) -> Losses:
    """γ · NT-Xent between the two views + (1 − γ) · reconstruction of both.

    Each of several workers computes its share of the batch; the gradients of `total`, averaged over workers, are those
    of the whole batch.
    """
    mine = batch.share(workers.rank, workers.count)
    positions, mask, real = (torch.cat([part, part]) for part in (mine.positions, mine.mask, mine.real))
    with _precision(batch.inputs.device):
        projection, output = model(mine.inputs.flatten(0, 1), positions, None if bool(batch.real.all()) else real)
    target = mine.targets.flatten(0, 1)
    first, second = (workers.gathered(view) for view in projection.float().chunk(2))
    contrastive = nt_xent(first, second, config.temperature)
    whole = batch.targets, batch.mask.expand_as(batch.targets)
    error = squared_error(output, target, mask, config.normalization, whole)
    reconstruction = workers.count * error.sum() / whole[1].sum()
    with torch.no_grad():
        raw = ((output - target).square() * mask).sum() / mask.sum()
        r2 = 1 - raw / masked_variance(target.flatten(), mask.flatten(), dim=-1).squeeze()
    total = config.gamma * contrastive + (1 - config.gamma) * reconstruction
    return Losses(total, contrastive.detach(), reconstruction.detach(), r2)


def _compiled(model: Autoencoder) -> nn.Module:
    """On a GPU, compile the model; on a CPU compiling costs more than it saves."""
    return cast(nn.Module, torch.compile(model)) if next(model.parameters()).is_cuda else model


def _precision(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU, matrix products in bfloat16."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
