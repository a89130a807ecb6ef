"""Fit a method with progress, and show how its losses fell."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside
from zoo_generation.kept import save
from zoo_generation.machine import check_writable
from zoo_generation.names import inside
from zoobench.cli.console import console, stages, table
from zoobench.methods.protocols import Execution
from zoobench.methods.registry import Method
from zoobench.populations import TokenSet


def train_method(
    method: Method,
    config: object,
    tokens: TokenSet,
    seed: int,
    execution: Execution,
    title: str,
    out: Path,
    results: Path,
) -> None:
    """Fit, save to `out`, print a table, write losses as a table and a plot to `results/train-<title>`."""
    if out.exists():
        raise InputError(f"{out} is there already; choose another --out, or delete it")
    for folder in (out, results):
        check_writable(folder)
    told: list[dict[str, float]] = []
    with stages() as stage:
        bar = stage(f"{method.name}: training, seed {seed}")

        def report(done: float, of: float, numbers: Mapping[str, float] = {}, note: str = "") -> None:
            told.append({"step": done, **numbers})
            bar(int(done), int(of), dict(numbers))

        scratch = out.with_name(f".{out.name}.training")
        learned = method.fit(tokens.without("test"), seed, config, replace(execution, scratch=scratch, report=report))
    if told:
        losses = pd.DataFrame(told)
        summary = table(f"{method.name}, trained on {title}", ["loss"], ["first", "last"])
        for name in losses.columns.drop("step"):
            known = losses[name].dropna()
            summary.add_row(name, *(f"{known.iloc[place]:.4f}" if len(known) else "–" for place in (0, -1)))
        console.print(summary)
        folder = inside(results, f"train-{title}")
        with directory_written_aside(folder) as aside:
            losses.to_parquet(aside / "losses.parquet", index=False)
            plot(losses, aside / "losses.png")
        console.print(f"Losses and plot: {folder}")
    shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method is there
    try:
        save(learned, out)  # last: where it is, the same command has nothing left to do
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror or error}); choose another --out") from None
    console.print(f"Trained {method.name}: {out}")


def plot(losses: pd.DataFrame, path: Path) -> None:
    """One line a loss over steps; those that are shares of something on an axis of their own."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained")
    for name in losses.columns.drop("step"):
        panel = right if "r2" in name else left
        known = losses[["step", name]].dropna()
        panel.plot(known["step"], known[name], label=name)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="R²", ylim=(0, 1))
    left.legend()
    right.legend()
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
