"""The pictures of the README: how methods score on two tracks, and what the study of compositions found.

Of each method its default preset is drawn.

`python docs/picture.py` writes docs/_static/leaderboards.svg from the recorded entries, and composition.svg beside it
from benchmarks/results/composition/summary.csv.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import floor, log2
from pathlib import Path
from statistics import fmean

import yaml

HERE = Path(__file__).parent
BOARDS = HERE.parent / "leaderboards"
BENCHMARKS = HERE.parent / "benchmarks"
GENERATED = "generation-id"
LEFT_OUT = (
    "interpolation",
    "weight_gaussian",
    "pca_gaussian",
    "anchor_average",
    "d2nwg_lite",
)  # for room
NOISE = ("anchors", "noise_10", "noise_20", "noise_40", "noise_80")  # anchors with more and more noise
READ, R2 = "property-id", "r2:test_accuracy"
WIDTH, LEFT, RIGHT, ROW = 720, 170, 60, 24
TALL, LABEL = 300, 15  # height of the upper panel, least distance of labels

STYLE = """
  .paper { fill: #ffffff } text { fill: #24292f; font: 13px system-ui, sans-serif }
  .title { font-weight: 600 } .grid { stroke: #d0d7de } .other { fill: #6e7781; stroke: #6e7781 }
  .learned { fill: #0072b2; stroke: #0072b2 } .warm { fill: #d55e00; stroke: #d55e00 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d }
    .other { fill: #8b949e; stroke: #8b949e } .learned { fill: #58a6ff; stroke: #58a6ff }
    .warm { fill: #f0883e; stroke: #f0883e }
  }
"""


def entries(track: str) -> Iterator[dict]:
    """The entries of methods' default presets."""
    for path in sorted((BOARDS / track).glob("*/entry.json")):
        if "-" not in path.parent.name:
            yield json.loads(path.read_text(encoding="utf-8"))


def scores(track: str, metric: str) -> list[tuple[str, bool, float, float, float]]:
    """Name, whether it is a baseline, mean over targets and the mean interval, best first."""
    rows = []
    for entry in entries(track):
        found = [score for score in entry["scores"] if score["metric"] == metric]
        mean = fmean(score["mean"] for score in found)
        low, high = (
            fmean(score[end] if score[end] is not None else score["mean"] for score in found) for end in ("low", "high")
        )
        rows.append((entry["name"], entry["baseline"], mean, low, high))
    return sorted(rows, key=lambda row: -row[2])


def frontier(track: str, title: str, top: int) -> Iterator[str]:
    """Accuracy against novelty: a point per entry, a line through anchors with noise."""
    novelty = {name: mean for name, _, mean, *_ in scores(track, "novelty") if name not in LEFT_OUT}
    found = [row for row in scores(track, "kept_mean") if row[0] in novelty]
    points = [(novelty[name], mean, name, baseline) for name, baseline, mean, *_ in found]
    most = max(novelty.values())

    def at(x: float, y: float) -> tuple[float, float]:
        return 60 + x / most * (WIDTH - 220), top + 24 + (1 - y) * (TALL - 80)

    yield f'<text class="title" x="16" y="{top}">{escape(title)} ({track})</text>'
    for share in (0, 0.25, 0.5, 0.75, 1):
        (left, y), (right, _) = at(0, share), at(most, share)
        yield f'<line class="grid" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{left - 10:.1f}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>'
    for units in range(0, floor(most) + 1, 4):
        yield f'<text x="{at(units, 0)[0]:.1f}" y="{top + TALL - 38}" text-anchor="middle">{units}</text>'
    places = {name: at(x, y) for x, y, name, _ in points}
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (places[name] for name in NOISE if name in places))
    yield f'<polyline class="other" style="fill: none" stroke-width="2" points="{path}"/>'
    written: list[tuple[float, float]] = []
    for *_, name, baseline in sorted(points, key=lambda point: places[point[2]][1]):
        x, y = places[name]
        free = (
            y + 4 + shift
            for shift in sorted(range(-90, 90), key=abs)
            if not any(abs(x - left) < 140 and abs(y + 4 + shift - other) < LABEL for left, other in written)
        )
        label = next(free, y + 4)
        written.append((x, label))
        yield f'<line class="grid" x1="{x:.1f}" x2="{x + 7:.1f}" y1="{y:.1f}" y2="{label - 4:.1f}"/>'
        kind = "other" if baseline else "learned"
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        yield f'<text x="{x + 9:.1f}" y="{label:.1f}">{escape(name)}</text>'


def panel(track: str, metric: str, title: str, top: int) -> Iterator[str]:
    """One track: a line per entry."""
    rows = scores(track, metric)
    first = min(0, floor(4 * min(low for *_, low, _ in rows)))  # quarters

    def x(value: float) -> float:
        return LEFT + (value - first / 4) / (1 - first / 4) * (WIDTH - LEFT - RIGHT)

    yield f'<text class="title" x="16" y="{top}">{escape(title)} ({track})</text>'
    bottom = top + 18 + ROW * len(rows)
    for tick in (quarter / 4 for quarter in range(first, 5)):
        yield f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top + 12}" y2="{bottom}"/>'
        yield f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
    for number, (name, baseline, mean, low, high) in enumerate(rows):
        y = top + 28 + ROW * number
        kind = "other" if baseline else "learned"
        yield f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
        yield f'<line class="{kind}" stroke-width="2" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
        yield f'<circle class="{kind}" cx="{x(mean):.1f}" cy="{y}" r="5"/>'
        yield f'<text x="{WIDTH - 12}" y="{y + 4}" text-anchor="end">{mean:.2f}</text>'


def picture() -> str:
    """The SVG, for light and dark pages."""
    top = 28 + TALL
    parts = [*frontier(GENERATED, "Generated models: test accuracy, against distance from all training models", 28)]
    parts += panel(READ, R2, "Test accuracy, read from weights: R²", top)
    words = "Scores of recorded entries: generated models beside anchors with noise, and predictions with 95% intervals"
    return document(parts, top + 18 + ROW * len(scores(READ, R2)) + 28, words)


def document(parts: Sequence[str], height: int, words: str) -> str:
    """The SVG of these parts; words: what it shows, for those who do not see it."""
    shown = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {shown}>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


DATASETS = ("digits", "glyphs", "mnist", "fashion", "cifar10")
SIZES = ("mnist-{}", "but-cifar10-{}")  # the study's zoos of one dataset and of four, with 14, 56 and 224 models
BUDGETS = {"equal steps": "", "equal epochs": ' stroke-dasharray="6 4"'}  # and the dashes of their lines
RELATIONS = {"ID": "learned", "OOD": "warm"}
LEAST, MOST = 0.5, 1.0  # of the vertical axis
PANEL, HEIGHT = 350, 230


def of_anchors() -> dict[tuple[str, str], float]:
    """By composition and target: accuracy of what SANE generates, as a share of that of the target's anchors."""
    with (BENCHMARKS / "results" / "composition" / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "kept_mean"]
    anchors = {row["target"]: float(row["mean"]) for row in rows if row["method"] == "anchors"}
    sane = (row for row in rows if row["method"] == "sane")
    return {(row["composition"], row["target"]): float(row["mean"]) / anchors[row["target"]] for row in sane}


def lines(
    over: Mapping[float, Sequence[str]], zoos: Mapping[str, Sequence[str]], shares: Mapping[tuple[str, str], float]
) -> Iterator[tuple[str, str, list]]:
    """Relation, budget and points (x, mean over compositions and targets). over: the compositions at each x; shares: as
    of `of_anchors`."""
    for relation in RELATIONS:
        for budget in BUDGETS:
            points = []
            for x, names in over.items():
                pairs = [(name, target) for name in names for target in DATASETS]
                inside = [pair for pair in pairs if (pair[1] in zoos[pair[0]]) == (relation == "ID")]
                if inside:
                    points.append((x, fmean(shares[f"{name}, {budget}", target] for name, target in inside)))
            yield relation, budget, points


def curves(left: int, title: str, ticks: Mapping[float, str], drawn: Iterator[tuple[str, str, list]]) -> Iterator[str]:
    """One panel: a line per relation and budget."""
    low, high = min(ticks), max(ticks)

    def at(x: float, y: float) -> tuple[float, float]:
        right = left + 50 + (x - low) / (high - low) * (PANEL - 80)
        return right, 44 + (MOST - y) / (MOST - LEAST) * (HEIGHT - 90)

    yield f'<text class="title" x="{left + 16}" y="26">{escape(title)}</text>'
    for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        (x1, y), (x2, _) = at(low, share), at(high, share)
        yield f'<line class="grid" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{x1 - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
    for x, name in ticks.items():
        yield f'<text x="{at(x, 0)[0]:.1f}" y="{HEIGHT - 24}" text-anchor="middle">{name}</text>'
    for relation, budget, points in drawn:
        kind, places = RELATIONS[relation], [at(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="{kind}" style="fill: none" stroke-width="2"{BUDGETS[budget]} points="{path}"/>'
        yield from (f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in places)


def composition() -> str:
    """The SVG of the study: generated accuracy against the number of datasets, and against the number of models."""
    study = yaml.safe_load((BENCHMARKS / "compositions" / "composition.yaml").read_text(encoding="utf-8"))
    zoos = {name: each["zoos"] for name, each in study["compositions"].items()}
    plain = {name: of for name, of in zoos.items() if name.endswith(("-56", "-55")) and set(of) <= set(DATASETS)}
    datasets = {count: [name for name, of in plain.items() if len(of) == count] for count in range(1, 6)}
    sizes = {log2(size): [form.format(size) for form in SIZES] for size in (14, 56, 224)}
    counts, models, shares = {k: str(k) for k in datasets}, {x: f"{2**x:.0f}" for x in sizes}, of_anchors()
    parts = [
        *curves(0, "Of the anchors' accuracy, by datasets", counts, lines(datasets, zoos, shares)),
        *curves(PANEL, "The same, by training models", models, lines(sizes, zoos, shares)),
    ]
    y = HEIGHT + 4
    for place, (relation, budget) in enumerate((relation, budget) for relation in RELATIONS for budget in BUDGETS):
        x, look = 24 + 172 * place, f'class="{RELATIONS[relation]}" stroke-width="2"{BUDGETS[budget]}'
        parts.append(f'<line {look} x1="{x}" x2="{x + 30}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{x + 38}" y="{y + 4}">{relation}, {budget}</text>')
    words = "Accuracy of what SANE generates, as a share of the anchors', against the number of datasets and of models"
    return document(parts, HEIGHT + 24, words)


if __name__ == "__main__":
    (HERE / "_static" / "leaderboards.svg").write_text(picture(), encoding="utf-8")
    (HERE / "_static" / "composition.svg").write_text(composition(), encoding="utf-8")
