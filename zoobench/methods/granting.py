"""The only place where a method gets access to data."""

from __future__ import annotations

from zoo_generation.data.load import ImageStore
from zoobench.methods.method import Method
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Access, Evidence, Population


def granted(method: Method, population: Population, allowed: Access, images: ImageStore) -> Population:
    """The population as the method may see it: with exactly the access that the method declares.

    allowed: the most that the task grants; images: where images are opened from. Parts of the result keep the access,
    also blind ones. Raises `InapplicableError` if the method needs more than is allowed.
    """
    if method.access > allowed:
        raise InapplicableError(
            f"{method.name} needs {method.access.words}, and here a method may see {allowed.words}; choose a task or "
            "track that allows more, or another method"
        )
    return population.shown(Evidence(method.access, images))
