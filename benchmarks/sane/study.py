"""What each part of SANE is worth: variants of it on the same zoos, several seeds, measured as `zoobench eval` does.

    python benchmarks/sane/study.py normalization --zoo zoos/mnist,zoos/cifar10 --data-root DIR
    python benchmarks/sane/study.py generation --zoo zoos/mnist --data-root DIR --set steps=3000

`normalization`: of the reconstruction loss. `symmetry`: the canonical form, and permuted views, on and off.
`positions`: sinusoidal and learned. `generation`: the method as it is, beside anchors and random initialization, and
what one epoch of training makes of its models and of random ones. Each result goes to `--out` as it is made, a row a
measurement; the same command again makes what is missing, and writes the tables anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from zoo_generation.files import written_aside
from zoo_generation.settings import changed
from zoobench.cli.options import assigned
from zoobench.evaluation import Evaluation, run
from zoobench.methods.registry import get_method
from zoobench.methods.sane import PRESETS, SaneConfig
from zoobench.populations import Population
from zoobench.tasks.fine_tuning import accuracy_after, fine_tune, specs_like
from zoobench.tasks.generation import Generation
from zoobench.tasks.measurement import Measurement, summary, tidy
from zoobench.zoo import Zoo

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
}
SHOWN = ("kept_mean", "kept_best", "drawn_mean", "one_epoch", "r2:test_accuracy")


def one_epoch(weights: torch.Tensor, population: Population, data_root: Path | None, seed: int) -> float:
    """Mean test accuracy of weights [models, D] after an epoch of training as the zoo's models had."""
    specs = specs_like(population.table.iloc[0], len(weights), (1,), seed)
    trained = fine_tune(weights, population.layout, specs, data_root, "cpu")
    return sum(accuracy_after(model, 1) for model in trained) / len(trained)


def fine_tuned(evaluation: Evaluation, data_root: Path | None) -> list[Measurement]:
    """Mean test accuracy after one epoch from what each method generated."""
    populations = {population.name: population for population in evaluation.tokens.populations}
    return [
        Measurement(
            "fine_tuning",
            method,
            name,
            "one_epoch",
            seed,
            one_epoch(generated.weights, populations[name], data_root, seed),
        )
        for (method, name, seed), generated in evaluation.generated.items()
        if method != "anchors"
    ]


def progress(what: str) -> Callable[[str], None]:
    """Tells each stage on standard error."""

    def stage(description: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}: {description}", file=sys.stderr)

    return stage


def measured(arguments: argparse.Namespace, config: SaneConfig, out: Path) -> pd.DataFrame:
    """All measurements, those that `out` does not hold yet made now."""
    zoos = [Zoo(Path(path)) for path in arguments.zoo.split(",")]
    table = pd.read_csv(out) if out.exists() else pd.DataFrame({"variant": [], "seed": []})
    for name, settings in VARIANTS[arguments.study].items():
        for seed in range(arguments.seeds):
            if ((table["variant"] == name) & (table["seed"] == seed)).any():
                continue
            methods = {get_method("sane"): changed(config, settings, "hyperparameter")}
            if arguments.study == "generation":
                methods |= {get_method(each): None for each in ("anchors", "random_init")}
            started = time.monotonic()
            evaluation = run(
                zoos,
                methods,
                [seed],
                arguments.runs,
                protocol=Generation(),
                data_root=arguments.data_root,
                stage=progress(f"{name}, seed {seed}"),
            )
            if arguments.study == "generation":
                evaluation.measurements += fine_tuned(evaluation, arguments.data_root)
            rows = tidy(evaluation.measurements).assign(
                variant=name, seed=seed, seconds=round(time.monotonic() - started), threads=torch.get_num_threads()
            )
            table = rows if table.empty else pd.concat([table, rows])
            with written_aside(out) as aside:
                table.to_csv(aside, index=False)
    return table


def tables(table: pd.DataFrame) -> str:
    """Markdown: mean ± standard deviation over seeds; a table a population, a row a variant, a column a metric."""
    shown = table[table["metric"].isin(SHOWN)]
    scores = pd.concat(
        [summary(rows).assign(variant=variant) for variant, rows in shown.groupby("variant", sort=False)]
    )
    lines = []
    for target, of_target in scores.groupby("target", sort=False):
        metrics = [metric for metric in SHOWN if metric in set(of_target["metric"])]
        lines += ["", f"| {target} | {' | '.join(metrics)} |", "|---" * (1 + len(metrics)) + "|"]
        for (variant, method), rows in of_target.groupby(["variant", "method"], sort=False):
            cells = rows.set_index("metric")
            values = [
                f"{cells.loc[metric, 'mean']:.3f} ± {cells.loc[metric, 'std']:.3f}" if metric in cells.index else "–"
                for metric in metrics
            ]
            label = variant if method == "sane" else method
            lines.append(f"| {label} | {' | '.join(values)} |")
    return "\n".join(lines).strip() + "\n"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=VARIANTS)
    parser.add_argument("--zoo", required=True, help="directories, comma-separated")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", default="", help="hyperparameters that differ from the preset tiny, comma-separated")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where trained methods are kept")
    parser.add_argument("--out", type=Path, default=Path("results/study.csv"))
    arguments = parser.parse_args()
    config = changed(PRESETS["tiny"], assigned(arguments.set), "hyperparameter")
    text = tables(measured(arguments, config, arguments.out))
    with written_aside(arguments.out.with_suffix(".md")) as aside:
        aside.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
