"""Measure the landscape of a whole zoo: cell by cell on Ray, going on where an earlier run ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.networks.architectures import import_architecture
from zoo_generation.networks.program import CPU_MODELS
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.cluster import slots
from zoo_generation.training.jobs import POLL_SECONDS, RETRIES, device_given, raise_failures
from zoobench.zoo.landscape.cells import cell_names, measured_epoch
from zoobench.zoo.landscape.measure import LandscapeSettings, measured
from zoobench.zoo.landscape.phases import PhaseRule
from zoobench.zoo.landscape.report import LandscapeReport, report_of
from zoobench.zoo.landscape.table import FOLDER, read_card, read_cell, write_card, write_cell
from zoobench.zoo.lock import locked
from zoobench.zoo.schema import OF_A_LANDSCAPE, POPULATION
from zoobench.zoo.store import Zoo
from zoobench.zoo.workspace import Workspace

TOGETHER = [*POPULATION, "activation", "dropout", "train_images", "data_part"]
"""Columns that cells measured at once share: one network, on the same images."""


def measure_landscape(
    zoo: Zoo,
    epoch: int | None = None,
    settings: LandscapeSettings | None = None,
    rule: PhaseRule | None = None,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
) -> LandscapeReport:
    """Measure the landscape around the zoo's models after an epoch, and write it into the zoo; models that diverged
    are left out, and cells that were measured already are not measured again.

    epoch: None for that of `measured_epoch`. With another rule than before, all cells get other phases. Raises
    `InputError` if the zoo was measured with other settings, if its images are missing, and if it cannot be written.
    """
    settings, rule, workspace = settings or LandscapeSettings(), rule or PhaseRule(), workspace or Workspace()
    table = zoo.checkpoints.drop(columns=[*OF_A_LANDSCAPE], errors="ignore")
    table = table[table["status"] != "diverged"]
    epoch = measured_epoch(table, epoch)
    rows = table[table["epoch"] == epoch].reset_index(drop=True)
    rows["cell"] = cell_names(rows)
    for name in rows["architecture"].unique():
        if ":" in name:
            import_architecture(name)
    with locked(zoo.path):
        _start(zoo.path, {"settings": asdict(settings), "rule": rule.model_dump()}, table)
        missing = rows[~rows["cell"].isin(_done(zoo.path, rows))]
        _measure_all(zoo, list(_units(missing, settings)), rows["cell"].nunique(), settings, rule, workspace, progress)
    return report_of(Zoo(zoo.path), rule)


def _start(zoo: StoragePath, how: dict[str, Any], table: pd.DataFrame) -> None:
    """Write the card, or compare it with the one that is there; give cells the phases of another rule."""
    before = read_card(zoo)
    if before is not None and before.get("settings") != how["settings"]:
        other = [name for name, value in how["settings"].items() if value != (before.get("settings") or {}).get(name)]
        raise InputError(
            f"the landscape of {zoo} was measured with other settings ({', '.join(other)}); take the same ones, or "
            f"remove its folder {FOLDER}"
        )
    if before is not None and before.get("rule") != how["rule"]:
        for file in (zoo / FOLDER).glob("[!.]*.parquet"):
            rows = read_cell(file).to_pandas()
            losses = rows.merge(table[["model_id", "epoch", "train_loss"]], on=["model_id", "epoch"], how="left")
            loss = losses.groupby("cell")["train_loss"].transform("median")
            rows["phase"] = PhaseRule(**how["rule"]).phases(losses.assign(train_loss=loss))
            write_cell(zoo, file.stem, rows)
    if before is None or before.get("rule") != how["rule"]:
        write_card(zoo, how)


def _done(zoo: StoragePath, rows: pd.DataFrame) -> set[str]:
    """The cells of which all models of these rows are measured."""
    done = set()
    for cell, models in rows.groupby("cell")["model_id"]:
        file = zoo / FOLDER / f"{cell}.parquet"
        if file.exists() and set(models) <= set(pc.unique(read_cell(file)["model_id"]).to_pylist()):
            done.add(str(cell))
    return done


def _units(rows: pd.DataFrame, settings: LandscapeSettings) -> Iterator[pd.DataFrame]:
    """Rows of cells that are measured at once: as many as fill a stack with their pairs."""
    cells_at_once = max(1, CPU_MODELS // max(1, settings.pairs))
    for _, group in rows.groupby(TOGETHER, dropna=False, sort=False):
        cells = list(group["cell"].unique())
        for first in range(0, len(cells), cells_at_once):
            yield group[group["cell"].isin(cells[first : first + cells_at_once])]


def _measure_all(
    zoo: Zoo,
    units: list[pd.DataFrame],
    cells: int,
    settings: LandscapeSettings,
    rule: PhaseRule,
    workspace: Workspace,
    progress: Progress,
) -> None:
    """Measure the units on Ray; each writes its cells as soon as it has them. Wide networks, which take longest, come
    first."""
    step = progress.stage("measuring cells")
    done = cells - sum(unit["cell"].nunique() for unit in units)
    step(done, cells)
    if not units:
        return
    waiting = sorted(units, key=lambda unit: float(unit["width"].iloc[0]))
    with workspace.ray() as ray:
        cpus, gpus = workspace.resources.on(ray)
        job = ray.remote(_measure_unit).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        running: dict[Any, int] = {}
        while waiting or running:
            while waiting and len(running) < slots(ray, cpus, gpus):
                unit = waiting.pop()
                given = zoo.path, unit, settings, rule, workspace.data_root, max(1, int(cpus))
                running[job.remote(*given)] = unit["cell"].nunique()
            ended, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            raise_failures(ray, ended)
            done += sum(running.pop(each) for each in ended)
            step(done, cells)


def _measure_unit(
    zoo: StoragePath,
    rows: pd.DataFrame,
    settings: LandscapeSettings,
    rule: PhaseRule,
    data_root: Path | None,
    threads: int,
) -> None:
    from zoo_generation.networks.threads import use_threads

    if ":" in rows["architecture"].iloc[0]:
        import_architecture(rows["architecture"].iloc[0])
    use_threads(threads)
    write_cells(zoo, measured(Zoo(zoo), rows, settings, rule, data_root=data_root, device=device_given()))


def write_cells(zoo: StoragePath, rows: pd.DataFrame) -> None:
    """Store measured rows, a file per cell."""
    for cell, of_cell in rows.groupby("cell"):
        write_cell(zoo, str(cell), of_cell)
