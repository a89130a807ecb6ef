"""Why a submission is not taken: all that is wrong with it, told together."""

from __future__ import annotations

from collections.abc import Iterable

from zoo_generation.errors import InputError

MOST = 50
"""Problems that are kept; a file may have as many as it has bytes."""


class Refused(InputError):  # noqa: N818, the outcome's name
    """A submission is refused. problems: a sentence each; told as one: the first, and how many more there are."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))[:MOST]
        super().__init__(self.problems)

    def __str__(self) -> str:
        more = len(self.problems) - 1
        return self.problems[0] + (f" (and {more} more)" if more else "")


class AbsentError(InputError):
    """An artefact lies at an address alone, and was not fetched: the entry is neither verified nor refused."""
