"""Specs of the zoos that the field uses, by name; each has a `-small` sibling that two cores finish."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Names of all presets, siblings side by side."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path | None:
    """Where a preset's YAML lies; none where no preset has that name."""
    return FOLDER / f"{name}.yaml" if name in preset_names() else None


def describe(name: str) -> str:
    """A preset in one line: the first comment of its file."""
    with (FOLDER / f"{name}.yaml").open() as file:
        return file.readline().removeprefix("#").strip()
