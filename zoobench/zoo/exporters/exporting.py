"""Export a zoo: write a temporary folder, and rename it when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zoo_generation.files import directory_written_aside, writing_into
from zoo_generation.progress import QUIET, Progress
from zoobench.zoo.exporters.models import ExportedModel, exported_models
from zoobench.zoo.exporters.registry import EXPORTERS
from zoobench.zoo.store import Zoo


def export_zoo(zoo: Zoo, to: str, out: Path, licence: str | None = None, progress: Progress = QUIET) -> Path:
    """Write a zoo into the new folder `out`, and return that folder.

    to: one of `EXPORTERS`; licence: for a dataset's card. Raises `InputError` for another target or licence, if the zoo
    is damaged or has names that are not possible for files, and if `out` cannot be written.
    """
    write = EXPORTERS.get(to).prepare(zoo, licence)
    step, total = progress.stage("exporting"), len(zoo.models)

    def counted() -> Iterator[ExportedModel]:
        for done, model in enumerate(exported_models(zoo), 1):
            yield model
            step(done, total)

    with writing_into(out), directory_written_aside(out, new=True) as aside:
        write(aside, counted())
    return out
