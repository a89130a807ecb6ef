"""Bring populations of trained networks from elsewhere into a zoo: a file for each layout that they come in."""

from zoobench.zoo.importers.found import Candidate, Fault, FoundCheckpoint, FoundModel, SourceLayout
from zoobench.zoo.importers.importing import Imported, import_zoo
from zoobench.zoo.importers.registry import IMPORTERS

__all__ = [
    "IMPORTERS",
    "Candidate",
    "Fault",
    "FoundCheckpoint",
    "FoundModel",
    "Imported",
    "SourceLayout",
    "import_zoo",
]
