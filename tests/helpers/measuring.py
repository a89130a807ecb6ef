"""A task on a fitted method, as the engine measures it: ask, check the answer's form, judge, score."""

from __future__ import annotations

from typing import Any

import pandas as pd

from zoobench.tasks.answers import Answer
from zoobench.tasks.base import Setting, Task


def asked(task: Task, method: Any, setting: Setting) -> Answer:
    answer = task.ask(method, setting)
    task.form(setting).check(answer)
    return answer


def observed(task: Task, method: Any, setting: Setting) -> pd.DataFrame:
    return task.judge(asked(task, method, setting), setting)


def values(task: Task, observations: pd.DataFrame) -> dict[str, float]:
    return {metric: estimate.value() for metric, estimate in task.score(observations).items()}
