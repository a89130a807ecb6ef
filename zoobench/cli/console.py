"""The consoles that commands print to, and the look of their tables: what is printed is data, and never obeyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
import rich.table
from rich import box
from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.status import Status
from rich.text import Text

from zoo_generation.text import printable, visible


class Console(rich.console.Console):
    """Text that it is given is shown as it is, on one line, without markup and without what steers a terminal.

    What is to look otherwise is `styled`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        return super().status(styled(status) if isinstance(status, str) else status, **options)


console = Console()


def styled(text: str, style: str = "") -> Text:
    """Text in a style such as `bold` or `red`; its lines stay lines."""
    return Text(visible(text), style)


class Table(rich.table.Table):
    """A table whose cells are shown as a `Console` shows text."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def table(title: str, names: list[str], numbers: list[str]) -> Table:
    """An empty table: columns of names, then of numbers; narrow enough for 80 characters."""
    result = Table(title=styled(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in names:
        result.add_column(styled(header), no_wrap=True)
    for header in numbers:
        result.add_column(styled(header), justify="right", overflow="fold")
    return result


class Column(TextColumn):
    """A column of a bar that shows text, such as `{task.description}`, as a `Console` does."""

    def render(self, task: Task) -> Text:
        return Text(printable(self.text_format.format(task=task)), justify=self.justify)


@contextmanager
def to_standard_error() -> Iterator[None]:
    """What is printed goes to standard error, as long as the block lasts: standard output is another program's."""
    before, console.stderr = console.stderr, True
    try:
        yield
    finally:
        console.stderr = before


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, as long as the block lasts; what it yields is told how many are done, of how many."""
    columns = (Column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


Step = Callable[[int, int, dict[str, float]], None]


@contextmanager
def stages() -> Iterator[Callable[[str], Step]]:
    """A line of progress, as long as the block lasts: what it yields begins a stage by its description, and returns
    what is told the stage's steps done, of how many, and losses by name."""
    columns = (Column("{task.description}"), BarColumn(), Column("{task.fields[state]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        shown: list[TaskID] = []

        def begin(description: str) -> Step:
            for before in shown:
                bar.remove_task(before)
            task = bar.add_task(description, total=None, state="")
            shown[:] = [task]

            def step(done: int, of: int, losses: dict[str, float]) -> None:
                state = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                bar.update(task, completed=done, total=of, state=f"{done}/{of} {state}")

            return step

        yield begin
