"""Tables that several commands print, in 80 columns."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from zoo_generation.text import shown
from zoobench.cli.console import Table, styled, table
from zoobench.display.text import NOT_A_NUMBER, score, words

if TYPE_CHECKING:
    import pandas as pd

    from zoobench.leaderboard import Board, Finding
    from zoobench.leaderboard.board import Difference, Places
    from zoobench.studies.report import Report
    from zoobench.studies.report.scores import Matrix, Row, ScoreCell

TARGETS_ABREAST = 3
LONGEST_NAME = 24
"""Characters: with as many targets abreast as that, a table is 80 wide."""

CAPTION = "mean ± std over seeds; • in distribution: the target's population is in the composition"


def standings_tables(standings: pd.DataFrame) -> list[Table]:
    """One table per task, of `standings`: one row per method, best first, one column per target."""
    tables = []
    for (task, metric), rows in standings.groupby(["task", "metric"], sort=False):
        targets = list(dict.fromkeys(rows["target"]))
        result = table(
            f"{words(str(task)).capitalize()}: {words(str(metric))}",
            ["", "method"],
            ["mean", *(name.replace("-", "\n") for name in targets)],
        )
        for (rank, method), of_method in rows.groupby(["rank", "method"], sort=True):
            scores = of_method.set_index("target")[["mean", "std"]]
            cells = [score_text(*scores.loc[target]) if target in scores.index else "–" for target in targets]
            result.add_row(str(rank), str(method), score_text(of_method["average"].iloc[0], None), *cells)
        tables.append(result)
    return tables


def score_text(mean: float | None, std: float | None) -> str:
    """`mean ± std`, or what there is of it."""
    if mean is None or math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if std is None or math.isnan(std) else f"{mean:.3f} ± {std:.3f}"


def cost_tables(cost: pd.DataFrame) -> list[Table]:
    """What a plan costs, as `Plan.cost` has it: a table of zoos, one of trainings and one of cells."""
    from zoobench.studies.results import duration

    tables = []
    for kind, rows in cost.groupby("kind", sort=False):
        result = table(f"{kind}: {len(rows)}", ["what"], ["core time, about"])
        result.columns[0].no_wrap = False
        for name, seconds in zip(rows["name"], rows["seconds"], strict=True):
            result.add_row(name, duration(seconds))
        tables.append(result)
    return tables


def answer_tables(report: Report) -> list[Table]:
    """One table per question: verdicts and sentences; of single targets if there is no mean over several."""
    from zoobench.studies.relations import MEAN
    from zoobench.studies.report.content import SIGNS

    result = []
    for question, rows in report.comparisons.groupby("question", sort=False):
        answers = table(str(question), ["verdict"], [])
        answers.add_column("answer", overflow="fold")
        means = rows["targets"].str.startswith(MEAN)
        shown_rows = rows[means] if means.any() else rows
        for verdict, sentence in zip(shown_rows["verdict"], shown_rows["sentence"], strict=True):
            answers.add_row(f"{SIGNS[verdict]} {verdict}", sentence)
        result.append(answers)
    return result


def score_tables(report: Report) -> list[Table]:
    """Tables of each task and method: primary metric by composition and target, a few targets in each."""
    from zoobench.studies.report.scores import matrices, tasks

    return [
        _score_table(f"{words(task).capitalize()}, {words(report.primary[task])}", matrix, targets)
        for task in tasks(report)
        for matrix in matrices(report, task)
        for targets in _abreast(matrix.targets)
    ]


def _score_table(title: str, matrix: Matrix, targets: Sequence[str]) -> Table:
    whose = f"{title}: {matrix.method}" if matrix.method else title
    result = table(whose, ["composition"], [shown(target) for target in targets])
    result.caption, result.caption_justify = CAPTION, "left"
    for rows in (matrix.compositions, matrix.baselines):
        for name, row in rows.items():
            result.add_row(_name(name), *_cells(row, targets))
        result.add_section()
    return result


def _cells(row: Row, targets: Sequence[str]) -> list[Text]:
    return [_cell(row[target]) if target in row else styled(NOT_A_NUMBER) for target in targets]


def _cell(cell: ScoreCell) -> Text:
    text = score(cell.mean, cell.std)
    return styled(f"{text} •", "bold") if cell.relation == "ID" else styled(f"{text}  ")


def _name(name: str) -> Text:
    text = styled(shown(name))
    text.truncate(LONGEST_NAME, overflow="ellipsis")
    return text


def _abreast(targets: list[str]) -> list[list[str]]:
    starts = range(0, len(targets), TARGETS_ABREAST)
    return [targets[start : start + TARGETS_ABREAST] for start in starts]


def track_tables(boards: Sequence[Board]) -> list[Table]:
    """One table per scale, one row per track: what ranks, the best method, and in brackets the best baseline."""
    tables = []
    order = sorted(boards, key=lambda board: board.track.scale == "paper")
    for scale in dict.fromkeys(board.track.scale for board in order):
        title = f"Tracks, {scale.replace('-', ' ')}: the best method (and the best baseline)"
        result = table(title, ["track", "ranks by", "best"], ["score", "entries"])
        for column in result.columns:
            column.no_wrap, column.overflow = str(column.header) in ("score", "entries"), "fold"
        for board in (each for each in boards if each.track.scale == scale):
            track, (method, baseline) = board.track, board.leading
            found = [(each, form) for each, form in ((method, "{}"), (baseline, "({})")) if each is not None]
            names = "\n".join(form.format(shown(each.name)) for each, form in found) or "–"
            scores = "\n".join(form.format(score_text(each.mean(track.metric), None)) for each, form in found) or "–"
            result.add_row(track.name, track.metric, styled(names), styled(scores), str(len(board.entries)))
        tables.append(result)
    return tables


def board_tables(board: Board, pointed: Collection[str] = (), metric: str | None = None) -> list[Table | str]:
    """One row per entry, best first, one column per target, then the marks; an arrow points to the entries `pointed`.

    Entries that another version of the task scored stand in a table of their own.
    """
    metric = metric or board.track.metric
    title = f"{board.track.name}: {metric}"
    tables: list[Table | str] = [_board_table(title, board, board.ranked(metric), pointed, metric)]
    for version in sorted({entry.task_version for entry in board.former}, reverse=True):
        of = [(None, entry) for entry in board.former if entry.task_version == version]
        tables.append(_board_table(f"{title}, by version {version} of the task", board, of, pointed, metric))
    return tables + [f"{shown(entry.name)}: {shown(mark)}" for entry in board.entries for mark in entry.marks]


def _board_table(title: str, board: Board, places: Places, pointed: Collection[str], metric: str) -> Table:
    fresh, targets = any(entry.fresh for _, entry in places), board.track.targets
    columns = ["mean", *(["fresh"] if fresh else []), *(each.replace("-", "\n") for each in targets)]
    result = table(title, ["", "entry"], columns)
    for place, entry in places:
        scores = entry.of_metric(metric)
        cells = [score_text(scores[each].mean, scores[each].std) if each in scores else "–" for each in targets]
        if fresh:
            cells.insert(0, score_text(entry.fresh.mean(metric), None) if entry.fresh else "–")
        name = shown(entry.name) + (" ←" if entry.name in pointed else "")
        style = "bold" if entry.name in pointed else None if entry.is_ranked else "dim"
        result.add_row(str(place or "–"), name, score_text(entry.mean(metric), None), *cells, style=style)
    return result


def difference_tables(found: Sequence[Difference], first: str, second: str) -> list[Table]:
    """One table per track, one row per target: both scores, and whether the intervals say that they differ."""
    tables = []
    for track in dict.fromkeys(each.track for each in found):
        of_track = [each for each in found if each.track == track]
        title = f"{track}: {of_track[0].metric} of {first} (A) and {second} (B)"
        result = table(title, ["target"], ["A", "B", "A − B", "intervals"])
        for each in of_track:
            said = {None: "–", True: "apart", False: "overlap"}[each.apart]
            difference = "–" if each.difference is None else f"{each.difference:+.3f}"
            result.add_row(each.target, score_text(each.first, None), score_text(each.second, None), difference, said)
        tables.append(result)
    return tables


def finding_table(findings: Sequence[Finding]) -> Table:
    """One row per entry that was verified."""
    colours = {"verified": "green", "former": "yellow", "not here": "yellow"}
    result = table("Entries", ["track", "entry", "verdict"], ["seconds"])
    for each in (finding for finding in findings if finding.entry):
        verdict = styled(each.verdict, colours.get(each.verdict, "red"))
        result.add_row(each.track, shown(each.entry)[:80], verdict, f"{each.seconds:.1f}")
    return result
