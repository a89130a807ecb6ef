"""The report of an ablation study on a terminal, in 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from zoo_generation.text import NOT_A_NUMBER, score, shown, words
from zoobench.cli.console import Table, styled, table
from zoobench.studies.names import ID, MEAN
from zoobench.studies.report import Report
from zoobench.studies.report.content import SIGNS
from zoobench.studies.report.scores import Cell, Matrix, Row, matrices, tasks

TARGETS_ABREAST = 3
LONGEST_NAME = 24
"""Characters: with as many targets abreast as that, a table is 80 wide."""

CAPTION = "mean ± std over seeds; • in distribution: the target's population is in the composition"


def answer_tables(report: Report) -> list[Table]:
    """A table a question: verdicts and sentences; of single targets where there is no mean over several."""
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
    """Tables a task and method: primary metric by composition and target, a few targets in each."""
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


def _cell(cell: Cell) -> Text:
    text = score(cell.mean, cell.std)
    return styled(f"{text} •", "bold") if cell.relation == ID else styled(f"{text}  ")


def _name(name: str) -> Text:
    text = styled(shown(name))
    text.truncate(LONGEST_NAME, overflow="ellipsis")
    return text


def _abreast(targets: list[str]) -> list[list[str]]:
    starts = range(0, len(targets), TARGETS_ABREAST)
    return [targets[start : start + TARGETS_ABREAST] for start in starts]
