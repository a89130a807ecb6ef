"""Leaderboards: tracks, submissions that are scored anew from what they hold, tables, a page."""

from zoobench.leaderboard.entry import Entry, Score, ranked, read_entries, read_entry
from zoobench.leaderboard.track import Track, read_track, read_tracks, track_names

__all__ = [
    "Entry",
    "Score",
    "Track",
    "ranked",
    "read_entries",
    "read_entry",
    "read_track",
    "read_tracks",
    "track_names",
]
