"""Train the autoencoder on windows of a token set."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.progress import Step
from zoobench.methods.course import Course
from zoobench.methods.learning.optimizer import ScheduledOptimizer
from zoobench.methods.learning.resume import Snapshots
from zoobench.methods.learning.tracking import Log
from zoobench.methods.learning.training import Resumable, looks_at, spent
from zoobench.methods.sane.budget import MOST_BATCHES, batches_of_look, epoch_steps, measured, steps_of
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.device import Draws, compiled, on_device
from zoobench.methods.sane.loss import masked_variance, nt_xent, squared_error
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.windows import Batch, WindowSampler
from zoobench.methods.sane.workers import ALONE, Workers

REPORT_SECONDS = 0.5

NAMES = ("contrastive", "reconstruction", "r2")


@dataclass(frozen=True)
class Losses:
    """Losses of one batch: total to be minimised, its two parts, and the share of variance that is reconstructed."""

    total: Tensor
    contrastive: Tensor
    reconstruction: Tensor
    r2: Tensor

    def values(self) -> dict[str, float]:
        """The three that are reported, by name."""
        return dict(zip(NAMES, values_of([self])[0], strict=False))


def values_of(found: list[Losses]) -> list[list[float]]:
    """Of each of the losses, the numbers of `NAMES` and the total. Nothing else in a training waits for a device."""
    return torch.stack(
        [torch.stack([*(getattr(each, name) for name in NAMES), each.total.detach()]) for each in found]
    ).tolist()


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
) -> Course:
    """Train for the steps of the configuration's budget, on the device that the model is on; says how it went.

    With snapshots, an interrupted training goes on from the last one and ends as if it had not been interrupted; on a
    CPU to the bit. With `config.patience`, the weights are those of the best look at the validation windows.
    """
    device = next(model.parameters()).device
    batches = on_device(sampler, device)
    held_out = None if validation is None else on_device(validation, device)
    state = None if snapshots is None else snapshots.read()
    steps = state["steps"] if state is not None else _steps(model, sampler, batches, config, workers)
    config = replace(config, steps=steps)
    run = Training(model, config, workers)
    if state is not None:
        run.load(state)
    elif config.core_seconds is not None and snapshots is not None and workers.first:
        snapshots.write(run.state)  # so that it goes on with this number of steps whenever it is interrupted
    watched = report is not None or log is not None
    told = time.monotonic()
    while run.step < config.steps and not run.stopped:
        losses = run.advance(batches)
        if held_out is not None and run.looks_now:
            seen = run.look(held_out)
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
    return run.course(sampler)


class Training(Resumable):
    """A training under way: everything that changes from step to step."""

    COUNTS = ("step", "best", "waited", "validated", "curve")
    model: Autoencoder

    def __init__(self, model: Autoencoder, config: SaneConfig, workers: Workers = ALONE) -> None:
        self.model, self.config, self.workers = model, config, workers
        self.device = next(model.parameters()).device
        self.together: nn.Module | None = None
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
        self.best_weights = {}
        self.waited = 0
        self.validated: dict[str, float] = {}
        self.curve: list[dict[str, float]] = []
        self.looks, self.batches = looks_at(config.steps), batches_of_look(config.steps)
        if config.patience:
            self.batches = MOST_BATCHES  # its verdicts do not depend on the number of steps
        self.earlier = -spent(self.device)

    @property
    def looks_now(self) -> bool:
        """Whether to look at validation windows after this step: for the curve, or for patience."""
        return self.step in self.looks or self.judges_now

    @property
    def judges_now(self) -> bool:
        """Whether patience is exercised after this step."""
        due = self.step % self.config.validate_every == 0 or self.step == self.config.steps
        return self.config.patience > 0 and due

    @property
    def stopped(self) -> bool:
        """Whether patience is exhausted."""
        return 0 < self.config.patience <= self.waited

    def advance(self, sampler: Draws) -> Losses:
        """One step."""
        self.model.train()
        batch = sampler.draw(self.step, self.config.batch_size).to(self.device)
        if self.together is None:
            self.together = self._together(batch)
        if self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # the results of the last step are no longer needed
        losses = losses_of(self.together, batch, self.config, self.workers)
        self.optimizer.zero_grad()
        losses.total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.step += 1
        return losses

    def _together(self, batch: Batch) -> nn.Module:
        """The model, shared by the workers; compiled, except on a CPU, where compiling costs more than it saves."""
        model: nn.Module = self.model
        if self.device.type != "cpu":
            mine, alone = batch.share(self.workers.rank, self.workers.count), self.workers.count == 1
            model = compiled(model, lambda each: losses_of(each, mine, self.config).total, graphs=alone)
        return self.workers.together(model)

    def look(self, validation: Draws) -> dict[str, float]:
        """Mean losses on validation windows, the same ones every time: a row of the curve."""
        self.model.eval()
        with torch.no_grad():
            found = [
                losses_of(self.model, validation.draw(number, self.config.batch_size).to(self.device), self.config)
                for number in range(self.batches)
            ]
        *means, total = (sum(column) / len(found) for column in zip(*values_of(found), strict=True))
        values = dict(zip(NAMES, means, strict=True))
        self.curve.append({"step": self.step, **values, "total": total})
        if self.judges_now:
            self.waited = 0 if total < self.best else self.waited + 1
            if total < self.best:
                self.best, self.best_weights = total, copy.deepcopy(self.model.state_dict())
        self.validated = {"validation": values["reconstruction"], "validation r2": values["r2"]}
        return values

    def finish(self) -> None:
        """Leave the model ready for use."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.eval()

    def state(self) -> dict[str, object]:
        """As of `Resumable`, and the number of steps, which a budget decides."""
        return super().state() | {"steps": self.config.steps}

    def course(self, sampler: WindowSampler) -> Course:
        """How the training went."""
        epochs = self.step / epoch_steps(self.config, sampler.populations)
        return Course(
            self.step, round(epochs, 4), round(self.workers.count * self.seconds, 2), pd.DataFrame(self.curve)
        )


def _steps(model: Autoencoder, sampler: WindowSampler, batches: Draws, config: SaneConfig, workers: Workers) -> int:
    """The number of steps, the same on all workers. If it depends on speed, a copy is trained for a few steps and
    thrown away: the schedule needs the number from its first step on."""

    def step_seconds() -> float:
        trial = Training(copy.deepcopy(model), config, workers)
        return workers.count * measured(lambda: trial.advance(batches), trial.device)

    return workers.agreed(steps_of(config, sampler.populations, step_seconds))


def losses_of(model: nn.Module, batch: Batch, config: SaneConfig, workers: Workers = ALONE) -> Losses:
    """γ · NT-Xent between the two views + (1 − γ) · reconstruction of both.

    Each of several workers computes its share of the batch; the gradients of `total`, averaged over workers, are those
    of the whole batch.
    """
    mine = batch.share(workers.rank, workers.count)
    positions, mask, real = (torch.cat([part, part]) for part in (mine.positions, mine.mask, mine.real))
    with _precision(batch.inputs.device):
        projection, output = model(mine.inputs.flatten(0, 1), positions, None if batch.whole else real)
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


def _precision(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU, matrix products in bfloat16."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
