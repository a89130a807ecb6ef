"""Export a zoo: aside, and renamed when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside
from zoobench.zoo.exporters.folders import write_folders
from zoobench.zoo.exporters.huggingface.licences import check_licence
from zoobench.zoo.exporters.huggingface.write import write_dataset
from zoobench.zoo.exporters.models import ExportedModel, exported_models
from zoobench.zoo.exporters.modelzoos import write_modelzoos
from zoobench.zoo.store import Zoo

Write = Callable[[Path, Iterable[ExportedModel]], None]
"""Writes models into an empty folder."""

WRITERS: dict[str, Write] = {"modelzoos": write_modelzoos, "safetensors": write_folders}
TARGETS = (*WRITERS, "huggingface")
"""What a zoo is exported to."""

OnModel = Callable[[int, int], None]
"""Told how many models are done, of how many."""


def export_zoo(
    zoo: Zoo,
    target: str,
    out: Path,
    on_model: OnModel = lambda done, of: None,
    licence: str | None = None,
) -> None:
    """Write a zoo to `out`, which may not be there yet, for one of the `TARGETS`; `licence`: of a dataset's card.

    Raises `InputError` for another target or licence, where the zoo is damaged or names what no file can be named by,
    and where `out` cannot be written.
    """
    write = _writer(zoo, target, licence)
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


def _writer(zoo: Zoo, target: str, licence: str | None) -> Write:
    if target not in TARGETS:
        raise InputError(f"cannot export to '{target}': a zoo is exported to {' or '.join(TARGETS)}")
    if target == "huggingface":
        return partial(write_dataset, zoo=zoo, licence=check_licence(licence))
    if licence is not None:
        raise InputError(f"the export to {target} has no place for a licence; leave out --licence")
    return WRITERS[target]
