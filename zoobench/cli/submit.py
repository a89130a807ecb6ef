"""`zoobench submit`: hand in what a method predicted or generated on a track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from zoobench.cli.options import DataRoot, Home, listed

EXAMPLES = """
Examples:

  zoobench submit results/generation-id/my_forest --authors "A. Author, B. Author" --licence MIT --check

  zoobench submit results/generation-id/my_forest --authors "A. Author, B. Author" --licence MIT

  zoobench submit weights.safetensors --track generation-id --name mine --authors "A. Author" --licence MIT --out my.zip

  zoobench submit predictions.parquet --track property-id --name mine --seeds 0 --authors "A. Author" --licence MIT

  zoobench submit my.zip --replace
"""


def submit(
    source: Annotated[
        Path, typer.Argument(help="What 'eval --track' wrote, a zip file of it, or predictions or weights of your own.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Only say all that is wrong, and how it would rank.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write one zip file instead, to be sent.", show_default="into leaderboards/")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the entry of that name.")] = False,
    track: Annotated[str | None, typer.Option(help="The track.", show_default="the entry's")] = None,
    name: Annotated[str | None, typer.Option(help="Of the entry's folder.", show_default="the method's")] = None,
    method: Annotated[str | None, typer.Option(help="As it is shown.", show_default="the name")] = None,
    authors: Annotated[str | None, typer.Option(help="Who, comma-separated; needed.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", "--license", help="Of what is handed in; needed.")] = None,
    description: Annotated[str | None, typer.Option(help="What the method does, in some sentences.")] = None,
    paper: Annotated[str | None, typer.Option(help="https://…")] = None,
    code: Annotated[str | None, typer.Option(help="https://…")] = None,
    parameters: Annotated[int | None, typer.Option(min=0, help="Numbers that are learned.")] = None,
    compute: Annotated[str | None, typer.Option(help="What training took, such as '2 hours on one A100'.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="Those handed in: 0 alone, of a method without chance.", show_default="the track's"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where the artefact lies, and is fetched, if it is too large for git.")
    ] = None,
    data_root: DataRoot = None,
    home: Home = Path(),
) -> None:
    """Verify a submission, and put it into the leaderboards of a clone, ready for a pull request.

    Scores are computed from what is handed in. Nothing changes where anything is wrong.
    """
    from zoobench.cli.submitting import submit as hand_in

    given: dict[str, Any] = {
        "track": track,
        "name": name,
        "method": method,
        "authors": listed(authors),
        "licence": licence,
        "description": description,
        "paper": paper,
        "code": code,
        "parameters": parameters,
        "compute": compute,
        "seeds": _numbers(seeds),
    }
    said = {field: value for field, value in given.items() if value is not None}
    hand_in(source, said, home / "leaderboards", data_root, check=check, out=out, replace=replace, url=url)


def _numbers(seeds: str | None) -> list[int] | None:
    """The seeds of a comma-separated option; raises `InputError` for what are none."""
    from zoo_generation.errors import InputError

    given = listed(seeds)
    if given is not None and not all(seed.isdecimal() and len(seed) < 11 for seed in given):
        raise InputError(f"--seeds was given '{seeds}'; give whole numbers, comma-separated, such as 0,1,2")
    return None if given is None else [int(seed) for seed in given]
