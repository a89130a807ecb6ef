"""Import a zoo with a progress bar, and show what came in and what did not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, write_json
from zoo_generation.names import ALLOWED, inside, is_file_name
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.text import quoted, shown
from zoobench.cli.console import Table, console, counting, table
from zoobench.cli.inspecting import accuracy_table, count_table
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.importers import Fault, Imported, import_zoo
from zoobench.zoo.importers.found import shown_name
from zoobench.zoo.inspection import inspect

SHOWN = 40  # faults in the table; all of them are in the file


def name_of(folder: Path, name: str | None) -> str:
    """The zoo's name: as given, else the folder's; raises `InputError` where it cannot name files."""
    found = name or folder.resolve().name
    if not is_file_name(found):
        raise InputError(f"the zoo cannot be named {quoted(repr(found))}: {ALLOWED}; give another --name")
    return found


def import_into(
    folder: Path,
    path: StoragePath,
    name: str,
    results: Path,
    *,
    layout: str | None,
    dataset: str | None,
    architecture: str | None,
) -> None:
    """Import, print what came of it, and write `import-<name>.json` into `results`."""
    if architecture and ":" in architecture:
        import_architecture(architecture)
    file = inside(results, f"import-{name}", ".json")
    with counting("importing") as told:
        imported = import_zoo(
            folder,
            ZooSink(path.absolute()),
            name,
            layout=layout,
            dataset=dataset,
            architecture=architecture,
            on_model=told,
            on_end=lambda imported: write_json(file, _report(name, folder, imported)),
        )
    report = inspect(Zoo(path))
    console.print(count_table(report))
    console.print(accuracy_table(report))
    if imported.faults:
        console.print(fault_table("What did not come in", imported.faults))
    if imported.notes:
        console.print(fault_table("What came in otherwise, or in doubt", imported.notes))
    left_out = f"; {len(imported.faults)} did not come in" if imported.faults else ""
    counts = f"{imported.models} models with {imported.checkpoints} checkpoints"
    console.print(f"{counts} into {path}{left_out}: {file}")


def fault_table(title: str, faults: tuple[Fault, ...]) -> Table:
    """One row for each thing that did not come in, or of which something is to be known, the first `SHOWN`."""
    result = table(title, [], [])
    result.add_column("model", overflow="fold", max_width=40)
    result.add_column("checkpoint")
    result.add_column("reason", overflow="fold")
    for fault in faults[:SHOWN]:
        result.add_row(shown(fault.model), _checkpoint(fault), shown(fault.reason))
    if len(faults) > SHOWN:
        result.caption = f"and {len(faults) - SHOWN} more"
    return result


def _checkpoint(fault: Fault) -> str:
    return "model" if fault.checkpoint is None else str(fault.checkpoint)


def _report(name: str, folder: Path, imported: Imported) -> dict[str, object]:
    return {
        "name": name,
        "folder": shown_name(folder.resolve()),
        "layout": imported.layout,
        "models": imported.models,
        "checkpoints": imported.checkpoints,
        "faults": [_entry(fault) for fault in imported.faults],
        "notes": [_entry(note) for note in imported.notes],
    }


def _entry(fault: Fault) -> dict[str, object]:
    return asdict(fault) | ({"checkpoint": "model"} if fault.checkpoint is None else {})
