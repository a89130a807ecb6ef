"""What models teach each other: every method of transfer on all pairs of 24 models of two architectures.

    python benchmarks/reuse/transfer.py --dataset fashion_mnist --data-root DIR --out benchmarks/results/transfer

A zoo of cnn_s and one of perceptrons are built under `--home`, trained until more epochs help little. Twelve students
of each, each with all other models that are drawn as teachers, one at a time; and three at a time, in parallel and in
sequence. Writes a table for each architecture and number of teachers, and all that was measured. The same command again
goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import zoobench as zb
from zoo_generation.files import written_aside
from zoobench.evaluation import evaluate
from zoobench.methods.registry import get_method
from zoobench.tasks.transfer import Transfer
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

CNN = {"architectures": "cnn_s", "activation": "tanh", "learning_rate": 0.003, "epochs": 20}
MLP = {"architectures": "mlp", "width": 0.25, "activation": "relu", "learning_rate": 0.001, "epochs": 12}
SHARED = {"seeds": 80, "train_images": 3000}
CONTROLS = ("continued_training", "self_distillation", "permuted_teacher")
METHODS = ("kl", "xe_kl", "mcl", "data_partitioning", "data_partitioning-unsupervised", *CONTROLS)
IN_SEQUENCE = tuple(f"{name}-sequence" for name in ("kl", "xe_kl", "mcl", "data_partitioning"))
SETTINGS = {"one teacher": (Transfer(), METHODS), "three teachers": (Transfer(teachers=3), (*METHODS, *IN_SEQUENCE))}
SHOWN = {
    "delta": "delta",
    "success": "success",
    "gained": "gained",
    "lost": "lost",
    "worst": "worst",
    "worst_median": "median student's worst",
    "delta_weaker": "of weaker teachers",
    "delta_stronger": "of stronger ones",
}
SHARES = ("success",)  # the others are shown in points


def zoos(dataset: str, workspace: Workspace) -> list[Zoo]:
    """The two zoos, built if they are missing."""
    specs = [SHARED | each | {"datasets": dataset, "checkpoint_epochs": [each["epochs"]]} for each in (CNN, MLP)]
    return [zb.build_zoo(name=f"{dataset}-{spec['architectures']}", workspace=workspace, **spec) for spec in specs]


def table(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method, the best first; points of accuracy with 95 % intervals."""
    kept = summary[summary["metric"].isin(list(SHOWN))]
    by = kept["metric"].isin(SHARES).map({True: 1.0, False: 100.0})
    form = kept["metric"].isin(SHARES).map({True: "{:.2f}", False: "{:+.1f}"})
    values = zip(form, by * kept["mean"], by * kept["low"], by * kept["high"], strict=True)
    text = [
        each.format(mean) + ("" if pd.isna(low) else f" [{each.format(low)}, {each.format(high)}]")
        for each, mean, low, high in values
    ]
    cells = kept.assign(text=text).pivot(index="method", columns="metric", values="text")
    order = kept[kept["metric"] == "delta"].sort_values("mean", ascending=False)["method"]
    return cells.loc[order, list(SHOWN)].rename(columns=SHOWN)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="fashion_mnist")
    parser.add_argument("--home", type=Path, default=Path("runs/transfer"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    workspace = Workspace(given.home, given.data_root)
    given.out.mkdir(parents=True, exist_ok=True)
    found, tables = [], []
    with workspace.ray():
        built = zoos(given.dataset, workspace)
        for setting, (task, names) in SETTINGS.items():
            methods = [get_method(each) for each in names]
            results = evaluate(
                methods, built, tasks=[task], baselines=False, seeds=range(given.seeds), workspace=workspace
            )
            found.append(results.summary().assign(setting=setting))
            for target, rows in found[-1].groupby("target"):
                tables.append(f"## {target}, {setting}\n\n{table(rows).to_markdown(disable_numparse=True)}\n")
                print(f"\n{tables[-1]}", flush=True)
    (given.out / "tables.md").write_text("\n".join(tables), encoding="utf-8")
    with written_aside(given.out / "summary.csv") as aside:
        pd.concat(found).round(5).to_csv(aside, index=False)


if __name__ == "__main__":
    main()
