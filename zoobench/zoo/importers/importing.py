"""Import a folder of trained networks: inspect all of it, then read its weights, and write the zoo's card last."""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, files_in, sweep, write_json, writing_into
from zoo_generation.names import ALLOWED, is_file_name
from zoo_generation.networks.architectures import architecture_names, get_architecture, import_architecture
from zoo_generation.progress import QUIET, Progress
from zoo_generation.text import quoted
from zoobench.zoo.content import IDS
from zoobench.zoo.importers.building import Built, Read, build, not_finite, read_checkpoint
from zoobench.zoo.importers.columns import dataset_of
from zoobench.zoo.importers.files import RejectedError, only_within
from zoobench.zoo.importers.found import (
    Candidate,
    Fault,
    FoundCheckpoint,
    FoundModel,
    Told,
    shown_name,
    told_once,
)
from zoobench.zoo.importers.landscapes import LAYOUT, write_landscape
from zoobench.zoo.importers.measured import measured
from zoobench.zoo.importers.registry import IMPORTERS, usable_layouts
from zoobench.zoo.importers.writing import PartWriter
from zoobench.zoo.parts import FOLDERS, asked_at_once
from zoobench.zoo.sink import ZooSink
from zoobench.zoo.store import Zoo

READERS = 4  # threads; more wait for each other, because most of reading a small state dict is Python
MARK = ".import.json"  # in the zoo's directory while an import is running

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Imported:
    """What came into a zoo; `faults`: what did not; `notes`: what came in changed, or in doubt.

    report: the JSON file that says so, None if there is none.
    """

    name: str
    path: StoragePath
    folder: str
    layout: str
    models: int
    checkpoints: int
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()
    report: Path | None = None

    @property
    def zoo(self) -> Zoo:
        """The zoo, opened."""
        return Zoo(self.path)

    def __repr__(self) -> str:
        counts = f"{self.models} models, {self.checkpoints} checkpoints, faults: {len(self.faults)}"
        return f"<Imported {self.name}: {counts}, {self.path}>"

    def record(self) -> dict[str, Any]:
        """All of it as plain values for JSON; the fault of a whole model has the checkpoint `model`."""
        said = asdict(self)
        del said["path"], said["report"]
        for each in (*said["faults"], *said["notes"]):
            each["checkpoint"] = "model" if each["checkpoint"] is None else each["checkpoint"]
        return said


def import_name(folder: Path, name: str | None = None) -> str:
    """The name of the zoo for an imported folder: the given one, else the folder's. Raises `InputError` if it cannot
    name files."""
    found = name or folder.resolve().name
    if not is_file_name(found):
        raise InputError(f"the zoo cannot be named {quoted(repr(found))}: {ALLOWED}; give another --name")
    return found


def import_zoo(
    folder: Path,
    path: StoragePath,
    name: str | None = None,
    *,
    layout: str | None = None,
    dataset: str | None = None,
    architecture: str | None = None,
    report: Path | None = None,
    progress: Progress = QUIET,
) -> Imported:
    """Import what a folder holds into a zoo at `path`; models and checkpoints that cannot come in are left out.

    name: of the zoo, None for the folder's; layout: one of `IMPORTERS`, None for the first that the folder matches;
    dataset: of models that name none; architecture: the only one to try, by its registered name or as
    `package.module:function`; report: a JSON file on what was imported and what was not. Raises `InputError` if nothing
    can be imported, if `dataset` is needed, and if the directory is not free or cannot be written; an import that was
    killed there starts anew.
    """
    name, sink = import_name(folder, name), ZooSink(path.absolute())
    if architecture and ":" in architecture:
        import_architecture(architecture)
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; name one that holds trained networks")
    if layout:
        IMPORTERS.get(layout)
    architectures = [get_architecture(architecture).name] if architecture else list(architecture_names())
    _check_free(sink.path)
    try:
        with only_within(folder):
            layout = layout or detect(folder)
            models, faults, told = _looked_at(folder, layout)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or folder} ({error.strerror or error}); allow it") from None
    _name_dataset(models, dataset, folder)
    models, of_metrics = measured(models)
    told += of_metrics
    faults += _missing(models)
    step = progress.stage("importing")
    with sink.lock(), writing_into(sink.path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of pickles in protocols that it knows in part
        _check_free(sink.path)
        _start(sink.path)
        writer = PartWriter(sink)
        for done, model in enumerate(_built(folder, models, architectures, faults, told), 1):
            if model is not None:
                faults += writer.add(model, told)
                told += model.told
            step(done, len(models))
        writer.flush()
        if not writer.models:
            reasons = f"; the first reason: {faults[0].model}: {faults[0].reason}" if faults else ""
            raise InputError(f"none of the models in {folder} can be imported{reasons}")
        faults += told_once(each for each in told if each.lost)
        order = sorted(faults, key=lambda fault: (fault.model, fault.checkpoint is not None, fault.checkpoint or 0))
        notes = told_once(each for each in told if not each.lost)
        came_from, counts = shown_name(folder.resolve()), (writer.models, writer.checkpoints)
        imported = Imported(name, path, came_from, layout, *counts, tuple(order), tuple(notes), report)
        if report is not None:
            write_json(report, imported.record())  # before the card: an import killed before this line starts anew
        sink.write_card(name, {}, imported={"folder": came_from, "layout": layout, "ids": IDS})
        if layout == LAYOUT:
            write_landscape(Zoo(sink.path))
        (sink.path / MARK).unlink(missing_ok=True)
    return imported


def detect(folder: Path) -> str:
    """The name of a folder's layout. Raises `InputError` if it has no known one."""
    for name, layout in usable_layouts():
        if layout.matches(folder):
            return name
    known = "; ".join(f"{name} ({layout.summary})" for name, layout in usable_layouts())
    raise InputError(f"{folder} holds no trained networks in a layout that zoobench knows; known are {known}")


def _looked_at(folder: Path, layout: str) -> tuple[list[FoundModel], list[Fault], list[Told]]:
    """Everything in the folder but weights, the faults, and notes on values."""
    candidates = IMPORTERS.get(layout).candidates(folder)
    if not candidates:
        raise InputError(f"{folder} holds no models in the layout '{layout}'; choose another --layout or folder")
    models: list[FoundModel] = []
    faults: list[Fault] = []
    told: list[Told] = []
    for found in asked_at_once(partial(_look, folder), candidates):
        if isinstance(found, Fault):
            faults.append(found)
            continue
        faults += found.faults
        told += found.told
        if found.checkpoints or _never_had_any(found):
            models.append(found)
        else:
            faults.append(Fault(found.name, None, "it has no checkpoints"))
    return models, faults, told


def _look(folder: Path, candidate: Candidate) -> FoundModel | Fault:
    try:
        with only_within(folder):
            return candidate.read()
    except (RejectedError, OSError) as error:
        return Fault(candidate.name, None, _reason(error))
    except RecursionError:  # comparing values that parsing just allowed
        return Fault(candidate.name, None, "its configuration or results are nested too deep")


def _never_had_any(model: FoundModel) -> bool:
    """Whether it diverged before its first checkpoint, as a model that zoobench exported may have."""
    return model.whole and model.row["status"] == "diverged"


def _name_dataset(models: Sequence[FoundModel], dataset: str | None, folder: Path) -> None:
    """Set the dataset of models that name none."""
    given = dataset_of({"dataset": dataset})
    for model in models:
        model.row["dataset"] = model.row["dataset"] or given
        if model.row["dataset"] is None:
            raise InputError(
                f"the model '{model.name}' in {folder} does not say which dataset it was trained on; "
                "name that of such models with --dataset"
            )


def _missing(models: Sequence[FoundModel]) -> list[Fault]:
    """The checkpoints that most models have, but a model lacks without a fault that says why."""
    had = [{checkpoint.epoch for checkpoint in model.checkpoints} for model in models]
    counts = Counter(epoch for epochs in had for epoch in epochs)
    usual = sorted(epoch for epoch, count in counts.items() if count > len(models) / 2)
    return [
        Fault(model.name, epoch, "it is missing, and most models of the zoo have it")
        for model, epochs in zip(models, had, strict=True)
        for epoch in usual
        if epochs and epoch not in epochs | {fault.checkpoint for fault in model.faults}
    ]


def _built(
    folder: Path, models: Sequence[FoundModel], architectures: Sequence[str], faults: list[Fault], told: list[Told]
) -> Iterator[Built | None]:
    """Each model with its weights, None if it cannot be imported; reasons go to `faults`, notes to `told`.

    Threads read a few checkpoints ahead, so memory holds no more than these and one model's weights.
    """
    tasks = ((model, checkpoint) for model in models for checkpoint in model.checkpoints)
    reads = _ahead(lambda task: _read_or_fault(folder, *task, architectures), tasks)
    for model in models:
        mine = [next(reads) for _ in model.checkpoints]
        found = [each for each in mine if isinstance(each, Read)]
        faults += [each for each in mine if isinstance(each, Fault)] + not_finite(model, found)
        told += [Told(note, "", model.name) for note in dict.fromkeys(note for each in found for note in each.notes)]
        try:
            yield build(model, found)
        except RejectedError as error:
            faults.append(Fault(model.name, None, str(error)))
            yield None
        except RecursionError:  # writing as JSON values that parsing just allowed
            faults.append(Fault(model.name, None, "its configuration or results are nested too deep"))
            yield None


def _read_or_fault(
    folder: Path, model: FoundModel, checkpoint: FoundCheckpoint, architectures: Sequence[str]
) -> Read | Fault:
    try:
        with only_within(folder):
            return read_checkpoint(model, checkpoint, architectures)
    except (RejectedError, OSError) as error:
        return Fault(model.name, checkpoint.epoch, _reason(error))


def _reason(error: RejectedError | OSError) -> str:
    return f"it cannot be read ({error.strerror or error})" if isinstance(error, OSError) else str(error)


def _ahead(ask: Callable[[Task], Answer], tasks: Iterator[Task]) -> Iterator[Answer]:
    """Answers in order, with `READERS` questions asked ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[Future[Answer]] = deque()
        for task in tasks:
            waiting.append(pool.submit(ask, task))
            if len(waiting) >= READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _check_free(path: StoragePath) -> None:
    """Raises `InputError` unless nothing exists there, except for the files of a killed import."""
    if (path / MARK).exists() or not path.exists():
        return
    if (path / "zoo.json").exists():
        raise InputError(f"{path} holds a zoo already; choose another --out or --name, or delete it")
    if not path.is_dir() or any(not each.name.startswith(".") for each in path.iterdir()):
        raise InputError(f"{path} holds other files already; choose another --out or --name")


def _start(path: StoragePath) -> None:
    """Mark the directory as that of a running import, and remove the files of an earlier one."""
    write_json(path / MARK, {})
    (path / "zoo.json").unlink(missing_ok=True)
    for place in (path, *(path / folder for folder in FOLDERS)):
        if isinstance(place, Path) and place.is_dir():
            sweep(place)
    for folder in FOLDERS:
        for file in files_in(path / folder, "*"):
            file.unlink(missing_ok=True)
