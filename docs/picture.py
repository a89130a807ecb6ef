"""The picture of the README: how methods score on two tracks, drawn from the recorded entries.

`python docs/picture.py` writes docs/_static/leaderboards.svg.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from math import floor
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).parent
BOARDS = HERE.parent / "leaderboards"
PANELS = {
    "generation-id": ("kept_mean", "Generated models: test accuracy without training"),
    "property-id": ("r2:test_accuracy", "Test accuracy, read from weights: R²"),
}
WIDTH, LEFT, RIGHT, ROW = 720, 150, 60, 24

STYLE = """
  .paper { fill: #ffffff } text { fill: #24292f; font: 13px system-ui, sans-serif }
  .title { font-weight: 600 } .grid { stroke: #d0d7de } .other { fill: #6e7781; stroke: #6e7781 }
  .learned { fill: #0072b2; stroke: #0072b2 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d }
    .other { fill: #8b949e; stroke: #8b949e } .learned { fill: #58a6ff; stroke: #58a6ff }
  }
"""


def scores(track: str, metric: str) -> list[tuple[str, bool, float, float, float]]:
    """Name, whether it is a baseline, mean over targets and the mean interval, best first."""
    rows = []
    for path in (BOARDS / track).glob("*/entry.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        found = [score for score in entry["scores"] if score["metric"] == metric]
        mean = fmean(score["mean"] for score in found)
        low, high = (
            fmean(score[end] if score[end] is not None else score["mean"] for score in found) for end in ("low", "high")
        )
        rows.append((entry["name"], entry["baseline"], mean, low, high))
    return sorted(rows, key=lambda row: -row[2])


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
    parts, top = [], 28
    for track, (metric, title) in PANELS.items():
        parts += panel(track, metric, title, top)
        top += 18 + ROW * len(scores(track, metric)) + 52
    words = "Scores of recorded entries: SANE beside baselines on two tracks, with 95% intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top - 24}" role="img" aria-label="{words}">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{WIDTH}" height="{top - 24}" rx="8"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    (HERE / "_static" / "leaderboards.svg").write_text(picture(), encoding="utf-8")
