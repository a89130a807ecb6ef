"""Watch losses as they fall, in TensorBoard or Weights & Biases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from zoo_generation.errors import InputError
from zoobench.methods.protocols import Execution

Log = Callable[[int, dict[str, float]], None]
"""Receives the losses of a step."""


@contextmanager
def tracked(execution: Execution, config: Any) -> Iterator[Log | None]:
    """A function that receives losses and passes them on. None if nothing is to receive them.

    config: a dataclass, kept beside the losses.
    """
    with ExitStack() as open_ones:
        logs: list[Log] = []
        if execution.log_dir is not None:
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(execution.log_dir))
            open_ones.callback(writer.close)
            logs.append(lambda step, values: _scalars(writer, step, values))
        if execution.wandb is not None:
            run = _wandb(execution.wandb, config)
            open_ones.callback(run.finish)
            logs.append(lambda step, values: run.log(values, step=step))

        def all_of_them(step: int, values: dict[str, float]) -> None:
            for log in logs:
                log(step, values)

        yield all_of_them if logs else None


def _scalars(writer: Any, step: int, values: dict[str, float]) -> None:
    for name, value in values.items():
        writer.add_scalar(name, value, step)


def _wandb(project: str, config: Any) -> Any:
    try:
        import wandb
    except ImportError:
        raise InputError("Weights & Biases is not installed; install it with pip install 'zoobench[wandb]'") from None
    return wandb.init(project=project, config=dataclasses.asdict(config))
