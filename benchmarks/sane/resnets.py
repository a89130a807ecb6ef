"""Why SANE's narrow ResNets fell short of their anchors, and what each cause is worth.

    zoobench build-zoo --spec benchmarks/results/sane/resnet18-digits.yaml --out zoos/digits
    zoobench build-zoo --spec benchmarks/results/sane/resnet18-glyphs.yaml --out zoos/glyphs
    python benchmarks/sane/resnets.py --zoo zoos/digits,zoos/glyphs

Without learning: BatchNorm's statistics set anew; relative noise on the anchors' weights, by kind of layer; tokens
projected to fewer dimensions. With learning: variants of SANE; each one's reconstruction, the same with one
kind of layer decoded and the others true, and generation at several bandwidths. Each result goes to `--out` as it is
made; the same command again makes what is missing, and writes the Markdown table anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pandas as pd
import torch
from torch import Tensor

from zoo_generation.data.images import Images
from zoo_generation.data.load import ImageStore
from zoo_generation.files import written_aside
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.settings import changed
from zoobench.methods.baselines.generators import WeightDensity
from zoobench.methods.registry import get_method
from zoobench.methods.sampling import Draw, choose_anchors, generate
from zoobench.methods.sane import PRESETS
from zoobench.methods.sane.canonical import canonical
from zoobench.methods.sane.generation import SaneSampling
from zoobench.methods.sane.method import Sane
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.populations.target import Target
from zoobench.zoo import Zoo

KINDS = ("all", "convolutions", "batch_norm", "classifier", "downsample")
VARIANTS: dict[str, tuple[int | None, dict[str, object], int]] = {
    "skip, latent 288": (None, {"skip": True, "latent": 288, "steps": 60}, 3),
    "as it was": (None, {"steps": 1200}, 1),
    "as it was, 60 steps": (None, {"steps": 60}, 1),
    "skip": (None, {"skip": True, "steps": 60}, 1),
    "skip, latent 288, untrained": (None, {"skip": True, "latent": 288, "steps": 1}, 1),
    "latent 288": (None, {"latent": 288, "steps": 1200}, 1),
    "tokens of 64": (64, {"steps": 1200}, 1),
    "tokens of 64, skip": (64, {"skip": True, "steps": 60}, 1),
}
"""By name: the token size (None: the longest row), hyperparameters that differ from the preset `tiny_v1`, and seeds."""

BANDWIDTHS = (0.0, 0.1)
HOW = Draw(drawn=40)
TEST_IMAGES = 500
UNLEARNED = ("without learning", "weight_density")


@dataclass(frozen=True)
class Setup:
    """A zoo's tokens, its anchors, and how to measure accuracy."""

    tokens: TokenSet
    population: Population
    anchors: Population
    target: Target
    images: ImageStore

    @classmethod
    def of(cls, path: Path, token_size: int | None) -> Setup:
        tokens = TokenSet.load(select_checkpoints([Zoo(path)], token_size))
        population = tokens.populations[0]
        anchors = choose_anchors(population, 5)
        return cls(tokens, population, anchors, Target.of(anchors), ImageStore(None))

    def shown(self, split: str) -> Images:
        return self.images.of(self.target.row, split)

    def accuracy(self, weights: Tensor, passes: int = 3) -> float:
        """Mean test accuracy, with BatchNorm's statistics set by so many batches; 0 keeps those that are there."""
        module, layout = self.target.module(), self.target.layout
        if passes:
            weights = condition_batch_norm(weights, layout, module, self.shown("train"), passes)
        return accuracies(weights, layout, module, self.shown("test").first(TEST_IMAGES)).mean().item()


Row = tuple[str, str, float]
"""A variant, a metric and its value."""


def kind(name: str) -> str | None:
    """Which of `KINDS` a state-dict entry of a ResNet belongs to; None for running statistics."""
    if "running" in name or "num_batches" in name:
        return None
    if ".bn" in name or name.startswith("bn") or "downsample.1" in name:
        return "batch_norm"
    if name.startswith("fc"):
        return "classifier"
    return "downsample" if "downsample" in name else "convolutions"


def without_learning(of: Setup) -> Iterator[Row]:
    """What re-conditioning, noise and a linear bottleneck cost the anchors."""
    weights = of.anchors.weights
    for passes in (0, 1, 3, 10):
        yield (
            f"anchors, {passes} passes" if passes else "anchors, statistics of training",
            "accuracy",
            of.accuracy(weights, passes),
        )
    for error in (0.1, 0.2, 0.3):
        for each in KINDS:
            noise = torch.Generator().manual_seed(0)
            noisy = weights.repeat(3, 1)
            for entry in of.target.layout:
                if kind(entry.name) is not None and each in ("all", kind(entry.name)):
                    true = noisy[:, entry.span]
                    scale = true.square().mean(1, keepdim=True).sqrt()
                    noisy[:, entry.span] = true + error * scale * torch.randn(true.shape, generator=noise)
            yield f"relative noise {error:g} on {each}", "accuracy", of.accuracy(noisy)
    training = of.population.split("train")
    seen = training.tokenizer.tokens(training.weights).flatten(0, 1)
    axes = torch.linalg.eigh(seen.T @ seen).eigenvectors
    tokens = of.anchors.tokenizer.tokens(weights)
    for rank in (64, 128, 192, 288):
        kept = axes[:, -rank:]
        projected = tokens @ kept @ kept.T
        name = f"tokens projected to {rank} principal axes"
        yield name, "error", relative_error(projected, tokens)
        yield name, "accuracy", of.accuracy(of.anchors.tokenizer.weights(projected, weights))


def relative_error(values: Tensor, true: Tensor) -> float:
    """Norm of the difference, as a share of the norm of what is true."""
    return ((values - true).square().sum() / true.square().sum()).sqrt().item()


def with_learning(of: Setup, settings: dict[str, object], seed: int, parts: bool) -> Iterator[Row]:
    """Reconstruction and generation of a SANE; `parts`: also of one kind of layer at a time."""
    config = changed(PRESETS["tiny_v1"], {"validate_every": 300} | settings, "hyperparameter")
    started = time.process_time()
    sane = get_method("sane").fit(of.tokens, seed, config)
    assert isinstance(sane, Sane)
    yield "training", "core_seconds", time.process_time() - started
    held_out = of.population.split("test")
    for name, models in {"anchors": of.anchors, "held-out models": held_out}.items():
        decoded, true = sane.reconstruct(models), canonical(models, sane.references, config.flips)
        tokens = models.tokenizer.tokens
        yield f"reconstructed {name}", "error", relative_error(tokens(decoded), tokens(true))
        yield f"reconstructed {name}", "accuracy", of.accuracy(decoded)
        yield f"true {name}", "accuracy", of.accuracy(true)
        for each in KINDS[1:] if parts and name == "anchors" else ():
            swapped, rest = true.clone(), decoded.clone()
            for entry in of.target.layout:
                if kind(entry.name) == each:
                    swapped[:, entry.span], rest[:, entry.span] = decoded[:, entry.span], true[:, entry.span]
            yield f"only {each} decoded", "accuracy", of.accuracy(swapped)
            yield f"all but {each} decoded", "accuracy", of.accuracy(rest)
    known = [of.population.split("train").known()]
    for bandwidth in BANDWIDTHS:
        sampler = sane.sampler(of.target, SaneSampling(bandwidth=bandwidth), known)
        drawn = generate(sampler, of.anchors, HOW, seed, of.images)
        module, layout = of.target.module(), of.target.layout
        tested = accuracies(drawn.weights, layout, module, of.shown("test").first(TEST_IMAGES))
        yield f"bandwidth {bandwidth:g}", "drawn_mean", drawn.drawn_accuracy.mean().item()
        yield f"bandwidth {bandwidth:g}", "kept_mean", tested.mean().item()


def weight_density(of: Setup, seed: int) -> Iterator[Row]:
    """The baseline: noise of a tenth of the anchors' spread, in weight space."""
    drawn = generate(WeightDensity(), of.anchors, HOW, seed, of.images)
    tested = accuracies(drawn.weights, of.target.layout, of.target.module(), of.shown("test").first(TEST_IMAGES))
    yield "bandwidth 0.1", "drawn_mean", drawn.drawn_accuracy.mean().item()
    yield "bandwidth 0.1", "kept_mean", tested.mean().item()


def measure(arguments: argparse.Namespace) -> pd.DataFrame:
    """All measurements, those that `--out` does not hold yet made now."""
    out: Path = arguments.out
    table = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=["dataset", "seed", "method", "what"])
    pieces = [("without learning", 0), *(("weight_density", seed) for seed in range(3))]
    pieces += [(name, seed) for name, (_, _, seeds) in VARIANTS.items() for seed in range(seeds)]
    asked = [arguments.only] if arguments.only else [*UNLEARNED, *VARIANTS]
    for name, seed in (piece for piece in pieces if piece[0] in asked):
        for path in arguments.zoo.split(","):
            token_size, settings, _ = VARIANTS.get(name, (None, {}, 1))
            of = Setup.of(Path(path), token_size)
            dataset = str(of.target.row["dataset"])
            if ((table["dataset"] == dataset) & (table["seed"] == seed) & (table["method"] == name)).any():
                continue
            print(f"{time.strftime('%H:%M:%S')} {dataset}, {name}, seed {seed}", file=sys.stderr)
            if name == "without learning":
                rows = without_learning(of)
            elif name == "weight_density":
                rows = weight_density(of, seed)
            else:
                rows = with_learning(of, settings, seed, parts=name.startswith("as it was"))
            new = pd.DataFrame(rows, columns=["what", "metric", "value"]).round(4)
            new = new.assign(dataset=dataset, seed=seed, method=name)
            table = new if table.empty else pd.concat([table, new], ignore_index=True)
            with written_aside(out) as aside:
                table[["dataset", "method", "seed", "what", "metric", "value"]].to_csv(aside, index=False)
    return table


def markdown(table: pd.DataFrame) -> str:
    """One row per method and measurement, one column per dataset; mean ± standard deviation if there are seeds."""
    keys = ["method", "what", "metric"]
    values = table.groupby([*keys, "dataset"], sort=False)["value"].agg(["mean", "std"])
    cells = values["mean"].map("{:.3f}".format) + values["std"].map(lambda s: "" if pd.isna(s) else f" ± {s:.3f}")
    wide = cells.unstack("dataset").loc[list(dict.fromkeys(table[keys].itertuples(index=False, name=None)))]
    datasets = list(wide.columns)
    lines = [f"| method | measured | | {' | '.join(datasets)} |", "|---" * (3 + len(datasets)) + "|"]
    for key, row in wide.iterrows():
        lines.append(f"| {' | '.join([*cast(tuple[str, str, str], key), *row.fillna('–')])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", required=True, help="directories of narrow ResNets, comma-separated")
    parser.add_argument("--only", choices=[*UNLEARNED, *VARIANTS], help="one method; left out: all of them")
    parser.add_argument("--out", type=Path, default=Path("results/resnets.csv"))
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    text = markdown(measure(arguments))
    with written_aside(arguments.out.with_suffix(".md")) as aside:
        aside.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
