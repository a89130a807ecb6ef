"""Estimated cost of the pieces of a plan, from their arithmetic and the speed of a device.

Within a factor of two or so: enough to choose between an evening and a weekend.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pandas as pd
import torch

from zoo_generation.data.registry import get_dataset
from zoo_generation.errors import InputError
from zoo_generation.files import read_json
from zoo_generation.machine import cores
from zoo_generation.networks import flops
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.text import duration
from zoobench.evaluation.plan import Cell, Fit, Plan, TrainingSet
from zoobench.populations import Tokenizer
from zoobench.populations.selection import TOKEN_SIZE
from zoobench.populations.tokenizer import longest_row
from zoobench.zoo.source import Kind, Source

OVERHEAD = 2.0  # seconds per piece, whatever it computes: opening images and token sets, writing files
STACKED, TRANSFORMER, EVALUATED = 0.2, 0.4, 0.2  # shares of the speed of matrix products that these reach on a CPU
NARROW, WIDE = 3.9e5, 1.1e9  # operations per image of cnn_s on MNIST and ResNet-18 on CIFAR-10, which are measured
CHECKED_IMAGES = 20_000  # on which a checkpoint is evaluated: training, validation and test images


@dataclass(frozen=True)
class Rates:
    """Floating-point operations per second.

    device: what reaches them, in words; stacked, alone: in training stacks of narrow models, of `NARROW` operations per
    image, and one wide model, of `WIDE`; transformer: in transformers; evaluated: in evaluating models.
    """

    device: str
    stacked: float
    alone: float
    transformer: float
    evaluated: float

    def training(self, flops: float) -> float:
        """In training a model of that many operations per image: between those of a narrow and a wide one."""
        share = min(1.0, max(0.0, math.log(flops / NARROW) / math.log(WIDE / NARROW)))
        return self.stacked ** (1 - share) * self.alone**share

    @classmethod
    def here(cls) -> Rates:
        """Of one core of this machine."""
        rate = machine_rate()
        return cls("one core of this machine", STACKED * rate, STACKED * rate, TRANSFORMER * rate, EVALUATED * rate)

    @classmethod
    def read(cls, path: Path) -> Rates:
        """Those that `benchmarks/speed/gpu.py` measured. Raises `InputError` if the file has no such rates."""
        content = read_json(path, "measured rates")
        rates = content.get("rates") if isinstance(content, dict) else None
        names = ("stacked", "alone", "transformer", "evaluated")
        given = [rates.get(name) for name in names] if isinstance(rates, dict) else []
        found = [float(each) for each in given if isinstance(each, int | float) and each > 0]
        if len(found) < len(names):
            raise InputError(
                f"{path} does not have the rates {', '.join(names)}, each above 0; measure them with "
                "'python benchmarks/speed/gpu.py'"
            )
        if content.get("small"):
            raise InputError(f"{path} was measured with --small, which says nothing of speed; measure without it")
        return cls(f"one {content.get('card', 'device')}", *found)


def cost_of(plan: Plan, rates: Rates | None = None) -> pd.DataFrame:
    """About how long each piece of a plan takes at these rates, those of one core here if None; if nothing is kept yet.

    One row per piece; columns: kind (`Zoos`, `Trainings` or `Cells`), name, seconds. Methods of unknown arithmetic
    count 0.
    """
    rates = rates or Rates.here()
    rows = [("Zoos", _words(source), zoo_seconds(source, rates)) for source in plan.sources]
    rows += [("Trainings", fit.name, fit_seconds(fit, rates)) for fit in plan.fits]
    rows += [("Cells", cell.name, cell_seconds(cell, rates)) for cell in plan.cells]
    return pd.DataFrame(rows, columns=["kind", "name", "seconds"])


def words_of(cost: pd.DataFrame, rates: Rates, measured: Path | None) -> str:
    """The cost in a sentence: in hours of the device that was measured, or on this machine's cores."""
    total = float(cost["seconds"].sum())
    if measured is not None:
        return f"About {total / 3600:.3g} GPU-hours of {rates.device}, at the rates measured in {measured}"
    return (
        f"About {duration(total)} of {rates.device}, {duration(total / cores())} on its {cores()}; for GPU-hours, run "
        "benchmarks/speed/gpu.py on a GPU (docs/gpus.md)"
    )


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


def zoo_seconds(source: Source, rates: Rates) -> float:
    """Seconds to build a zoo; 0 if it exists already."""
    if source.spec is None:
        return 0.0
    total = 0.0
    for kind in source.kinds:
        seen = 3 * (kind.train_images or CHECKED_IMAGES) * source.spec.epochs * len(kind.ids)
        flops = forward_flops(kind)
        total += (seen + CHECKED_IMAGES * kind.checkpoints) * flops / rates.training(flops)
    return total


def fit_seconds(fit: Fit, rates: Rates) -> float:
    """Seconds to fit a method; 0 if its arithmetic is not known."""
    cost, epochs = fit.method.cost(fit.config), getattr(fit.config, "epochs", None)
    if (seconds := getattr(fit.config, "core_seconds", None)) is not None:
        return OVERHEAD + float(seconds)
    flops = cost.fit if epochs is None or fit.on is None else epochs * _training_tokens(fit.on) * cost.trained
    return OVERHEAD + flops / rates.transformer if flops else 0.0


def cell_seconds(cell: Cell, rates: Rates) -> float:
    """Seconds to ask and to judge."""
    kind = cell.target.kind
    coded = _tokens(kind) * cell.fit.method.cost(cell.fit.config).token / rates.transformer
    image = forward_flops(kind) / rates.evaluated
    work = cell.task.work(kind.checkpoints, kind.train_images or CHECKED_IMAGES)
    return OVERHEAD + work.seconds + work.models * coded + work.images * image


def forward_flops(kind: Kind) -> float:
    """Floating-point operations per image through a model, counted without data."""
    return flops.forward_flops(kind.architecture, *_shape(kind), kind.width, kind.image_size)


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
