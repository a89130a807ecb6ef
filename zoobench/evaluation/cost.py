"""Estimated cost of the pieces of a plan, from their arithmetic and the speed of this machine's matrix products.

Within a factor of two or so: enough to choose between an evening and a weekend.
"""

from __future__ import annotations

import time
from functools import lru_cache

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo_generation.data.registry import get_dataset
from zoo_generation.networks.architectures import get_architecture
from zoobench.evaluation.plan import Cell, Fit, Plan, TrainingSet
from zoobench.populations import Tokenizer
from zoobench.populations.selection import TOKEN_SIZE
from zoobench.populations.tokenizer import longest_row
from zoobench.zoo.source import Kind, Source

OVERHEAD = 2.0  # seconds per piece, whatever it computes: opening images and token sets, writing files
STACKED, TRANSFORMER, EVALUATED = 0.2, 0.4, 0.2  # shares of the speed of matrix products that these reach
CHECKED_IMAGES = 20_000  # on which a checkpoint is evaluated: training, validation and test images


def cost_of(plan: Plan) -> pd.DataFrame:
    """About how long each piece of a plan takes on one core of this machine, if nothing is kept already.

    One row per piece; columns: kind (`Zoos`, `Trainings` or `Cells`), name, seconds. Methods of unknown arithmetic
    count 0.
    """
    rows = [("Zoos", _words(source), zoo_seconds(source)) for source in plan.sources]
    rows += [("Trainings", fit.name, fit_seconds(fit)) for fit in plan.fits]
    rows += [("Cells", cell.name, cell_seconds(cell)) for cell in plan.cells]
    return pd.DataFrame(rows, columns=["kind", "name", "seconds"])


@lru_cache(maxsize=1)
def machine_rate() -> float:
    """Floating-point operations per second of one core in matrix products of 512 × 512, the best of five."""
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
    """Core-seconds to build a zoo; 0 if it exists already."""
    if source.spec is None:
        return 0.0
    total = 0.0
    for kind in source.kinds:
        seen = 3 * (kind.train_images or CHECKED_IMAGES) * source.spec.epochs * len(kind.ids)
        total += (seen + CHECKED_IMAGES * kind.checkpoints) * forward_flops(kind)
    return total / (STACKED * machine_rate())


def fit_seconds(fit: Fit) -> float:
    """Core-seconds to fit a method; 0 if its arithmetic is not known."""
    cost, epochs = fit.method.cost(fit.config), getattr(fit.config, "epochs", None)
    if (seconds := getattr(fit.config, "core_seconds", None)) is not None:
        return OVERHEAD + float(seconds)
    flops = cost.fit if epochs is None or fit.on is None else epochs * _training_tokens(fit.on) * cost.trained
    return OVERHEAD + flops / (TRANSFORMER * machine_rate()) if flops else 0.0


def cell_seconds(cell: Cell) -> float:
    """Core-seconds to ask and to judge."""
    kind = cell.target.kind
    coded = _tokens(kind) * cell.fit.method.cost(cell.fit.config).token / (TRANSFORMER * machine_rate())
    image = forward_flops(kind) / (EVALUATED * machine_rate())
    work = cell.task.work(kind.checkpoints, kind.train_images or CHECKED_IMAGES)
    return OVERHEAD + work.seconds + work.models * coded + work.images * image


@lru_cache(maxsize=64)
def forward_flops(kind: Kind) -> float:
    """Floating-point operations per image through a model, counted without data."""
    channels, classes = _shape(kind)
    architecture = get_architecture(kind.architecture)
    with torch.device("meta"):
        module = architecture.build(
            channels=channels, classes=classes, activation="relu", dropout=0.0, width=kind.width
        )
        images = torch.empty(1, channels, kind.image_size, kind.image_size)
        with FlopCounterMode(display=False) as counter:
            module.eval()(images)
    return float(counter.get_total_flops())


def _shape(kind: Kind) -> tuple[int, int]:
    """Channels, and classes from the registry; reads no images."""
    entry = get_dataset(kind.dataset)
    return kind.channels or entry.channels, len(entry.classes) or 10


@lru_cache(maxsize=64)
def _tokens(kind: Kind) -> int:
    """Tokens per model."""
    layout = get_architecture(kind.architecture).layout(*_shape(kind), kind.width)
    return len(Tokenizer.of(layout, min(longest_row(layout), TOKEN_SIZE)))


def _training_tokens(training: TrainingSet) -> int:
    """About how many tokens the checkpoints of a training set have."""
    if training.tokens is not None:
        return training.tokens
    total = 0.0
    for kind in (origin.kind for origin in training.origins):
        of_model = len(training.checkpoint_epochs or ()) or kind.checkpoints / len(kind.ids)
        total += (training.share or kind.training_models) * of_model * _tokens(kind)
    return round(total)


def _words(source: Source) -> str:
    return f"{source.name}: {sum(len(kind.ids) for kind in source.kinds)} models, {source.path}"
