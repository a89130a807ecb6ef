"""Time training a zoo: a stack of models, against a plain loop over models, in one process and in alternation.

    python benchmarks/speed/zoo_training.py --architecture cnn_s --dataset mnist --data-root DIR
    python benchmarks/speed/zoo_training.py --reference DIR    # a checkout of ModelZoos/ModelZooDataset

The plain loop is how the published zoos were made: an `nn.Module`, PyTorch's Adam, batch by batch, one model at a time.
Each model of the stack has its own order of the images, or, in the second row, all have one. Prints the medians of
alternated repetitions in models·epochs a second, the ratio to the plain loop, and what share of the rate of a large
matrix product the convolutions' and linear layers' arithmetic is. Evaluation is not timed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from timing import matrix_rate, seconds
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from zoo_generation.data import ImageDataset, load_dataset
from zoo_generation.data.images import normalised
from zoo_generation.networks.threads import use_threads
from zoo_generation.training.models import build_model
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.stacked import StackTraining


def plain_epochs(specs: list[ModelSpec], dataset: ImageDataset, device: str) -> Callable[[], None]:
    """One epoch of each model, one after the other."""
    images, labels = normalised(dataset, dataset.train, device)
    models = [build_model(spec, dataset, device) for spec in specs]
    optimizers = [
        torch.optim.Adam(model.parameters(), spec.learning_rate) for model, spec in zip(models, specs, strict=True)
    ]

    def work() -> None:
        for model, optimizer in zip(models, optimizers, strict=True):
            for chosen in torch.randperm(len(images), device=device).split(specs[0].batch_size):
                optimizer.zero_grad()
                F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
                optimizer.step()

    return work


def reference_epoch(path: Path, spec: ModelSpec, dataset: ImageDataset) -> Callable[[], None]:
    """One epoch of one model by the trainer of a checkout of the Model Zoo Dataset repository, with its own loader."""
    sys.path.insert(0, str(path / "code"))
    # It imports TensorBoard's writer, and never writes with it.
    sys.modules.setdefault("torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=None))  # type: ignore[arg-type]
    from model_definitions.def_FastTensorDataLoader import FastTensorDataLoader
    from model_definitions.def_net import NNmodule

    config: dict[str, Any] = {
        "model::type": {"cnn_s": "CNN", "cnn_m": "CNN2", "cnn_l": "CNN3"}[spec.architecture],
        "model::channels_in": dataset.channels,
        "model::nlin": spec.activation,
        "model::dropout": 0.0,
        "model::init_type": spec.init,
        "optim::optimizer": "adam",
        "optim::lr": spec.learning_rate,
        "optim::wd": 0.0,
    }
    module = NNmodule(config, cuda=False, seed=spec.seed)
    loader = FastTensorDataLoader(
        torch.utils.data.TensorDataset(*normalised(dataset, dataset.train, "cpu")), spec.batch_size, shuffle=True
    )
    return lambda: module.train_epoch(loader, 0)


def stacked_epoch(specs: list[ModelSpec], dataset: ImageDataset, device: str, shared: bool) -> Callable[[], None]:
    """One epoch of all models at once."""
    order = 0 if shared else None
    training = StackTraining([spec.model_copy(update={"order_seed": order}) for spec in specs], dataset, device)
    return training.epoch


def arithmetic(spec: ModelSpec, dataset: ImageDataset) -> int:
    """Floating-point operations of one model's epoch, counted by PyTorch: matrix products and convolutions."""
    model = build_model(spec, dataset, "cpu")
    images, labels = normalised(dataset, dataset.train, "cpu")
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(images[: spec.batch_size]), labels[: spec.batch_size]).backward()
    return counter.get_total_flops() * math.ceil(len(images) / spec.batch_size)


def main() -> None:
    """Read the options, alternate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="cnn_s")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--dataset", default="glyphs")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--stack-size", type=int, default=32)
    parser.add_argument("--plain-models", type=int, default=2, help="models that the plain loop trains a repetition")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--reference", type=Path)
    options = parser.parse_args()
    use_threads(options.threads)
    spec = make_spec(
        {
            "datasets": options.dataset,
            "architectures": options.architecture,
            "width": options.width,
            "batch_size": options.batch_size,
            "learning_rate": 1e-3,
            "seeds": options.stack_size,
            "epochs": 1000,  # never reached: a repetition is an epoch
        }
    )
    specs = spec.models()
    dataset = load_dataset(options.dataset, data_root=options.data_root, train_images=options.images)
    dataset = dataset.fit(dataset.channels, specs[0].image_size)
    device = options.device
    works: dict[str, tuple[int, Callable[[], object]]] = {
        "plain loop": (options.plain_models, plain_epochs(specs[: options.plain_models], dataset, device)),
        "stack": (len(specs), stacked_epoch(specs, dataset, device, shared=False)),
        "stack, shared order": (len(specs), stacked_epoch(specs, dataset, device, shared=True)),
    }
    if options.reference:
        works["reference"] = (1, reference_epoch(options.reference, specs[0], dataset))
    for _, work in works.values():
        seconds(work, device)  # compiles, and fills caches
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.repeats):
        for name, (models, work) in works.items():
            times[name].append(seconds(work, device) / models)
    operations, rate = arithmetic(specs[0], dataset), matrix_rate(device)
    print(
        f"{options.architecture}, {options.dataset}, {len(dataset.train)} images, batch {options.batch_size}, "
        f"{len(specs)} stacked, {options.threads} threads, {device}: {operations / 1e9:.2f} GFLOP a model·epoch, "
        f"matrix product {rate / 1e9:.0f} GFLOP/s"
    )
    plain = statistics.median(times["plain loop"])
    for name, taken in times.items():
        median = statistics.median(taken)
        print(
            f"{name:20} {1 / median:8.3f} models·epochs/s   ratio {plain / median:6.2f}   "
            f"share of the arithmetic limit {operations / median / rate:6.1%}"
        )


if __name__ == "__main__":
    main()
