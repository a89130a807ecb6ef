"""How the documentation is built: `sphinx-build -W -b html docs docs/_build`."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generated  # noqa: E402  # docs/generated.py

import zoobench  # noqa: E402

project = "zoobench"
author = "The zoobench authors"
copyright = "The zoobench authors"
release = zoobench.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
source_suffix = {".md": "myst-nb"}
exclude_patterns = ["_build", ".jupyter_cache", "reference/_generated"]
html_theme = "furo"
html_title = "zoobench"
html_static_path = ["_static"]
html_show_sphinx = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

nb_execution_mode = os.environ.get("ZOOBENCH_NOTEBOOKS", "off")  # "cache" runs the tutorials and shows what they print
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_output_stderr = "remove"  # warnings of packages that a reader's notebook may not have

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_mock_imports: list[str] = []
autosummary_generate = True
autosummary_imported_members = True

PAIR = re.compile(r"^```shell\n(?P<shell>.*?)^```\n\n(?:<!--.*?-->\n)*```python\n(?P<python>.*?)^```$", re.M | re.S)
"""A shell block with the Python that does the same directly below it, as GitHub shows them."""

TABS = """::::{tab-set}
:sync-group: language

:::{tab-item} Shell
:sync: shell
```shell
SHELL```
:::

:::{tab-item} Python
:sync: python
```python
PYTHON```
:::
::::"""

OUTSIDE = re.compile(r"\[(?P<text>[^\]]*)\]\(\.\./(?P<path>[^)#]+)\)")
"""A link from a page to a file of the repository that is not documentation."""

REPOSITORY = os.environ.get("ZOOBENCH_REPOSITORY", "")  # such as https://github.com/OWNER/zoobench


def to_repository(link: re.Match[str]) -> str:
    """A link to the repository, or the file's name if nobody said where that is."""
    text, path = link["text"], link["path"]
    if REPOSITORY:
        return f"[{text}]({REPOSITORY}/blob/main/{path})"
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"


def with_tabs(app: Sphinx, name: str, source: list[str]) -> None:
    """Show each pair of blocks as tabs, and link files of the repository to the repository."""
    text = PAIR.sub(lambda found: TABS.replace("SHELL", found["shell"]).replace("PYTHON", found["python"]), source[0])
    source[0] = OUTSIDE.sub(to_repository, text) if "/" not in name else text


def setup(app: Sphinx) -> None:
    """Write the pages that are made from the program, then let Sphinx read all pages."""
    generated.write(HERE / "reference" / "_generated")
    app.connect("source-read", with_tabs)
