"""What networks of logits carry to models that they were not learned beside: every method of value on MNIST, altered.

    python benchmarks/reuse/value.py --data-root DIR --seeds 5 --out benchmarks/results/value

Zoos of MNIST are built under `--home`: of cnn_s, cnn_s of twice the width and cnn_m, on all classes and on 0 to 4.
Networks are learned beside half of the cnn_s's test models, and plugged into the other half, and into the models of the
other zoos. Writes a table for each of the images to learn, a plot, and all that was measured. The same command again
goes on where it was. With `--quick` the zoos and the task are some four times smaller.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

import zoobench as zb
from zoo_generation.errors import InputError
from zoo_generation.files import written_aside
from zoobench.evaluation.evaluate import plan_of
from zoobench.evaluation.runner import run
from zoobench.methods.registry import get_method
from zoobench.populations import KEPT
from zoobench.tasks.value import WHOLE, Value
from zoobench.zoo import Zoo
from zoobench.zoo.workspace import Workspace

SHARED = {"activation": "tanh", "learning_rate": 0.003, "epochs": 8, "checkpoint_epochs": [8], "train_images": 2000}
ZOOS = {
    "cnn_s": {"architectures": "cnn_s", "seeds": 80},
    "wide": {"architectures": "cnn_s", "width": 2.0, "seeds": 40, "seed": 1000},
    "cnn_m": {"architectures": "cnn_m", "seeds": 40, "seed": 2000},
}
FIVE = "classes-0-of-2"
IMAGES = 1000
"""To learn networks on, and as many to judge them on."""
QUICK = {"seeds": 30, "train_images": 1000}
TASK = {"train_images": IMAGES, "test_images": IMAGES}
QUICK_TASK = TASK | {"models": 3, "epochs": 6}
ONTO = {
    "noisy": "+noisy",
    "rotated": "+rotated",
    "0–4 to 0–9": WHOLE,
    "letters, a negative control": "glyphs",
    "inverted": "+inverted",
    "USPS": "usps",
}
NORMS = ("residual_value-norm_0", "residual_value-norm_0.1", "residual_value-norm_1")
METHODS = (
    *("residual_value", *NORMS, "residual_value-fresh", "residual_value-several", "cascade_value"),
    *("proxy_tuning", "logit_ensemble", "value_alone", "zero_value"),
)
SHOWN = {
    "gain_own": "gain, own",
    "gain_unseen": "gain, unseen",
    "gain_other": "gain, others",
    "accuracy_own": "own",
    "accuracy_unseen": "unseen",
    "accuracy_other": "others",
    "recovered_unseen": "recovered",
    "retention_unseen": "retention",
    "alone": "alone",
}
REFERENCES = {"base_unseen": "base", "scratch": "fresh network", "tuned_unseen": "base, trained as a whole"}


def zoos(part: str | None, quick: bool, workspace: Workspace) -> list[Zoo]:
    """The zoos of all classes, or of a part, built if they are missing."""
    after, less = "" if part is None else "-five", {}
    if quick:  # under names of their own, so that one home holds both
        after, less = f"{after}-quick", QUICK
    return [
        zb.build_zoo(
            name=f"mnist-{name}{after}", workspace=workspace, datasets="mnist", part=part, **SHARED | own | less
        )
        for name, own in ZOOS.items()
    ]


def measured(task: Value, on: list[Zoo], seeds: int, workspace: Workspace) -> pd.DataFrame:
    """The summary of all methods, learned beside the first zoo. Raises `InputError` if images are missing."""
    methods = [get_method(each) for each in METHODS]
    plan = plan_of(methods, on, [task], False, range(seeds), KEPT)
    own = [cell for cell in plan.cells if cell.target.kind.shape == ("cnn_s", 1.0)]
    results = run(replace(plan, cells=tuple(own)), workspace)
    if results.failures:
        raise InputError(next(iter(results.failures.values())))
    return results.summary()


def table(summary: pd.DataFrame) -> str:
    """What the methods are read against, in a sentence, and one row per method, the best first."""
    mean = summary[summary["method"] == METHODS[0]].set_index("metric")["mean"]
    against = ", ".join(f"{words} {mean[name]:.3f}" for name, words in REFERENCES.items())
    kept = summary[summary["metric"].isin(list(SHOWN))]
    text = [
        f"{row.mean:.3f}" + ("" if pd.isna(row.low) else f" [{row.low:.3f}, {row.high:.3f}]")
        for row in kept[["mean", "low", "high"]].itertuples(index=False)
    ]
    cells = kept.assign(text=text).pivot(index="method", columns="metric", values="text")
    order = kept[kept["metric"] == "gain_unseen"].sort_values("mean", ascending=False)["method"]
    shown = cells.loc[order, [name for name in SHOWN if name in cells]].rename(columns=SHOWN)
    return f"Accuracies on unseen models: {against}.\n\n{shown.to_markdown(disable_numparse=True)}\n"


def plot(found: pd.DataFrame, path: Path) -> None:
    """Accuracy of each method on its own base, on unseen ones and on others, one panel for each of the images."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    settings = list(dict.fromkeys(found["setting"]))
    figure, panels = pyplot.subplots(
        1, len(settings), figsize=(2.2 + 2.6 * len(settings), 4.4), sharey=True, squeeze=False
    )
    for panel, setting in zip(panels[0], settings, strict=True):
        rows = found[found["setting"] == setting].set_index(["method", "metric"])["mean"]
        for kind, mark in (("own", "o"), ("unseen", "s"), ("other", "^")):
            values = [rows.get((method, f"accuracy_{kind}"), float("nan")) for method in METHODS]
            panel.plot(values, range(len(METHODS)), mark, label=f"{kind} models", fillstyle="none")
        panel.axvline(rows[METHODS[0], "scratch"], color="grey", linestyle=":", label="a fresh network")
        panel.set(title=setting, xlim=(0, 1), xlabel="accuracy")
        panel.set_yticks(range(len(METHODS)), METHODS)
    panels[0][0].invert_yaxis()
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=4)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("runs/value"))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes; one per core if left out")
    parser.add_argument(
        "--onto", nargs="*", choices=list(ONTO), default=list(ONTO), help="what to learn; all if left out"
    )
    parser.add_argument("--quick", action="store_true", help="smaller zoos, three models, six epochs")
    given = parser.parse_args()
    workspace = Workspace(given.home, given.data_root, workers=given.workers)
    given.out.mkdir(parents=True, exist_ok=True)
    found, tables = [], []
    with workspace.ray():
        for name in given.onto:
            try:
                on = zoos(FIVE if ONTO[name] == WHOLE else None, given.quick, workspace)
                task = Value(onto=ONTO[name], **QUICK_TASK if given.quick else TASK)
                summary = measured(task, on, given.seeds, workspace)
            except InputError as error:
                print(f"{name} is left out: {error}", flush=True)
                continue
            found.append(summary.assign(setting=name))
            tables.append(f"## {name}\n\n{table(summary)}")
            print(f"\n{tables[-1]}", flush=True)
            (given.out / "tables.md").write_text("\n".join(tables), encoding="utf-8")
            with written_aside(given.out / "summary.csv") as aside:
                pd.concat(found).round(5).to_csv(aside, index=False)
    plot(pd.concat(found), given.out / "accuracies.svg")


if __name__ == "__main__":
    main()
