"""Write a zoo in the layouts of others: a file for each."""

from zoobench.zoo.exporters.exporting import TARGETS, export_zoo

__all__ = ["TARGETS", "export_zoo"]
