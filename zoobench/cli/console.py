"""The one console that commands print to, and the look of their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

console = Console(highlight=False)


def table(title: str, names: list[str], numbers: list[str]) -> Table:
    """An empty table: columns of names, then of numbers; narrow enough for 80 characters."""
    result = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in names:
        result.add_column(header, no_wrap=True)
    for header in numbers:
        result.add_column(header, justify="right", overflow="fold")
    return result


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
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


Step = Callable[[int, int, dict[str, float]], None]


@contextmanager
def stages() -> Iterator[Callable[[str], Step]]:
    """A line of progress, as long as the block lasts: what it yields begins a stage by its description, and returns
    what is told the stage's steps done, of how many, and losses by name."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
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
