"""Export a zoo: aside, and renamed when it is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zoo_generation.errors import InputError
from zoobench.files import directory_written_aside
from zoobench.zoo.exporters.folders import write_folders
from zoobench.zoo.exporters.models import ExportedModel, exported_models
from zoobench.zoo.exporters.modelzoos import write_modelzoos
from zoobench.zoo.store import Zoo

TARGETS: dict[str, Callable[[Path, Iterable[ExportedModel]], None]] = {
    "modelzoos": write_modelzoos,
    "safetensors": write_folders,
}
"""What a zoo is exported to, and what writes its models into an empty folder."""

OnModel = Callable[[int, int], None]
"""Told how many models are done, of how many."""


def export_zoo(zoo: Zoo, target: str, out: Path, on_model: OnModel = lambda done, of: None) -> None:
    """Write a zoo to `out`, which may not be there yet, for one of the `TARGETS`.

    Raises `InputError` for another target, where the zoo is damaged or names what no file can be named by, and where
    `out` cannot be written.
    """
    if target not in TARGETS:
        raise InputError(f"cannot export to '{target}': a zoo is exported to {' or '.join(TARGETS)}")
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} is there already; choose another --out, or delete it")
    total = len(zoo.models)

    def counted() -> Iterator[ExportedModel]:
        for done, model in enumerate(exported_models(zoo), 1):
            yield model
            on_model(done, total)

    try:
        with directory_written_aside(out) as aside:
            TARGETS[target](aside, counted())
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror or error}); choose another --out") from None
