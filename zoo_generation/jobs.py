"""Spread the training of a zoo over Ray: a shard of models is a task, and its worker writes what it trained."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from zoo_generation.architectures import get_architecture
from zoo_generation.datasets import ImageDataset, load_dataset
from zoo_generation.errors import InputError
from zoo_generation.progress import Progress
from zoo_generation.sink import Sink
from zoo_generation.spec import ModelSpec

OBJECT_STORE_BYTES = 512 * 2**20  # of a local cluster: datasets of uint8 images are all that goes there
POLL_SECONDS = 0.5

DatasetKey = tuple[str, int | None, int]
Datasets = Mapping[DatasetKey, ImageDataset]


def dataset_key(spec: ModelSpec) -> DatasetKey:
    """What decides the images a model is trained on: dataset, number of training images, image size."""
    return spec.dataset, spec.train_images, spec.image_size


def load_images(key: DatasetKey, data_root: Path | None) -> ImageDataset:
    """The images of a key, as its models see them."""
    name, train_images, size = key
    dataset = load_dataset(name, data_root=data_root, train_images=train_images)
    return dataset.fit(dataset.channels, size)


def load_datasets(specs: Sequence[ModelSpec], data_root: Path | None) -> Datasets:
    """The images that the specs' models are trained on. Raises `InputError` where there are none, or no such name."""
    return {key: load_images(key, data_root) for key in dict.fromkeys(map(dataset_key, specs))}


def train_zoo(
    specs: Sequence[ModelSpec],
    sink: Sink,
    images: Datasets,
    *,
    ray_address: str | None = None,
    workers: int | None = None,
    shard_size: int = 4,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Train the models, each on its images of `load_datasets`, and write them to the sink.

    Each worker uses one thread, so that weights do not depend on how many workers there are. `ray_address`
    (or `RAY_ADDRESS`) names a cluster; without one Ray starts here with `workers` processes (all cores).
    """
    if not specs:
        return
    for spec in specs:
        get_architecture(spec.architecture)
    with ray_session(ray_address, workers) as ray:
        progress = ray.remote(num_cpus=0)(Progress).remote()
        stored = {key: ray.put(dataset) for key, dataset in images.items()}
        train = ray.remote(num_cpus=1, max_retries=2)(_train_shard)
        pending = [
            train.remote(shard, stored[key], sink, progress)
            for (key, _, _), group in groupby(specs, lambda spec: (dataset_key(spec), spec.architecture, spec.width))
            for shard in _shards(list(group), shard_size)
        ]
        while pending:
            ready, pending = ray.wait(pending, num_returns=len(pending), timeout=POLL_SECONDS)
            ray.get(ready)
            if on_progress is not None:
                on_progress(ray.get(progress.snapshot.remote()))


def _shards(specs: list[ModelSpec], size: int) -> list[list[ModelSpec]]:
    return [specs[start : start + size] for start in range(0, len(specs), size)]


def _train_shard(specs: list[ModelSpec], dataset: ImageDataset, sink: Sink, progress: Any) -> None:
    import torch

    from zoo_generation.trainers import train_model

    torch.set_num_threads(1)
    trained = []
    for spec in specs:

        def report(epoch: int, accuracy: float, model: str = spec.id) -> None:
            progress.epoch.remote(model, epoch, accuracy)

        model = train_model(spec, dataset, report=report)
        trained.append(model)
        ended = model.checkpoints[-1].metrics.val_accuracy if model.status == "trained" else math.nan
        progress.finished.remote(spec.id, ended)
    sink.write(trained)


@contextmanager
def ray_session(address: str | None, workers: int | None) -> Iterator[Any]:
    """Ray for the length of a `with` block: one that runs already, a cluster, or a local one that ends with it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray would otherwise warn about
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)  # it warns of its defaults before it reads its own level
    address = address or os.environ.get("RAY_ADDRESS")
    started = not ray.is_initialized()
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if started and address:
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).split("\n")[0]
            raise InputError(f"no Ray cluster answers at '{address}' ({reason}); start one with 'ray start'") from None
    elif started:
        ray.init(
            num_cpus=workers or os.cpu_count(),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **quiet,
        )
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()
