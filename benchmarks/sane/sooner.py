"""Core-seconds until SANE reconstructs validation windows as well as the preset `tiny_v1` does at its end.

    OMP_NUM_THREADS=1 python benchmarks/sane/sooner.py --zoo zoos/mnist-300 --out homogeneous.csv
    OMP_NUM_THREADS=1 python benchmarks/sane/sooner.py --zoo zoos/mnist-300,zoos/cifar10-cnn_l-60 --reference-steps 800

Trains each variant with each seed, and looks at the same validation windows every 50 steps; looks cost nothing here.
Times are CPU seconds of the process, at one thread, and do not count other processes' share of a core. One CSV row per
look; the same command again trains what is missing, and writes the Markdown table anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from zoo_generation.files import written_aside
from zoobench.methods.sane import PRESETS, Sane, SaneConfig
from zoobench.methods.sane import method as sane_method
from zoobench.methods.sane.budget import MOST_BATCHES
from zoobench.methods.sane.training import Training
from zoobench.methods.sane.windows import WindowSampler
from zoobench.populations import TokenSet, select_checkpoints
from zoobench.zoo import Zoo

REFERENCE = "tiny_v1"
VARIANTS: dict[str, dict[str, object]] = {
    REFERENCE: {},
    "tiny": {"optimizer": "muon", "schedule": "linear", "initialization": "scaled"},
    "tiny, AdamW": {"schedule": "linear", "initialization": "scaled"},
    "tiny, published initialization": {"optimizer": "muon", "schedule": "linear"},
    "tiny, OneCycle": {"optimizer": "muon", "initialization": "scaled"},
}
EVERY = 50  # steps between looks


def curve(tokens: TokenSet, config: SaneConfig, seed: int) -> pd.DataFrame:
    """One row per look: step, core_seconds so far, contrastive, reconstruction, r2."""
    rows: list[dict[str, float]] = []

    def watched(self: Sane, sampler: WindowSampler, validation: WindowSampler, *_: object) -> None:
        run, spent = Training(self.model, config), 0.0
        run.batches = MOST_BATCHES  # so that all variants look at the same windows, however many steps they take
        while run.step < config.steps:
            started = time.process_time()
            run.advance(sampler)
            spent += time.process_time() - started
            if run.step % EVERY == 0 or run.step == config.steps:
                rows.append({"step": run.step, "core_seconds": round(spent, 2)} | run.look(validation))

    fitted, sane_method.Sane._train = sane_method.Sane._train, watched  # type: ignore[assignment,method-assign]
    try:
        Sane.fit(tokens, seed, config)
    finally:
        sane_method.Sane._train = fitted  # type: ignore[method-assign]
    return pd.DataFrame(rows)


def reached(curves: pd.DataFrame) -> pd.DataFrame:
    """Per variant and seed, steps and core-seconds to the reference's last reconstruction; None if never.

    Between two looks, by a straight line.
    """
    last = curves[curves["variant"] == REFERENCE].groupby("seed").last()
    rows = []
    for (variant, seed), of in curves.groupby(["variant", "seed"], sort=False):
        if seed not in last.index:
            continue
        target = last.loc[seed, "reconstruction"]
        of = of.reset_index(drop=True)
        row = {"variant": variant, "seed": seed, "last": of["reconstruction"].iloc[-1], "r2": of["r2"].iloc[-1]}
        row |= {"all_steps": of["step"].iloc[-1], "all_seconds": of["core_seconds"].iloc[-1]}
        below = of.index[of["reconstruction"] <= target]
        if len(below):
            after = int(below[0])
            here = of.loc[after, ["step", "core_seconds", "reconstruction"]].astype(float)
            before = here * 0 if after == 0 else of.loc[after - 1, ["step", "core_seconds", "reconstruction"]]
            drop = before["reconstruction"] - here["reconstruction"]
            share = (before["reconstruction"] - target) / drop if after and drop else 1.0
            row["steps"] = before["step"] + share * (here["step"] - before["step"])
            row["seconds"] = before["core_seconds"] + share * (here["core_seconds"] - before["core_seconds"])
            row["ratio"] = last.loc[seed, "core_seconds"] / row["seconds"]
            row["ratio_of_steps"] = last.loc[seed, "step"] / row["steps"]
        rows.append(row)
    return pd.DataFrame(rows)


def table(curves: pd.DataFrame) -> str:
    """Markdown: one row per variant, means over the seeds, and the smallest and largest ratio."""
    lines = [
        "| variant | seeds | steps to it | core-s to it | ratio (smallest–largest) | ratio of steps | all steps "
        "| core-s | reconstruction at the end |",
        "|---" * 9 + "|",
    ]
    found = reached(curves)
    if found.empty:
        return f"No seed has {REFERENCE} yet, with which others are compared: train it too.\n"
    for variant, of in found.groupby("variant", sort=False):
        cells = ["never"] * 4
        if "seconds" in of and of["seconds"].notna().all():
            ratios = f"{of['ratio'].mean():.1f} ({of['ratio'].min():.1f}–{of['ratio'].max():.1f})"
            cells = [f"{of['steps'].mean():.0f}", f"{of['seconds'].mean():.0f}", ratios]
            cells.append(f"{of['ratio_of_steps'].mean():.1f}")
        ends = [f"{of['all_steps'].mean():.0f}", f"{of['all_seconds'].mean():.0f}", f"{of['last'].mean():.4f}"]
        lines.append(f"| {variant} | {len(of)} | {' | '.join(cells + ends)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the options, train what is missing, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", required=True, help="directories, comma-separated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", default=";".join(VARIANTS), help="their names, with ; between them")
    parser.add_argument("--reference-steps", type=int, default=PRESETS[REFERENCE].steps)
    parser.add_argument("--steps", type=int, default=PRESETS["tiny"].steps, help="of all but the reference")
    parser.add_argument("--out", type=Path, default=Path("results/sooner.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    tokens = TokenSet.load(select_checkpoints([Zoo(Path(path)) for path in arguments.zoo.split(",")]))
    curves = pd.read_csv(arguments.out) if arguments.out.exists() else pd.DataFrame({"variant": [], "seed": []})
    for seed in range(arguments.seeds):
        for variant in arguments.variants.split(";"):
            if ((curves["variant"] == variant) & (curves["seed"] == seed)).any():
                continue
            print(f"{time.strftime('%H:%M:%S')} {variant}, seed {seed}", file=sys.stderr)
            steps = arguments.reference_steps if variant == REFERENCE else arguments.steps
            config = replace(PRESETS[REFERENCE], steps=steps, **VARIANTS[variant])  # type: ignore[arg-type]
            rows = curve(tokens, config, seed).assign(variant=variant, seed=seed)
            curves = rows if curves.empty else pd.concat([curves, rows])
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(arguments.out) as aside:
                curves.to_csv(aside, index=False)
    text = table(curves)
    with written_aside(arguments.out.with_suffix(".md")) as aside:
        aside.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
