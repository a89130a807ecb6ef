"""Fill the templates: nothing that comes from a report's tables is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from zoobench.ablation.names import ID
from zoobench.ablation.report import text
from zoobench.ablation.report.content import Report
from zoobench.ablation.report.sections import Section, answers

MARKDOWN_SIGNS = re.compile(r"[\\`*_{}\[\]<>|#~$&]")
"""What may begin markup or HTML anywhere in a line."""


def html(report: Report, sections: Sequence[Section]) -> str:
    """The report as one page, with style, script and plots in it; its policy lets no other script run, nor any load."""
    style, script = _asset("style.css"), _asset("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _environment(autoescape=True).get_template("report.html.j2")
    return template.render(**_content(report, sections), style=style, script=script, script_digest=digest)


def markdown(report: Report, sections: Sequence[Section]) -> str:
    """The report in GitHub's Markdown; plots are linked as `plots/<name>.svg`."""
    environment = _environment(finalize=inert_markdown)
    return environment.get_template("report.md.j2").render(**_content(report, sections))


def inert_markdown(value: object) -> str:
    """Text on one line whose signs are shown, not read as markup."""
    return MARKDOWN_SIGNS.sub(r"\\\g<0>", " ".join(str(value).split()))


def _environment(autoescape: bool = False, finalize: Callable[[object], str] | None = None) -> Environment:
    environment = Environment(
        loader=PackageLoader("zoobench.ablation.report"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": text.number, "words": text.words}
    environment.globals |= {"score": text.score, "interval": text.interval, "SIGNS": text.SIGNS, "ID": ID}
    return environment


def _content(report: Report, sections: Sequence[Section]) -> dict[str, object]:
    return {"report": report, "answers": answers(report), "sections": sections}


def _asset(name: str) -> str:
    """Our own style or script, as it stands in the package."""
    return (files("zoobench.ablation.report") / "templates" / name).read_text(encoding="utf-8")
