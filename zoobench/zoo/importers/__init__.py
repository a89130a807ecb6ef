"""Bring populations of trained networks from elsewhere into a zoo: a file for each layout that they come in."""

from zoobench.zoo.importers.found import Fault
from zoobench.zoo.importers.importing import LAYOUTS, Imported, import_zoo

__all__ = ["LAYOUTS", "Fault", "Imported", "import_zoo"]
