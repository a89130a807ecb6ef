"""Pages made from the program itself: commands from the app, tables from the registries, the API from `__all__`.

python docs/generated.py     # writes docs/reference/_generated
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml
from zoo_generation.networks.architectures.registry import architecture_names, get_architecture

import zoobench
from zoo_generation.data.registry import DATASETS
from zoo_generation.training.presets import preset_names, preset_path
from zoobench.cli.app import app
from zoobench.methods import Embedder, Generator, LayerEmbedder, Predictor, Reconstructor
from zoobench.methods.registry import get_method, method_names
from zoobench.tasks.registry import TASKS, get_task

ROOT = Path(__file__).parents[1]
PROTOCOLS = (Embedder, LayerEmbedder, Predictor, Generator, Reconstructor)


def cell(text: object) -> str:
    """Text as one cell of a Markdown table."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *([cell(each) for each in row] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def summary(thing: object) -> str:
    """What a thing says of itself in one line, or else the first sentence of its docstring."""
    text = getattr(thing, "summary", "") or inspect.getdoc(getattr(thing, "kind", thing)) or ""
    return text.split("\n\n")[0].split(". ")[0].replace("\n", " ").removesuffix(".")


def linked(paper: str) -> str:
    """A link to a paper, if there is one."""
    return f"[{paper.rpartition('/')[2]}]({paper})" if paper.startswith("https://") else paper or "–"


def methods() -> str:
    """One row per method."""
    rows = []
    for method in map(get_method, method_names()):
        verbs = [protocol.__name__ for protocol in PROTOCOLS if issubclass(method.kind, protocol)]
        rows.append(
            (
                f"`{method.name}`",
                summary(method),
                ", ".join(verbs),
                ", ".join(f"`{name}`" for name in method.presets),
                "baseline" if method.baseline else "",
                linked(getattr(method, "paper", "")),
            )
        )
    return table(["method", "what it is", "verbs", "presets", "", "paper"], rows)


def tasks() -> str:
    """One row per task."""
    rows = [
        (f"`{name}`", summary(task), f"`{task.primary}`", linked(getattr(task, "paper", "")))
        for name, task in ((name, get_task(name)) for name in TASKS)
    ]
    return table(["task", "what it asks", "ranks by", "paper"], rows)


def datasets() -> str:
    """One row per dataset."""
    rows = [
        (
            f"`{name}`",
            f"{entry.channels}×{entry.size}×{entry.size}",
            "bundled" if entry.bundled else "downloaded or read",
        )
        for name, entry in DATASETS.items()
    ]
    return table(["dataset", "images", "where they come from"], rows)


def architectures() -> str:
    """One row per architecture."""
    rows = []
    for each in map(get_architecture, architecture_names()):
        size = f"{each.image_size}{'' if each.fixed_image_size else ', or another'}"
        rows.append((f"`{each.name}`", summary(each.build), size, "yes" if each.has_width else "no"))
    return table(["architecture", "what it is", "pixels a side", "takes a width"], rows)


def presets() -> str:
    """One row per preset of zoos."""
    rows = [
        (f"`{name}`", Path(str(preset_path(name))).read_text(encoding="utf-8").split("\n")[0].strip("# "))
        for name in preset_names()
    ]
    return table(["preset", "what it trains"], rows)


def tracks() -> str:
    """One row per track of the repository's leaderboards."""
    rows = []
    for path in sorted((ROOT / "leaderboards").glob("*/track.yaml")):
        track = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows.append(
            (f"`{path.parent.name}`", track["title"], f"`{track['task']}`", f"`{track['metrics'][0]}`", track["scale"])
        )
    return table(["track", "what it asks", "task", "ranks by", "scale"], rows)


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
    tables = (methods, tasks, datasets, architectures, presets, tracks)
    parts = {each.__name__: each() for each in tables}
    parts["commands"] = "\n\n".join(part for part in commands(typer.main.get_command(app)) if part)
    parts["api"] = api()
    for name, text in parts.items():
        path = folder / f"{name}.part.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parent / "reference" / "_generated")
