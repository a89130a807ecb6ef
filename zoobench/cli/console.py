"""The console that commands print to, tables, and progress. Text of others is shown as data, never as markup."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
import rich.table
from rich import box
from rich.console import RenderableType
from rich.progress import BarColumn, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
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


SECONDS_BEFORE_LINES, SECONDS_BETWEEN_LINES = 2.0, 30.0
"""Where there is no terminal to draw a bar on: before the first line, and between lines of one stage."""


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show the progress of the work inside the block: a bar, or plain lines on stderr if there is no terminal.

    Lasting sentences stay above the bar.
    """
    if not console.is_terminal:
        yield Progress(_in_lines())
        return
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
            bar.update(shown[update.stage], completed=update.done, total=update.of or None, state=_state(update))

        yield Progress(listen)


def _in_lines() -> Callable[[Update], None]:
    """A listener that writes a line per stage, and more if it lasts; nothing for a command that is done at once."""
    stage, due = "", time.monotonic() + SECONDS_BEFORE_LINES

    def listen(update: Update) -> None:
        nonlocal stage, due
        now = time.monotonic()
        if update.lasting:
            console.print(update.note, soft_wrap=True)
        elif not console.quiet and (now >= due or (stage and update.stage != stage)):
            stage, due = update.stage, now + SECONDS_BETWEEN_LINES
            print(printable(f"{update.stage} {_state(update)}".rstrip()), file=sys.stderr, flush=True)

    return listen


def _state(update: Update) -> str:
    """How far a stage is, in numbers."""
    counts = f"{update.done:.10g}/{update.of:.10g}" if update.of else ""
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in update.numbers.items())
    return " ".join(part for part in (counts, numbers, update.note) if part)
