"""Write a zoo in other layouts, one per file."""

from zoobench.zoo.exporters.exporting import export_zoo
from zoobench.zoo.exporters.models import ExportedModel
from zoobench.zoo.exporters.registry import EXPORTERS, Exporter

__all__ = ["EXPORTERS", "ExportedModel", "Exporter", "export_zoo"]
