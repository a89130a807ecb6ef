"""A track as a table."""

from __future__ import annotations

from rich.table import Table

from zoobench.cli.console import table
from zoobench.cli.evaluating import score_text
from zoobench.leaderboard import Entry, ranked


def track_table(track: str, entries: list[Entry]) -> Table:
    """One row an entry, best first, one column a target."""
    best = ranked(entries)
    targets = list(dict.fromkeys(target for entry in best for target in entry.primary))
    result = table(
        f"{track}: {best[0].metric}", ["", "method"], ["mean", *(name.replace("-", "\n") for name in targets)]
    )
    for rank, entry in enumerate(best, 1):
        scores = [entry.primary.get(target) for target in targets]
        cells = [score_text(score.mean, score.std) if score else "–" for score in scores]
        result.add_row(str(rank), entry.method, score_text(entry.rank_value, None), *cells)
    return result
