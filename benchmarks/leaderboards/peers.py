"""Every method on every track of two cores, with all that was measured: more than entries hold.

    python benchmarks/leaderboards/fill.py
    python benchmarks/leaderboards/peers.py --out benchmarks/results/peers

Reads what the first command measured; what is missing is measured now. Writes measurements.parquet (one row per track,
method, target, metric and seed), costs.csv, and three tables as Markdown: generators in and out of distribution, and
predictors. Numbers are means over targets and three seeds, with the standard deviation over seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from zoo_generation.errors import InputError
from zoo_generation.files import written_aside
from zoobench.evaluation.frontier import above_noise
from zoobench.leaderboard import Track, read_entries, read_track
from zoobench.leaderboard.running import measure
from zoobench.methods.registry import get_method
from zoobench.zoo.workspace import Workspace

TRACKS = {
    "generation-id": "ID",
    "generation-ood": "OOD",
    "fine-tuning-id": "ID",
    "fine-tuning-ood": "OOD",
    "reconstruction": "ID",
    "property-id": "ID",
    "property-cross-dataset": "datasets",
    "property-cross-architecture": "architectures",
}
GENERATION = ("generation-id", "generation-ood")
GENERATED = {
    "kept_mean": "kept",
    "drawn_mean": "drawn",
    "joint_1": "joint 1",
    "joint_2": "joint 2",
    "joint_4": "joint 4",
    "drawn_joint_1": "drawn joint 1",
    "novelty": "novelty",
    "overlap": "error IoU",
}
FURTHER = {"after_1": "after 1 epoch", "after_5": "after 5"}
READ = {"r2:test_accuracy": "R²", "r2:boosted_test_accuracy": "R² boosted"}
READ |= {"tau:test_accuracy": "τ", "tau:boosted_test_accuracy": "τ boosted"}
COSTS = {"fit_core_seconds": "a fit, core-s", "asked_core_seconds": "answers, core-s", "parameters": "parameters"}


def measured(workspace: Workspace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measurements and costs of every entry's method on its track, with a column track."""
    tables, costs = [], []
    for name in TRACKS:
        track = track_of(workspace, name)
        for entry in read_entries(workspace.leaderboards, track.name):
            try:
                results, _ = measure(get_method(entry.name), None, track, workspace)
            except InputError as error:
                print(f"{name}, {entry.name}: {error}")
                continue
            tables.append(results.measurements.assign(track=name))
            costs.append(results.costs.assign(track=name))
    return pd.concat(tables, ignore_index=True), pd.concat(costs, ignore_index=True)


def track_of(workspace: Workspace, name: str) -> Track:
    """A track of the leaderboards; fine-tuning both in and out of distribution, as generation is."""
    if not name.startswith("fine-tuning"):
        return read_track(workspace.leaderboards, name)
    like = read_track(workspace.leaderboards, name.replace("fine-tuning", "generation"))
    track = read_track(workspace.leaderboards, "fine-tuning")
    return track.model_copy(update={"training": like.training, "targets": like.targets, "zoos": like.zoos})


def means(table: pd.DataFrame, metrics: dict[str, str]) -> pd.DataFrame:
    """One row per method, one column per metric under its shown name: mean and deviation over seeds, as text."""
    kept = table[table["metric"].isin(list(metrics))]
    of_seed = kept.groupby(["method", "metric", "seed"], sort=False)["value"].mean()  # over targets
    shown = of_seed.groupby(["method", "metric"], sort=False).agg(["mean", "std"]).dropna(subset="mean")
    text = [f"{mean:.3f}" + (f" ± {std:.3f}" if std > 0 else "") for mean, std in shown.itertuples(index=False)]
    wide = pd.Series(text, index=shown.index).unstack("metric")
    return wide.reindex(columns=list(metrics)).rename(columns=metrics)


def generators(table: pd.DataFrame, costs: pd.DataFrame, track: str) -> pd.DataFrame:
    """The methods of a generation track, by `joint_1` and then accuracy."""
    here = table[table["track"] == track]
    shown = means(here, GENERATED)
    above = above_noise(here).groupby("method")["above"].mean()
    shown["above noise"] = above.map("{:+.3f}".format, na_action="ignore")
    shown = shown.join(means(table[table["track"] == track.replace("generation", "fine-tuning")], FURTHER))
    scores = here[here["metric"].isin(["joint_1", "kept_mean"])].pivot_table("value", "method", "metric")
    order = scores.sort_values(["joint_1", "kept_mean"], ascending=False).index
    return shown.loc[order].join(seconds(costs, [track]))


def predictors(table: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """The methods of the property tracks: R² and τ of test accuracy, by each reader, on each track; by τ."""
    tracks = [name for name in TRACKS if name.startswith("property")]
    parts = [means(table[table["track"] == track], READ).add_prefix(f"{TRACKS[track]}: ") for track in tracks]
    shown = pd.concat(parts, axis=1)
    ranks = table[table["track"].isin(tracks) & (table["metric"] == "tau:test_accuracy")]
    order = ranks.groupby("method")["value"].mean().sort_values(ascending=False).index
    rest = [method for method in shown.index if method not in order]
    return shown.loc[[*order, *rest]].join(seconds(costs, tracks))


def seconds(costs: pd.DataFrame, tracks: list[str]) -> pd.DataFrame:
    """What a fit and the answers for a target took, means over tracks, targets and seeds, by method."""
    found = costs[costs["track"].isin(tracks)].astype({"parameters": float}).groupby("method")[list(COSTS)].mean()
    return found.map("{:,.0f}".format, na_action="ignore").rename(columns=COSTS)


def markdown(table: pd.DataFrame) -> str:
    """A table of text, by method."""
    shown = table.fillna("–").rename(index="`{}`".format).rename_axis("method")
    return shown.to_markdown(disable_numparse=True) + "\n"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(), help="the clone that fill.py ran in")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    given = parser.parse_args()
    workspace = Workspace(given.home)
    with workspace.ray():
        table, costs = measured(workspace)
    given.out.mkdir(parents=True, exist_ok=True)
    with written_aside(given.out / "measurements.parquet") as aside:
        table.to_parquet(aside, index=False)
    costs.to_csv(given.out / "costs.csv", index=False)
    pages = {f"generators-{TRACKS[name].lower()}": generators(table, costs, name) for name in GENERATION}
    for name, page in (pages | {"predictors": predictors(table, costs)}).items():
        (given.out / f"{name}.md").write_text(markdown(page), encoding="utf-8")
        print(f"\n{name}\n\n{markdown(page)}")


if __name__ == "__main__":
    main()
