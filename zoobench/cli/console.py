"""The one console that commands print to, and the look of their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
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
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar, as long as the block lasts; what it yields is told how many are done, of how many."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
