"""Tasks by name. To add one, add a file to this folder and a line here, or an entry point `zoobench.tasks`.

An entry is a task with its default settings, such as `Generation()`.
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
    """A package's task, under its entry point's name."""
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
        "skill_prediction": "zoobench.tasks.skills:SKILL_PREDICTION",
        "skill_forecast": "zoobench.tasks.skills:SKILL_FORECAST",
        "generation": "zoobench.tasks.generation:GENERATION",
        "fine_tuning": "zoobench.tasks.fine_tuning:FINE_TUNING",
        "zero_shot": "zoobench.tasks.zero_shot:ZERO_SHOT",
        "merging": "zoobench.tasks.merging:MERGING",
        "reconstruction": "zoobench.tasks.reconstruction:RECONSTRUCTION",
        "transfer": "zoobench.tasks.transfer:TRANSFER",
        "growth": "zoobench.tasks.growth:GROWTH",
        "value": "zoobench.tasks.value:VALUE",
        "attribution": "zoobench.tasks.attribution:ATTRIBUTION",
        "brittleness": "zoobench.tasks.brittleness:BRITTLENESS",
        "membership": "zoobench.tasks.membership:MEMBERSHIP",
        "lineage": "zoobench.tasks.parent_search:PARENT_SEARCH",
        "model_tree": "zoobench.tasks.model_tree:MODEL_TREE",
        "landscape_prediction": "zoobench.tasks.landscape:LANDSCAPE_PREDICTION",
        "phase_prediction": "zoobench.tasks.landscape:PHASE_PREDICTION",
        "extraction": "zoobench.tasks.extraction:EXTRACTION",
    },
    _check,
)


def get_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """The task of that name, with `settings` such as `drawn: 50` in place of its own.

    Raises `InputError` if there is no such task, or if it has no such setting, or the value is not allowed.

    >>> get_task("generation", {"drawn": 50}).drawn
    50
    """
    task = changed(TASKS.get(name), settings or {}, f"setting of {name}")
    if task.name != name:
        raise InputError(f"these settings turn the task '{name}' into '{task.name}'; name that one instead")
    return task
