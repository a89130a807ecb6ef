"""What the landscape of a zoo looks like: its cells, their phases, and maps of load and temperature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from zoo_generation.errors import InputError, unknown
from zoo_generation.files import write_json, written_aside
from zoo_generation.names import inside
from zoobench.zoo.inspection import population_title
from zoobench.zoo.landscape.cells import SHARED
from zoobench.zoo.landscape.phases import MEANINGS, PHASES, PhaseRule
from zoobench.zoo.schema import MEASURED
from zoobench.zoo.store import Zoo

if TYPE_CHECKING:
    from zoobench.display.plotting import Plot

OF_CHECKPOINTS = ["test_accuracy", "train_accuracy", "train_loss"]
NUMBERS_OF_CELLS = [*OF_CHECKPOINTS, *(field.name for field in MEASURED if field.name not in ("cell", "phase"))]
"""What is known of a cell: the median over its models."""

GAINS = ["late_average_gain", "matched_average_gain", "ensemble_gain"]
LOAD = "width"
TEMPERATURES = ("batch_size", "learning_rate", "weight_decay")
"""What may be the temperature: the first that varies."""


@dataclass(frozen=True, eq=False)
class LandscapeReport:
    """The measured cells of a zoo.

    table: one row per cell, with the columns that its models share, `epoch`, `models`, the medians of
    `NUMBERS_OF_CELLS`, and `phase`; load, temperature: the columns that maps are drawn over.
    """

    name: str
    path: str
    table: pd.DataFrame
    rule: PhaseRule
    load: str
    temperature: str

    def by_phase(self) -> pd.DataFrame:
        """One row per phase that is there: what it means, its cells, and means over them."""
        known = self.table.dropna(subset="phase")
        columns = ["test_accuracy", "train_loss", *GAINS]
        means = known.groupby("phase")[columns].mean().assign(cells=known["phase"].value_counts())
        means = means.reindex([phase for phase in PHASES if phase in means.index])
        means.insert(0, "meaning", means.index.map(MEANINGS))
        return means.reset_index()[["phase", "meaning", "cells", *columns]]

    def correlations(self) -> pd.Series:
        """Spearman's rank correlation of each measurement with the test accuracy, over cells that are trained; NaN of
        what does not vary."""
        trained = self.table[self.table["train_loss"] <= self.rule.loss]
        names = [name for name in NUMBERS_OF_CELLS if name not in ("test_accuracy", *GAINS)]
        return trained[names].corrwith(trained["test_accuracy"], method="spearman")

    def grids(self, metric: str) -> Iterator[tuple[str, pd.DataFrame]]:
        """The metric, or `phase`, by temperature and load: a title and a table for each dataset, architecture and
        epoch. Where several cells have one place, it is their mean, or the phase of the first.

        Raises `InputError` for a metric that is not known.
        """
        if metric not in (*NUMBERS_OF_CELLS, "phase"):
            raise unknown("metric of a landscape", metric, [*NUMBERS_OF_CELLS, "phase"])
        for (dataset, architecture, epoch), cells in self.table.groupby(["dataset", "architecture", "epoch"]):
            title = f"{population_title(str(dataset), str(architecture), 1)}, epoch {epoch}"
            how = "first" if metric == "phase" else "mean"
            yield title, cells.groupby([self.temperature, self.load])[metric].agg(how).unstack()

    def maps(self) -> list[Plot]:
        """A heat map of each metric that was measured, with the borders of the phases."""
        from zoobench.display.maps import heat_map

        plots: list[Plot] = []
        for metric in NUMBERS_OF_CELLS:
            for (title, values), (_, phases) in zip(self.grids(metric), self.grids("phase"), strict=True):
                if values.notna().any(axis=None):
                    name = f"{metric}-{len(plots)}"
                    plots.append(heat_map(name, metric, title, values.astype(float), phases))
        return plots

    def record(self) -> dict[str, Any]:
        """All of it as plain values for JSON."""
        columns = [name for name in self.table if name in ("cell", "epoch", "models", "phase", *NUMBERS_OF_CELLS)]
        shared = [name for name in SHARED if name in self.table and self.table[name].nunique() > 1]
        told = {"name": self.name, "path": self.path, "rule": self.rule.model_dump()}
        return told | {
            "cells": _plain(self.table[[*shared, *columns]]),
            "phases": _plain(self.by_phase()),
            "correlations": {
                name: None if pd.isna(value) else float(value) for name, value in self.correlations().items()
            },
        }

    def save(self, folder: str | Path) -> Path:
        """Write `landscape-<name>.json` and a page of maps, `landscape-<name>.html`, into a folder; returns the
        latter."""
        from zoobench.display.maps import page

        file = inside(Path(folder), f"landscape-{self.name}", ".html")
        write_json(file.with_suffix(".json"), self.record())
        tables = {"Phases": self.by_phase(), "Rank correlation with test accuracy": _column(self.correlations())}
        with written_aside(file) as aside:
            aside.write_text(page(f"Loss landscape of {self.name}", tables, self.maps()), encoding="utf-8")
        return file

    def __repr__(self) -> str:
        counts = self.table["phase"].value_counts()
        phases = ", ".join(f"{phase}: {counts[phase]}" for phase in PHASES if phase in counts)
        return f"<LandscapeReport {self.name}: {len(self.table)} cells; {phases or 'no phase'}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the phases, and the cells."""
        tables = (self.by_phase(), self.table)
        return f"<p>{escape(repr(self))}</p>" + "".join(each.to_html(index=False, escape=True) for each in tables)


def report_of(zoo: Zoo, rule: PhaseRule | None = None) -> LandscapeReport:
    """What was measured of a zoo. Raises `InputError` if nothing was."""
    table = zoo.checkpoints
    if "cell" not in table or table["cell"].isna().all():
        raise InputError(f"the landscape of {zoo.path} is not measured yet; run 'zoobench zoo landscape {zoo.path}'")
    found = table.dropna(subset="cell")
    groups = found.groupby("cell")
    shared = [name for name in (*SHARED, "epoch") if name in found]
    cells = found.drop_duplicates("cell").set_index("cell")[shared]
    cells["models"] = groups.size()
    cells = cells.join(groups[NUMBERS_OF_CELLS].median()).join(groups["phase"].first()).reset_index()
    temperature = next((name for name in TEMPERATURES if cells[name].nunique() > 1), TEMPERATURES[0])
    cells = cells.sort_values(["dataset", "architecture", "epoch", LOAD, temperature], ignore_index=True)
    return LandscapeReport(zoo.name, str(zoo.path), cells, rule or PhaseRule(), LOAD, temperature)


def _column(values: pd.Series) -> pd.DataFrame:
    return values.rename_axis("measurement").rename("correlation").reset_index()


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows with None in place of NaN."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in table.to_dict("records")
    ]
