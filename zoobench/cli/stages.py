"""Progress of long work: one line a stage, with the losses of what is being trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from zoobench.cli.console import console
from zoobench.methods.base import Report


class Stages:
    """The line of the stage that is under way."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task: TaskID | None = None

    def begin(self, description: str) -> Report:
        """The next stage; what it returns may be told of steps."""
        if self.task is not None:
            self.bar.remove_task(self.task)
        task = self.task = self.bar.add_task(description, total=None, state="")

        def report(step: int, steps: int, losses: dict[str, float]) -> None:
            state = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            self.bar.update(task, completed=step, total=steps, state=f"{step}/{steps} {state}")

        return report


@contextmanager
def stages() -> Iterator[Stages]:
    """Stages for the length of a `with` block."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Stages(bar)
