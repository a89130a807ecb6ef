"""The report of an ablation study: tables, a web page that needs no network, and Markdown with plots."""

from zoobench.studies.report.content import Report
from zoobench.studies.report.write import write_report

__all__ = ["Report", "write_report"]
