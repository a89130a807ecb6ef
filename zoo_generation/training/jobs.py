"""Spread the training of a zoo over Ray: each task is a shard of models, and its worker writes the trained models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo_generation.data import ImageDataset
from zoo_generation.data.load import DatasetKey, Datasets, load_images
from zoo_generation.errors import InputError
from zoo_generation.machine import refusal
from zoo_generation.networks.architectures import get_architecture, import_architecture
from zoo_generation.networks.module import State
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.cluster import Resources, ray_session, slots
from zoo_generation.training.counts import Counts
from zoo_generation.training.sink import Sink
from zoo_generation.training.spec import ModelSpec

POLL_SECONDS = 0.5
SHARDS_A_SLOT = 2  # at least, if there are enough models: it shortens the wait for the last shard
SMALLEST_SHARD = 8  # models; a stack of fewer wastes the time of its calls
LARGEST_SHARD = 64  # models; a killed worker's shard is trained again
RETRIES = 2  # of a shard whose worker or node died


def dataset_key(spec: ModelSpec) -> DatasetKey:
    """What decides the images of a model."""
    return DatasetKey(spec.dataset, spec.train_images, spec.image_size, spec.channels, spec.part)


def load_datasets(specs: Sequence[ModelSpec], data_root: Path | None) -> Datasets:
    """The images that the specs' models are trained on. Raises `InputError` if a dataset is unknown or missing."""
    keys = dict.fromkeys(map(dataset_key, specs))
    wholes = {key: load_images(key, data_root) for key in dict.fromkeys(key.whole for key in keys)}
    return {key: wholes[key.whole].of_part(key.part) for key in keys}


Start = Callable[[Sequence[ModelSpec]], list[State]]
"""The weights that models are trained on from, one state for each."""


def train_zoo(
    specs: Sequence[ModelSpec],
    sink: Sink,
    images: Datasets,
    *,
    start: Start | None = None,
    ray_address: str | None = None,
    workers: int | None = None,
    resources: Resources | None = None,
    stack_size: int | None = None,
    already: int = 0,
    progress: Progress = QUIET,
) -> None:
    """Train the models, each on its images of `load_datasets`, and write them to the sink.

    A model's weights depend neither on its shard nor on the number of workers. `start` is asked for those of one shard
    at a time, so that not all must fit into memory; None means that models begin with their initialization.
    `ray_address` (or `RAY_ADDRESS`) names a cluster; without one Ray starts here with `workers` processes (all cores).
    `stack_size` models are trained at once, by default as many as fit into memory. `progress` gets the stage
    `training`, whose steps are models, including the `already` trained ones. Shards are handed out as workers become
    free; if a worker or node dies, its shard is trained again, `RETRIES` times. Raises `InputError` if the zoo cannot
    be written.
    """
    step, total = progress.stage("training"), already + len(specs)
    step(already, total, note="starting Ray" if specs else "")
    if not specs:
        return
    for spec in specs:
        get_architecture(spec.architecture)
    with ray_session(ray_address, workers) as ray:
        cpus, gpus = (resources or Resources()).on(ray)
        job = ray.remote(_train_shard).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        counts = _here(ray, Counts)
        stored = {key: ray.put(dataset) for key, dataset in images.items()}
        waiting = _shards(specs, slots(ray, cpus, gpus), stack_size)
        running: list[Any] = []
        while True:
            while len(running) < 2 * slots(ray, cpus, gpus) and (shard := next(waiting, None)):
                dataset, states = stored[dataset_key(shard[0])], start(shard) if start else None
                running.append(job.remote(shard, dataset, sink, counts, max(1, int(cpus)), stack_size, states))
            if not running:
                break
            done, running = ray.wait(running, num_returns=len(running), timeout=POLL_SECONDS)
            raise_failures(ray, done)
            with suppress(ray.exceptions.RayError):  # the work goes on if only its counts are lost
                now = ray.get(counts.snapshot.remote())
                step(round(already + now.done + now.begun, 1), total, now.numbers, now.note)
    step(total, total)


def _here(ray: Any, cls: type) -> Any:
    """An actor on this node: others come and go."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(cls).options(num_cpus=0, scheduling_strategy=here).remote()


def _shards(specs: Sequence[ModelSpec], slots: int, stack_size: int | None) -> Iterator[list[ModelSpec]]:
    """Models that share their images and a stack, in shards that keep all slots busy."""
    from zoo_generation.training.train import stack_key

    size = min(LARGEST_SHARD, max(SMALLEST_SHARD, stack_size or 0, math.ceil(len(specs) / (SHARDS_A_SLOT * slots))))
    groups: dict[Any, list[ModelSpec]] = {}
    for spec in specs:
        groups.setdefault((dataset_key(spec), stack_key(spec)), []).append(spec)
    for group in groups.values():
        pieces = math.ceil(len(group) / size)
        for piece in range(pieces):
            yield group[piece * len(group) // pieces : (piece + 1) * len(group) // pieces]


def raise_failures(ray: Any, done: list[Any]) -> None:
    """Raise the errors of ended jobs: as one sentence if the user can do something about it."""
    try:
        ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        if (reason := refusal(error.cause)) is not None:
            what = "could not write to the zoo" if isinstance(error.cause, OSError) else "failed"
            raise InputError(f"a worker {what}: {reason}") from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"the workers of a job died {RETRIES + 1} times ({reason}); if memory ran out, lower --stack-size or "
            "--workers, and run the same command again: it goes on from there"
        ) from None


def _train_shard(
    specs: list[ModelSpec],
    dataset: ImageDataset,
    sink: Sink,
    counts: Any,
    threads: int,
    stack_size: int | None,
    states: list[State] | None,
) -> None:
    from zoo_generation.networks.threads import use_threads
    from zoo_generation.progress import Progress, Update
    from zoo_generation.training.memory import stack_size_for
    from zoo_generation.training.models import with_skills
    from zoo_generation.training.train import train_models

    if ":" in specs[0].architecture:
        import_architecture(specs[0].architecture)
    use_threads(threads)
    device = device_given()

    def listen(update: Update) -> None:
        if update.of:
            accuracy = update.numbers.get("val_accuracy", math.nan)
            counts.epoch.remote(update.stage, update.done, update.of, accuracy)

    size = stack_size or stack_size_for(specs[0], dataset, device)
    trained = train_models(specs, dataset, size, device, Progress(listen), states)
    sink.write(with_skills(trained, dataset, device))
    for model in trained:
        counts.finished.remote(model.spec.id, model.status)


def device_given() -> str:
    """`cuda` if Ray has given this worker a GPU, or a share of one, that PyTorch can use; else `cpu`."""
    import ray
    import torch

    given = ray.get_runtime_context().get_accelerator_ids().get("GPU")
    return "cuda" if given and torch.cuda.is_available() else "cpu"
