"""Import a zoo with a progress bar, and show what came in and what did not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from rich.markup import escape
from rich.table import Table

from zoo_generation.architectures import import_architecture
from zoo_generation.architectures.activations import ACTIVATIONS, known_activation
from zoo_generation.errors import InputError
from zoobench.cli.console import console, counting, table
from zoobench.cli.inspecting import accuracy_table, count_table
from zoobench.files import StoragePath, write_json
from zoobench.zoo import Zoo, ZooSink
from zoobench.zoo.importers import Fault, Imported, import_zoo
from zoobench.zoo.importers.found import shown_name
from zoobench.zoo.inspection import inspect
from zoobench.zoo.part_validation import shown

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")
SHOWN = 40  # faults in the table; all of them are in the file


def name_of(folder: Path, name: str | None) -> str:
    """The zoo's name: as given, else the folder's; raises `InputError` where it cannot name files."""
    found = name or folder.resolve().name
    if not NAME.fullmatch(found):
        raise InputError(f"the zoo cannot be named {found!r}: use letters, digits and . _ + - with --name")
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
    with counting("importing") as told:
        imported = import_zoo(
            folder,
            ZooSink(path.absolute()),
            name,
            layout=layout,
            dataset=dataset,
            architecture=architecture,
            on_model=told,
        )
    report = inspect(Zoo(path))
    console.print(count_table(report))
    console.print(accuracy_table(report))
    if imported.faults:
        console.print(fault_table(imported.faults))
    for note in activation_notes(Zoo(path).models):
        console.print(f"Note: {note}", markup=False, soft_wrap=True)
    file = results / f"import-{name}.json"
    write_json(file, _report(name, folder, imported))
    left_out = f"; {len(imported.faults)} did not come in" if imported.faults else ""
    counts = f"{imported.models} models with {imported.checkpoints} checkpoints"
    console.print(f"{counts} into {path}{left_out}: {file}", markup=False)


def fault_table(faults: tuple[Fault, ...]) -> Table:
    """One row for each thing that did not come in, the first `SHOWN`."""
    result = table("What did not come in", [], [])
    result.add_column("model", overflow="fold", max_width=40)
    result.add_column("checkpoint")
    result.add_column("reason", overflow="fold")
    for fault in faults[:SHOWN]:
        result.add_row(escape(shown(fault.model)), _checkpoint(fault), escape(shown(fault.reason)))
    if len(faults) > SHOWN:
        result.caption = f"and {len(faults) - SHOWN} more"
    return result


def activation_notes(models: pd.DataFrame) -> Iterator[str]:
    """A sentence for each activation that our architectures cannot be built with: a user's own may do without."""
    ours = models[~models["architecture"].str.contains(":")]
    unknown = ours[ours["activation"].map(known_activation).isna()]
    for (architecture, activation), rows in unknown.groupby(["architecture", "activation"], dropna=False):
        known = f"is '{shown(activation)}', which {architecture} does not have"
        told = known if isinstance(activation, str) else "is not recorded"
        yield (
            f"the activation of {len(rows)} models of {architecture} {told}, so that they can be embedded, but neither "
            "matched, generated nor evaluated ('train --model sane', 'generate', 'zoo validate --recompute'); give a "
            f"column 'activation' ({', '.join(ACTIVATIONS)}) and import them again"
        )


def _checkpoint(fault: Fault) -> str:
    return "model" if fault.checkpoint is None else str(fault.checkpoint)


def _report(name: str, folder: Path, imported: Imported) -> dict[str, object]:
    faults = [asdict(fault) for fault in imported.faults]
    for fault in faults:
        fault["checkpoint"] = "model" if fault["checkpoint"] is None else fault["checkpoint"]
    return {
        "name": name,
        "folder": shown_name(folder.resolve()),
        "layout": imported.layout,
        "models": imported.models,
        "checkpoints": imported.checkpoints,
        "faults": faults,
    }
