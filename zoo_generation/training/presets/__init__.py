"""Specs of the zoos that the field uses, by name; each has a `-small` sibling that two cores finish."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAPER = re.compile(r".*?arXiv [\d.]+\d")


def preset_names() -> list[str]:
    """Names of all presets, siblings side by side."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def preset_path(name: str) -> Path | None:
    """Where a preset's YAML lies; None if no preset has that name."""
    return FOLDER / f"{name}.yaml" if name in preset_names() else None


def describe(name: str) -> str:
    """A preset in one line: the first comment of its file."""
    return _comments(name)[0]


def source_of(name: str) -> str:
    """The paper that a preset, or its large sibling, is from."""
    found = PAPER.match(" ".join(_comments(name.removesuffix("-small"))[1:]))
    return found[0] if found else ""


def _comments(name: str) -> list[str]:
    lines = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
