"""Training on several processes or nodes with Ray Train; the weights come out as from one, up to rounding."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.training.cluster import ray_session
from zoobench.methods.course import Course
from zoobench.methods.learning.resume import Snapshots
from zoobench.methods.learning.tracking import Log
from zoobench.methods.protocols import Execution
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.training import train
from zoobench.methods.sane.windows import WindowSampler
from zoobench.methods.sane.workers import Workers

POLL_SECONDS = 0.5


class Mailbox:
    """Where the first worker leaves its losses as it goes, and at the end the weights and how it went."""

    def __init__(self) -> None:
        self.told: list[tuple[str, tuple[Any, ...]]] = []
        self.left: tuple[dict[str, Tensor], Course] | None = None

    def tell(self, kind: str, *what: Any) -> None:
        self.told.append((kind, what))

    def leave(self, weights: dict[str, Tensor], course: Course) -> None:
        self.left = weights, course

    def news(self) -> list[tuple[str, tuple[Any, ...]]]:
        """The losses since the last call."""
        told, self.told = self.told, []
        return told

    def taken(self) -> tuple[dict[str, Tensor], Course] | None:
        return self.left


def train_on_workers(
    model: Autoencoder,
    sampler: WindowSampler,
    validation: WindowSampler | None,
    config: SaneConfig,
    execution: Execution,
    *,
    log: Log | None,
    snapshots: Snapshots | None,
) -> Course:
    """`training.train` on `execution.workers` processes, which share each batch equally, with a GPU each if asked.

    Raises `InputError` if the workers cannot share the batch equally, or if workers fail.
    """
    if config.batch_size % execution.workers:
        raise InputError(
            f"a batch of {config.batch_size} windows cannot be shared by {execution.workers} workers equally; "
            "choose a number of workers that divides it"
        )
    with ray_session(execution.ray_address, execution.workers) as ray, tempfile.TemporaryDirectory() as storage:
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        mailbox = ray.remote(Mailbox).options(num_cpus=0).remote()
        trainer = TorchTrainer(
            _worker,
            train_loop_config={
                "work": ray.put((model, sampler, validation, config, snapshots)),
                "mailbox": mailbox,
                "watched": log is not None,
            },
            scaling_config=ScalingConfig(num_workers=execution.workers, use_gpu=execution.device == "cuda"),
            run_config=RunConfig(storage_path=storage),
        )
        failures: list[Exception] = []
        thread = threading.Thread(target=_fit, args=(trainer, failures), daemon=True)
        thread.start()
        while True:
            running = thread.is_alive()
            for kind, what in ray.get(mailbox.news.remote()):
                if kind == "report" and execution.report is not None:
                    execution.report(*what)
                if kind == "log" and log is not None:
                    log(*what)
            if not running:
                break
            time.sleep(POLL_SECONDS)
        left = ray.get(mailbox.taken.remote())
        if left is None:
            reason = str(failures[0]).strip().split("\n")[0] if failures else "they ended too early"
            raise InputError(f"the {execution.workers} workers did not finish the training ({reason})")
        model.load_state_dict(left[0])
        model.eval()
        return left[1]


def _fit(trainer: Any, failures: list[Exception]) -> None:
    try:
        trainer.fit()
    except Exception as error:  # whatever a worker raised; the driver reports it
        failures.append(error)


def _worker(setting: dict[str, Any]) -> None:
    import ray
    import ray.train
    import ray.train.torch
    import torch

    model, sampler, validation, config, snapshots = ray.get(setting["work"])
    mailbox = setting["mailbox"]
    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size())
    torch.set_num_threads(max(1, torch.get_num_threads() // workers.count))
    model.to(ray.train.torch.get_device())

    def report(done: float, of: float, numbers: Mapping[str, float] = {}, note: str = "") -> None:
        mailbox.tell.remote("report", done, of, dict(numbers))

    def log(step: int, values: dict[str, float]) -> None:
        mailbox.tell.remote("log", step, values)

    course = train(
        model,
        sampler,
        validation,
        config,
        report=report if workers.first else None,
        log=log if workers.first and setting["watched"] else None,
        snapshots=snapshots,
        workers=workers,
    )
    if workers.first:
        ray.get(mailbox.leave.remote({name: value.cpu() for name, value in model.state_dict().items()}, course))
