"""Options that several commands share, and values given as comma-separated lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import zoobench as zb
from zoobench.cli.console import set_json, set_quiet

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
        help="Folder that holds zoos/, models/, runs/, results/ and leaderboards/.",
        show_default=".",
    ),
]
UserArchitectures = Annotated[
    str | None,
    typer.Option(
        "--architectures",
        help="Your own functions, package.module:function, that build the zoo's models; comma-separated.",
        show_default="none",
    ),
]
Zoos = Annotated[
    str | None,
    typer.Option("--zoo", help="Zoo directories or URLs, comma-separated.", show_default="the one built last"),
]
Statuses = Annotated[str, typer.Option(help="Which models to use, by status; diverged ones are never used.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: a GPU if there is one.")]
Workers = Annotated[
    int | None, typer.Option(min=1, max=10_000, help="Worker processes of a local Ray.", show_default="all cores")
]
RayAddress = Annotated[
    str | None, typer.Option(envvar="RAY_ADDRESS", help="A Ray cluster.", show_default="one started here")
]
CpusPerJob = Annotated[float, typer.Option(help="Cores per job.")]
GpusPerJob = Annotated[
    float | None, typer.Option(help="GPUs per job; fractions share one.", show_default="1 if there are any")
]
MethodName = Annotated[str, typer.Option("--method", "--model", help="The method: see 'zoobench list methods'.")]
PresetName = Annotated[
    str | None,
    typer.Option(
        "--preset", help="One of the method's configurations, such as tiny or paper.", show_default="its first"
    ),
]
Settings = Annotated[
    str | None,
    typer.Option(
        "--set", help="Hyperparameters to change from the preset: name=value, comma-separated.", show_default="none"
    ),
]
Kept = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="DIR", help="Folder of a trained method.", show_default="trained, or kept under runs/"
    ),
]
Tracks = Annotated[
    list[str] | None, typer.Argument(help="Tracks by name.", metavar="[TRACK]...", show_default="all two-core tracks")
]
TrackOption = Annotated[
    str | None, typer.Option("--track", help="Tracks, comma-separated; 'all' are the two-core ones.")
]
LARGEST_SEED = 2**32 - 1  # every generator of random numbers takes it
Seeds = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="How many seeds to train and sample with.", show_default="3, or the study's"),
]
FirstSeed = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=LARGEST_SEED, help="The first of them.", show_default="0, or the study's"),
]
Seed = Annotated[
    int, typer.Option(min=0, max=LARGEST_SEED, help="Seed of all randomness; the same seed gives the same result.")
]
Json = Annotated[
    bool, typer.Option("--json", callback=set_json, is_eager=True, help="Print the result as JSON and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=set_quiet, help="Print nothing but errors.")]


def examples(*commands: str) -> str:
    """The last part of a command's help: one line per example, each without `zoobench`."""
    return "\n\n  ".join(["Examples:", *(f"zoobench {command}" for command in commands)])


def listed(text: str | None) -> list[str] | None:
    """The values of a comma-separated option; None if it was not given."""
    return None if text is None else [value.strip() for value in text.split(",") if value.strip()]


def assigned(text: str | None) -> dict[str, str]:
    """Names and values of a comma-separated option such as `window=32,steps=100`."""
    return dict(each.partition("=")[::2] for each in listed(text) or [])


def import_listed(architectures: str | None) -> None:
    """Import the architectures, package.module:function, that a comma-separated option names."""
    for name in listed(architectures) or []:
        zb.import_architecture(name)


def opened_zoos(zoos: str | None, home: Path) -> list[zb.Zoo]:
    """The zoos that a comma-separated option names; without it, the one built last."""
    return [zb.load_zoo(path) for path in listed(zoos) or []] or [zb.load_zoo(workspace=zb.Workspace(home))]


def opened(zoos: str | None, home: Path) -> tuple[list[zb.Zoo], str]:
    """The zoos that a comma-separated option names, or the one built last, and what they are called together."""
    found = opened_zoos(zoos, home)
    return found, "+".join(zoo.name for zoo in found)


def chosen_tracks(names: list[str] | None, workspace: zb.Workspace) -> list[str]:
    """Tracks by name; without names, or with `all`, those that two cores can do."""
    given = [each for name in names or [] for each in listed(name) or []]
    if not given or "all" in given:
        return list(zb.list_tracks(scale="two-cores", workspace=workspace))
    return [zb.get_track(name, workspace=workspace).name for name in given]
