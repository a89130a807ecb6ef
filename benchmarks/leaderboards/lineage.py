"""What the entries of lineage-tree and extraction show beyond their scores: trees by drift, and copies by queries.

    python benchmarks/leaderboards/lineage.py --out benchmarks/results/lineage

Judges what was handed in again, which takes seconds for an entry, and trains nothing. Writes trees.md, extraction.md
and extraction.svg; a track without entries is left out. Numbers are means over seeds; 95 % intervals are of families
drawn again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from zoo_generation.data.load import ImageStore
from zoobench.display.plotting import COLOURS, panels_of, plot
from zoobench.evaluation.statistics import interval
from zoobench.leaderboard import Track, read_entries, read_track
from zoobench.leaderboard.answers import setting_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.submission import read_submission
from zoobench.tasks.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUARTERS = 4
"""Of the true edges of a target, by their drift; of its trees, by the mean drift of their edges, two halves."""

Judged = dict[tuple[str, str], list[pd.DataFrame]]
"""By target and entry, the observations under each seed."""


def judged(leaderboards: Path, track: Track, data_root: Path | None) -> Judged:
    """The observations of all entries of a track."""
    task, images, found = track.get_task(), ImageStore(data_root), Judged()
    entries = read_entries(leaderboards, track.name)
    references = read_references(leaderboards, track) if entries else {}
    for entry in entries:
        answers = read_submission(leaderboards / track.name / entry.name, track, references).answers
        for (target, seed), answer in answers.items():
            rows = task.judge(answer, setting_of(references, target, seed, images))
            found.setdefault((target, entry.name), []).append(rows)
    return found


def shown(seeds: Sequence[Estimate], digits: int = 3) -> str:
    """The mean over seeds, with its interval."""
    mean, bounds = np.mean([each.value() for each in seeds]), interval(seeds)
    return f"{mean:.{digits}f} [{bounds.low:.{digits}f}, {bounds.high:.{digits}f}]"


def trees(found: Judged, target: str) -> pd.DataFrame:
    """One row per method, the best first: F1 of edges and the share of exact trees, of all and by drift."""
    rows = {name: seeds for (of, name), seeds in found.items() if of == target}
    drift = next(iter(rows.values()))[0]["drift"]
    edges, quarters = pd.qcut(drift, QUARTERS, retbins=True)[1], pd.qcut(drift, QUARTERS, labels=False)
    table = {name: _of_trees(seeds, quarters, edges) for name, seeds in rows.items()}
    return pd.DataFrame(table).T.sort_values("edge F1", ascending=False).rename_axis("method")


def _of_trees(seeds: Sequence[pd.DataFrame], quarters: pd.Series, edges: np.ndarray) -> dict[str, str]:
    told = {"edge F1": shown([_f1(rows) for rows in seeds])}
    for quarter in range(QUARTERS):
        name = f"{edges[quarter]:.2f} to {edges[quarter + 1]:.2f}"
        told[name] = shown([_f1(rows[quarters == quarter]) for rows in seeds])
    whole = [rows.groupby("tree").agg({"agrees": "all", "drift": "mean", "model": "first"}) for rows in seeds]
    grown = [each[each["drift"].notna()] for each in whole]  # a model alone is no tree
    far = [each["drift"] > each["drift"].median() for each in grown]
    for name, some in (("nearer", [~each for each in far]), ("farther", far)):
        kept = [each[chosen] for each, chosen in zip(grown, some, strict=True)]
        told[f"exact, {name} half"] = shown(
            [Estimate.mean(each["model"], each["agrees"].astype(float)) for each in kept]
        )
    return told


def _f1(rows: pd.DataFrame) -> Estimate:
    """Of the edges to the parents of some models."""
    right, true, given = (rows[name].astype(float) for name in ("right", "child", "placed"))
    return Estimate.ratio(rows["model"], 2 * right, true + given)


def copies(found: Judged, target: str, task: object) -> pd.DataFrame:
    """One row per method and base: agreement by what is told and budget, queries to 95 % and the base's advantage."""
    table = {}
    for (of, method), seeds in found.items():
        if of != target:
            continue
        scores = [task.score(rows) for rows in seeds]  # type: ignore[attr-defined]
        for base in seeds[0]["base"].unique():
            table[method, base] = _of_copies(scores, seeds[0], base)
    return pd.DataFrame(table).T.rename_axis(["method", "base"]).reset_index()


def _of_copies(scores: Sequence[Mapping[str, Estimate]], rows: pd.DataFrame, base: str) -> dict[str, str]:
    told = {}
    for kind in rows["told"].unique():
        of = f"{kind}:{base}"
        for budget in rows["budget"].unique():
            told[f"{kind}, {budget}"] = f"{np.mean([each[f'agreement:{of}:{budget}'].value() for each in scores]):.3f}"
        reached = float(np.mean([each[f"reached:{of}"].value() for each in scores]))
        least = "" if reached == 1 else "≥ "
        told[f"{kind}: queries to 95 %"] = least + shown([each[f"queries:{of}"] for each in scores], 0)
        told[f"{kind}: reached"] = f"{reached:.2f}"
        if base != "none":
            told[f"{kind}: advantage"] = shown([each[f"advantage:{of}"] for each in scores], 2)
    return told


def curves(found: Judged) -> str:
    """An SVG: agreement by budget, one panel per target and kind of answers, one line per method and base."""
    of_seed = [pd.concat(seeds).assign(target=target, method=method) for (target, method), seeds in found.items()]
    rows = pd.concat(of_seed)
    panels = rows[["target", "told"]].drop_duplicates().to_numpy().tolist()
    bases, methods = rows["base"].unique().tolist(), rows["method"].unique().tolist()

    def draw(figure: Figure) -> None:
        axes = panels_of(figure, len(panels), sharey=True)
        for axis, (target, told) in zip(axes, panels, strict=True):
            here = rows[(rows["target"] == target) & (rows["told"] == told)]
            for (method, base), some in here.groupby(["method", "base"], sort=False):
                mean = some.groupby("budget")["agreement"].mean()
                style = ("-", "--", ":", "-.")[methods.index(method) % 4]
                axis.plot(mean.index, mean, style, color=COLOURS[bases.index(base)], label=f"{method}, {base}")
            axis.set(title=f"{target}, {told}", xscale="log", xlabel="queries", ylabel="agreement")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)

    return plot("extraction", "Agreement with the victim by queries", (9.0, 7.0), draw).svg


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(), help="a clone of the repository")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for the tables")
    given = parser.parse_args()
    leaderboards = given.home / "leaderboards"
    given.out.mkdir(parents=True, exist_ok=True)
    for name, file in (("lineage-tree", "trees"), ("extraction", "extraction")):
        track = read_track(leaderboards, name)
        if not (found := judged(leaderboards, track, given.data_root)):
            print(f"{name} has no entries")
            continue
        parts = []
        for target in track.targets:
            table = trees(found, target).reset_index() if file == "trees" else copies(found, target, track.get_task())
            parts.append(f"## {target}\n\n{table.fillna('–').to_markdown(index=False, disable_numparse=True)}\n")
        (given.out / f"{file}.md").write_text("\n".join(parts), encoding="utf-8")
        print("\n".join(parts))
        if file == "extraction":
            (given.out / "extraction.svg").write_text(curves(found), encoding="utf-8")


if __name__ == "__main__":
    main()
