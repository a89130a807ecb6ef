"""Export a zoo: aside, and renamed when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside
from zoobench.zoo.exporters.models import ExportedModel, exported_models
from zoobench.zoo.exporters.registry import EXPORTERS
from zoobench.zoo.store import Zoo

OnModel = Callable[[int, int], None]
"""Told how many models are done, of how many."""


def export_zoo(
    zoo: Zoo,
    target: str,
    out: Path,
    on_model: OnModel = lambda done, of: None,
    licence: str | None = None,
) -> None:
    """Write a zoo to `out`, which may not be there yet, for one of the `EXPORTERS`; `licence`: of a dataset's card.

    Raises `InputError` for another target or licence, where the zoo is damaged or names what no file can be named by,
    and where `out` cannot be written.
    """
    write = EXPORTERS.get(target).prepare(zoo, licence)
    total = len(zoo.models)

    def counted() -> Iterator[ExportedModel]:
        for done, model in enumerate(exported_models(zoo), 1):
            yield model
            on_model(done, total)

    try:
        with directory_written_aside(out, new=True) as aside:
            write(aside, counted())
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror or error}); choose another --out") from None
