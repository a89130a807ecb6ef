"""What each part of SANE is worth: variants of it on the same zoos, several seeds, measured as `zoobench eval` does.

    python benchmarks/sane/study.py normalization --zoo zoos/mnist,zoos/cifar10 --data-root DIR
    python benchmarks/sane/study.py generation --zoo zoos/mnist --data-root DIR --set steps=3000

`normalization`: of the reconstruction loss. `symmetry`: the canonical form, and permuted views, on and off.
`positions`: sinusoidal and learned. `presets`: tiny, and what it was first (`tiny_v1`). `generation`: the method as it
is, beside anchors and random initialization, and what one epoch of training makes of their models. Each result goes to
`--out` as it is made, one row per measurement; the same command again makes what is missing, and writes the tables
anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd

from zoo_generation.files import written_aside
from zoo_generation.settings import changed
from zoobench.cli.options import assigned
from zoobench.evaluation import evaluate
from zoobench.methods.method import Method
from zoobench.methods.registry import get_method
from zoobench.methods.sane import PRESETS, SaneConfig
from zoobench.tasks.base import Task
from zoobench.tasks.fine_tuning import FineTuning
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

CHANGED = ("steps", "optimizer", "schedule", "initialization")  # between the presets tiny_v1 and tiny
VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "normalization": {each: {"normalization": each} for each in ("token", "batch", "layer", "none")},
    "symmetry": {
        "canonical, views": {},
        "canonical": {"permutations": 0},
        "views": {"canonical": False},
        "neither": {"canonical": False, "permutations": 0},
    },
    "positions": {each: {"positions": each} for each in ("sinusoidal", "learned")},
    "generation": {"sane": {}},
    "presets": {"tiny": {}, "tiny_v1": {name: getattr(PRESETS["tiny_v1"], name) for name in CHANGED}},
}
SHOWN = ("kept_mean", "kept_best", "drawn_mean", "after_1", "r2:test_accuracy")


def measured(arguments: argparse.Namespace, config: SaneConfig, out: Path) -> pd.DataFrame:
    """All measurements, those that `out` does not hold yet made now."""
    zoos = [Zoo(Path(path)) for path in arguments.zoo.split(",")]
    workspace = Workspace(arguments.home, arguments.data_root)
    table = pd.read_csv(out) if out.exists() else pd.DataFrame({"variant": [], "seed": []})
    for name, settings in VARIANTS[arguments.study].items():
        for seed in range(arguments.seeds):
            if ((table["variant"] == name) & (table["seed"] == seed)).any():
                continue
            sane = get_method("sane")
            methods: dict[Method, object] = {sane: changed(config, settings, "hyperparameter")}
            tasks: list[Task] = [PropertyPrediction(), Generation()]
            if arguments.study == "generation":
                methods |= {get_method(each): None for each in ("anchors", "random_init")}
                tasks.append(FineTuning(epochs=(1,), models=10))
            started = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} {name}, seed {seed}", file=sys.stderr)
            results = evaluate(methods, zoos, tasks=tasks, baselines=False, seeds=[seed], workspace=workspace)
            for piece, reason in results.failures.items():
                print(f"failed: {piece}: {reason}", file=sys.stderr)
            rows = results.measurements.assign(variant=name, seconds=round(time.monotonic() - started))
            table = rows if table.empty else pd.concat([table, rows])
            with written_aside(out) as aside:
                table.to_csv(aside, index=False)
    return table


def tables(table: pd.DataFrame) -> str:
    """Markdown: mean ± standard deviation over seeds; one table per population, one row per variant."""
    shown = table[table["metric"].isin(SHOWN)]
    values = shown.groupby(["variant", "method", "target", "metric"], sort=False)["value"]
    scores = values.agg(mean="mean", std="std").reset_index()
    lines = []
    for target, of_target in scores.groupby("target", sort=False):
        metrics = [metric for metric in SHOWN if metric in set(of_target["metric"])]
        lines += ["", f"| {target} | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
        for (variant, method), rows in of_target.groupby(["variant", "method"], sort=False):
            cells = rows.set_index("metric")
            values = [score(cells.loc[metric]) if metric in cells.index else "–" for metric in metrics]
            label = variant if method == "sane" else method
            lines.append(f"| {label} | {' | '.join(values)} |")
    return "\n".join(lines).strip() + "\n"


def score(of: pd.Series) -> str:
    """Mean ± standard deviation, or of one seed its value."""
    return f"{of['mean']:.3f}" + ("" if pd.isna(of["std"]) else f" ± {of['std']:.3f}")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=VARIANTS)
    parser.add_argument("--zoo", required=True, help="directories, comma-separated")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--set", default="", help="hyperparameters that differ from the preset, comma-separated")
    parser.add_argument("--home", type=Path, default=Path(), help="under whose runs/ trained methods are kept")
    parser.add_argument("--out", type=Path, default=Path("results/study.csv"))
    arguments = parser.parse_args()
    config = changed(PRESETS[arguments.preset], assigned(arguments.set), "hyperparameter")
    text = tables(measured(arguments, config, arguments.out))
    with written_aside(arguments.out.with_suffix(".md")) as aside:
        aside.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
