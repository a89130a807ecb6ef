"""Templates that never take their values for markup."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from zoo_generation import text
from zoo_generation.text import visible

ROOM = "zoobench.display"


def environment(package: str, finalize: Callable[[object], object], autoescape: bool = False) -> Environment:
    """For a package's own templates, then for those of all pages; `finalize` has the last word on what is shown."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader(ROOM)]),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"number": text.number, "words": text.words, "fact": text.fact}
    made.globals |= {"score": text.score, "interval": text.interval}
    return made


def html_environment(package: str) -> Environment:
    """The same for HTML: whatever is not marked safe is escaped, and characters that print nothing are named."""
    return environment(package, lambda value: value if isinstance(value, Markup) else visible(value), True)


def asset(name: str, package: str = ROOM) -> str:
    """Our own style or script, as it stands in a package."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def digest(script: str) -> str:
    """What a content security policy calls an inline script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
