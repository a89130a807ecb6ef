"""Leaderboards: tracks, submissions whose scores are recomputed from their artefacts, tables, a page."""

from zoobench.leaderboard.audit import Finding, verify
from zoobench.leaderboard.board import Board, leaderboard, submit
from zoobench.leaderboard.entry import Entry, Score, read_entries, read_entry
from zoobench.leaderboard.running import run_track
from zoobench.leaderboard.track import Track, read_track, read_tracks, track_names

__all__ = [
    "Board",
    "Entry",
    "Finding",
    "Score",
    "Track",
    "leaderboard",
    "read_entries",
    "read_entry",
    "read_track",
    "read_tracks",
    "run_track",
    "submit",
    "track_names",
    "verify",
]
