"""Leaderboards: one folder a track, one JSON an entry."""

from zoobench.leaderboard.entries import Entry, Score, enter, ranked, read_track, track_names

__all__ = ["Entry", "Score", "enter", "ranked", "read_track", "track_names"]
