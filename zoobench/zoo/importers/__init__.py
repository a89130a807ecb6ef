"""Import populations of trained networks from elsewhere into a zoo, one file per layout."""

from zoobench.zoo.importers.columns import model_columns
from zoobench.zoo.importers.found import Candidate, Fault, FoundCheckpoint, FoundModel, SourceLayout
from zoobench.zoo.importers.importing import Imported, import_name, import_zoo
from zoobench.zoo.importers.registry import IMPORTERS
from zoobench.zoo.importers.state import State, read_state

__all__ = [
    "IMPORTERS",
    "Candidate",
    "Fault",
    "FoundCheckpoint",
    "FoundModel",
    "Imported",
    "SourceLayout",
    "State",
    "import_name",
    "import_zoo",
    "model_columns",
    "read_state",
]
