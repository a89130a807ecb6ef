"""The one console that commands print to, and the look of their tables."""

from rich import box
from rich.console import Console
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
