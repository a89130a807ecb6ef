"""Fill the templates; a report's tables are never read as markup."""

from __future__ import annotations

from collections.abc import Sequence

from zoo_generation.text import inert_markdown
from zoobench.display.environment import asset, digest, environment, html_environment
from zoobench.studies.relations import ID
from zoobench.studies.report.content import SIGNS, Report
from zoobench.studies.report.fits import fit_rows
from zoobench.studies.report.sections import Section, answers

PACKAGE = "zoobench.studies.report"


def html(report: Report, sections: Sequence[Section]) -> str:
    """The report as one page, with its style, script and plots; its policy blocks other scripts and all requests."""
    style, script = asset("style.css"), asset("script.js")
    template = html_environment(PACKAGE).get_template("report.html.j2")
    return template.render(**_content(report, sections), style=style, script=script, script_digest=digest(script))


def markdown(report: Report, sections: Sequence[Section]) -> str:
    """The report in GitHub's Markdown; plots are linked as `plots/<name>.svg`."""
    template = environment(PACKAGE, inert_markdown).get_template("report.md.j2")
    return template.render(**_content(report, sections))


def _content(report: Report, sections: Sequence[Section]) -> dict[str, object]:
    shown = {"answers": answers(report), "fits": fit_rows(report), "sections": sections}
    return {"report": report, **shown, "SIGNS": SIGNS, "ID": ID}
