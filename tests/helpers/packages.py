"""Packages as pip installs them: modules, and metadata with entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_package(
    folder: Path, package: str, entry_points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str]
) -> None:
    """Put a package into a folder of `sys.path`. entry_points: places by name, by group; modules: texts by name."""
    about = folder / f"{package.replace('-', '_')}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1.0\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]\n", *(f"{name} = {place}\n" for name, place in entries.items())]
    (about / "entry_points.txt").write_text("".join(lines))
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
