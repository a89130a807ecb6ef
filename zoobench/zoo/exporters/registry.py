"""The layouts to which a zoo can be exported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from zoo_generation.errors import InputError
from zoo_generation.registry import Registry
from zoobench.zoo.exporters.models import ExportedModel
from zoobench.zoo.store import Zoo

Write = Callable[[Path, Iterable[ExportedModel]], None]
"""Writes models into an empty folder."""


@dataclass(frozen=True)
class Exporter:
    """A layout in which zoos can be written.

    prepare: takes the zoo and the user's licence (None if none was given), returns the function that writes its models,
    and raises `InputError` for a licence that it cannot state; summary: one line; paper: the origin of the layout.
    """

    prepare: Callable[[Zoo, str | None], Write]
    summary: str
    paper: str = ""

    @classmethod
    def plain(cls, write: Write, summary: str, paper: str = "") -> Exporter:
        """An exporter that needs only the models, and states no licence."""

        def prepare(zoo: Zoo, licence: str | None) -> Write:
            if licence is not None:
                raise InputError("this export has no place for a licence; leave out --licence")
            return write

        return cls(prepare, summary, paper)


EXPORTERS: Registry[Exporter] = Registry(
    "export target",
    "zoobench.exporters",
    {
        "modelzoos": "zoobench.zoo.exporters.modelzoos:MODELZOOS",
        "safetensors": "zoobench.zoo.exporters.folders:FOLDERS",
        "huggingface": "zoobench.zoo.exporters.huggingface.write:HUGGINGFACE",
    },
    Exporter,
)
