"""Write a report's files."""

from __future__ import annotations

from pathlib import Path

from zoobench.display.svg import standalone
from zoobench.studies.report.content import Report
from zoobench.studies.report.render import html, markdown
from zoobench.studies.report.sections import sections


def write_report(report: Report, folder: Path) -> None:
    """Write tables (Parquet, CSV), `report.html` (one file, no network) and `report.md` with `plots/` into a folder.

    Creates the folder if it is missing. To never leave half a report, write to a temporary folder and rename it.
    """
    shown = sections(report)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (("measurements", report.measurements), ("summary", report.summary)):
        table.to_parquet(folder / f"{name}.parquet", index=False)
        table.to_csv(folder / f"{name}.csv", index=False)
    for name in ("effects", "against_baselines", "curves", "comparisons", "fits"):
        getattr(report, name).to_csv(folder / f"{name}.csv", index=False)
    (folder / "report.html").write_text(html(report, shown), encoding="utf-8")
    (folder / "report.md").write_text(markdown(report, shown), encoding="utf-8")
    (folder / "plots").mkdir(exist_ok=True)
    for section in shown:
        for plot in section.plots:
            (folder / "plots" / f"{plot.name}.svg").write_text(standalone(plot.svg), encoding="utf-8")
