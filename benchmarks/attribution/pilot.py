"""What a track of attribution can resolve: the ceiling of the linear datamodeling score, before methods are tried.

Trains models on random halves of the digits, several seeds on each half, and measures after some epochs how accurate
they are, what share of the variance of a test image's margin is of the half and what of the seed, and the ceiling. On
one core.

    python benchmarks/attribution/pilot.py --images 500 1000 --subsets 60 --seeds 4 --epochs 10 20 40
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from zoo_generation.data.images import normalised
from zoo_generation.data.load import load_images
from zoo_generation.networks.accuracy import logits, margins
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import build_module
from zoo_generation.provenance import hardware, versions
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
from zoobench.tasks.rank_correlation import drawn_counts, spearman

ASKED = 200


def measured(images: int, args: argparse.Namespace) -> list[dict[str, float]]:
    """One row for each number of epochs."""
    spec = make_spec(
        {"datasets": "digits", "architectures": args.architecture, "activation": "tanh", "learning_rate": args.rate}
        | {"train_images": images, "subset_fraction": args.fraction, "subsets": args.subsets, "seeds": args.seeds}
        | {"epochs": max(args.epochs), "checkpoint_epochs": args.epochs}
    )
    specs, started = spec.models(), time.process_time()
    dataset = load_images(dataset_key(specs[0]), None)
    trained = train_models(specs, dataset, 32)
    seconds = time.process_time() - started
    layout = Layout.of(trained[0].checkpoints[0].state)
    row = pd.Series(
        {"architecture": args.architecture, "activation": "tanh", "width": 1.0, "channels": 1, "classes": 10}
        | {"image_size": dataset.size}
    )
    pixels, labels = normalised(dataset, dataset.test, "cpu")
    pixels, labels = pixels[:ASKED], labels[:ASKED]
    rows = []
    for place, epoch in enumerate(args.epochs):
        checkpoints = [model.checkpoints[place] for model in trained]
        weights = torch.stack([layout.flatten(each.state) for each in checkpoints])
        answers = margins(logits(weights, layout, build_module(row), pixels).double(), labels)
        grid = answers.unflatten(0, (args.subsets, args.seeds))
        noise = grid.var(1).mean(0)  # of the seed, for each image
        of_half = (grid.mean(1).var(0) - noise / args.seeds).clamp(min=0)
        halves = grid[:, ::2].mean(1), grid[:, 1::2].mean(1)
        agreed = spearman(*(each.numpy() for each in halves), drawn_counts(args.subsets, 200)).clip(min=0)
        ceilings = {}
        for seeds in (1, 2, args.seeds):  # Spearman-Brown, from the agreement of halves of the seeds
            alone = agreed / (agreed + (1 - agreed) * args.seeds / 2)
            of_mean = np.sqrt(seeds * alone / (1 + (seeds - 1) * alone))
            ceilings[f"ceiling of {seeds}"] = float(of_mean.mean(0)[0])
        accuracy = np.mean([each.metrics.test_accuracy for each in checkpoints])
        loss = np.mean([each.metrics.train_loss for each in checkpoints])
        share = float((of_half / (of_half + noise)).mean())
        known = {"images": images, "epochs": epoch, "test accuracy": float(accuracy), "train loss": float(loss)}
        rows.append(known | {"of the half": share} | ceilings | {"core-seconds of training": seconds})
    return rows


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="cnn_s")
    parser.add_argument("--images", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--subsets", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--fraction", type=float, default=0.5)
    parser.add_argument("--rate", type=float, default=0.003)
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, float]] = []
    for images in args.images:
        rows += measured(images, args)
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)
    if args.out:
        asked = {name: value for name, value in vars(args).items() if name != "out"}
        content = {"asked": asked, **versions(), "hardware": hardware(), "rows": rows}
        args.out.write_text(json.dumps(content, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
