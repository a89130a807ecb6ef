"""Tasks by name, as they are measured unless asked otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_generation.errors import unknown
from zoo_generation.settings import changed
from zoobench.tasks.base import Task
from zoobench.tasks.fine_tuning import FineTuning
from zoobench.tasks.generation import Generation
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.tasks.property_transfer import PropertyTransfer
from zoobench.tasks.reconstruction import Reconstruction

_TASKS: tuple[Task, ...] = (PropertyPrediction(), PropertyTransfer(), Generation(), FineTuning(), Reconstruction())
TASKS: dict[str, Task] = {task.name: task for task in _TASKS}


def get_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """The task of that name, with `settings` such as `drawn: 50` in place of its own.

    Raises `InputError` where there is none such, and for settings that it does not have or cannot take.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return changed(TASKS[name], settings or {}, f"setting of {name}")
