"""The layouts of folders of trained networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from zoo_generation.errors import InputError
from zoo_generation.registry import Registry
from zoobench.zoo.importers.found import SourceLayout

IMPORTERS: Registry[SourceLayout] = Registry(
    "layout",
    "zoobench.importers",
    {
        "modelzoos": "zoobench.zoo.importers.modelzoos:MODELZOOS",
        "safetensors": "zoobench.zoo.importers.folders:FOLDERS",
        "table": "zoobench.zoo.importers.table:TABLE",
        "small_cnn_zoo": "zoobench.zoo.importers.small_cnn_zoo:SMALL_CNN_ZOO",
        "cnn_wild_park": "zoobench.zoo.importers.cnn_wild_park:CNN_WILD_PARK",
    },
    SourceLayout,
)
"""In the order in which they are tried; those of packages come last."""


def usable_layouts() -> Iterator[tuple[str, SourceLayout]]:
    """All layouts by name, without those of packages that cannot be used."""
    for name in IMPORTERS:
        with suppress(InputError):
            yield name, IMPORTERS.get(name)
