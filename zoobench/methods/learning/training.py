"""Train a model on numbered examples: the loop that learned methods share."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from zoo_generation.errors import InputError
from zoo_generation.networks.program import device_of
from zoobench.methods.course import Course
from zoobench.methods.learning.bounds import check_at_least, check_positive
from zoobench.methods.learning.examples import Examples, generator_of, number_of
from zoobench.methods.learning.optimizer import OptimizerName, Schedule, ScheduledOptimizer
from zoobench.methods.learning.resume import Snapshots
from zoobench.methods.learning.tracking import tracked
from zoobench.methods.protocols import HERE, Execution

REPORT_SECONDS = 0.5
LOOKS = 20  # at held-out examples, evenly spread over a training

Loss = Callable[[int, Tensor], Tensor]
"""The mean loss [] of the examples of a group: its number, and theirs [batch] int64 on the model's device. Whatever it
draws at random, as dropout does, comes from PyTorch's default generators, which are seeded before each step."""

Watch = Callable[[], dict[str, float]]
"""Further columns of a row of the curve, by name."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    steps: of the training; batch_size: examples per step; learning_rate: the highest of the schedule; weight_decay: of
    matrices; clip: largest norm of a step's gradients; optimizer, schedule: see `optimizer`. keep: the state of the
    least loss on held-out models (`best`; the last if there are none), or the last.
    """

    steps: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0
    optimizer: OptimizerName = "adamw"
    schedule: Schedule = "linear"
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        check_at_least(self, 1, "steps", "batch_size")
        check_at_least(self, 0, "weight_decay")
        check_positive(self, "learning_rate", "clip")


def train(
    model: nn.Module,
    loss: Loss,
    examples: Examples,
    recipe: Recipe,
    seed: int,
    identity: str,
    execution: Execution = HERE,
    *,
    name: str = "loss",
    watch: Watch | None = None,
) -> Course:
    """Train a model in place; says how it went.

    loss: to be minimised, computed with the model that was given; seed: of batches and of all that is drawn meanwhile;
    identity: of everything that the training depends on, see `identity_of`; name: of the loss in reports, and of the
    file of its snapshots: a method that trains several models gives each its own. watch: called at each look.

    The model computes on the execution's device, and is on the CPU and in evaluation mode afterwards. With
    `execution.scratch`, an interrupted training goes on from its last snapshot and ends as if it had not been
    interrupted, on a CPU to the bit. Its last state stays there, so that a fit that is interrupted while it trains
    another model does not train this one again. Raises `InputError` if there are no examples, if training diverges, or
    if several workers are asked for.
    """
    if execution.workers > 1:
        raise InputError(
            f"{execution.workers} workers were asked for, and this method trains in one process; leave them out, or "
            "take sane or sane_diffusion, whose SANE shares its batches"
        )
    if not len(examples):
        raise InputError("there are no training models to learn from; fit the method to a zoo with more models")
    device = torch.device(device_of(execution.device))
    snapshots = None if execution.scratch is None else Snapshots(execution.scratch / f"{name}.pt", identity)
    run = _Run(model.to(device), loss, examples, recipe, seed, device)
    if snapshots is not None and (state := snapshots.read()) is not None:
        run.load(state)
    told = time.monotonic()
    with tracked(execution, recipe) as log, seeded(seed, device=device):
        while run.step < recipe.steps:
            value = run.advance()
            if run.step in run.looks:
                seen = run.look(watch)
                if log is not None:
                    log(run.step, {f"{name}/{column}": each for column, each in seen.items()})
            if time.monotonic() - told > REPORT_SECONDS or run.step == recipe.steps:
                told = time.monotonic()
                if execution.report is not None:
                    execution.report(run.step, recipe.steps, {name: float(value)} | run.seen_as(name))
                if log is not None:
                    log(run.step, {name: float(value), f"{name}/learning_rate": run.optimizer.learning_rate})
            if snapshots is not None:
                snapshots.write_if_due(run.state)
    if snapshots is not None:
        snapshots.write(run.state)
    return run.finish(name)


@contextmanager
def seeded(seed: int, number: int = -1, device: torch.device | None = None) -> Iterator[None]:
    """PyTorch's default generators, seeded; as they were before when it ends. For the weights that a model starts from.

    >>> with seeded(3):
    ...     first = torch.rand(2)
    >>> with seeded(3):
    ...     torch.equal(first, torch.rand(2))
    True
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(number_of(seed, number))
        yield


def spent(device: torch.device) -> float:
    """A clock: CPU seconds of this process in all its threads, on a GPU seconds, with all its work done."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.monotonic()


def looks_at(steps: int) -> frozenset[int]:
    """The steps after which a training looks at held-out examples; the last is one of them."""
    return frozenset(-(-steps * look // LOOKS) for look in range(1, LOOKS + 1))


def joined(courses: Sequence[Course]) -> Course:
    """The course of a method that trained several models one after another: their steps and looks behind each other."""
    curves, before = [], 0
    for course in courses:
        if not course.curve.empty:
            curves.append(course.curve.assign(step=course.curve["step"] + before))
        before += course.steps
    curve = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame()
    epochs, seconds = (sum(getattr(each, name) for each in courses) for name in ("epochs", "core_seconds"))
    return Course(before, epochs, seconds, curve)


class Resumable:
    """A training under way that another process can go on with. COUNTS: what changes from step to step, beside model,
    optimizer and best weights."""

    COUNTS: ClassVar[tuple[str, ...]] = ("step", "best", "curve")

    model: nn.Module
    device: torch.device
    optimizer: ScheduledOptimizer
    best_weights: dict[str, Tensor]
    earlier: float
    """Core-seconds of earlier processes, on the clock of this one."""

    @property
    def seconds(self) -> float:
        """Core-seconds so far, of all workers and of earlier processes too."""
        return self.earlier + spent(self.device)

    def state(self) -> dict[str, object]:
        """All that another process needs to go on: only tensors, numbers, text, lists and dictionaries."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self.best_weights,
            "seconds": self.seconds,
            "counts": {name: getattr(self, name) for name in self.COUNTS},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_weights = state["best_weights"]
        self.earlier += state["seconds"]
        for name, value in state["counts"].items():
            setattr(self, name, value)


class _Run(Resumable):
    """A training under way: everything that changes from step to step."""

    def __init__(
        self, model: nn.Module, loss: Loss, examples: Examples, recipe: Recipe, seed: int, device: torch.device
    ) -> None:
        self.model, self.loss, self.examples, self.recipe, self.seed = model, loss, examples, recipe, seed
        self.device = device
        self.optimizer = ScheduledOptimizer(
            model,
            recipe.optimizer,
            recipe.schedule,
            steps=recipe.steps,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        self.looks = looks_at(recipe.steps)
        self.step = 0
        self.best = float("inf")
        self.best_weights = {}
        self.curve: list[dict[str, float]] = []
        self.earlier = -spent(device)

    def advance(self) -> Tensor:
        """One step. Returns the loss of its batch."""
        self.model.train()
        torch.manual_seed(number_of(self.seed, self.step))
        group, rows = self.examples.draw(self.recipe.batch_size, generator_of(self.seed, self.step))
        value = self.loss(group, rows.to(self.device))
        self.optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        return value.detach()

    def look(self, watch: Watch | None) -> dict[str, float]:
        """A row of the curve: the mean loss of the held-out examples, with the same noise at every look, and what is
        watched, both without dropout."""
        self.model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for number, (group, rows) in enumerate(self.examples.batches(self.recipe.batch_size)):
                torch.manual_seed(number_of(self.seed, -2 - number))
                total += float(self.loss(group, rows.to(self.device))) * len(rows)
                count += len(rows)
        if not count:
            return {}
        found = {"total": total / count} | ({} if watch is None else watch())
        self.curve.append({"step": self.step} | found)
        if self.recipe.keep == "best" and found["total"] < self.best:
            self.best, self.best_weights = found["total"], copy.deepcopy(self.model.state_dict())
        return found

    def seen_as(self, name: str) -> dict[str, float]:
        """The last look, for a report."""
        return {f"{name}, validation": self.curve[-1]["total"]} if self.curve else {}

    def finish(self, name: str) -> Course:
        """Leave the model ready for use. A training that diverged is reported whatever is kept: the best state is then
        only one of the first."""
        if not all(bool(each.isfinite().all()) for each in self.model.parameters()):
            raise InputError(
                f"training diverged ({name}): the model's weights are not finite; lower the learning rate, or look for "
                "models with much larger weights than others have ('zoobench zoo validate')"
            )
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        self.model.to("cpu").eval()
        epochs = self.step * self.recipe.batch_size / len(self.examples)
        return Course(self.step, round(epochs, 4), round(self.seconds, 2), pd.DataFrame(self.curve))
