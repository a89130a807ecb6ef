"""Time training SANE and embedding with it, against a plain implementation as published, in alternation.

    python benchmarks/speed/sane.py
    python benchmarks/speed/sane.py --reference DIR    # the folder that holds the published package mzsane

One size for all: width 128, 4 + 4 layers, windows of 32 tokens, batches of 32 windows of cnn_s in two views. The plain
one has PyTorch's AdamW over learned tables of 50,000, 150 and 600 positions, runs the two views one after the other,
and loads each window from a pickle, as the published code does. `--reference` also takes the published model's own
step, on batches that are in memory already. Prints medians of alternated repetitions in tokens a second, of both
views; the share of the rate of a large matrix product that the matrix products' arithmetic is; and the loss after
equally many steps from equal learning rates on equal windows (the reference's is of targets with noise in them, and
normalised over the batch).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from timing import matrix_rate, seconds
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.flop_counter import FlopCounterMode

from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.symmetry import permutation_groups, random_permutations
from zoobench.methods.sane import Sane, SaneConfig
from zoobench.methods.sane.loss import nt_xent, reconstruction
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.training import Training
from zoobench.methods.sane.windows import View, WindowSampler
from zoobench.populations import Population, Tokenizer

POSITIONS = (50_000, 150, 600)
CHECKPOINTS = 500
CONFIG = SaneConfig(
    d_model=128, layers=4, latent=32, window=32, halo=8, batch_size=32, token_norm=False, learning_rate=1e-3, steps=1000
)


def population() -> Population:
    """Checkpoints of cnn_s whose layers have a scale of their own and something in common, as trained ones have."""
    architecture = get_architecture("cnn_s")
    layout = architecture.layout(1, 10)
    generator = torch.Generator().manual_seed(0)
    common, own = torch.randn(1, layout.size, generator=generator), torch.randn(CHECKPOINTS, 4, generator=generator)
    mixture = torch.randn(4, layout.size, generator=generator)
    weights = 0.1 * (common + own @ mixture / 2 + torch.randn(CHECKPOINTS, layout.size, generator=generator) / 5)
    table = pd.DataFrame({"model_id": map(str, range(CHECKPOINTS)), "epoch": 1, "split": "train"})
    return Population.of("cnn_s", Tokenizer.of(layout), weights, table)


def sampler_of(checkpoints: Population) -> WindowSampler:
    """Windows of which the second view is under one of five permutations."""
    module = get_architecture("cnn_s").build(channels=1, classes=10, activation="tanh", dropout=0.0, width=1.0)
    generator = torch.Generator().manual_seed(0)
    layout = checkpoints.layout
    maps = random_permutations(layout, permutation_groups(module, (1, 28, 28)), 5, generator)
    places = checkpoints.tokenizer.index.clamp(max=layout.size - 1)
    return WindowSampler([checkpoints], [View(maps.int()[:, places])], CONFIG.window, 0, noise=CONFIG.noise)


def autoencoder(token_size: int, config: SaneConfig) -> Autoencoder:
    """A new one."""
    torch.manual_seed(0)
    return Autoencoder(
        token_size,
        config.latent,
        config.d_model,
        config.heads,
        config.layers,
        POSITIONS,
        config.window,
        positions=config.positions,
    )


def step_of_ours(sampler: WindowSampler, config: SaneConfig) -> Callable[[], float]:
    """One step of `zoobench.methods.sane`."""
    training = Training(autoencoder(sampler.populations[0].tokenizer.token_size, config), config)
    return lambda: training.advance(sampler).reconstruction.item()


def step_of_the_plain_one(sampler: WindowSampler, pickles: Path) -> Callable[[], float]:
    """One step as published, in plain PyTorch; the windows lie in `pickles`."""
    model = autoencoder(sampler.populations[0].tokenizer.token_size, replace(CONFIG, positions="learned"))
    optimizer = torch.optim.AdamW(model.parameters(), CONFIG.learning_rate, weight_decay=CONFIG.weight_decay)
    schedule = OneCycleLR(optimizer, CONFIG.learning_rate, total_steps=CONFIG.steps)
    batches = _unpickled(sampler, pickles)

    def step() -> float:
        views, mask, positions = next(batches)
        optimizer.zero_grad(set_to_none=True)
        noisy = [view * (1 + CONFIG.noise * torch.randn(view.shape)) for view in views]
        latents = [model.encode(view, positions) for view in noisy]
        outputs = [model.decode(each, positions) for each in latents]
        error = reconstruction(torch.cat(outputs), torch.cat(list(views)), torch.cat([mask, mask]), "token")
        contrastive = nt_xent(*(model.project(each) for each in latents), CONFIG.temperature)
        (CONFIG.gamma * contrastive + (1 - CONFIG.gamma) * error).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.clip)
        optimizer.step()
        schedule.step()
        return error.item()

    return step


def _unpickled(sampler: WindowSampler, pickles: Path) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of windows, each a file that holds tokens, mask and positions; written when first asked for."""
    number = 0
    while True:
        files = [pickles / f"{number}-{i}.pt" for i in range(CONFIG.batch_size)]
        samples = [torch.load(file, weights_only=True) for file in files]
        yield (
            torch.stack([sample["w"] for sample in samples], dim=1),
            torch.stack([sample["m"] for sample in samples]),
            torch.stack([sample["p"] for sample in samples]),
        )
        number += 1


def write_pickles(sampler: WindowSampler, pickles: Path, steps: int) -> None:
    """The windows of so many batches, one file each."""
    for number in range(steps):
        batch = sampler.draw(number, CONFIG.batch_size)
        for i in range(CONFIG.batch_size):
            sample = {"w": batch.targets[:, i].clone(), "m": batch.mask[i].clone(), "p": batch.positions[i].clone()}
            torch.save(sample, pickles / f"{number}-{i}.pt")


def step_of_the_reference(folder: Path, sampler: WindowSampler) -> Callable[[], float]:
    """One step of the published model, with its own loss and optimizer."""
    sys.path.insert(0, str(folder))
    # Of this module, which imports much more, the model asks for the name of a transformation that it is not given.
    augmentations: Any = types.SimpleNamespace(IdentityTransform=None)
    sys.modules.setdefault("mzsane.datasets.augmentations", augmentations)
    from mzsane.models.def_AE_module import AEModule

    module = AEModule(
        {
            "ae:i_dim": sampler.populations[0].tokenizer.token_size,
            "ae:lat_dim": CONFIG.latent,
            "ae:d_model": CONFIG.d_model,
            "ae:nhead": CONFIG.heads,
            "ae:num_layers": CONFIG.layers,
            "ae:max_positions": list(POSITIONS),
            "ae:transformer_type": "gpt2",
            "training::windowsize": CONFIG.window,
            "training::gamma": CONFIG.gamma,
            "training::temperature": CONFIG.temperature,
            "training::standardize_token": True,
            "training::precision": "amp",
            "trainset::batchsize": CONFIG.batch_size,
            "optim::lr": CONFIG.learning_rate,
            "optim::wd": CONFIG.weight_decay,
            "device": "cpu",
        }
    )
    module.model.train()
    numbers = iter(range(10**9))

    def step() -> float:
        batch = sampler.draw(next(numbers), CONFIG.batch_size)
        positions = batch.positions.int()
        first, second = batch.inputs
        losses = module.train_step(first, batch.mask, positions, second, batch.mask, positions)
        return losses["loss/loss_recon"].item()

    return step


def time_embedding(checkpoints: Population, repeats: int) -> None:
    """Checkpoints a second: all of a population in batches, against one after the other."""
    sane = Sane(CONFIG, checkpoints.tokenizer.token_size, POSITIONS, {}, Standardization())
    some = checkpoints.weights[:50]
    ways: dict[str, Callable[[], object]] = {
        "in batches": lambda: sane.embed(checkpoints),
        "one by one": lambda: [sane.encode(checkpoints.tokenizer, flat[None]).mean(1) for flat in some],
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            taken[name].append(seconds(way))
    batched = len(checkpoints) / statistics.median(taken["in batches"])
    single = len(some) / statistics.median(taken["one by one"])
    print(f"embedding: {batched:.0f} checkpoints/s in batches, {single:.0f} one by one, ratio {batched / single:.1f}")


def main() -> None:
    """Read the options, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, default=100, help="after which losses are compared")
    parser.add_argument("--reference", type=Path, help="folder that holds the published package mzsane")
    arguments = parser.parse_args()
    checkpoints = population()
    sampler = sampler_of(checkpoints)
    with tempfile.TemporaryDirectory() as folder:
        write_pickles(sampler, Path(folder), max(arguments.steps, arguments.repeats) + 1)
        ways = {
            "plain, as published": step_of_the_plain_one(sampler, Path(folder)),
            "ours, learned tables": step_of_ours(sampler, replace(CONFIG, positions="learned")),
            "ours, sinusoidal": step_of_ours(sampler, CONFIG),
        }
        if arguments.reference is not None:
            ways["reference"] = step_of_the_reference(arguments.reference, sampler)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        losses: dict[str, list[float]] = {name: [] for name in ways}
        for repeat in range(arguments.steps):
            for name, step in ways.items():
                started = time.perf_counter()
                losses[name].append(step())
                if 0 < repeat <= arguments.repeats:
                    taken[name].append(time.perf_counter() - started)
    model, batch = autoencoder(checkpoints.tokenizer.token_size, CONFIG), sampler.draw(0, CONFIG.batch_size)
    with FlopCounterMode(display=False) as counter:
        projection, output = model(batch.inputs.flatten(0, 1), torch.cat([batch.positions] * 2))
        (projection.sum() + F.mse_loss(output, torch.zeros_like(output))).backward()
    flops, limit = counter.get_total_flops(), matrix_rate()
    tokens = 2 * batch.real.numel()
    print(
        f"{tokens} tokens a step, {torch.get_num_threads()} threads: {flops / 1e9:.1f} GFLOP a step in matrix "
        f"products, which run at {limit / 1e9:.0f} GFLOP/s at best"
    )
    plain = statistics.median(taken["plain, as published"])
    for name, times in taken.items():
        each = statistics.median(times)
        loss = statistics.mean(losses[name][-10:])
        print(
            f"{name:22} {tokens / each:8.0f} tokens/s   ratio {plain / each:5.2f}   share of the limit "
            f"{flops / each / limit:4.0%}   reconstruction after {arguments.steps} steps {loss:.3f}"
        )
    time_embedding(checkpoints, arguments.repeats)


if __name__ == "__main__":
    main()
