"""Fill the templates; an entry's text is never read as markup, nor as a link that is not https."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment

from zoobench.display.environment import html_environment
from zoobench.display.plotting import Plot
from zoobench.leaderboard.board import Board
from zoobench.leaderboard.site.content import LEVELS, Row, by_scale, metric_words, one_line, rows, size
from zoobench.leaderboard.site.plotting import dot_plot

GENERATOR = "zoobench leaderboard"
"""Identifies our own pages."""
GUIDE = "docs/your-method.md"
SCALES = {
    "two-cores": ("Two cores", "Zoos that are built, and methods that are trained, on two processor cores."),
    "paper": ("Paper scale", "Zoos and methods of the size that the literature reports."),
}
CONDITIONS = {
    "access": "access",
    "runs_models": "runs models",
    "fit_core_seconds": "fit, core\u2011s",
    "asked_core_seconds": "answers, core\u2011s",
    "parameters": "parameters",
}
"""Headers of what entries saw and cost."""
ABREAST, LEADING = 2, 8
"""Number of authors that a table shows without unfolding."""


def site_environment() -> Environment:
    """The site's templates."""
    made = html_environment("zoobench.leaderboard.site")
    made.filters |= {"metric": metric_words, "size": size, "one_line": one_line}
    made.globals |= {"GENERATOR": GENERATOR, "GUIDE": GUIDE, "ABREAST": ABREAST, "LEADING": LEADING}
    made.globals |= {"CONDITIONS": CONDITIONS, "LEVELS": LEVELS}
    return made


def index_page(environment: Environment, boards: Sequence[Board], repository: str | None) -> str:
    """The overview of tracks; repository: its address, for a link to the guide."""
    groups = [
        (
            *SCALES[scale],
            [(board, *board.leading) for board in those],
        )
        for scale, those in by_scale(boards)
    ]
    return environment.get_template("index.html.j2").render(root="", groups=groups, repository=repository)


def track_page(environment: Environment, board: Board) -> str:
    """A track's table, plot and rules."""
    plot = dot_plot(board) if board.current else None
    template = environment.get_template("track.html.j2")
    current, former = ([row for row in rows(board) if row.former == is_former] for is_former in (False, True))
    return template.render(root="../", board=board, track=board.track, rows=current, former=former, plot=plot)


def entry_page(environment: Environment, board: Board, row: Row) -> str:
    """All information on an entry."""
    plot: Plot | None = None if row.former else dot_plot(board, row.entry)
    template = environment.get_template("entry.html.j2")
    methods = sum(each.rank is not None for each in rows(board))
    return template.render(root="../../", methods=methods, track=board.track, row=row, entry=row.entry, plot=plot)
