"""Tasks by name, as they are measured unless asked otherwise."""

from __future__ import annotations

from zoo_generation.errors import unknown
from zoobench.tasks.base import Task
from zoobench.tasks.fine_tuning import FineTuning
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.property_transfer import PropertyTransfer
from zoobench.tasks.reconstruction import Reconstruction

_TASKS: tuple[Task, ...] = (PropertyPrediction(), PropertyTransfer(), Generation(), FineTuning(), Reconstruction())
TASKS: dict[str, Task] = {task.name: task for task in _TASKS}


def get_task(name: str) -> Task:
    """The task of that name; `dataclasses.replace` makes others of it. Raises `InputError` where there is none."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
