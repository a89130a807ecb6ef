"""Pages made from the program itself: commands from the app, tables from the catalogue, the API from `__all__`.

`python docs/generated.py` writes docs/reference/_generated, as every build of the site does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer

import zoobench
from zoobench.catalogue import KINDS, catalogue
from zoobench.cli.app import app

ROOT = Path(__file__).parents[1]
ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def cell(text: object) -> str:
    """Text as one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *([cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def listed(kind: str) -> str:
    """One row per thing of a kind, as `zoobench list` shows it; columns that would be empty are left out."""
    lines = catalogue(kind, ROOT / "leaderboards")
    columns = {"what it is": "summary", "source": "paper", "needs": "needs"}
    columns = {title: field for title, field in columns.items() if any(getattr(line, field) for line in lines)}
    rows = [(f"`{line.name}`", *(getattr(line, field) for field in columns.values())) for line in lines]
    return ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", table(["name", *columns], rows))


def plain(text: str) -> str:
    """Help text as Markdown: without the markup of the terminal."""
    return re.sub(r"\[/?[a-z ]+\]", "", text or "").strip()


def options(command: Any) -> str:
    """One row per argument and option."""
    rows = []
    for each in command.params:
        name = ", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts))
        name = f"`{each.name.upper()}`" if each.param_type_name == "argument" else name
        shown = getattr(each, "show_default", None)
        given = shown if isinstance(shown, str) else each.default
        default = "" if given is None or given is False or callable(given) else f"`{given}`"
        rows.append((name, plain(getattr(each, "help", "") or ""), default))
    return table(["option", "meaning", "default"], rows) if rows else ""


def commands(command: Any, path: tuple[str, ...] = ("zoobench",)) -> Iterable[str]:
    """A section per command, in the order of the help."""
    help_text, _, more = plain(command.help or "").partition("\n\n")
    if hasattr(command, "commands"):
        if len(path) > 1:
            yield f"## {' '.join(path)}\n\n{help_text}"
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))
        return
    yield f"{'#' * min(len(path), 3)} {' '.join(path)}\n\n{help_text}"
    if more:
        yield more
    yield options(command)
    if epilog := plain(command.epilog or ""):
        lines = [line.strip() for line in epilog.split("\n") if line.strip()]
        yield "```text\n" + "\n".join(lines) + "\n```"


def api() -> str:
    """What `import zoobench as zb` offers: functions, then types, each with its docstring."""
    names = list(getattr(zoobench, "__all__", ()))
    functions = [name for name in names if inspect.isroutine(getattr(zoobench, name))]
    types = [name for name in names if inspect.isclass(getattr(zoobench, name))]
    parts = []
    for title, directive, found in (("Functions", "autofunction", functions), ("Types", "autoclass", types)):
        if found:
            parts.append(f"## {title}")
            members = "\n:members:" if directive == "autoclass" else ""
            parts += [
                f"```{{eval-rst}}\n.. {directive}:: zoobench.{name}{members and chr(10) + '   :members:'}\n```"
                for name in found
            ]
    return "\n\n".join(parts) or "The Python interface is being written."


def write(folder: Path) -> None:
    """Write all parts that the pages of the reference include."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {kind: listed(kind) for kind in KINDS}
    parts["commands"] = "\n\n".join(part for part in commands(typer.main.get_command(app)) if part)
    parts["api"] = api()
    for name, text in parts.items():
        path = folder / f"{name}.part.md"
        if not path.exists() or path.read_text(encoding="utf-8") != f"{text}\n":
            path.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent / "reference" / "_generated")
