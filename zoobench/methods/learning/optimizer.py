"""The optimizer of a training and the schedule of its learning rate, by name."""

from __future__ import annotations

import math
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

OptimizerName = Literal["adamw", "muon"]
Schedule = Literal["onecycle", "linear"]
WARMUP = 0.1  # of the steps, in the linear schedule
RMS = 0.2  # of an update's elements at a learning rate of 1, about that of AdamW (arXiv 2502.16982)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at zero: five iterations bring singular values to about 1
ITERATIONS = 5
SMALLEST_NORM = 1e-7


class Muon(Optimizer):
    """Momentum whose step for a matrix is orthogonalised (Jordan et al., https://kellerjordan.github.io/posts/muon).

    As `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` and no weight decay, but orthogonalised in float32 on a
    CPU: few CPUs multiply bfloat16 quickly, and its rounding would make several workers differ from one.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Change each matrix [rows, columns] by the learning rate · `RMS` · sqrt(larger side) · orthogonal factor."""
        for group in self.param_groups:
            given = [parameter for parameter in group["params"] if parameter.grad is not None]
            for shape in dict.fromkeys(parameter.shape for parameter in given):  # a GPU waits for each call
                alike = [parameter for parameter in given if parameter.shape == shape]
                size = RMS * math.sqrt(max(shape))
                turned = orthogonalised(torch.stack([self._ahead(each, group["momentum"]) for each in alike]))
                for parameter, direction in zip(alike, turned, strict=True):
                    parameter.add_(direction, alpha=-group["lr"] * size)

    def _ahead(self, parameter: Tensor, momentum: float) -> Tensor:
        """The gradient with Nesterov's momentum."""
        assert parameter.grad is not None
        average: Tensor = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [matrices, rows, columns] with singular values of about 1 (0.7 to 1.2), by Newton–Schulz iterations."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    if matrices.is_cuda:
        wide = wide.bfloat16()
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(ITERATIONS):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide.mT if tall else wide).to(matrices.dtype)


class ScheduledOptimizer:
    """One or two optimizers and their schedules, stepped together.

    `adamw`: for all parameters, with weight decay on matrices. `muon`: Muon for matrices, AdamW for vectors, tables of
    positions, and matrices of one input.
    """

    def __init__(
        self,
        model: nn.Module,
        name: OptimizerName,
        schedule: Schedule,
        *,
        steps: int,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
        parameters = list(model.parameters())
        turned = [p for p in parameters if name == "muon" and p.dim() == 2 and min(p.shape) > 1 and id(p) not in tables]
        chosen = {id(parameter) for parameter in turned}
        matrices = [p for p in parameters if p.dim() > 1 and id(p) not in chosen]
        vectors = [p for p in parameters if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizers: list[Optimizer] = [AdamW(groups, learning_rate, fused=True)]
        if turned:
            self.optimizers.append(Muon(turned, learning_rate))
        self.schedules = [_schedule(each, schedule, steps, learning_rate) for each in self.optimizers]

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.schedules[0].get_last_lr()[0])

    def zero_grad(self) -> None:
        for each in self.optimizers:
            each.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Change the parameters by their gradients, then the learning rate."""
        for each in self.optimizers:
            each.step()
        for schedule in self.schedules:
            schedule.step()

    def state_dict(self) -> dict[str, Any]:
        """Only tensors, numbers, text, lists and dictionaries."""
        return {
            "optimizers": [each.state_dict() for each in self.optimizers],
            "schedules": [each.state_dict() for each in self.schedules],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)


def _schedule(optimizer: Optimizer, name: Schedule, steps: int, learning_rate: float) -> LRScheduler:
    """`onecycle`: up for 30 % of the steps, then down to almost zero. `linear`: up for `WARMUP`, then down to zero."""
    if name == "onecycle":
        cycled = isinstance(optimizer, AdamW)  # its momentum too
        return OneCycleLR(optimizer, learning_rate, total_steps=max(2, steps), cycle_momentum=cycled)

    def share(step: int) -> float:
        return min(1.0, (step + 1) / (WARMUP * steps)) * min(1.0, max(0.0, 1 - step / steps) / (1 - WARMUP))

    return cast(LRScheduler, LambdaLR(optimizer, share))
