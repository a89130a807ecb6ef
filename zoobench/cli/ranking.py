"""A track as a table."""

from __future__ import annotations

from rich.table import Table

from zoobench.cli.evaluating import score_text
from zoobench.leaderboard import Entry, ranked


def track_table(track: str, entries: list[Entry]) -> Table:
    """One row an entry, best first, one column a target."""
    best = ranked(entries)
    targets = list(dict.fromkeys(target for entry in best for target in entry.primary))
    table = Table(title=f"{track}: {best[0].metric}")
    table.add_column("rank", justify="right")
    table.add_column("method")
    for target in ("mean", *targets):
        table.add_column(target, justify="right")
    for rank, entry in enumerate(best, 1):
        cells = []
        for target in targets:
            score = entry.primary.get(target)
            cells.append(score_text(score.mean, score.std) if score else "–")
        table.add_row(str(rank), entry.method, score_text(entry.rank_value, None), *cells)
    return table
