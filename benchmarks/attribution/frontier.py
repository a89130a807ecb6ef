"""How well the methods of attribution foretell models on other subsets, against what they cost.

    python benchmarks/attribution/frontier.py --out benchmarks/results/attribution

Reads the entries of the track, and of the pilot (`pilot.json` in the same folder) what it costs to train a model: that
is counted for each model that a method reads, beside the time of its answer. Writes `lds.svg` and `entries.md`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from zoobench.display.plotting import COLOURS, plot
from zoobench.display.svg import standalone
from zoobench.leaderboard import Entry, read_entries
from zoobench.leaderboard.rebuilding import method_of
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.track import read_track, zoo_spec
from zoobench.methods.attribution.subsets import OfSubsets

TRACK = "attribution-lds"
HELD_OUT = 0.15  # of the models of a zoo, its test models: no method reads these
FLOOR = "same_class"


def models_read(entry: Entry, known: int) -> int:
    """How many models a method reads, of so many that it may."""
    _, config = method_of(entry)
    return int(getattr(config, "members", known if isinstance(config, OfSubsets) else 0))


def training_seconds(pilot: dict[str, Any], images: int, epochs: int) -> float:
    """Core-seconds of training a model on a half of so many images, as the pilot's models were."""
    asked = pilot["asked"]
    (row,) = (each for each in pilot["rows"] if (each["images"], each["epochs"]) == (images, epochs))
    return float(row["core-seconds of training"]) / (asked["subsets"] * asked["seeds"])


def costs(leaderboards: Path, pilot: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, float]]:
    """One row per entry, the best first; and the ceiling with its interval."""
    track = read_track(leaderboards, TRACK)
    spec = zoo_spec(leaderboards, track.training[0])
    assert not isinstance(spec, str), "the zoo is built from a spec"
    trained = spec.models()
    seconds = training_seconds(pilot, spec.train_images or 0, spec.epochs)
    known = round((1 - HELD_OUT) * len(trained))
    rows, ceiling = [], {}
    for entry in read_entries(leaderboards, TRACK):
        scores = {score.metric: score for score in entry.scores}
        found = scores["lds"]
        if entry.name == FLOOR:  # all entries have the same one, but its interval is of as many seeds as theirs
            ceiling = {name: getattr(scores["ceiling"], name) for name in ("mean", "low", "high")}
        models = models_read(entry, known)
        answer = entry.asked_core_seconds or 0.0
        row = {"method": entry.name, "models": models, "lds": found.mean, "low": found.low, "high": found.high}
        row |= {"of ceiling": scores["of_ceiling"].mean, "answer": answer, "minutes": (answer + models * seconds) / 60}
        fresh = None if entry.fresh is None else entry.fresh.mean("lds")
        rows.append(row | {"fresh": fresh})
    return pd.DataFrame(rows).sort_values("lds", ascending=False, ignore_index=True), ceiling


def table(found: pd.DataFrame) -> str:
    """As Markdown."""
    fresh = found["fresh"].notna().any()
    shown = pd.DataFrame(
        {
            "method": [f"`{name}`" for name in found["method"]],
            "models read": found["models"],
            "LDS": [f"{row.lds:.3f} [{row.low:.3f}, {row.high:.3f}]" for row in found.itertuples()],
            **({"on fresh models": found["fresh"].map("{:.3f}".format, na_action="ignore")} if fresh else {}),
            "of the ceiling": found["of ceiling"].map("{:.2f}".format),
            "core-seconds of an answer": found["answer"].map("{:.1f}".format),
            "core-minutes with the models' training": found["minutes"].map("{:.2f}".format),
        }
    )
    return shown.to_markdown(index=False, disable_numparse=True)


def draw(found: pd.DataFrame, ceiling: dict[str, float], figure: Figure) -> None:
    """LDS with intervals against core-minutes; TRAK of more and more models is joined by a line."""
    panel = figure.subplots()
    panel.axhspan(ceiling["low"], ceiling["high"], color="grey", alpha=0.15, linewidth=0)
    panel.axhline(ceiling["mean"], color="grey", linestyle="--", linewidth=1)
    panel.text(0.01, ceiling["mean"], "ceiling", va="bottom", fontsize=8, transform=panel.get_yaxis_transform())
    floor = found.set_index("method")["lds"][FLOOR]
    panel.axhline(floor, color=COLOURS[1], linestyle=":", linewidth=1.2)
    panel.text(0.01, floor, FLOOR, va="bottom", fontsize=8, transform=panel.get_yaxis_transform())
    shown = found[(found["method"] != FLOOR) & (found["minutes"] > 0)]
    reach = [shown["lds"] - shown["low"], shown["high"] - shown["lds"]]
    panel.errorbar(shown["minutes"], shown["lds"], yerr=reach, fmt="o", markersize=4, linewidth=1, color=COLOURS[0])
    trak = shown[shown["method"].str.startswith("trak")].sort_values("minutes")
    panel.plot(trak["minutes"], trak["lds"], color=COLOURS[0], linewidth=1)
    far = shown["minutes"].max() / 4
    for row in shown.itertuples():
        near = shown[(shown["minutes"] / row.minutes).between(1 / 3, 3) & (shown["lds"] - row.lds).between(0, 0.02)]
        below = len(near) > 1  # beside the point itself there is one just above
        side, across = ("right", -5) if row.minutes > far else ("left", 5)
        at = (across, -9 if below else 3)
        panel.annotate(row.method, (row.minutes, row.lds), at, textcoords="offset points", fontsize=7, ha=side)
    panel.set(xscale="log", xlabel="core-minutes of an answer and of training the models that are read", ylabel="LDS")
    panel.set_ylim(bottom=min(0.0, float(found["low"].min())) - 0.02)
    panel.margins(x=0.15)


def main() -> None:
    """Read, and write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaderboards", type=Path, default=Path("leaderboards"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found, ceiling = costs(args.leaderboards, json.loads((args.out / "pilot.json").read_text()))
    judges = read_references(args.leaderboards, read_track(args.leaderboards, TRACK))
    subsets = {name: each.table["subset_seed"].nunique() for name, each in judges.items()}
    title = f"LDS against cost, judged by {', '.join(f'{count} subsets of {name}' for name, count in subsets.items())}"
    drawing = plot("lds", title, (6.4, 4.4), lambda figure: draw(found, ceiling, figure))
    (args.out / "lds.svg").write_text(standalone(drawing.svg), encoding="utf-8")
    words = f"{title}; the ceiling is {ceiling['mean']:.3f} [{ceiling['low']:.3f}, {ceiling['high']:.3f}].\n\n"
    (args.out / "entries.md").write_text(f"{words}{table(found)}\n", encoding="utf-8")
    print(words + table(found))


if __name__ == "__main__":
    main()
