"""Which way of merging is best, at what distance between models: every method on groups that differ in several ways.

    python benchmarks/reuse/merging.py --data-root DIR --out benchmarks/results/merging

Zoos of MNIST are built under `--home`: children of trunks that were forked after 0, 1, 3 and 8 epochs, on two skewed
halves of the images and on all; models of other initializations; and perceptrons of three widths. Each setting gives a
table; all that was measured goes to summary.csv. The same command again goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

import zoobench as zb
from zoo_generation.files import written_aside
from zoobench.evaluation import evaluate
from zoobench.methods.registry import get_method
from zoobench.tasks.merging import Merging
from zoobench.zoo.workspace import Workspace

HALVES = ["skew-0-of-2-0.8", "skew-1-of-2-0.8"]
CNN = {
    "datasets": "mnist",
    "architectures": "cnn_s",
    "activation": "tanh",
    "learning_rate": 0.003,
    "train_images": 3000,
}
CNN |= {"epochs": 8, "checkpoint_epochs": [8]}
MLP = CNN | {"architectures": "mlp", "activation": "relu", "learning_rate": 0.001, "seeds": 60}
FORK = {"after": [0, 1, 3, 8], "part": [*HALVES, None], "epochs": 5, "checkpoint_epochs": [5]}
ZOOS: dict[str, dict[str, Any]] = {
    "forks": CNN | {"seeds": 60, "fork": FORK},
    "inits": CNN | {"seeds": 260},
    "mlp-quarter": MLP | {"width": 0.25},
    "mlp-1": MLP,
    "mlp-4": MLP | {"width": 4},
}
SETTINGS = {f"fork after {after} epochs": ("forks", Merging("data", after=after)) for after in FORK["after"]}
SETTINGS |= {
    "other inits": ("inits", Merging()),
    "other inits, groups of 4": ("inits", Merging(size=4)),
    "other inits, groups of 8": ("inits", Merging(size=8)),
    "other inits, mlp of width 1 by 4": ("mlp-quarter", Merging()),
    "other inits, mlp": ("mlp-1", Merging()),
    "other inits, mlp of width 4": ("mlp-4", Merging()),
}
METHODS = (
    *("average", "matched_average", "greedy_soup", "regmean", "regmean-matched", "regmean_plus"),
    *("regmean_plus-matched", "pleas", "fisher", "task_arithmetic", "ties", "dare", "wudi"),
    *("repair", "repair-average", "repair_pleas"),
)
REFERENCES = ("single", "best_single", "ensemble_logits", "ensemble_probabilities", "joint")
SHOWN = {
    "accuracy": "accuracy",
    "part_accuracy": "its part's classes",
    "to_best_single": "by the best single",
    "barrier": "barrier, nats",
}


def measured(setting: str, workspace: Workspace) -> pd.DataFrame:
    """The summary of all methods in a setting; a method that does not apply is left out."""
    name, task = SETTINGS[setting]
    zoo = zb.build_zoo(name=name, workspace=workspace, **ZOOS[name])
    methods = [get_method(each) for each in METHODS]
    results = evaluate(methods, [zoo], tasks=[task], baselines=False, seeds=range(5), workspace=workspace)
    return results.summary().assign(setting=setting)


def table(summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method, the best first, with 95 % intervals, after what they are to be read against."""
    bounds = [f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in summary.itertuples()]
    cells = summary.assign(text=bounds).pivot(index="method", columns="metric", values="text")
    order = summary[summary["metric"] == "accuracy"].sort_values("mean", ascending=False)["method"]
    first = cells.loc[order.iloc[0]]
    against = pd.DataFrame({"accuracy": {name: first[name] for name in REFERENCES if name in first.dropna()}})
    return pd.concat([against, cells.loc[order]])[list(SHOWN)].rename(columns=SHOWN).fillna("")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("runs/merging"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    parser.add_argument("--only", choices=SETTINGS, help="one setting; left out: all of them")
    given = parser.parse_args()
    workspace = Workspace(given.home, given.data_root)
    given.out.mkdir(parents=True, exist_ok=True)
    found = []
    with workspace.ray():
        for setting in [given.only] if given.only else SETTINGS:
            found.append(measured(setting, workspace))
            print(f"\n## {setting}\n\n{table(found[-1]).to_markdown(disable_numparse=True)}", flush=True)
    tables = [f"## {each['setting'].iloc[0]}\n\n{table(each).to_markdown(disable_numparse=True)}\n" for each in found]
    (given.out / "tables.md").write_text("\n".join(tables), encoding="utf-8")
    with written_aside(given.out / "summary.csv") as aside:
        pd.concat(found).round(5).to_csv(aside, index=False)


if __name__ == "__main__":
    main()
