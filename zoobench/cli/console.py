"""The console that commands print to, tables, and progress. Text of others is shown as data, never as markup."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
import rich.table
from rich import box
from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.status import Status
from rich.text import Text

from zoo_generation.progress import Progress, Update
from zoo_generation.text import printable, visible


class Console(rich.console.Console):
    """Shows text as it is, on one line, without markup and control characters. Use `styled` for anything else."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        return super().status(styled(status) if isinstance(status, str) else status, **options)


console = Console()
_as_json = False


def set_json(value: bool) -> bool:
    """The callback of `--json`: let `show` print JSON, and nothing else print anything."""
    global _as_json
    _as_json = console.quiet = value
    return value


def set_quiet(value: bool) -> bool:
    """The callback of `--quiet`: print nothing but errors."""
    console.quiet = value or _as_json
    return value


def show(record: Any, *shown: RenderableType) -> None:
    """Print a result as `shown`, or with `--json` the record as JSON; infinity and NaN become null."""
    if _as_json:
        sys.stdout.write(json.dumps(_plain(record), indent=2, default=str) + "\n")
        return
    for each in shown:
        console.print(each, soft_wrap=isinstance(each, str | Text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def styled(text: str, style: str = "") -> Text:
    """Text in a style such as `bold` or `red`; its lines stay lines."""
    return Text(visible(text), style)


class Table(rich.table.Table):
    """A table that shows the text in its cells as `Console` does."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def table(title: str, names: list[str], numbers: list[str]) -> Table:
    """An empty table with columns of names, then of numbers, to fit into 80 characters."""
    result = Table(title=styled(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for header in names:
        result.add_column(styled(header), no_wrap=True)
    for header in numbers:
        result.add_column(styled(header), justify="right", overflow="fold")
    return result


class Column(TextColumn):
    """A column of a progress bar that shows text, such as `{task.description}`, as `Console` does."""

    def render(self, task: Task) -> Text:
        return Text(printable(self.text_format.format(task=task)), justify=self.justify)


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A line that shows the progress of the work inside the block; lasting sentences stay above it."""
    columns = (
        *(Column("{task.description}"), BarColumn(), Column("{task.fields[state]}")),
        *(TimeElapsedColumn(), TimeRemainingColumn()),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        shown: dict[str, TaskID] = {}

        def listen(update: Update) -> None:
            if update.lasting:
                console.print(update.note, soft_wrap=True)
                return
            if update.stage not in shown:
                for before in shown.values():
                    bar.remove_task(before)
                shown.clear()
                shown[update.stage] = bar.add_task(update.stage, total=None, state="")
            counts = f"{update.done:.10g}/{update.of:.10g}" if update.of else ""
            numbers = ", ".join(f"{name} {value:.3f}" for name, value in update.numbers.items())
            state = " ".join(part for part in (counts, numbers, update.note) if part)
            bar.update(shown[update.stage], completed=update.done, total=update.of or None, state=state)

        yield Progress(listen)
