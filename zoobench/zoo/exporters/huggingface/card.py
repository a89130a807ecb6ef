"""The card of a dataset: front matter for Hugging Face, and information for readers."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

import yaml

from zoo_generation.text import inert_markdown, visible
from zoobench.zoo.exporters.huggingface.licences import NOT_STATED
from zoobench.zoo.exporters.huggingface.populations import SPLITS, DatasetPopulation
from zoobench.zoo.schema import JOINED

SIZES = {10**3: "1K", 10**4: "10K", 10**5: "100K", 10**6: "1M", 10**7: "10M", 10**8: "100M", 10**9: "1B"}
LISTED = 8  # epochs
MADE = ("format", "built", "zoobench", "torch", "hardware")  # fields of a zoo's card on its origin

CARD = Template(
    """\
---
$front_matter---

# $name

A zoo of $models trained neural networks in $populations, with $checkpoints: each is a row, with its
weights, what was measured of it, and how its model was trained. Written by zoobench.

![Histogram of test accuracy, and test accuracy by epoch, of each population](plots/test-accuracy.png)

## Populations

A population is one architecture on one dataset of images, and a configuration of this dataset. Test accuracy is that
of the last checkpoints, of models that did not diverge: mean ± standard deviation.

$population_table

Models are split 70/15/15, with all their checkpoints; so no model of `test` was seen in `train`. Models that diverged
or stayed at chance are there too, and labelled: choose by `status`.

| configuration | checkpoints in train | validation | test | after epochs |
|---|---|---|---|---|
$split_table

## Columns

| column | type | meaning |
|---|---|---|
$column_table

A column of what is not known, or was not measured, is null.

## To load it

```python
from pathlib import Path

from datasets import load_dataset

folder = Path(".").resolve()  # that of this card
data = load_dataset(str(folder), "$example")  # or its name on the Hub
```

`weights` are the floating-point entries of a model's state dict, in its order and end to end.
`data/<configuration>/layout.json` says which, as a list of [name, shape]; so does `layout` in the Parquet files' own
metadata. A row's state dict:

```python
import json
import math

import torch

layout = json.loads((folder / "data/$example/layout.json").read_text())
row = data["$example_split"][0]
pieces = torch.tensor(row["weights"]).split([math.prod(shape) for _, shape in layout])
state = {name: piece.reshape(shape) for (name, shape), piece in zip(layout, pieces)}
```

Batch norms' `num_batches_tracked`, which no network in evaluation mode reads, are not kept: take 0.

## Where it comes from

$origin

- format of the zoo: `$format`
- built: $built
- zoobench $zoobench, PyTorch $torch
- hardware: $hardware

## Licence

$licence
"""
)


def card_text(
    card: Mapping[str, Any], populations: Sequence[DatasetPopulation], sizes: Mapping[str, int], licence: str
) -> str:
    """The card in Markdown; card: the zoo's, sizes: numbers of weights by population, licence: an identifier."""
    loadable = [population for population in populations if population.checkpoints]
    checkpoints = sum(sum(population.checkpoints.values()) for population in populations)
    first = loadable[0] if loadable else populations[0]
    return CARD.substitute(
        front_matter=_front_matter(card["name"], loadable, checkpoints, licence),
        name=inert_markdown(card["name"]),
        models=f"{sum(len(population.splits) for population in populations):,}",
        populations=_count(len(populations), "population"),
        checkpoints=_count(checkpoints, "checkpoint"),
        population_table=_population_table(populations, sizes),
        split_table="\n".join(_split_row(population) for population in loadable),
        column_table=_column_table(),
        example=first.name,
        example_split=next(iter(first.checkpoints), "train"),
        origin=_origin(card),
        licence="Not stated." if licence == NOT_STATED else f"`{licence}`",
        **{key: inert_markdown(card.get(key, "not known")) for key in MADE},
    )


def _front_matter(name: str, populations: Sequence[DatasetPopulation], checkpoints: int, licence: str) -> str:
    content: dict[str, Any] = {
        "license": licence,
        "pretty_name": name,
        "task_categories": ["other"],
        "tags": ["weight-space-learning", "model-zoo", "neural-network-weights", "zoobench"],
        "size_categories": [_size_category(checkpoints)],
    }
    if populations:
        content["configs"] = [
            {
                "config_name": population.name,
                "data_files": [
                    {"split": split, "path": f"data/{population.name}/{split}.parquet"}
                    for split in SPLITS.values()
                    if split in population.checkpoints
                ],
            }
            for population in populations
        ]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)


def _size_category(rows: int) -> str:
    """Hugging Face's name for a number of rows."""
    lower = ""
    for bound, name in SIZES.items():
        if rows < bound:
            return f"{lower}<n<{name}" if lower else f"n<{name}"
        lower = name
    return f"n>{lower}"


def _population_table(populations: Sequence[DatasetPopulation], sizes: Mapping[str, int]) -> str:
    header = (
        "configuration", "dataset", "architecture", "width", "images", "weights",
        "models", "trained", "at chance", "diverged", "test accuracy",
    )  # fmt: skip
    rows = [header, tuple("---" for _ in header)]
    for population in populations:
        row, report = population.row, population.report
        accuracy = "–" if report.accuracy_mean is None else f"{report.accuracy_mean:.1%}"
        if report.accuracy_std is not None:
            accuracy += f" ± {report.accuracy_std:.1%}"
        cells = (
            population.name,
            row["dataset"],
            row["architecture"],
            f"{row['width']:g}",
            f"{row['channels']}×{row['image_size']}×{row['image_size']}, {row['classes']} classes",
            f"{sizes[population.name]:,}",
            f"{len(population.splits):,}",
            *(f"{report.models[status]:,}" for status in ("trained", "at_chance", "diverged")),
            accuracy,
        )
        rows.append(tuple(inert_markdown(cell) for cell in cells))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _split_row(population: DatasetPopulation) -> str:
    counts = [f"{population.checkpoints.get(split, 0):,}" for split in SPLITS.values()]
    epochs = ", ".join(map(str, population.epochs))
    if len(population.epochs) > LISTED:
        epochs = f"{population.epochs[0]} to {population.epochs[-1]}, {len(population.epochs)} of them"
    return f"| {' | '.join([population.name, *counts, epochs])} |"


def _column_table() -> str:
    rows = [f"| `{field.name}` | {field.type} | {field.metadata[b'meaning'].decode()} |" for field in JOINED]
    return "\n".join(
        [*rows, "| `weights` | list of float | The state dict, flat, of the same length in a population. |"]
    )


def _origin(card: Mapping[str, Any]) -> str:
    match card.get("imported"):
        case {"folder": folder, "layout": layout}:
            return (
                f"Imported by zoobench from a folder named {inert_markdown(folder)}, in the layout "
                f"{inert_markdown(layout)}; `source` holds what each model came with."
            )
    if not card.get("spec"):
        return "How the zoo was built is not known."
    spec = yaml.safe_dump(card["spec"], sort_keys=False, allow_unicode=True, width=1000)
    return f"`zoobench build-zoo --spec` built it from this spec:\n\n{textwrap.indent(visible(spec.rstrip()), '    ')}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
