"""Options that several commands share, and values given as comma-separated lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[
    Path | None,
    typer.Option(
        envvar="ZOOBENCH_DATA",
        help="Folder with image datasets: Hugging Face Parquet exports, torchvision layouts or image folders.",
    ),
]
Home = Annotated[
    Path,
    typer.Option(
        envvar="ZOOBENCH_HOME",
        help="Folder under which zoos/, runs/, results/ and leaderboards/ lie.",
        show_default=".",
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random; the same seed gives the same result.")]


def listed(text: str | None) -> list[str] | None:
    """The values of a comma-separated option; none where it was not given."""
    return None if text is None else [value.strip() for value in text.split(",") if value.strip()]
