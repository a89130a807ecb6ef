"""What to generate models for, and from which anchors: populations of a zoo, or what a user names beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoo_generation.data import load_dataset
from zoo_generation.errors import InputError, unknown
from zoo_generation.networks.architectures import get_architecture
from zoo_generation.networks.registry import ACTIVATIONS
from zoobench.populations import Population
from zoobench.populations.target import Target, corresponding
from zoobench.tasks.generation import choose_anchors


@dataclass(frozen=True)
class Wanted:
    """What a user names of the target; what is none is the zoo's."""

    dataset: str | None = None
    architecture: str | None = None
    width: float | None = None
    activation: str | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """A target, and its anchors: a population of none where latents are to come from a Gaussian."""

    target: Target
    anchors: Population


def tasks_of(populations: Sequence[Population], wanted: Wanted, anchors: int, data_root: Path | None) -> list[Task]:
    """A task for each population that is as wanted; where none is, one for a target that has no models yet.

    Such a target's anchors are of a population of the same architecture and width, as on another dataset, if there is
    one: the one with as many channels and classes, if any has. Raises `InputError` where a name is unknown, or what is
    not named differs between populations.
    """
    if wanted.activation is not None and wanted.activation not in ACTIVATIONS:
        raise unknown("activation", wanted.activation, ACTIVATIONS)
    if found := [population for population in populations if _is(population, wanted)]:
        return [_task(population, wanted, anchors) for population in found]
    target = _new_target(populations, wanted, data_root)
    fitting = [population for population in populations if corresponding(population.tokenizer, target) is not None]
    if not fitting or not anchors:
        return [Task(target, populations[0].select(np.zeros(len(populations[0]), dtype=bool)))]
    shape = ["channels", "classes"]
    best = max(fitting, key=lambda population: int((population.table.iloc[0][shape] == target.row[shape]).all()))
    chosen = choose_anchors(best, anchors)
    activation = wanted.activation or chosen.table["activation"].iloc[0]
    cap = chosen.table["train_images"].iloc[0]
    return [Task(_with(target, activation=activation, train_images=cap), chosen)]


def _is(population: Population, wanted: Wanted) -> bool:
    row = population.table.iloc[0]
    asked = {"dataset": wanted.dataset, "architecture": wanted.architecture, "width": wanted.width}
    return all(value is None or row[name] == value for name, value in asked.items())


def _task(population: Population, wanted: Wanted, anchors: int) -> Task:
    best = choose_anchors(population, max(1, anchors))
    chosen = best if anchors else best.select(np.zeros(len(best), dtype=bool))
    target = Target.of(best)
    return Task(target if wanted.activation is None else _with(target, activation=wanted.activation), chosen)


def _with(target: Target, **columns: object) -> Target:
    row = target.row.copy()
    for name, value in columns.items():
        row[name] = value
    return replace(target, row=row)


def _new_target(populations: Sequence[Population], wanted: Wanted, data_root: Path | None) -> Target:
    """A target that the zoo has no models of. What is not named must be the same in all its populations."""
    rows = [population.table.iloc[0] for population in populations]

    def known(name: str, given: str | float | None) -> str | float:
        values = list(dict.fromkeys(row[name] for row in rows))
        if given is None and len(values) > 1:
            raise InputError(f"no population of the zoo is as wanted, and its {name}s differ; name one with --{name}")
        return values[0] if given is None else given

    architecture = get_architecture(str(known("architecture", wanted.architecture)))
    same = [row for row in rows if row["architecture"] == architecture.name] or rows
    if wanted.width is not None and wanted.width != 1 and not architecture.has_width:
        raise InputError(f"{architecture.name} has one width only, and --width {wanted.width:g} was asked for")
    width = 1.0 if not architecture.has_width else float(known("width", wanted.width))
    dataset = load_dataset(str(known("dataset", wanted.dataset)), data_root=data_root)
    size = architecture.image_size if architecture.fixed_image_size or same is rows else int(same[0]["image_size"])
    activation = wanted.activation or str(same[0]["activation"])
    token_size = populations[0].tokenizer.token_size
    return Target.new(dataset.fit(dataset.channels, size), architecture.name, width, activation, token_size)
