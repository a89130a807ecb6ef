"""Tasks by name. To add one is a file in this folder and a line here, or an entry point `zoobench.tasks`.

What is registered is a task as it is measured unless asked otherwise, such as `Generation()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from zoo_generation.errors import InputError
from zoo_generation.registry import Registry
from zoo_generation.settings import changed
from zoobench.tasks.base import Task

PARTS = ("name", "version", "primary", "asks", "access", "form", "ask", "judge", "score", "reads")


def _check(name: str, task: object) -> Task:
    """A task of a package, as it is used under the entry point's name."""
    made: Any = task() if isinstance(task, type) else task
    for part in PARTS:
        if not hasattr(made, part):
            raise InputError(f"lacks '{part}'; a task has {', '.join(PARTS)}: see zoobench.tasks.base.Task")
    if made.name != name:
        raise InputError(f"calls itself '{made.name}'; give the entry point and the task one name")
    return cast(Task, made)


TASKS: Registry[Task] = Registry(
    "task",
    "zoobench.tasks",
    {
        "property_prediction": "zoobench.tasks.property_prediction:PROPERTY_PREDICTION",
        "property_transfer": "zoobench.tasks.property_prediction:PROPERTY_TRANSFER",
        "generation": "zoobench.tasks.generation:GENERATION",
        "fine_tuning": "zoobench.tasks.fine_tuning:FINE_TUNING",
        "reconstruction": "zoobench.tasks.reconstruction:RECONSTRUCTION",
    },
    _check,
)


def get_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """The task of that name, with `settings` such as `drawn: 50` in place of its own.

    Raises `InputError` if there is none such, and for settings that it does not have or cannot take.

    >>> get_task("generation", {"drawn": 50}).drawn
    50
    """
    task = changed(TASKS.get(name), settings or {}, f"setting of {name}")
    if task.name != name:
        raise InputError(f"these settings make the task '{name}' into '{task.name}'; take that one instead")
    return task
