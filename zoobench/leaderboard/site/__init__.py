"""The leaderboard as web pages: static files that work from a disk and from any host."""

from zoobench.leaderboard.board import Board
from zoobench.leaderboard.site.write import write_site

__all__ = ["Board", "write_site"]
