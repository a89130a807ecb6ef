"""Measure everything that this project does on a GPU, in one run of a few minutes, without a download.

    python benchmarks/speed/gpu.py --device cuda --out results/speed
    python benchmarks/speed/gpu.py --device cpu --small --out DIR

Parts: the rate of a large matrix product in bfloat16; cnn_s in stacks of the fastest size, against the plain loop;
ResNet-18 on made images of CIFAR-10's shape, in float32 and in bfloat16 channels-last; a step of SANE in the presets
`tiny`, `base` and `paper`, with the share of the matrix rate that its arithmetic reaches; candidates of ResNet-18
generated, conditioned and evaluated; and results compared with a CPU's within a stated tolerance.

Each part has its share of `--minutes` and stops at it. A part that fails is recorded with its reason, the others go
on, and the exit code is then 1. `DIR/gpu.json` and `DIR/gpu.md` are written after every part. `zoobench ablate
--dry-run` reads the rates from `results/speed/gpu.json` or `--rates`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from timing import matrix_rate, seconds
from torch import Tensor
from torch.nn import functional as F

from zoo_generation.data import ImageDataset, Split
from zoo_generation.data.images import Images, normalised
from zoo_generation.files import written_aside
from zoo_generation.networks.accuracy import condition_batch_norm, evaluate
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.provenance import commit, versions
from zoo_generation.training.memory import GPU_STACK, fastest_stack, free_memory, models_in_memory
from zoo_generation.training.models import build_model
from zoo_generation.training.single import ModelTraining
from zoo_generation.training.spec import ModelSpec, make_spec
from zoo_generation.training.stacked import StackTraining
from zoobench.evaluation.cost import forward_flops
from zoobench.methods.density import draw
from zoobench.methods.sane import METHOD, PRESETS, Sane
from zoobench.methods.sane.device import on_device
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.training import Training
from zoobench.methods.sane.windows import WindowSampler
from zoobench.populations import Population, Tokenizer
from zoobench.zoo.source import Kind

TOKEN_SIZE = 230
REPEATS = 20  # of a step, at most
LOSS_TOLERANCE = 2e-2  # of the mean cross-entropy and of decoded weights, relative: bfloat16 is not used in these
Figures = dict[str, float | int | str]


@dataclass
class Bench:
    """The device, the sizes, and what the parts before have measured.

    seconds: of a part, at most; ends: when the running one stops; peak: rate of a matrix product in bfloat16; rates:
    floating-point operations per second, as `zoobench.evaluation.cost` needs them.
    """

    device: str
    small: bool
    seconds: float
    ends: float = 0.0
    peak: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)

    def time_of(self, work: Callable[[], object]) -> float:
        """Median seconds of a piece of work, after one that is not timed, until the part's time is over."""
        seconds(work, self.device)
        taken = [seconds(work, self.device)]
        while len(taken) < (2 if self.small else REPEATS) and time.monotonic() + taken[-1] < self.ends:
            taken.append(seconds(work, self.device))
        return statistics.median(taken)


def matrix(bench: Bench) -> Figures:
    """The rate of a large matrix product."""
    side = 256 if bench.small else 8192
    kind = torch.bfloat16
    one = torch.randn(side, side, device=bench.device, dtype=kind)
    bench.peak = 2 * side**3 / bench.time_of(lambda: one @ one)
    return {"bf16_tflops": bench.peak / 1e12, "fp32_tflops": matrix_rate(bench.device, side, 3) / 1e12}


def stacks(bench: Bench, spec: ModelSpec, dataset: ImageDataset, least: int, few: int) -> Figures:
    """Epochs of the fastest stack and of the plain loop. least: models of a stack; few: at most as many if small."""
    most = few if bench.small else min(GPU_STACK, models_in_memory(spec, dataset, free_memory(bench.device)))
    size = max(least, fastest_stack(spec, dataset, bench.device, most))
    stacked = size / bench.time_of(StackTraining([spec] * size, dataset, bench.device).epoch)
    plain = 1 / bench.time_of(plain_epoch(spec, dataset, bench.device))
    return {"models_epochs_per_s": stacked, "plain_models_epochs_per_s": plain, "ratio": stacked / plain, "k": size}


def cnn(bench: Bench) -> Figures:
    """cnn_s, the fastest stack against the plain loop."""
    dataset, spec = made(28, 1, 64 if bench.small else 3200), spec_of("cnn_s", 1.0, 32)
    figures = stacks(bench, spec, dataset, 1, 4)
    bench.rates["stacked"] = float(figures["models_epochs_per_s"]) * 3 * flops_of(spec) * len(dataset.train)
    return figures


def resnet(bench: Bench) -> Figures:
    """ResNet-18 on images of CIFAR-10's shape: plain PyTorch, and the trainer of single models in both precisions."""
    dataset = made(32, 3, 16 if bench.small else 5120)
    spec = spec_of("resnet18", 1 / 16 if bench.small else 1.0, 16 if bench.small else 256)
    images = len(dataset.train)
    figures: Figures = {"plain_images_per_s": images / bench.time_of(plain_epoch(spec, dataset, bench.device))}
    for name, asked in {"float32": spec, "bfloat16": spec.model_copy(update={"precision": "bfloat16"})}.items():
        figures[f"{name}_images_per_s"] = images / bench.time_of(ModelTraining(asked, dataset, bench.device).epoch)
    bench.rates["alone"] = float(figures["float32_images_per_s"]) * 3 * flops_of(spec)
    return figures | {"ratio": float(figures["bfloat16_images_per_s"]) / float(figures["plain_images_per_s"])}


def narrow(bench: Bench) -> Figures:
    """ResNet-18 of an eighth of the width, the fastest stack of two or more against the plain loop."""
    dataset = made(32, 3, 16 if bench.small else 1280)
    spec = spec_of("resnet18", 1 / 16 if bench.small else 1 / 8, 16 if bench.small else 64)
    return {"images": len(dataset.train)} | stacks(bench, spec, dataset, 2, 2)


def sane(preset: str) -> Callable[[Bench], Figures]:
    """A step of SANE in a preset."""

    def part(bench: Bench) -> Figures:
        config = PRESETS[preset]
        if bench.small:
            config = replace(config, d_model=32, heads=2, layers=1, latent=8, batch_size=4, window=32, halo=4)
        known = population(bench, 4 if bench.small else 64)
        tokenizer = known.tokenizer
        largest = tuple((tokenizer.positions.max(0).values + 1).tolist())
        fitted = Sane(config, tokenizer.token_size, largest, {}, Standardization()).to(bench.device)
        sampler = WindowSampler([known], [None], config.window, 0, noise=config.noise)
        source = on_device(sampler, torch.device(bench.device))
        training = Training(fitted.model, config)
        first = training.advance(source).values()["reconstruction"]
        taken = bench.time_of(lambda: training.advance(source))
        last = training.advance(source).values()["reconstruction"]
        finite(torch.tensor([first, last]))
        rate = METHOD.cost(config).fit / config.steps / taken
        if preset == "paper" or "transformer" not in bench.rates:
            bench.rates["transformer"] = rate
        figures: Figures = {"ms_per_step": 1e3 * taken, "tflops": rate / 1e12}
        if bench.peak:
            figures["share_of_bf16_rate"] = rate / bench.peak
        return figures | {"drawn_by": type(source).__name__, "compiled": str(training.together is not fitted.model)}

    return part


def candidates(bench: Bench) -> Figures:
    """ResNet-18: latents drawn around anchors, decoded, conditioned and evaluated, all on the device."""
    count, at_once = (2, 2) if bench.small else (200, 25)
    known = population(bench, 2 if bench.small else 5)
    tokenizer, config = known.tokenizer, PRESETS["tiny"]
    model = Sane(config, tokenizer.token_size, (1, 1, 1), {}, Standardization()).to(bench.device)
    dataset = made(32, 3, 128)
    images = Images(*normalised(dataset, dataset.train, bench.device))
    module = network(bench)
    generator = torch.Generator(bench.device).manual_seed(0)
    latents = model.encode(tokenizer, known.weights)
    done, accuracy, taken = 0, [], dict.fromkeys(("draw_and_decode", "condition", "evaluate"), 0.0)

    def clocked(stage: str, work: Callable[[], Any]) -> Any:
        results: list[Any] = []
        taken[stage] += seconds(lambda: results.append(work()), bench.device)
        return results[0]

    while done < count and (not done or time.monotonic() < bench.ends):
        few = min(at_once, count - done)

        def decoded(few: int = few) -> Tensor:
            drawn = draw(latents, few, config.density, config.bandwidth, config.relative_bandwidth, generator)
            return model.decode(tokenizer, drawn)

        weights = clocked("draw_and_decode", decoded)
        assert weights.device.type == bench.device
        setting = weights, tokenizer.layout, module, images
        weights = clocked("condition", lambda setting=setting: condition_batch_norm(*setting, device=bench.device))
        setting = weights, tokenizer.layout, module, images
        losses = clocked("evaluate", lambda setting=setting: evaluate(*setting, bench.device))
        accuracy.append(losses[1])
        done += few
    finite(torch.cat(accuracy))
    kind = Kind("cifar10", "resnet18", width(bench), 32, None, frozenset(), 0)
    bench.rates["evaluated"] = done * len(images.labels) * forward_flops(kind) / taken["evaluate"]
    figures: Figures = {f"{stage}_s": each for stage, each in taken.items()}
    return figures | {"candidates": done, "candidates_per_s": done / sum(taken.values())}


def agreement(bench: Bench) -> Figures:
    """What a device computes against the CPU: a stack's loss after a few steps, decoded weights, and evaluation."""
    dataset, spec = made(28, 1, 64), spec_of("cnn_s", 1.0, 32)
    losses = []
    for device in ("cpu", bench.device):
        training = StackTraining([spec] * 2, dataset, device)
        training.epoch()
        losses.append(training.evaluate(*training.splits[1])[0].cpu())
    known = population(bench, 2)
    model = Sane(PRESETS["tiny"], known.tokenizer.token_size, (1, 1, 1), {}, Standardization())
    latents = model.encode(known.tokenizer, known.weights[:1])
    decoded = [model.to(device).decode(known.tokenizer, latents).cpu() for device in ("cpu", bench.device)]
    colours = made(32, 3, 32)
    images = Images(*normalised(colours, colours.val, "cpu"))
    evaluated = [
        evaluate(known.weights, known.layout, network(bench), images, device)[0] for device in ("cpu", bench.device)
    ]
    figures: Figures = {"tolerance": LOSS_TOLERANCE}
    for name, (here, there) in {"stack": losses, "decode": decoded, "evaluate": evaluated}.items():
        apart = float((there - here).norm() / here.norm())
        figures[name] = apart
        if not apart <= LOSS_TOLERANCE:
            raise ValueError(f"{name} differs from the CPU's by {apart:.2g} of its size; allowed are {LOSS_TOLERANCE}")
    return figures


PARTS: dict[str, Callable[[Bench], Figures]] = {
    "matrix": matrix,
    "cnn_s": cnn,
    "resnet18": resnet,
    "narrow resnet18": narrow,
    **{f"sane {preset}": sane(preset) for preset in ("tiny", "base", "paper")},
    "candidates": candidates,
    "agreement": agreement,
}


def made(size: int, channels: int, images: int) -> ImageDataset:
    """Noise with labels, in that shape."""
    generator = torch.Generator().manual_seed(0)
    splits = []
    for count in (images, 32, 32):
        pixels = torch.randint(256, (count, channels, size, size), generator=generator, dtype=torch.uint8)
        splits.append(Split(pixels, torch.randint(10, (count,), generator=generator)))
    return ImageDataset.of("made", tuple("0123456789"), *splits)


def spec_of(architecture: str, wide: float, batch: int) -> ModelSpec:
    """The spec of one model, with more epochs than are ever trained."""
    values = {"datasets": "mnist", "architectures": architecture, "width": wide, "batch_size": batch}
    return make_spec(values | {"learning_rate": 1e-3, "seeds": 1, "epochs": 1000, "activation": "relu"}).models()[0]


def plain_epoch(spec: ModelSpec, dataset: ImageDataset, device: str) -> Callable[[], None]:
    """An epoch of one model in plain PyTorch."""
    model = build_model(spec, dataset, device).train()
    images, labels = normalised(dataset, dataset.train, device)
    optimizer = torch.optim.Adam(model.parameters(), spec.learning_rate)

    def epoch() -> None:
        for chosen in torch.randperm(len(images), device=device).split(spec.batch_size):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()

    return epoch


def flops_of(spec: ModelSpec) -> float:
    """Operations of a forward pass on one image."""
    return forward_flops(Kind("mnist", spec.architecture, spec.width, spec.image_size, None, frozenset(), 0))


def width(bench: Bench) -> float:
    """Of the ResNet-18 that is generated."""
    return 1 / 16 if bench.small else 1.0


def network(bench: Bench) -> torch.nn.Module:
    """That ResNet-18."""
    return get_architecture("resnet18").build(
        channels=3, classes=10, activation="relu", dropout=0.0, width=width(bench)
    )


def population(bench: Bench, models: int) -> Population:
    """New ResNet-18s as checkpoints."""
    torch.manual_seed(0)
    layout = get_architecture("resnet18").layout(3, 10, width(bench))
    weights = torch.stack([layout.flatten(network(bench).state_dict()) for _ in range(models)]).detach()
    table = pd.DataFrame({"model_id": map(str, range(models)), "epoch": 1, "split": "train"})
    return Population.of("resnet18", Tokenizer.of(layout, TOKEN_SIZE), weights, table)


def finite(values: Tensor) -> None:
    """Raise `ValueError` unless all are finite."""
    if not bool(values.isfinite().all()):
        raise ValueError("a result is not finite")


def card_of(device: str) -> str:
    """The name of what is measured."""
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def table_of(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    about = ", ".join(f"{name} {value}" for name, value in record["versions"].items())
    lines = [f"{record['card']}, {about}, commit {record['commit']}", "", "| part | figure | value |", "|---|---|---:|"]
    for name, part in record["parts"].items():
        figures = part["figures"] if part["done"] else {"failed": part["reason"]}
        for figure, value in figures.items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
            lines.append(f"| {name} | {figure} | {shown} |")
    return "\n".join(lines) + "\n"


def measure(bench: Bench, out: Path) -> dict[str, Any]:
    """Run every part, and write what there is after each."""
    out.mkdir(parents=True, exist_ok=True)
    about = versions() | {"cuda": str(torch.version.cuda)}
    record: dict[str, Any] = {"card": card_of(bench.device), "device": bench.device, "versions": about}
    record |= {"commit": commit(), "small": bench.small, "parts": {}, "rates": bench.rates}
    for name, part in PARTS.items():
        started = time.monotonic()
        bench.ends = started + bench.seconds
        try:
            record["parts"][name] = {"done": True, "figures": part(bench)}
        except Exception as error:  # whatever a part raises; the next ones are measured all the same
            reason = (str(error).strip() or type(error).__name__).split("\n")[0]
            record["parts"][name] = {"done": False, "reason": reason}
        record["parts"][name]["seconds"] = round(time.monotonic() - started, 1)
        if bench.device == "cuda":
            torch.cuda.empty_cache()
        for file, text in {"gpu.json": json.dumps(record, indent=1) + "\n", "gpu.md": table_of(record)}.items():
            with written_aside(out / file) as aside:
                aside.write_text(text)
    return record


def main() -> None:
    """Read the options, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--small", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    options = parser.parse_args()
    bench = Bench(options.device, options.small, 60 * options.minutes / len(PARTS))
    record = measure(bench, options.out)
    print(table_of(record))
    sys.exit(0 if all(part["done"] for part in record["parts"].values()) else 1)


if __name__ == "__main__":
    main()
