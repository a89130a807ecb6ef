"""The report of an ablation study: tables, a web page that needs no network, and Markdown with plots."""

from zoobench.ablation.report.content import Report
from zoobench.ablation.report.write import write_report

__all__ = ["Report", "write_report"]
