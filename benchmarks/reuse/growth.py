"""What growth spares a large network: every method, in width, in depth, and both at once.

    python benchmarks/reuse/growth.py --dataset mnist --data-root DIR --out benchmarks/results/growth

Zoos of small networks are built under `--home`: cnn_s, which is grown to twice its units, and isocnn_2, which is grown
to twice its blocks, and also to half as many units more. All large networks of a setting are trained alike, new ones
beside them. Writes a table for each setting, all that was measured, and a plot of mean curves. The same command again
goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import zoobench as zb
from zoo_generation.files import written_aside
from zoobench.evaluation import Results, evaluate
from zoobench.methods.registry import get_method
from zoobench.tasks.growth import Growth
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

CNN = {"architectures": "cnn_s", "activation": "tanh", "epochs": 8}
BLOCKS = {"architectures": "isocnn_2", "activation": "relu", "epochs": 8}
SHARED = {"learning_rate": 0.003, "seeds": 24, "train_images": 1000}
ANY = ("scratch", "net2net", "net2net-exact", "net2net-uneven", "ligo", "random_padding", "knowledge_inheritance")
ROWS = (*ANY, "mango", "stack", "interleave")
SETTINGS = {
    "width": (CNN, {"width": 2.0}, ANY),
    "depth": (BLOCKS, {"architecture": "isocnn_4"}, ROWS),
    "width and depth": (BLOCKS, {"architecture": "isocnn_4", "width": 1.5}, (*ROWS, "aki")),
}
SHOWN = {
    "saved": "saved, %",
    "saved_in_all": "with the small one's training, %",
    "reached": "models that reach it, %",
    "at_start": "accuracy before, %",
    "final": "after, %",
    "area": "mean over training, %",
}


def small_zoo(dataset: str, spec: dict[str, object], workspace: Workspace) -> Zoo:
    """The zoo of small networks, built if it is missing."""
    fields = SHARED | spec | {"datasets": dataset, "checkpoint_epochs": [spec["epochs"]]}
    return zb.build_zoo(name=f"{dataset}-{spec['architectures']}", workspace=workspace, **fields)


def table(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method, what saves most first; percent with 95 % intervals."""
    kept = summary[summary["metric"].isin(list(SHOWN))]
    values = zip(100 * kept["mean"], 100 * kept["low"], 100 * kept["high"], strict=True)
    text = [f"{mean:.1f}" + ("" if pd.isna(low) else f" [{low:.1f}, {high:.1f}]") for mean, low, high in values]
    cells = kept.assign(text=text).pivot(index="method", columns="metric", values="text")
    order = kept[kept["metric"] == "saved"].sort_values("mean", ascending=False)["method"]
    return cells.loc[order, list(SHOWN)].rename(columns=SHOWN)


def curves(results: Results) -> pd.DataFrame:
    """Mean test accuracy by method and images seen, of all seeds; the growth's own operations in images of training."""
    tables = []
    for cell in results.plan.cells:
        observed = results.cells.observations(cell)
        spent = (observed["spent"] / observed["per_image"]).mean() if len(observed) else 0.0
        if len(observed):
            tables.append(observed.assign(method=cell.fit.method.name, seen=observed["images"] + spent))
    return pd.concat(tables).groupby(["method", "images"])[["seen", "accuracy"]].mean().reset_index()


def plot(found: dict[str, pd.DataFrame], path: Path) -> None:
    """One panel per setting, one curve per method; a curve begins where the growth has spent what it takes."""
    figure, axes = plt.subplots(1, len(found), figsize=(5 * len(found), 4), layout="constrained", squeeze=False)
    for axis, (setting, means) in zip(axes[0], found.items(), strict=True):
        for method, rows in means.groupby("method"):
            axis.plot(rows["seen"], rows["accuracy"], label=method, color="black" if method == "scratch" else None)
        axis.set(title=setting, xlabel="training images' worth of operations", ylabel="test accuracy")
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--home", type=Path, default=Path("runs/growth"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes of a local Ray; all cores by default")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    given = parser.parse_args()
    workspace = Workspace(given.home, given.data_root, workers=given.workers)
    given.out.mkdir(parents=True, exist_ok=True)
    found, tables, means = [], [], {}
    with workspace.ray():
        for setting in given.settings:
            spec, larger, names = SETTINGS[setting]
            zoo = small_zoo(given.dataset, spec, workspace)
            task = Growth(models=3, epochs=4, points=12, **larger)
            methods, seeds = [get_method(each) for each in names], range(given.seeds)
            results = evaluate(methods, [zoo], tasks=[task], baselines=False, seeds=seeds, workspace=workspace)
            found.append(results.summary().assign(setting=setting))
            means[setting] = curves(results)
            against = 100 * found[-1].groupby("metric")["mean"].mean()
            ends = f"Small models: {against['small']:.1f} %; from scratch: {against['scratch']:.1f} %."
            text = table(found[-1]).to_markdown(disable_numparse=True)
            tables.append(f"## {given.dataset}, {setting}\n\n{ends}\n\n{text}\n")
            print(f"\n{tables[-1]}", flush=True)
    (given.out / "tables.md").write_text("\n".join(tables), encoding="utf-8")
    plot(means, given.out / "curves.png")
    with written_aside(given.out / "summary.csv") as aside:
        pd.concat(found).round(5).to_csv(aside, index=False)


if __name__ == "__main__":
    main()
