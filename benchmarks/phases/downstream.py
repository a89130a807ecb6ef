"""What models of each phase are good for: pruned, trained further on other images, averaged, in an ensemble.

    zoobench build-zoo --spec phase-transition-small
    zoobench zoo landscape
    python benchmarks/phases/downstream.py zoos/phase-transition-small-digits

Models are pruned cell by cell to half and to a tenth of each weight matrix (the largest are kept), and have the
statistics of BatchNorm of the training images then; and they are trained for an epoch on other images of the same size.
Averages and ensembles were measured with the landscape. Writes `cells.csv`, where what is there is not measured again,
`phases.csv` and `signs.csv` into results/phases/<zoo>: means over cells with 95 % intervals of a bootstrap over cells,
and what the papers say of phases beside what is so here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import zoobench as zb
from zoo_generation.data.load import images_of, load_images
from zoo_generation.networks.accuracy import accuracies, condition_batch_norm
from zoo_generation.networks.architectures import Layout
from zoo_generation.networks.module import runnable_module
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.memory import stack_size_for
from zoo_generation.training.train import train_models
from zoobench.tasks.fine_tuning import accuracy_after, specs_like
from zoobench.zoo.landscape.report import GAINS, report_of

KEPT = {"half": 0.5, "tenth": 0.1}
BATCH = 128
DRAWS = 2000


def pruned(weights: Tensor, layout: Layout, kept: float) -> Tensor:
    """Models [models, D] with all but the largest share of each matrix and kernel set to 0."""
    smaller = weights.clone()
    for entry in layout:
        if len(entry.shape) > 1:
            part = smaller[:, entry.span]
            least = part.abs().kthvalue(max(1, round((1 - kept) * part.shape[1])), dim=1).values
            part[part.abs() <= least[:, None]] = 0.0
    return smaller


def of_cell(zoo: zb.Zoo, rows: pd.DataFrame, onto: str, data_root: Path | None) -> dict[str, float]:
    """What the models of a cell reach, the mean over them."""
    row, (weights, layout) = rows.iloc[0], zoo.weights(rows)
    module, train, test = runnable_module(row), images_of(row, "train", data_root), images_of(row, "test", data_root)
    whole, found = accuracies(weights, layout, module, test), {}
    passes = -(-len(train.labels) // BATCH)
    for name, kept in KEPT.items():
        conditioned = condition_batch_norm(pruned(weights, layout, kept), layout, module, train, passes, BATCH)
        found[f"pruned_to_{name}"] = float((accuracies(conditioned, layout, module, test) / whole).mean())
    specs = specs_like(row.copy().replace({row["dataset"]: onto}), len(rows), (0, 1), 0)
    images = load_images(dataset_key(specs[0]), data_root)
    start = [layout.unflatten(each) for each in weights]
    trained = train_models(specs, images, stack_size_for(specs[0], images, "cpu"), start=start)
    found["fine_tuned"] = float(np.mean([accuracy_after(each, 1) for each in trained]))
    return found


def means(cells: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """One row per phase and column: the mean over its cells, and bounds of its 95 % interval."""
    random, rows = np.random.default_rng(0), []
    for phase, of_phase in cells.dropna(subset="phase").groupby("phase"):
        for name in columns:
            values = of_phase[name].dropna().to_numpy(float)
            if len(values):
                drawn = random.choice(values, (DRAWS, len(values))).mean(1)
                low, high = np.quantile(drawn, [0.025, 0.975])
                rows.append((phase, name, len(values), values.mean(), low, high))
    return pd.DataFrame(rows, columns=["phase", "what", "cells", "mean", "low", "high"])


def signs(report: zb.LandscapeReport) -> pd.DataFrame:
    """The papers' signs: rank correlations over trained cells, with bounds of 95 % intervals; and by how much connected
    cells are better than others of the same trace."""
    trained = report.table[report.table["train_loss"] <= report.rule.loss].reset_index(drop=True)
    random, rows = np.random.default_rng(0), []
    for name in report.correlations().index:
        drawn = [
            trained.iloc[random.integers(0, len(trained), len(trained))][[name, "test_accuracy"]]
            .corr("spearman")
            .iat[0, 1]
            for _ in range(DRAWS // 10)
        ]
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        rows.append((f"Spearman of {name} with test accuracy", report.correlations()[name], low, high))
    logs = np.log(trained["hessian_trace"].abs())
    middle = trained[logs.between(*logs.quantile([0.25, 0.75]))]
    by_phase = middle.groupby(middle["phase"].str.startswith("IV"))["test_accuracy"]
    difference = by_phase.mean().get(True, np.nan) - by_phase.mean().get(False, np.nan)
    rows.append(("IV less III, in the middle half of traces", difference, np.nan, np.nan))
    return pd.DataFrame(rows, columns=["sign", "value", "low", "high"])


def main() -> None:
    """Read the options, measure the cells that are missing, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo")
    parser.add_argument("--onto", default="glyphs", help="images to train further on")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    zoo = zb.load_zoo(options.zoo)
    report, table = report_of(zoo), zoo.checkpoints
    out = options.out or Path("results/phases") / zoo.name
    out.mkdir(parents=True, exist_ok=True)
    file = out / "cells.csv"
    done = pd.read_csv(file) if file.exists() else pd.DataFrame({"cell": []})
    for cell in report.table.sort_values("width")["cell"]:
        if cell not in set(done["cell"]):
            found = of_cell(zoo, table[table["cell"] == cell], options.onto, options.data_root)
            done = pd.concat([done, pd.DataFrame([{"cell": cell} | found])], ignore_index=True)
            done.to_csv(file, index=False)
            print(cell, found, flush=True)
    cells = report.table.merge(done, on="cell")
    found = means(cells, ["test_accuracy", *GAINS, *(f"pruned_to_{name}" for name in KEPT), "fine_tuned"])
    found.to_csv(out / "phases.csv", index=False)
    signs(report).to_csv(out / "signs.csv", index=False)
    print(found.round(3).to_markdown(index=False), signs(report).round(3).to_markdown(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
