"""Progress of long work: one way to report it, silent unless someone listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Update:
    """How far a stage of some work is.

    stage: what is being done, in words; done, of: steps done and all steps, 0 and 0 while their number is not known;
    numbers: what to show beside them, such as losses, by name; note: what to show last; lasting: whether the note is a
    sentence of its own that stays on screen.
    """

    stage: str
    done: float = 0
    of: float = 0
    numbers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    lasting: bool = False


class Step(Protocol):
    """Reports how many steps of a stage are done, of how many, with numbers by name."""

    def __call__(self, done: float, of: float, numbers: Mapping[str, float] = ..., note: str = ...) -> None: ...


class Progress:
    """Where work reports how far it is. `listen` is called with each update, in the process that works.

    >>> told = []
    >>> step = Progress(told.append).stage("drawing")
    >>> step(1, 2)
    >>> [(update.stage, update.done, update.of) for update in told]
    [('drawing', 0, 0), ('drawing', 1, 2)]
    """

    def __init__(self, listen: Callable[[Update], None] = lambda update: None) -> None:
        self._listen = listen

    def stage(self, name: str) -> Step:
        """Begin a stage; returns a function that reports its steps."""
        self._listen(Update(name))

        def step(done: float, of: float, numbers: Mapping[str, float] = {}, note: str = "") -> None:
            self._listen(Update(name, done, of, numbers, note))

        return step

    def tell(self, sentence: str) -> None:
        """Report a sentence that should stay on screen, such as what was left out."""
        self._listen(Update("", note=sentence, lasting=True))


QUIET = Progress()
"""Progress that is not shown."""
