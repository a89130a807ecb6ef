"""What the pieces of a study cost, estimated from their arithmetic and the rate of this machine's matrix products.

Within a factor of two or so: enough to choose between an evening and a weekend.
"""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo_generation.data.registry import get_dataset
from zoo_generation.networks.architectures import get_architecture
from zoobench.methods.sane import SaneConfig
from zoobench.populations import Tokenizer
from zoobench.populations.selection import TOKEN_SIZE
from zoobench.populations.tokenizer import longest_row
from zoobench.studies.sources import Source
from zoobench.tasks.base import Task
from zoobench.tasks.fine_tuning import FineTuning
from zoobench.tasks.generation import Generation

OVERHEAD = 2.0  # seconds of a piece, however little it computes: images and token sets are opened, files written
STACKED, TRANSFORMER, EVALUATED = 0.2, 0.4, 0.2  # shares of the rate of matrix products that are reached
CHECKED_IMAGES = 20_000  # that a checkpoint is evaluated on: training, validation and test images
TEST_IMAGES = 10_000
PROBES = 5.0  # seconds that probes take to be fitted


@lru_cache(maxsize=1)
def machine_rate() -> float:
    """Floating-point operations a second of one core, in matrix products of 512 × 512, the best of five."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    matrix = torch.randn(512, 512)
    times = []
    for _ in range(5):
        started = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return float(2 * 512**3 / min(times))


def zoo_seconds(source: Source) -> float:
    """Core-seconds to build a zoo; none where it is there."""
    if source.spec is None:
        return 0.0
    seen = 3 * (source.train_images or CHECKED_IMAGES) * source.spec.epochs * len(source.ids)
    return (seen + CHECKED_IMAGES * source.checkpoints) * forward_flops(source) / (STACKED * machine_rate())


@lru_cache(maxsize=64)
def forward_flops(source: Source) -> float:
    """Floating-point operations of one image through a zoo's model, counted on no data."""
    channels, classes = _shape(source)
    architecture = get_architecture(source.architecture)
    with torch.device("meta"):
        module = architecture.build(
            channels=channels, classes=classes, activation="relu", dropout=0.0, width=source.width
        )
        images = torch.empty(1, channels, source.image_size, source.image_size)
        with FlopCounterMode(display=False) as counter:
            module.eval()(images)
    return float(counter.get_total_flops())


def _shape(source: Source) -> tuple[int, int]:
    """Channels and classes, as the registry has them: no images are read."""
    entry = get_dataset(source.dataset)
    return entry.channels, entry.class_count


@lru_cache(maxsize=64)
def _tokens(source: Source) -> int:
    """Tokens of a model."""
    layout = get_architecture(source.architecture).layout(*_shape(source), source.width)
    return len(Tokenizer.of(layout, min(longest_row(layout), TOKEN_SIZE)))


def fit_seconds(config: object) -> float:
    """Core-seconds to train a method; of those whose arithmetic is not known, none."""
    if not isinstance(config, SaneConfig):
        return 0.0
    tokens = 2 * config.steps * config.batch_size * config.window
    return OVERHEAD + 3 * tokens * _flops_of_token(config, 2) / (TRANSFORMER * machine_rate())


def cell_seconds(task: Task, config: object, target: Source) -> float:
    """Core-seconds to measure a task."""
    coded = _tokens(target) * _flops_of_token(config, 1) / (TRANSFORMER * machine_rate())
    image = forward_flops(target) / (EVALUATED * machine_rate())
    if isinstance(task, FineTuning):
        epochs = max(task.epochs)
        trained = (
            task.models
            * image
            * (3 * epochs * (target.train_images or CHECKED_IMAGES) + len(task.epochs) * CHECKED_IMAGES)
        )
        return trained + cell_seconds(task.generation, config, target)
    if isinstance(task, Generation):
        drawn = task.rounds * task.drawn
        return OVERHEAD + drawn * (coded + task.selection_images * image) + task.kept * TEST_IMAGES * image
    if task.name == "reconstruction":
        return OVERHEAD + target.checkpoints / 10 * (2 * coded + 2 * TEST_IMAGES * image)
    return OVERHEAD + PROBES + target.checkpoints * coded


def _flops_of_token(config: object, transformers: int) -> float:
    """Floating-point operations of a token through SANE's encoder, decoder or both, forward: 2 a weight."""
    return 2.0 * transformers * config.layers * 12 * config.d_model**2 if isinstance(config, SaneConfig) else 0.0
